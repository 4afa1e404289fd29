"""Reconciling real ledgers, of both kinds, judged by the simulator's own count."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from batch_resend.aws.cloudtrail import EventHistory
from batch_resend.job.outcome import judge
from batch_resend.marks import with_mark
from batch_resend.model import REASONS, Outcome, Reason
from batch_resend.reconcile.findings import DAY, HISTORY, Rules, Why
from batch_resend.reconcile.ledger_books import LedgerBooks
from batch_resend.reconcile.settle import Looked, Reconciliation, reconcile
from batch_resend.run.open_ledger import ledger_of, reconciling
from batch_resend.simulator import cloudtrail as simulated
from batch_resend.simulator.pool import Pool, User
from batch_resend.simulator.quota import Quota
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.sender import SimulatedEventHistory
from tests.support.ledgers import NOW, Ledger, Opened

pytestmark = pytest.mark.anyio

GOOD = simulated.Recording(lookups_a_second=1e9)


@dataclass
class World:
    """A ledger, Cognito, and what CloudTrail has of it."""

    ledger: Ledger
    cognito: Cognito = field(default_factory=lambda: Cognito(history=simulated.EventHistory(GOOD)))
    at: float = NOW

    async def request(self, run: Opened, name: str, *others: str, dies: str = "") -> None:
        """Ask as a run does; `dies` leaves the intent open, before or after the request."""
        self.at += 0.25
        intent = await run.intend(name, *others, at=self.at, listed=bool(others))
        if dies == "before":
            return
        agent = with_mark("batch-resend/1.0", run.journal.mark(intent, self.at))
        asked = {"ClientId": "simulatedclient", "Username": name}
        reply = self.cognito.answer(asked, now=self.at, agent=agent).reply
        if not dies:
            await run.settle(intent, judge(reply).reason, self.at + 0.1, reply.request_id)

    async def reconcile(
        self, *, after: float = DAY, dry_run: bool = False, recording: bool = True
    ) -> Reconciliation:
        now = self.at + after
        history = self.cognito.history if recording else simulated.EventHistory(GOOD)
        assert history is not None
        target = self.ledger.settings()
        client = SimulatedEventHistory(history, lambda: now)
        evidence = Looked(EventHistory(client, rate=1e9), HISTORY)
        async with reconciling(target, await ledger_of(target)) as opened:
            books = LedgerBooks(opened, now=now)
            return await reconcile(books, evidence, Rules(now), dry_run=dry_run)

    async def reasons(self) -> dict[str | None, str | None]:
        return {message.name: message.reason for message in await self.ledger.messages()}


@pytest.fixture
def world(ledger: Ledger) -> World:
    return World(ledger)


KINDS = [
    *("email", "lost", "rst", "half", "gateway", "nodetails", "silent", "error", "confirmed"),
    *("missing", "undeliverable", "lambda"),
]


async def test_both_ledgers_settle_what_went_out(world: World) -> None:
    """Twenty answered requests, two of each kind, and two kills at either moment."""
    async with world.ledger.run() as run:
        for n in range(24):
            await world.request(run, f"answered{n}")
        for n in range(2):
            for kind in KINDS:
                await world.request(run, f"user{n}+{kind}")
        for dies in ("before", "after", "before", "after"):
            await world.request(run, f"killed{dies}{world.at}", dies=dies)
    before = await world.reasons()
    dry = await world.reconcile(dry_run=True)
    assert await world.reasons() == before
    reconciled = await world.reconcile()
    assert reconciled.counts == dry.counts
    assert reconciled.counts[Outcome.SENT] == 2 * 4 + 2  # lost, rst, half, gateway; killed after
    after = await world.reasons()
    for name, reason in after.items():
        assert name is not None
        if reason == Reason.ACCEPTED:
            assert world.cognito.deliveries[name] == 1
        elif reason is not None and REASONS[reason].outcome is Outcome.FAILED:
            assert world.cognito.deliveries[name] == 0
    assert {name for name, reason in after.items() if reason == Reason.NOT_RECORDED} == {
        name for name in after if name and ("silent" in name or "killedbefore" in name)
    }
    assert {one.why for one in reconciled.unknown()} == {Why.NOT_RECORDED, Why.NO_RESULT}
    again = await world.reconcile()
    assert await world.reasons() == after
    assert not any(finding.changes for finding in again.findings)


async def test_evidence_is_kept_with_the_message(world: World) -> None:
    async with world.ledger.run() as run:
        await world.request(run, "ada+lost")
        await world.request(run, "bob+nodetails")
    await world.reconcile(after=600.0)
    messages = {message.name: message for message in await world.ledger.messages()}
    ada, bob = messages["ada+lost"], messages["bob+nodetails"]
    assert world.cognito.history is not None
    one, two = world.cognito.history.records()
    assert ada.evidence == f"cloudtrail:{one['eventID']}"
    assert bob.evidence == f"cloudtrail:{two['eventID']}"
    assert (ada.state, bob.state) == ("sent", "unknown")
    assert ada.reconciled_at == bob.reconciled_at == world.at + 600.0
    # Seen once, it can never be called not recorded, whatever is missing later.
    outcome = await world.reconcile(after=2 * DAY, recording=False)
    assert [finding.why for finding in outcome.findings] == [Why.NO_RESULT]


async def test_late_record_settles_what_was_not_recorded(world: World) -> None:
    history = world.cognito.history
    assert history is not None
    async with world.ledger.run() as run:
        for n in range(20):
            await world.request(run, f"answered{n}")
        history.recording = simulated.Recording(delay=3 * DAY, lookups_a_second=1e9)
        await world.request(run, "ada+lost")
    await world.reconcile()
    assert (await world.reasons())["ada+lost"] == Reason.NOT_RECORDED
    await world.reconcile(after=4 * DAY)
    assert (await world.reasons())["ada+lost"] == Reason.ACCEPTED


async def test_record_of_another_user_is_not_believed(world: World) -> None:
    """The ledger knows a listed user's `sub`; the record names another."""
    pool = Pool(
        User(name, {"sub": f"sub-{name}", "email": f"{name}@example.com"})
        for name in ("ada+lost", "bob+lost")
    )
    world.cognito.pool = pool
    async with world.ledger.run() as run:
        await world.request(run, "ada+lost", "sub-ada+lost", "ada@example.com")
        await world.request(run, "bob+lost", "sub-of-another", "bob@example.com")
    outcome = await world.reconcile()
    assert await world.reasons() == {"ada+lost": Reason.ACCEPTED, "bob+lost": Reason.NO_ANSWER}
    assert [one.why for one in outcome.unknown()] == [Why.OTHER_USER]


async def test_throttled_request_is_taken_back(world: World) -> None:
    """By its record Cognito did nothing: the user is as one not yet requested."""
    history = simulated.EventHistory(simulated.Recording(throttles=True, lookups_a_second=1e9))
    world.cognito = Cognito(quota=Quota(rate=0.001, burst=1), history=history)
    async with world.ledger.run() as run:
        await world.request(run, "ada")
        await world.request(run, "bob", dies="after")
    outcome = await world.reconcile()
    assert outcome.counts == {Outcome.NOT_ATTEMPTED: 1}
    assert await world.reasons() == {"ada": Reason.ACCEPTED}
    async with world.ledger.run() as run:
        assert not (await run.history("bob")).unknown
