"""Addresses become Usernames, at the rate of a listing."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
import trio.testing

from batch_resend.errors import InputError, SettingsError
from batch_resend.model import Candidate
from batch_resend.simulator.pool import User, parse_filter
from batch_resend.sources.named_users import NamedUsers
from batch_resend.sources.resolved_users import ResolvedUsers, address_filter
from tests.support.sentences import is_one_sentence

pytestmark = pytest.mark.anyio
POOL = "eu-west-1_Pool"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Return Trio with a clock that jumps: waiting takes no time."""
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


class Directory:
    """A pool that finds users by their address."""

    def __init__(self, accounts: dict[str, str], **failure: Exception) -> None:
        self.accounts = accounts  # the address of each Username
        self.asked: list[dict[str, Any]] = []
        self.at: list[float] = []
        self.failure = failure.get("failure")

    async def list_users(self, **arguments: Any) -> Any:
        self.asked.append(arguments)
        self.at.append(anyio.current_time())
        if self.failure is not None:
            raise self.failure
        fits = parse_filter(arguments["Filter"])
        users = [
            {
                "Username": username,
                "Attributes": [{"Name": "email", "Value": address}],
                "UserStatus": "CONFIRMED" if username.endswith("+confirmed") else "UNCONFIRMED",
                "Enabled": not username.endswith("+disabled"),
                "UserCreateDate": 1_800_000_000.0 + number,
            }
            for number, (username, address) in enumerate(self.accounts.items())
            if fits(User(username, {"email": address}))
        ]
        return {"Users": users}


def resolved(directory: Directory, *addresses: str, newest: bool = False) -> ResolvedUsers:
    return ResolvedUsers(
        NamedUsers(addresses), directory, POOL, newest=newest, note=lambda _text: None
    )


async def read(source: ResolvedUsers) -> list[Candidate]:
    await source.open()
    return [user async for batch in source.batches() for user in batch]


async def test_address_becomes_the_username_and_the_row_stays() -> None:
    directory = Directory({"u-1": "ada@x", "u-2": "bob@x"})
    source = resolved(directory, "bob@x", "ada@x")
    users = await read(source)
    assert [(user.row, user.username, user.raw) for user in users] == [
        (1, "u-2", "bob@x\n"),
        (2, "u-1", "ada@x\n"),
    ]
    assert users[0].status == "UNCONFIRMED"
    assert users[0].enabled
    assert users[0].created == 1_800_000_001.0
    assert users[0].aliases == ("bob@x",), "so that a message under the address counts"
    assert source.notes == ()
    assert source.heading == "username\n"


async def test_address_without_account_is_not_found() -> None:
    source = resolved(Directory({"u-1": "ada@x"}), "ada@x", "typo@x")
    ada, typo = await read(source)
    assert (ada.exists, typo.exists, typo.username) == (True, False, "typo@x")
    assert source.notes == ("Addresses without an account: 1 of 2.",)


async def test_several_accounts_are_refused_with_their_rows() -> None:
    directory = Directory({"u-1": "ada@x", "u-2": "ada@x", "u-3": "bob@x"})
    with pytest.raises(InputError, match=r"row 2\b.*--one-per-address") as caught:
        await read(resolved(directory, "bob@x", "ada@x"))
    assert is_one_sentence(caught.value)


async def test_newest_of_several_accounts_is_used_where_chosen() -> None:
    directory = Directory({"u-1": "ada@x", "u-2": "ada@x"})
    source = resolved(directory, "ada@x", newest=True)
    assert [user.username for user in await read(source)] == ["u-2"]
    assert source.notes == ("Addresses with several accounts, of which the newest is used: 1.",)


async def test_newest_account_is_one_that_can_be_sent_a_code() -> None:
    """A newer account that would be skipped does not take the message away."""
    directory = Directory(dict.fromkeys(("u-1", "u-2", "u-3+disabled", "u-4+confirmed"), "ada@x"))
    source = resolved(directory, "ada@x", newest=True)
    assert [user.username for user in await read(source)] == ["u-2"]


async def test_lookups_stay_below_half_of_the_quota() -> None:
    """In no second more than 15 of the 30 that ListUsers allows."""
    directory = Directory({})
    await read(resolved(directory, *(f"user{n}@x" for n in range(100))))
    assert len(directory.at) == 100
    for start in directory.at:
        assert sum(start <= at < start + 0.999 for at in directory.at) <= 15


async def test_lookup_that_is_refused_ends_the_run() -> None:
    from botocore.exceptions import ClientError

    refusal = ClientError({"Error": {"Code": "AccessDeniedException"}}, "ListUsers")
    directory = Directory({}, failure=refusal)
    with pytest.raises(SettingsError, match="cognito-idp:ListUsers"):
        await read(resolved(directory, *(f"user{n}@x" for n in range(100))))
    assert len(directory.asked) < 100, "the other lookups are given up"


@pytest.mark.parametrize(
    "address", ["ada@x", 'a"b@x', "a\\b@x", 'a\\"@x', '" or username = "@x', "+15550100"]
)
def test_filter_matches_the_address_and_nothing_else(address: str) -> None:
    fits = parse_filter(address_filter(address))
    name = "email" if "@" in address else "phone_number"
    assert fits(User("u-1", {name: address}))
    assert not fits(User("u-1", {name: f"{address}x"}))
    assert not fits(User("u-1", {}))
