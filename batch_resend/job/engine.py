"""The engine: it plans the whole input into the spool, then sends with a pool of workers.

The steps stand in the head of this folder. Every row ends in exactly one result,
whatever ends the run.
"""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import anyio
import anyio.lowlevel

from batch_resend.errors import LedgerError, ReportError, StaleListing
from batch_resend.job.outcome import Again, Judge, Stop, Verdict, judge
from batch_resend.job.pacing import DEFAULT_QUOTA, Closed, Gate, Health, Pace, SharedPace
from batch_resend.job.plan import Eligibility, decide
from batch_resend.job.request import AppClient, Template, build
from batch_resend.job.retry import retry
from batch_resend.job.spool import Spool
from batch_resend.job.summary import MaxFailures, Summary, Tally
from batch_resend.job.waves import Waves, divide, line
from batch_resend.ledger import Barred, Intend, Interrupted, Names, Settle
from batch_resend.ledger.journal import Alone, Journal, OwnJournal
from batch_resend.ledger.policy import History, SendPolicy
from batch_resend.masking import mask_within
from batch_resend.model import (
    Candidate,
    Outcome,
    Planned,
    Reason,
    Reply,
    Request,
    Result,
    Wire,
)

CONNECT_WITHIN = 30.0  #: seconds; without a single connection for so long, settings are wrong
_LONGEST_MESSAGE = 500  #: characters of an error message that go into the report
_LISTINGS = 3  #: how often a listing that cannot be continued is begun


class Source(Protocol):
    """Where the users come from; raises `InputError` and `SettingsError`."""

    async def open(self) -> None:
        """Begin, or begin again."""
        ...

    def batches(self) -> AsyncIterator[list[Candidate]]:
        """Read on to the end, in lists."""
        ...


class Sender(Protocol):
    """Who asks Cognito."""

    async def send(self, request: Request) -> Reply:
        """Ask once, and never raise for a user."""
        ...


class Report(Protocol):
    """Who is told what became of each row; raises `ReportError`."""

    def write(self, result: Result) -> None:
        """Take one result."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How fast, how often, how long. Seconds and requests a second."""

    rate: float = DEFAULT_QUOTA / 2
    concurrency: int = 64
    max_attempts: int = 5
    deadline: float | None = None
    give_up_after: float = 300.0
    max_sent: int | None = None
    max_failures: MaxFailures = field(default_factory=lambda: MaxFailures(part=0.5))
    waves: Waves = ()  #: users in each; none: all at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which of the eligible: what needs the whole input to be known."""

    limit: int | None = None  #: the first so many
    sample: int | None = None  #: so many at random
    one_per_address: bool = False  #: the newest account of each address


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How the run stands, for whoever watches."""

    eligible: int  #: users to be sent a code
    done: int  #: of these, how many are settled
    tally: Tally
    rate: float
    ceiling: float
    throttled: int
    in_flight: int
    seconds: float
    stopped_by: Stop | None
    wave: int = 1  #: which one is under way
    waves: int = 1


@dataclass(frozen=True, slots=True)
class _Tried:
    """One try for one user."""

    verdict: Verdict
    reply: Reply
    latency: float


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """One run over one input. `plan` first, then `run` or `dry_run`.

    `now` is the time in seconds since the epoch, read once; from there on time is the
    event loop's. `watch` hears what the run waits for, and for how many seconds; `note`
    what became of a wave, and what could not be asked at the end.
    """

    ledger: Alone | Journal
    report: Report
    app: AppClient
    spool: Spool
    now: float
    template: Template = field(default_factory=Template)
    eligibility: Eligibility = field(default_factory=Eligibility)
    policy: SendPolicy = field(default_factory=SendPolicy)
    limits: Limits = field(default_factory=Limits)
    facts: dict[str, Any] = field(default_factory=dict)
    watch: Callable[[str, float], None] = lambda _why, _seconds: None
    note: Callable[[str], None] = lambda _text: None
    listener: Callable[[Result], Awaitable[None]] | None = None  #: hears every row's result
    rng: random.Random = field(default_factory=random.SystemRandom)
    threads: bool = True  #: commit in a thread; not in virtual time
    part: bool = False  #: of a larger run, which asks the ledger what is unknown over all

    stopped_by: Stop | None = field(default=None, init=False)
    detail: str = field(default="", init=False)
    tally: Tally = field(default_factory=Tally, init=False)
    eligible: int = field(default=0, init=False)
    waves: list[int] = field(default_factory=lambda: [0], init=False)  #: users in each
    _wave: int = field(default=0, init=False)  #: which one is under way, from 0
    _of_wave: Tally = field(default_factory=Tally, init=False)  #: who was asked for in it
    _left_of_wave: int = field(default=0, init=False)  #: who has not been asked for yet
    _gate: Gate = field(init=False)
    _journal: Journal = field(init=False)
    _done: int = field(default=0, init=False)  #: of the eligible: settled, or not to be any more
    _judge: Judge = field(default_factory=Judge, init=False)
    _stopped: anyio.Event = field(default_factory=anyio.Event, init=False)
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        """Set the clock: never before what the ledger knows, though the wall clock may."""
        self._began = anyio.current_time()
        self._journal = (
            self.ledger
            if isinstance(self.ledger, Journal)
            else OwnJournal(self.ledger, threads=self.threads)
        )
        self.now = max(self.now, self._journal.latest())
        self._gate = Gate(
            Pace(self.limits.rate),
            Health(self.limits.concurrency),
            budget=self.limits.max_sent,
            waiting=self.watch,
        )

    # -- 1 and 2: read and plan ----------------------------------------------------

    async def plan(self, source: Source, selection: Selection) -> dict[Reason, int]:
        """Read the whole input (its source is open) into the spool, decided; count by reason.

        Raises `InputError` or `SettingsError`; nobody has been written to then.
        """
        for last in (False,) * (_LISTINGS - 1) + (True,):
            try:
                async for batch in source.batches():
                    users = [_names(candidate) for candidate in batch]
                    known = await self._journal.histories(users, self._time())
                    self.spool.add(
                        (
                            self._planned(candidate, history),
                            _address(candidate) if selection.one_per_address else "",
                            candidate.created,
                        )
                        for candidate, history in zip(batch, known, strict=True)
                    )
                    await anyio.lowlevel.checkpoint()
                break
            except StaleListing:
                if last:
                    raise
                self.spool.clear()
                await source.open()
        if selection.one_per_address:
            self.spool.keep_newest_of_each_address()
        if selection.limit is not None:
            self.spool.keep_first(selection.limit)
        if selection.sample is not None:
            self.spool.keep_sample(selection.sample, self.rng)
        counts = self.spool.counts()
        self.eligible = counts.get(Reason.ELIGIBLE, 0)
        self.waves = divide(self.limits.waves, self.eligible)
        return counts

    def _planned(self, candidate: Candidate, history: History) -> Planned:
        names = (candidate.username, *candidate.aliases)
        reason = decide(
            candidate,
            duplicate=self.spool.is_repeated(candidate.username),
            excluded=self.spool.is_excluded(names),
            history=history,
            eligibility=self.eligibility,
            policy=self.policy,
            now=self._time(),
        )
        needed = self.template.names
        return Planned(
            candidate.row,
            candidate.username,
            reason,
            {name: text for name, text in candidate.attributes.items() if name in needed},
            candidate.raw,
            candidate.aliases,
        )

    def set_rate(self, rate: float) -> None:
        """Set the ceiling in requests a second; before `run` only."""
        self._gate.pace = Pace(rate)

    def share(self, pace: SharedPace) -> None:
        """Go by a pace that other jobs go by too, within one's own ceiling; before `run` only."""
        self._gate.share(pace)

    async def dry_run(self) -> Summary:
        """Report what would happen; nothing is sent and nothing remembered."""
        for planned in self.spool:
            await self._tell(self._result(planned, planned.reason))
            if planned.row % 256 == 0:
                await anyio.lowlevel.checkpoint()
        return await self._summary()

    # -- 3 to 8: send --------------------------------------------------------------

    async def run(self, sender: Sender) -> Summary:
        """Send, until every row has its result."""
        try:
            await self._journal.begin(self._time())
        except LedgerError as error:
            self.stop(Stop.LEDGER, str(error))
        async with anyio.create_task_group() as around:
            around.start_soon(self._journal.commit_forever)
            around.start_soon(self._watch_time)
            await self._send_all(sender)
            around.cancel_scope.cancel()
        self._gate.close()  # whoever shares the pace has it alone from now on
        if (
            self.stopped_by
            and self.stopped_by.exit_code == 3
            and not self.tally.reasons[Reason.STOPPED]
        ):
            self.stopped_by, self.detail = None, ""  # it ended before it could be stopped
        summary = await self._summary()
        if self.stopped_by is not Stop.LEDGER:  # after a failed commit it is left alone
            try:
                await self._journal.finish(json.dumps(summary.as_json()), self._time())
            except LedgerError as error:
                self.stop(Stop.LEDGER, str(error))
                summary = await self._summary()
        return summary

    def stop(self, stop: Stop, detail: str = "") -> None:
        """End the run: nobody else is asked, what is in flight is settled.

        The first reason is the reason; but a ledger that fails is worse than any other.
        """
        if self.stopped_by is None or stop is Stop.LEDGER:
            self.stopped_by, self.detail = stop, detail[:_LONGEST_MESSAGE]
            self._stopped.set()
            self._gate.close()

    async def _send_all(self, sender: Sender) -> None:
        rows = iter(self.spool)
        for number, size in enumerate(self.waves):
            if self.stopped_by is None:  # else what is left of the rows is told, and no more
                self._wave, self._of_wave, self._left_of_wave = number, Tally(), size
            async with anyio.create_task_group() as workers:
                for _ in range(max(1, min(self.limits.concurrency, size))):
                    workers.start_soon(self._work, rows, sender)
            # Every worker has ended, so all who were asked for in this wave are settled.
            if len(self.waves) > 1 and self.stopped_by is None:
                self._judge_wave()

    def _judge_wave(self) -> None:
        told = line(self._wave + 1, len(self.waves), self._of_wave)
        if self._is_last_wave():
            self.note(f"{told}.")
        elif self.limits.max_failures.exceeded(self._of_wave, at_an_end=True):
            self.note(f"{told}; that is more than --max-failures allows.")
            self.stop(Stop.MAX_FAILURES)
        else:
            self.note(f"{told}; going on with {self.waves[self._wave + 1]} more.")

    def _is_last_wave(self) -> bool:
        return self._wave + 1 >= len(self.waves)

    def _goes_on(self) -> bool:
        """Whether the wave goes on; the last one does to the last row, and so does a stop."""
        return self._left_of_wave > 0 or self._is_last_wave() or self.stopped_by is not None

    async def _work(self, rows: Iterator[Planned], sender: Sender) -> None:
        """Take the next row from where all workers take theirs, until there is none."""
        while self._goes_on() and (planned := next(rows, None)) is not None:
            if planned.reason is not Reason.ELIGIBLE:
                if planned.reason is Reason.INTERRUPTED:
                    await self._note_interrupted(planned)
                await self._tell(self._result(planned, planned.reason))
            elif self.stopped_by is not None:
                self._done += 1
                await self._tell(self._result(planned, Reason.STOPPED))
            else:
                self._left_of_wave -= 1
                result = await self._serve(planned, sender)
                self._of_wave.add(result)
                self._done += 1
                await self._tell(result)
                if self.limits.max_failures.exceeded(self.tally):
                    self.stop(Stop.MAX_FAILURES)
                if self._gate.spent == self.limits.max_sent:
                    self.stop(Stop.MAX_SENT)
            if planned.row % 256 == 0:
                await anyio.lowlevel.checkpoint()

    async def _serve(self, planned: Planned, sender: Sender) -> Result:
        request = build(self.app, self.template, planned.username, planned.attributes)  # 3
        names = _names(planned)
        tries: list[_Tried] = []
        counted, in_doubt = 0, False

        async def attempt() -> _Tried:
            nonlocal counted, in_doubt
            place = await self._gate.place()  # 4
            with anyio.CancelScope(shield=True):
                try:
                    at = self._time(place.left_at)
                    intent = await self._journal.make(Intend(names, at, self.policy))  # 5
                    place.left_at, in_doubt = anyio.current_time(), True
                    reply = await sender.send(request)  # 6
                    ended = anyio.current_time()
                    verdict = judge(reply)
                    tries.append(_Tried(verdict, reply, ended - place.left_at))
                    counted += verdict.again is Again.COUNTED
                    place.signal = verdict.signal
                    place.connected = reply.wire is not Wire.NOT_SENT
                    place.retry_after = reply.retry_after
                    place.spent = verdict.reason.outcome in {Outcome.SENT, Outcome.UNKNOWN}
                    # Before the place is free: whoever is next must not try a wrong setting.
                    if stop := self._judge.heard(verdict):
                        self.stop(stop, mask_within(reply.message, planned.username))
                finally:
                    self._gate.free(place, anyio.current_time())
                await self._journal.make(Settle(intent, _settled(verdict), self._time(ended)))  # 7
            in_doubt = False
            return tries[-1]

        def enough() -> bool:
            return self.stopped_by is not None or counted >= self.limits.max_attempts

        reason = Reason.STOPPED
        try:
            tried = await retry(attempt, enough=enough, sleep=self._rest)
            if tried.verdict.again is Again.NEVER or counted >= self.limits.max_attempts:
                reason = tried.verdict.reason
        except Closed:
            pass
        except Barred as now:
            reason = now.reason
            if reason is Reason.INTERRUPTED:
                await self._note_interrupted(planned)
        except LedgerError as error:
            # Without an intent nothing was sent; with one, nobody will know what came of it.
            self.stop(Stop.LEDGER, str(error))
            if in_doubt:
                reason = Reason.INTERRUPTED
        return self._result(planned, reason, tries)

    async def _note_interrupted(self, planned: Planned) -> None:
        if self.stopped_by is Stop.LEDGER:
            return
        try:
            await self._journal.make(Interrupted(_names(planned), self._time()))
        except LedgerError as error:
            self.stop(Stop.LEDGER, str(error))

    async def _rest(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._stopped.wait()

    async def _watch_time(self) -> None:
        """Stop at the deadline, after too long a silence, or where nothing connects."""
        end = None if self.limits.deadline is None else self._began + self.limits.deadline
        while True:
            now, health = anyio.current_time(), self._gate.health
            silent = health.silent_for(now)
            if end is not None and now >= end:
                self.stop(Stop.DEADLINE)
            elif not health.connected and silent >= CONNECT_WITHIN:
                self.stop(Stop.UNREACHABLE)
            elif silent >= self.limits.give_up_after:
                self.stop(Stop.GIVE_UP)
            if self.stopped_by is not None:
                return
            left = min(self.limits.give_up_after, CONNECT_WITHIN) - silent
            until_end = left if end is None else end - now
            await anyio.sleep(max(0.05, min(left, until_end)))

    # -- telling -------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """How the run stands."""
        return Snapshot(
            self.eligible,
            self._done,
            self.tally,
            self._gate.rate,
            self._gate.pace.ceiling,
            self._gate.throttled,
            self._gate.in_flight,
            anyio.current_time() - self._began,
            self.stopped_by,
            self._wave + 1,
            len(self.waves),
        )

    def _result(self, planned: Planned, reason: Reason, tries: Sequence[_Tried] = ()) -> Result:
        result = Result(
            planned.row,
            planned.username,
            reason,
            attempts=len(tries),
            finished_at=self._time(),
            raw=planned.raw,
        )
        if not tries:
            return result
        reply = tries[-1].reply
        return replace(
            result,
            delivery=reply.delivery if reason is Reason.ACCEPTED else None,
            error_code=reply.code,
            error_message=reply.message[:_LONGEST_MESSAGE],
            request_id=reply.request_id,
            latency=tries[-1].latency,
        )

    async def _tell(self, result: Result) -> None:
        self.tally.add(result)
        try:
            self.report.write(result)
        except ReportError as error:
            self.stop(Stop.REPORT, str(error))
        if self.listener is not None:
            await self.listener(result)

    async def _summary(self) -> Summary:
        unknown: int | None = self.tally.outcomes[Outcome.UNKNOWN]
        if not self.part:
            try:
                unknown = await self._journal.unknown()
            except LedgerError as error:
                unknown = None  # this run's own number would say that there are no others
                if self.stopped_by is not Stop.LEDGER:  # else it is said as what stopped it
                    self.note(f"How many are unknown over all runs is not known. {error}")
        return Summary(
            reasons=dict(self.tally.reasons),
            requests=self.tally.requests,
            throttled=self._gate.throttled,
            ceiling=self._gate.pace.ceiling,
            seconds=anyio.current_time() - self._began,
            started_at=self.now,
            stopped_by=self.stopped_by,
            detail=self.detail,
            unknown_in_ledger=unknown,
            facts=self.facts,
        )

    def _time(self, at: float | None = None) -> float:
        """The event loop's time as seconds since the epoch; now, if none is given."""
        return self.now + (anyio.current_time() if at is None else at) - self._began


def _names(user: Candidate | Planned) -> Names:
    return Names(user.username, user.aliases, listed=bool(user.aliases))


def _address(candidate: Candidate) -> str:
    return candidate.attributes.get("email") or candidate.attributes.get("phone_number") or ""


def _settled(verdict: Verdict) -> Reason | None:
    """What the ledger keeps: nothing where nothing was sent and the user may ask again."""
    if verdict.again is not Again.NEVER or verdict.reason is Reason.STOPPED:
        return None
    return verdict.reason
