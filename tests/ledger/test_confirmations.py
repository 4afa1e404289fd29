"""The pool's listing laid beside the ledger: every user of the ledger once, by any name."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from batch_resend.ledger import Identity, Intend, Settle, confirmations
from batch_resend.ledger.confirmations import Listed
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.ledger.sqlite.ledger import SqliteLedger
from batch_resend.model import Reason
from tests.support.ledgers import apply

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Pool:
    """A client that lists users, two to a page."""

    def __init__(self, *users: tuple[str, str, str]) -> None:
        self.users = [
            {
                "Username": username,
                "Attributes": [{"Name": "email", "Value": email}],
                "UserStatus": status,
                "UserCreateDate": datetime.fromtimestamp(NOW, UTC),
            }
            for username, email, status in users
        ]
        self.filters: set[str] = set()

    async def list_users(self, **arguments: Any) -> Any:
        self.filters.add(arguments["Filter"])
        start = int(arguments.get("PaginationToken", 0))
        more = {"PaginationToken": str(start + 2)} if start + 2 < len(self.users) else {}
        return {"Users": self.users[start : start + 2], **more}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    with LedgerFile(tmp_path / "ledger") as opened:
        opened.begin(NOW)
        yield opened


def send(ledger: SqliteLedger, *names: Identity) -> None:
    for intent in apply(ledger, [Intend(name, NOW) for name in names]):
        apply(ledger, [Settle(intent, Reason.ACCEPTED, NOW)])


async def statuses(ledger: SqliteLedger, pool: Pool) -> dict[str, str | None]:
    with Listed() as listed:
        await listed.read(pool, "eu-west-1_Pool", ledger.records, lambda _: None)
        return {
            str(messages[0].name): listed.status(messages[0].user)
            for messages in ledger.records.users()
        }


async def test_users_are_found_by_whatever_name_they_were_written_to(ledger: SqliteLedger) -> None:
    send(ledger, Identity("id-1", ("ada@example.com",), listed=True), Identity("BOB@example.com"))
    send(ledger, Identity("gone@example.com"), Identity("id-3"))
    pool = Pool(
        ("id-1", "ada@example.com", "CONFIRMED"),
        ("id-2", "bob@example.com", "UNCONFIRMED"),
        ("id-3", "cid@example.com", "RESET_REQUIRED"),
        ("id-9", "stranger@example.com", "CONFIRMED"),
    )
    assert await statuses(ledger, pool) == {
        "id-1": "CONFIRMED",
        "BOB@example.com": "UNCONFIRMED",
        "id-3": "RESET_REQUIRED",
        "gone@example.com": None,
    }
    assert pool.filters == {""}  # all users: who is not listed is not taken for confirmed


@pytest.mark.parametrize("order", [1, -1])
async def test_one_confirmed_account_of_an_address_is_enough(
    ledger: SqliteLedger, order: int
) -> None:
    send(ledger, Identity("ada@example.com"))
    accounts = [
        ("id-1", "ada@example.com", "CONFIRMED"),
        ("id-2", "ada@example.com", "UNCONFIRMED"),
    ]
    assert await statuses(ledger, Pool(*accounts[::order])) == {"ada@example.com": "CONFIRMED"}


async def test_account_with_the_same_address_is_another_user(
    ledger: SqliteLedger,
) -> None:
    send(ledger, Identity("id-1", ("ada@example.com",), listed=True))
    pool = Pool(
        ("id-1", "ada@example.com", "UNCONFIRMED"), ("id-2", "ada@example.com", "CONFIRMED")
    )
    assert await statuses(ledger, pool) == {"id-1": "UNCONFIRMED"}


async def test_a_long_listing_says_how_far_it_is(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirmations, "_EVERY", 0.0)
    said: list[str] = []
    pool = Pool(*((f"id-{n}", f"user{n}@example.com", "CONFIRMED") for n in range(6)))
    with Listed() as listed:
        await listed.read(pool, "eu-west-1_Pool", ledger.records, said.append)
    assert said == [f"{n} users of eu-west-1_Pool listed so far" for n in (2, 4, 6)]
