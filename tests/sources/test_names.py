"""Lists of names, such as that of --exclude."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_resend.errors import InputError
from batch_resend.sources.named_users import NamedUsers
from batch_resend.sources.names import read_names

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ada\nbob\n\ncy", [("ada",), ("bob",), ("cy",)]),
        ("username\nada\n", [("ada",)]),
        ("id;Email\n1; ada@example.com\n", [("ada@example.com",)]),
        ("ada@example.com\n", [("ada@example.com",)]),
        ("username\n", []),
        ("auth0|5f31\nauth0|5f32\n", [("auth0|5f31",), ("auth0|5f32",)]),
        ("email|why\nada@x.example|left\n", [("ada@x.example",)]),
        ("phone_number\n+12345550100\n", [("+12345550100",)]),
        ("Phone_Number;note\n+12345550100;x\n", [("+12345550100",)]),
        (
            "username,email,phone_number,sub\nada,a@x.example,,s-1\n,,,\nbob,bob,+1234567,\n",
            [("ada", "a@x.example", "s-1"), ("bob", "+1234567")],
        ),
        ('["ada", "bob"]', [("ada",), ("bob",)]),
        ('{"Users": [{"Username": "ada", "Attributes": []}]}', [("ada",)]),
        ("row,username,outcome,reason\n1,'@x,sent,accepted\n", [("@x",)]),
        ('="+1234"\n', [("+1234",)]),
        ("'+15551234567\n", [("+15551234567",)]),
        ("phone_number\n'+15551234567\n", [("+15551234567",)]),
        ("report,row,user,outcome,reason\n1,1,'@x,sent,accepted\n", [("@x",)]),
    ],
)
async def test_a_list_of_names_may_have_a_header(
    users: Path, text: str, expected: list[tuple[str, ...]]
) -> None:
    users.write_text(text)
    assert [name async for name in read_names(str(users))] == expected


@pytest.mark.parametrize(("text", "why"), [("", "is empty"), ("id,mail\n1,ada\n", "several")])
async def test_a_list_of_names_that_may_be_a_mistake_is_refused(
    users: Path, text: str, why: str
) -> None:
    users.write_text(text)
    with pytest.raises(InputError, match=why):
        [name async for name in read_names(str(users))]


async def test_rows_of_named_users_are_read_back(users: Path) -> None:
    """A failed file that looks like a spreadsheet's work must not become another user."""
    named = ["'+15551234567", "=1+1", "username", "ada"]
    source = NamedUsers(named)
    (batch,) = [batch async for batch in source.batches()]
    users.write_text(source.heading + "".join(user.raw for user in batch))
    assert [name async for name in read_names(str(users))] == [(name,) for name in named]
