"""Finding and erasing people, the same for every ledger."""

from __future__ import annotations

import pytest

from batch_resend.ledger import (
    Forgotten,
    Identity,
    Intend,
)
from batch_resend.model import Reason
from tests.support.ledgers import (
    MUCH_LATER,
    NOW,
    Ledger,
    times_of,
)

pytestmark = pytest.mark.anyio


async def test_any_name_of_a_person_finds_all_their_messages(
    ledger: Ledger,
) -> None:
    async with ledger.run() as run:
        await run.send("id-1", "Ada@example.com", listed=True)
        await run.send("id-2", "bob@example.com", at=NOW + 1, listed=True)
        await run.send("ada@EXAMPLE.com", at=NOW + 2)
    for name in ("ID-1", "ada@example.com"):
        assert await ledger.person(name) == ["id-1", "ada@EXAMPLE.com"]
    assert await ledger.person("bob@example.com") == ["id-2"]
    assert await ledger.person("stranger") == []


async def test_messages_from_files_are_found_and_forgotten_by_name(
    ledger: Ledger,
) -> None:
    async with ledger.run() as run:
        await run.send("id-1", "sub-1", "ada@example.com", listed=True)
        await run.send("id-2", "bob@example.com", at=NOW + 1, listed=True)
        await run.send("ID-1", at=NOW + 2)
        await run.send("sub-1", at=NOW + 3)
        await run.send("ada@example.com", at=NOW + 4)
    for name in ("id-1", "sub-1", "ada@example.com"):
        assert await ledger.person(name) == ["id-1", "ID-1", "sub-1", "ada@example.com"], name
    assert await ledger.forget("ada@example.com") == Forgotten(4)
    assert await ledger.names() == [None, "id-2", None, None, None]


async def test_a_forgotten_person_has_no_name_and_still_counts_as_sent(ledger: Ledger) -> None:
    async with ledger.run() as run:
        await run.send("id-1", "ada@example.com", listed=True)
        await run.send("bob@example.com", at=NOW + 1)
        await run.intend("open@example.com", at=NOW + 2)
    forgotten = await ledger.forget("ADA@example.com", "open@example.com", "stranger")
    assert forgotten == Forgotten(2, ("stranger",))
    assert await ledger.names() == [None, "bob@example.com", None]
    assert await ledger.forget("id-1") == Forgotten(0)
    async with ledger.run() as run:
        assert (await run.history("id-1")).sent == [NOW]
        assert (await run.history("ada@example.com")).sent == [NOW]
        assert (await run.history("open@example.com", now=MUCH_LATER)).interrupted
        await run.interrupt("open@example.com", MUCH_LATER)
    assert (await ledger.messages())[2].reason == "interrupted"


async def test_names_that_are_old_are_erased_and_still_count(ledger: Ledger) -> None:
    async with ledger.run() as run:
        await run.send("old@example.com")
        await run.send("doubt@example.com", at=NOW + 1, reason=Reason.NO_ANSWER)
        await run.send("new@example.com", at=NOW + 9)
    assert await ledger.older(NOW + 9) == (2, 1)
    await ledger.purge(NOW + 9)
    assert await ledger.older(NOW + 9) == (0, 0)
    assert await ledger.older(NOW + 9, entirely=True) == (2, 1)
    assert await ledger.names() == [None, None, "new@example.com"]
    async with ledger.run() as run:
        assert (await run.history("old@example.com")).sent == [NOW]
        assert (await run.journal.unknown()).messages == 1


async def test_unsettled_message_is_as_old_as_its_intent(ledger: Ledger) -> None:
    async with ledger.run() as run:
        await run.journal.make(Intend(Identity("open@example.com"), NOW))
    assert await ledger.older(NOW) == (0, 0)
    assert await ledger.older(NOW + 1) == (1, 1)
    await ledger.purge(NOW + 1)
    assert await ledger.names() == [None]
    async with ledger.run() as run:
        assert (await run.journal.unknown()).messages == 1


async def test_what_is_purged_entirely_counts_no_more(ledger: Ledger) -> None:
    async with ledger.run() as run:
        await run.send("id-1", "old@example.com", listed=True)
        await run.send("new@example.com", at=NOW + 9)
    await ledger.purge(NOW + 1, entirely=True)
    assert await ledger.names() == ["new@example.com"]
    async with ledger.run() as run:
        for name in ("id-1", "old@example.com"):
            assert times_of(await run.history(name)) == ([], [], False)
        await run.send("id-1", "old@example.com", at=NOW + 20, listed=True)
        assert (await run.history("old@example.com")).sent == [NOW + 20]
