"""Users from the memory of a program."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pandas as pd
import pytest

from batch_resend.errors import InputError, UsageError
from batch_resend.model import Candidate
from batch_resend.sources.memory_users import MemoryUsers
from tests.support.sentences import is_one_sentence

pytestmark = pytest.mark.anyio


async def read(users: Any, **options: Any) -> list[Candidate]:
    source = MemoryUsers(users, **options)
    await source.open()
    return [user async for batch in source.batches() for user in batch]


def one_by_one() -> Iterator[str]:
    yield from ("ada", "bob")


async def in_time() -> AsyncIterator[str]:
    yield "ada"
    yield "bob"


class BothWays:
    """A stand-in for a Django queryset: synchronous iteration in a coroutine is an error."""

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError

    def __aiter__(self) -> AsyncIterator[str]:
        return in_time()


@pytest.mark.parametrize(
    "users",
    [
        ["ada", " bob\n"],
        ("ada", "bob"),
        one_by_one(),
        in_time(),
        BothWays(),
        pd.Series(["ada", "bob"]),
        pd.DataFrame({"username": ["ada", "bob"]}),
        [{"username": "ada"}, "bob"],
        [Candidate(7, "ada"), Candidate(7, "bob")],
    ],
    ids=lambda users: type(users).__name__,
)
async def test_users_are_candidates_in_their_order(users: Any) -> None:
    assert [(user.row, user.username) for user in await read(users)] == [(1, "ada"), (2, "bob")]


async def test_ids_are_names() -> None:
    number = UUID(int=1)
    assert [user.username for user in await read([number, {"sub": number}])] == [str(number)] * 2


async def test_other_keys_are_attributes_as_text() -> None:
    (user,) = await read([{"username": "ada", "age": 7, "beta": True, "locale": None}])
    assert user.attributes == {"age": "7", "beta": "true", "locale": ""}


async def test_frame_has_its_columns_and_no_missing_values() -> None:
    frame = pd.DataFrame(
        {
            "username": pd.Series(["ada", "bob"], dtype="string"),
            "locale": ["de", None],
            "visits": pd.array([1, None], dtype="Int64"),
            "UserCreateDate": pd.to_datetime(["2026-11-01", "2026-11-02"], utc=True),
        }
    )
    source = MemoryUsers(frame, dates=True)
    await source.open()
    assert source.columns == frozenset(frame.columns)
    ada, bob = [user async for batch in source.batches() for user in batch]
    assert ada.attributes["locale"] == "de"
    assert bob.attributes["locale"] == ""
    assert [ada.attributes["visits"], bob.attributes["visits"]] == ["1", ""]
    assert ada.created == datetime(2026, 11, 1, tzinfo=UTC).timestamp()
    assert any("UserCreateDate" in note for note in source.notes)


async def test_listed_user_is_read_as_the_sdk_returns_it() -> None:
    when = datetime(2026, 11, 1, tzinfo=UTC)
    listed = {
        "Username": "ada",
        "Attributes": [{"Name": "email", "Value": "ada@example.com"}],
        "UserCreateDate": when,
        "Enabled": True,
        "UserStatus": "CONFIRMED",
    }
    (user,) = await read([listed])
    assert (user.status, user.enabled, user.created) == ("CONFIRMED", True, when.timestamp())
    assert user.aliases == ("ada@example.com",)


async def test_rows_are_lines_that_a_run_reads_again() -> None:
    users = await read(["ada", {"username": "bob", "locale": "de"}, Candidate(1, "cid")])
    assert [json.loads(user.raw) for user in users] == [
        {"username": "ada"},
        {"username": "bob", "locale": "de"},
        {"username": "cid"},
    ]


async def test_memory_stays_flat() -> None:
    """A batch is given before the next one is read."""
    taken = 0

    def many() -> Iterator[str]:
        nonlocal taken
        for taken in range(10_000):
            yield f"user{taken}"

    source = MemoryUsers(many())
    await source.open()
    batches = source.batches()
    assert len(await anext(batches)) == taken + 1 == 1000
    await batches.aclose()


@pytest.mark.parametrize("users", ["users.csv", b"users", {"username": "ada"}, 7])
async def test_users_other_than_a_collection_are_refused(users: Any) -> None:
    with pytest.raises(UsageError, match="users=") as caught:
        await read(users)
    assert is_one_sentence(caught.value)


@pytest.mark.parametrize(
    ("user", "message"),
    [
        (7, "is int"),
        (None, "is NoneType"),
        ({"username": 7}, "not text"),
        ({"name": "ada"}, "none of the keys"),
    ],
)
async def test_user_that_cannot_be_read_is_named(user: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"users: user 2 .*{message}"):
        await read(["ada", user])


async def test_date_that_is_needed_must_be_there() -> None:
    for user in ("ada", Candidate(1, "ada")):
        with pytest.raises(InputError, match="UserCreateDate"):
            await read([user], dates=True)
