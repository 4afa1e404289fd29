"""Crash, resume, overlap, clock jumps and edited inputs, in any order, in virtual time.

A crash is a plug that is pulled: from that moment on nothing of the run reaches the
ledger, Cognito or the report any more, whatever its tasks still do. Judged by what the
simulated Cognito delivered.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import anyio
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from batch_resend.errors import LedgerHeld
from batch_resend.job.engine import Job, Limits
from batch_resend.job.planner import Selection
from batch_resend.job.spool import Spool
from batch_resend.ledger.policy import SendPolicy
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.model import Candidate, Outcome, Reason
from batch_resend.simulator.quota import Quota
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.sender import SimulatedSender
from tests.support.infos import info
from tests.support.plugs import Plug, PluggedLedger, PluggedReport, PluggedSender, Pulled
from tests.support.world import CLIENT, EPOCH, Listed, virtually

NAMES = [*"abcdefgh", "a+lost", "b+lost", "c+error", "d+missing", "e+tired", "A", "B", "bad name"]
HOUR = 3600.0


class Runs(RuleBasedStateMachine):
    """Any runs over any inputs, on one ledger."""

    cooldown = 24 * HOUR
    cap = 1

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ledger.sqlite3"
        self.cognito = Cognito(quota=Quota(40, burst=5))
        self.wall = EPOCH  # the clock on the wall, which may be wrong
        self.true = EPOCH  # the time that has really passed, for Cognito
        self.sent: Counter[str] = Counter()
        self.in_doubt: Counter[str] = Counter()

    async def _run(
        self, names: Sequence[str | Candidate], pull_after: float | None, workers: int
    ) -> None:
        plug = Plug(None if pull_after is None else anyio.current_time() + pull_after)
        report = PluggedReport(plug)
        with LedgerFile(self.path) as ledger, Spool() as spool:
            async with SimulatedSender(
                self.cognito, epoch=self.true, latency=0.06, timeout=2.0
            ) as sender:
                job = Job(
                    ledger=PluggedLedger(ledger, plug),
                    report=report,
                    app=CLIENT,
                    spool=spool,
                    info=info(),
                    now=self.wall,
                    policy=SendPolicy(max_sends=self.cap, cooldown=self.cooldown),
                    limits=Limits(rate=20.0, concurrency=workers),
                    threads=False,
                )
                began = anyio.current_time()
                try:
                    await job.plan(Listed(names), Selection())
                    await job.run(PluggedSender(sender, plug))
                except* (Pulled, anyio.BrokenResourceError):
                    pass
                took = anyio.current_time() - began
        self.wall += took
        self.true += took
        if not plug.is_pulled:
            rows = sorted(result.row for result in report.results)
            assert rows == list(range(1, len(names) + 1)), "every row exactly once"
        for result in report.results:
            if result.reason is Reason.ACCEPTED:
                self.sent[self.person(result.username)] += 1
            elif result.outcome is Outcome.UNKNOWN:
                self.in_doubt[self.person(result.username)] += 1

    def person(self, name: str) -> str:
        return name.casefold()

    inputs = st.lists(st.sampled_from(NAMES), max_size=12)

    @rule(names=inputs, workers=st.sampled_from([1, 3, 64]))
    def run_to_the_end(self, names: list[str], workers: int) -> None:
        virtually(lambda: self._run(names, None, workers))

    @rule(names=inputs, after=st.floats(0, 1.2), workers=st.sampled_from([1, 3, 64]))
    def run_and_crash(self, names: list[str], after: float, workers: int) -> None:
        virtually(lambda: self._run(names, after, workers))

    @rule()
    def overlap(self) -> None:
        with LedgerFile(self.path) as held, pytest.raises(LedgerHeld):
            held.begin(self.wall)
            virtually(lambda: self._run(list(NAMES), None, 3))

    @rule(hours=st.sampled_from([-48.0, -1.0, 1.0, 30.0]))
    def the_clock_on_the_wall_jumps(self, hours: float) -> None:
        self.wall += hours * HOUR
        self.true += max(0.0, hours) * HOUR  # forward, time may really have passed

    @invariant()
    def no_user_gets_two_codes(self) -> None:
        delivered: Counter[str] = Counter()
        for name, count in self.cognito.deliveries.items():
            delivered[self.person(name)] += count
        assert max(delivered.values(), default=0) <= self.cap
        assert self.sent <= delivered, "no user is reported as sent without a delivery"

    def teardown(self) -> None:
        # In the end every user with a delivery is recorded as sent or named as unknown.
        virtually(lambda: self._run(sorted(NAMES), None, 3))
        if self.path.exists():
            with LedgerFile(self.path) as ledger:
                states = dict(
                    ledger._db.execute("SELECT lower(name), max(state) FROM messages GROUP BY 1")
                )
            for name in self.cognito.deliveries:
                assert states.get(name.lower()) in {"sent", "unknown"}, name
            assert "open" not in states.values()
        self.folder.cleanup()


class RunsWithoutACap(Runs):
    """The same where reminders are allowed, twice and after an hour."""

    cooldown = HOUR
    cap = 2


class RunsUnderAnyName(RunsWithoutACap):
    """The same if a listing has sent to users, and files have any of their names."""

    people: ClassVar = {"a": ("b", "a+lost"), "c": ("d", "b+lost"), "e": ("f",), "c+error": ("g",)}

    def person(self, name: str) -> str:
        folded = name.casefold()
        return next((one for one, others in self.people.items() if folded in others), folded)

    @initialize()
    def list_them(self) -> None:
        listed = [
            Candidate(row, one, aliases=others, status="UNCONFIRMED", enabled=True)
            for row, (one, others) in enumerate(self.people.items(), 1)
        ]
        virtually(lambda: self._run(listed, None, 3))


examples = int(os.environ.get("BATCH_RESEND_EXAMPLES", "25"))
TestRuns = Runs.TestCase
TestRuns.settings = settings(max_examples=examples, stateful_step_count=12, deadline=None)
TestReminders = RunsWithoutACap.TestCase
TestReminders.settings = settings(max_examples=examples, stateful_step_count=12, deadline=None)
TestUnderAnyName = RunsUnderAnyName.TestCase
TestUnderAnyName.settings = settings(max_examples=examples, stateful_step_count=12, deadline=None)
