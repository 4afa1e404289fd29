"""Lists of names, such as that of --exclude."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_resend.errors import InputError
from batch_resend.sources.csv_file import read_names

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ada\nbob\n\ncy", ["ada", "bob", "cy"]),
        ("username\nada\n", ["ada"]),
        ("id;Email\n1; ada@example.com\n", ["ada@example.com"]),
        ("ada@example.com\n", ["ada@example.com"]),
        ("username\n", []),
    ],
)
async def test_a_list_of_names_may_have_a_header(
    users: Path, text: str, expected: list[str]
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
