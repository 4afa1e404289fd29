"""The suppression list laid beside a ledger, of both kinds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from batch_resend.aws.reach import Suppressed
from batch_resend.model import Outcome, Reason
from batch_resend.reconcile.deliveries import Deliveries, as_json, find_undelivered, lines
from batch_resend.run.open_ledger import ledger_of, reconciling
from tests.support.ledgers import MUCH_LATER, NOW, Ledger, Opened

pytestmark = pytest.mark.anyio


@dataclass
class Listed:
    """A suppression list, in pages of two."""

    addresses: list[Suppressed]
    region: str = "eu-west-1"
    asked: list[float] = field(default_factory=list)

    async def pages(self, since: float) -> AsyncIterator[list[Suppressed]]:
        self.asked.append(since)
        listing = [one for one in self.addresses if one.at >= since]
        for start in range(0, len(listing), 2):
            yield listing[start : start + 2]


async def laid_beside(ledger: Ledger, listed: Listed) -> Deliveries:
    target = ledger.settings()
    async with reconciling(target, await ledger_of(target)) as opened:
        return await find_undelivered(opened, listed, MUCH_LATER)


async def _lost(run: Opened, name: str, at: float) -> None:
    await run.settle(await run.intend(name, at=at), Reason.NO_ANSWER, at + 1)


@pytest.fixture
async def sent(ledger: Ledger) -> Ledger:
    async with ledger.run() as run:
        await run.send("ada@example.com", at=NOW)
        await run.send("u-2", "Bob@Example.com", listed=True, at=NOW + 10)
        await _lost(run, "cy@example.com", NOW + 20)
        await run.send("gone@example.com", at=NOW + 30, reason=Reason.USER_NOT_FOUND)
        await run.send("early@example.com", at=NOW + 40)
        await run.send("fine@example.com", at=NOW + 50)
    return ledger


async def test_suppressed_since_the_code_are_named(sent: Ledger) -> None:
    """By any name of a listed user, unknown outcomes too; none whose code was refused."""
    listed = Listed([
        Suppressed("ada@example.com", "BOUNCE", NOW + 60),
        Suppressed("bob@example.com", "COMPLAINT", NOW + 70),
        Suppressed("cy@example.com", "BOUNCE", NOW + 80),
        Suppressed("gone@example.com", "BOUNCE", NOW + 90),
        Suppressed("early@example.com", "BOUNCE", NOW + 39),
        Suppressed("other@example.com", "BOUNCE", NOW + 90),
        Suppressed("old@example.com", "BOUNCE", NOW - 90),
    ])  # fmt: skip
    result = await laid_beside(sent, listed)
    assert listed.asked == [NOW]
    assert (result.codes, result.since) == (5, NOW)
    assert [(one.name, one.outcome, one.what, one.at) for one in result.users] == [
        ("ada@example.com", Outcome.SENT, "bounced", NOW + 60),
        ("u-2", Outcome.SENT, "complained", NOW + 70),
        ("cy@example.com", Outcome.UNKNOWN, "bounced", NOW + 80),
    ]


async def test_user_who_was_sent_several_codes_is_named_once(ledger: Ledger) -> None:
    async with ledger.run() as run:
        await run.send("ada@example.com", at=NOW)
        await run.send("ada@example.com", at=NOW + 100)
    listed = Listed([Suppressed("ada@example.com", "BOUNCE", NOW + 200)])
    (user,) = (await laid_beside(ledger, listed)).users
    assert user.sent_at == NOW + 100


async def test_ledger_without_codes_asks_for_no_list(ledger: Ledger) -> None:
    async with ledger.run():
        pass
    listed = Listed([])
    result = await laid_beside(ledger, listed)
    assert (result.codes, listed.asked) == (0, [])
    assert list(lines(result)) == ["Deliveries: no codes in this ledger."]


async def test_no_whole_address_is_shown_unless_asked_for(sent: Ledger) -> None:
    listed = Listed([Suppressed("ada@example.com", "BOUNCE", NOW + 60)])
    result = await laid_beside(sent, listed)
    text = "\n".join(lines(result))
    assert text.startswith("Amazon SES, eu-west-1: of 5 codes since 2027-01-15 08:00, 1 user")
    assert "a***@e***" in text
    assert "ada@example.com" not in text + repr(result) + repr(as_json(result))
    assert "ada@example.com" in "\n".join(lines(result, masked=False))
    assert as_json(result, masked=False)["users"][0] == {
        "username": "ada@example.com",
        "outcome": "sent",
        "sent_at": NOW,
        "what": "bounced",
        "at": NOW + 60,
    }
