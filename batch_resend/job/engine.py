"""The engine: it plans the whole input into the spool, then sends with a pool of workers.

The steps stand in the head of this folder. Every row ends in exactly one result,
whatever ends the run.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import anyio
import anyio.lowlevel

from batch_resend.errors import LedgerError, place_of
from batch_resend.job.attempt import Attempt, Sender, Sending, result_of
from batch_resend.job.clock import Clock
from batch_resend.job.outcome import Stop
from batch_resend.job.outlets import HandOver, Outlets, Report
from batch_resend.job.pace import DEFAULT_QUOTA, Pace
from batch_resend.job.pacing import Gate, Health, SharedPace
from batch_resend.job.plan import Eligibility
from batch_resend.job.planner import Planner, Selection, Source
from batch_resend.job.reach import ListsRead
from batch_resend.job.request import AppClient, Template
from batch_resend.job.same_user import CaseRule, not_known
from batch_resend.job.spool import Spool
from batch_resend.job.stopping import Stopping
from batch_resend.job.summary import MaxFailures, Summary, Tally
from batch_resend.job.waves import Schedule, Waves, divide
from batch_resend.ledger import Unknowns
from batch_resend.ledger.journal import ExclusiveLedger, Journal, OwnJournal
from batch_resend.ledger.policy import SendPolicy
from batch_resend.model import Outcome, Planned, Reason, Result, RunInfo
from batch_resend.observer import Noted, Observe, Waiting, ignore

STALLED = 5.0  #: seconds without an accepted request, from which the time left is unknown
_CLOCKS_DIFFER = 600.0  #: seconds that two clocks may differ before it is said


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of a run. Seconds and requests per second."""

    rate: float = DEFAULT_QUOTA / 2
    concurrency: int = 64
    max_attempts: int = 5
    deadline: float | None = None
    give_up_after: float = 300.0
    max_sent: int | None = None
    max_failures: MaxFailures = field(default_factory=lambda: MaxFailures(part=0.5))
    waves: Waves = ()  #: users in each; none: all at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The progress of the run, for observers."""

    eligible: int  #: users to be sent a code
    done: int  #: of these, how many have their result
    tally: Tally
    rate: float
    ceiling: float
    throttled: int
    in_flight: int
    seconds: float
    stopped_by: Stop | None
    accepting: bool = True  #: requests are accepted, so the time left can be foretold
    wave: int = 1  #: which one is under way
    waves: int = 1


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """One run over one input. `plan` first, then `run` or `dry_run`.

    `now`: seconds since the epoch, read once; then the event loop's time counts. `observe` receives
    waits, results and notes; the run waits until `hand_over` has accepted a result.
    """

    ledger: ExclusiveLedger | Journal
    report: Report
    app: AppClient
    spool: Spool
    info: RunInfo
    now: float
    template: Template = field(default_factory=Template)
    eligibility: Eligibility = field(default_factory=Eligibility)
    policy: SendPolicy = field(default_factory=SendPolicy)
    limits: Limits = field(default_factory=Limits)
    observe: Observe = ignore
    hand_over: HandOver | None = None  #: accepts every row's result
    rng: random.Random = field(default_factory=random.SystemRandom)
    threads: bool = True  #: commit in a thread; not in virtual time
    lists: ListsRead | None = None  #: of addresses that nothing is delivered to
    part: bool = False  #: of a larger run, which reads the unknown messages over all runs

    tally: Tally = field(default_factory=Tally, init=False)
    case_sensitive: bool = field(default=False, init=False)  #: once planned
    notes: tuple[str, ...] = field(default=(), init=False)  #: on the input, for the plan
    schedule: Schedule = field(default_factory=lambda: Schedule([0]), init=False)
    stopping: Stopping = field(init=False)
    _outlets: Outlets = field(init=False)
    gate: Gate = field(init=False)
    _journal: Journal = field(init=False)
    _clock: Clock = field(init=False)
    _before: float = field(default=0.0, init=False)  #: seconds for the plan and its approval

    def __post_init__(self) -> None:
        """Set the clock: never before the ledger's latest time, even if the wall clock is."""
        self._journal = (
            self.ledger
            if isinstance(self.ledger, Journal)
            else OwnJournal(self.ledger, threads=self.threads)
        )
        own, self.now = self.now, max(self.now, self._journal.latest())
        self.policy = replace(self.policy, behind=self.now - own)
        self._clock = Clock(self.now)
        self.gate = Gate(
            Pace(self.limits.rate),
            Health(self.limits.concurrency),
            budget=self.limits.max_sent,
            waiting=lambda why, seconds: self._outlets.event(Waiting(why, seconds)),
        )
        self.stopping = Stopping(self.gate)
        self._outlets = Outlets(
            report=self.report, observe=self.observe, hand_over=self.hand_over,
            stopping=self.stopping,
        )  # fmt: skip

    # -- 1 and 2: read and plan ----------------------------------------------------

    async def plan(
        self, source: Source, selection: Selection, case: CaseRule = not_known
    ) -> dict[Reason, int]:
        """Read the whole input (its source is open) into the spool, decided; count by reason.

        `case` and `lists` are called when all is read, and may take their time.
        Raises `InputError` or `SettingsError`, before any message.
        """
        if self.policy.behind > _CLOCKS_DIFFER:
            self._note_behind()
        planner = Planner(
            spool=self.spool,
            journal=self._journal,
            clock=self._clock,
            template=self.template,
            eligibility=self.eligibility,
            policy=self.policy,
            rng=self.rng,
        )
        self.notes = await planner.plan(source, selection, case, self.lists)
        self.case_sensitive = planner.case_sensitive
        counts = self.spool.counts()
        eligible = counts.get(Reason.ELIGIBLE, 0)
        self.schedule = Schedule(divide(self.limits.waves, eligible))
        return counts

    def _note_behind(self) -> None:
        newest, now = (
            datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
            for at in (self.now, self.now - self.policy.behind)
        )
        self.observe(
            Noted(
                f"The newest time in the ledger is {newest} UTC, but this machine's clock says"
                f" {now} UTC: one of them is wrong. Users whose message seems to lie in the future"
                " are skipped as cooling-down. Check the clock."
            )
        )

    @property
    def eligible(self) -> int:
        """How many users are to be sent a code."""
        return self.schedule.eligible

    @property
    def waves(self) -> list[int]:
        """How many users each wave has."""
        return self.schedule.sizes

    def set_rate(self, rate: float, *, quota: float | None = None) -> None:
        """Set the ceiling, and the quota if AWS reported it, per second; before `run` only."""
        self.gate.pace = Pace(rate, quota=quota)

    def set_concurrency(self, concurrency: int) -> None:
        """Set how many requests may be in flight; before `run` only."""
        self.limits = replace(self.limits, concurrency=concurrency)
        self.gate.health = Health(concurrency)

    def share(self, pace: SharedPace) -> None:
        """Use a pace that other jobs use too, within the own ceiling; before `run` only."""
        self.gate.share(pace)

    async def dry_run(self) -> Summary:
        """Report what would happen; nothing is sent and nothing remembered."""
        for planned in self.spool:
            await self._tell(result_of(planned, planned.reason, self._clock.now()))
            if planned.row % 256 == 0:
                await anyio.lowlevel.checkpoint()
        return await self._summary()

    # -- 3 to 8: send --------------------------------------------------------------

    async def run(self, sender: Sender) -> Summary:
        """Send, until every row has its result."""
        self._before = self._clock.elapsed
        try:
            await self._journal.begin(self._clock.now())
        except LedgerError as error:
            self.stop(Stop.LEDGER, str(error))
        except Exception as error:
            self.stopping.fail(error)
        sending = Sending(
            app=self.app,
            template=self.template,
            policy=self.policy,
            max_attempts=self.limits.max_attempts,
            gate=self.gate,
            journal=self._journal,
            sender=sender,
            stopping=self.stopping,
            clock=self._clock,
        )
        within = self.limits.deadline
        deadline = None if within is None else self._clock.began + within
        async with anyio.create_task_group() as around:
            around.start_soon(self._commit_forever)
            around.start_soon(self._watch_time, deadline)
            await self._send_all(sending)
            around.cancel_scope.cancel()
        self.gate.close()  # the others have the shared pace to themselves from now on
        cause = self.stopping.cause
        if cause and cause.exit_code == 3 and not self.tally.reasons[Reason.STOPPED]:
            self.stopping.withdraw()
        return await self._finish()

    async def _commit_forever(self) -> None:
        try:
            await self._journal.commit_forever()
        except Exception as error:  # callers that wait get a LedgerError
            self.stop(Stop.LEDGER, f"The ledger's commits broke off ({place_of(error)}).")

    async def _watch_time(self, deadline: float | None) -> None:
        with self.stopping.guarded():
            await self.stopping.watch_time(deadline, self.limits.give_up_after)

    async def _finish(self) -> Summary:
        summary = await self._summary()
        if self.stopping.cause is Stop.LEDGER:  # after a failed commit it is left alone
            return summary
        try:
            await self._journal.finish(json.dumps(summary.for_ledger()), self._clock.now())
        except LedgerError as error:
            self.stop(Stop.LEDGER, str(error))
        except Exception as error:
            self.stopping.fail(error)
        else:
            return summary
        return await self._summary()

    def stop(self, cause: Stop, detail: str = "") -> None:
        """End the run: no further user is requested, what is in flight is settled."""
        self.stopping.stop(cause, detail)

    async def _send_all(self, sending: Sending) -> None:
        rows = iter(self.spool)
        for _ in self.schedule.sizes:
            async with anyio.create_task_group() as workers:
                for _ in range(max(1, min(self.limits.concurrency, self.schedule.size))):
                    workers.start_soon(self._work, rows, sending)
            # Every worker has ended, so all who were requested in this wave are settled.
            if self.stopping.cause is None and len(self.schedule.sizes) > 1:
                self._end_wave()

    def _end_wave(self) -> None:
        sentence, went_well = self.schedule.judge(self.limits.max_failures)
        self._outlets.event(Noted(sentence))
        if not went_well:
            self.stop(Stop.MAX_FAILURES)
        elif not self.schedule.is_last:
            self.schedule.begin_next()

    async def _work(self, rows: Iterator[Planned], sending: Sending) -> None:
        """Take rows from the queue of all workers, to the end of the wave.

        A run that stops still reads to the last row, to report it.
        """
        schedule, stopping = self.schedule, self.stopping
        while stopping.cause is not None or not schedule.finished:
            if (planned := next(rows, None)) is None:
                return
            if planned.reason is not Reason.ELIGIBLE:
                if planned.reason is Reason.INTERRUPTED:
                    await sending.note_interrupted(planned)
                result = result_of(planned, planned.reason, self._clock.now())
            elif stopping.cause is not None:
                result = result_of(planned, Reason.STOPPED, self._clock.now())
                schedule.add(result)
            else:
                schedule.take()
                result = await self._attempt(sending, planned)
                schedule.add(result)
            await self._tell(result)
            if result.attempts:
                self._stop_at_limits()
            if planned.row % 256 == 0:
                await anyio.lowlevel.checkpoint()

    async def _attempt(self, sending: Sending, planned: Planned) -> Result:
        try:
            return await Attempt(sending, planned).result()
        except Exception as error:  # before anything was sent: an attempt handles what comes later
            self.stopping.fail(error)
            return result_of(planned, Reason.STOPPED, self._clock.now())

    def _stop_at_limits(self) -> None:
        if self.limits.max_failures.exceeded(self.tally):
            self.stop(Stop.MAX_FAILURES)
        if self.gate.spent == self.limits.max_sent:
            self.stop(Stop.MAX_SENT)

    # -- telling -------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return the present state of the run."""
        return Snapshot(
            eligible=self.schedule.eligible,
            done=self.schedule.done,
            tally=self.tally,
            rate=self.gate.rate,
            ceiling=self.gate.pace.ceiling,
            throttled=self.gate.throttled,
            in_flight=self.gate.in_flight,
            seconds=self._clock.elapsed,
            stopped_by=self.stopping.cause,
            accepting=self.stopping.refusals.lasted(anyio.current_time()) < STALLED,
            wave=self.schedule.number + 1,
            waves=len(self.schedule.sizes),
        )

    async def _tell(self, result: Result) -> None:
        self.tally.add(result)
        await self._outlets.result(result)

    async def _summary(self) -> Summary:
        unknown: Unknowns | None = Unknowns(self.tally.outcomes[Outcome.UNKNOWN])
        if not self.part:
            unknown = None  # where it cannot be read: this run's own number may not be all
            try:
                unknown = await self._journal.unknown()
            except LedgerError as error:
                if self.stopping.cause is not Stop.LEDGER:  # else it is said as what stopped it
                    self._outlets.event(
                        Noted(f"How many are unknown over all runs is not known. {error}")
                    )
            except Exception as error:
                self.stopping.fail(error)
        return Summary(
            reasons=dict(self.tally.reasons),
            requests=self.tally.requests,
            throttled=self.gate.throttled,
            ceiling=self.gate.pace.ceiling,
            seconds=self._clock.elapsed - self._before,
            started_at=self.now + self._before,
            stopped_by=self.stopping.cause,
            detail=self.stopping.detail,
            unknown_in_ledger=unknown.messages if unknown else None,
            not_recorded_in_ledger=unknown.not_recorded if unknown else 0,
            notes=self.notes,
            info=self.info,
        )
