"""Days of an hourly cron, in virtual time: people sign up and confirm, and things go wrong.

Judged by what the simulated Cognito delivered and when, never by the ledger or a report.
The policy is a reminder's with shorter times, so that within three days all users reach
the cooldown, the cap and their end:

    --older-than 1h --newer-than 12h --cooldown 150m --max-sends 3

and every six hours `ledger purge --older-than 24h --entirely`. That forgets no user who could
get a code: a message is younger than its user, so its user is too old by then.

What goes wrong: answers are lost, connections break, 5xx, captive portals, AWS WAF, outages
of up to two minutes, a quota that changes from minute to minute, runs that are killed (a plug
that is pulled, see `test_resume`), and a clock on the wall that is hours off.
"""

from __future__ import annotations

import heapq
import random
import resource
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from batch_resend.job.engine import Job, Limits
from batch_resend.job.plan import Eligibility
from batch_resend.job.planner import Selection
from batch_resend.job.spool import Spool
from batch_resend.ledger.policy import SendPolicy
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.ledger.sqlite.lockfile import files_of
from batch_resend.settings import UNCONFIRMED_FILTER
from batch_resend.simulator.pool import Kind, Pool, User
from batch_resend.simulator.quota import Quota
from batch_resend.simulator.rules import Answer, Cognito
from batch_resend.simulator.sender import SimulatedListing, SimulatedSender
from batch_resend.simulator.setup import Outage
from batch_resend.sources.cognito import CognitoSource
from tests.support.infos import info
from tests.support.plugs import Plug, PluggedLedger, PluggedReport, PluggedSender, Pulled
from tests.support.world import CLIENT, EPOCH, virtually

HOUR = 3600.0
ELIGIBILITY = Eligibility(older_than=HOUR, newer_than=12 * HOUR)
POLICY = SendPolicy(cooldown=2.5 * HOUR, max_sends=3)
PURGE_AFTER = 24 * HOUR  # above --newer-than by more than the clock is ever off
LEAVES_AFTER = 20 * HOUR  # a user's account is deleted: too old for long, whatever the clock says

# The clock on the wall: by how many hours it is off.
CLOCKS = (0.0, 0.0, -3.0, -1.0, 1.0, 2.0)
OUTAGES = (Kind.SILENT, Kind.LOST, Kind.UNAVAILABLE, Kind.HTML, Kind.WAF)
# Of a hundred users so many meet with this; all others are plain.
FAULTS = (
    *(Kind.LOST, Kind.FIN, Kind.RST, Kind.GATEWAY, Kind.NODETAILS, Kind.HALF, Kind.SILENT),
    *(Kind.ERROR, Kind.UNAVAILABLE, Kind.HTML, Kind.UNDELIVERABLE, Kind.TRIGGER, Kind.BUSY),
)


@dataclass(slots=True)
class Person:
    """The facts about a user in the world, hidden from the program."""

    plain: bool
    confirmed: bool = False
    messages: list[tuple[float, float]] = field(default_factory=list)  #: true time, clock's error


class Town(Cognito):
    """A pool in which time passes at each request."""

    def __init__(self, rng: random.Random, *, sign_ups: int) -> None:
        super().__init__(Pool(), quota=Quota(self._rate))
        self.people: dict[str, Person] = {}
        self.written: Counter[int] = Counter()  #: people, by messages
        self.reminded: Counter[int] = Counter()  #: of these the plain ones who never confirmed
        self.shortest = float("inf")  #: true seconds between two messages to one person
        #: The same by the program's clock, which may be off, but is never turned back.
        self.shortest_by_clock = float("inf")
        self.sent = 0
        self.error = 0.0  #: by how much the clock of the run is off
        self._rng = rng
        self._mean = HOUR / sign_ups
        self._next = EPOCH
        self._born = 0
        self._to_come: list[tuple[float, str, bool]] = []  #: when, who, whether they confirm

    @staticmethod
    def _rate(now: float) -> float:
        # Another one every 45 seconds, and another first one every hour.
        return (40.0, 60.0, 15.0, 50.0, 10.0, 30.0, 20.0)[int(now // 45) % 7]

    def live(self, now: float) -> None:
        """Apply all events up to now."""
        while self._next <= now:
            self._sign_up(self._next)
            self._next += self._rng.expovariate(1 / self._mean)
        while self._to_come and self._to_come[0][0] <= now:
            _, username, confirms = heapq.heappop(self._to_come)
            if confirms:
                self._confirm(username)
            else:
                self._leave(username)

    def _sign_up(self, at: float) -> None:
        self._born += 1
        rng = self._rng
        username = f"{rng.getrandbits(64):016x}"
        kind = FAULTS[number] if (number := rng.randrange(100)) < len(FAULTS) else Kind.EMAIL
        email = f"user{self._born}+{kind}@example.com"
        self.pool.put(User(username, {"sub": username, "email": email}, created=at))
        self.people[username] = Person(plain=kind is Kind.EMAIL)
        if rng.random() < 0.5:
            self._later(at, 2 * HOUR, username)
        heapq.heappush(self._to_come, (at + LEAVES_AFTER, username, False))

    def _later(self, now: float, within: float, username: str) -> None:
        heapq.heappush(self._to_come, (now + self._rng.uniform(0, within), username, True))

    def _confirm(self, username: str) -> None:
        user = self.pool.find(username)
        if user is not None:
            self.people[username].confirmed = True
            self.pool.put(User(username, user.attributes, "CONFIRMED", created=user.created))

    def _leave(self, username: str) -> None:
        person = self.people.pop(username)
        self.pool.remove(username)
        assert self.deliveries.pop(username, 0) == len(person.messages)
        self._accepted.pop(username, None)
        if person.plain and not person.confirmed:
            self.reminded[len(person.messages)] += 1
        self.judge(person)

    def judge(self, person: Person) -> None:
        """Count a user's messages, and the time between them."""
        self.written[len(person.messages)] += 1
        for (first, was_off), (second, is_off) in zip(
            person.messages, person.messages[1:], strict=False
        ):
            gap = second - first
            self.shortest = min(self.shortest, gap)
            self.shortest_by_clock = min(self.shortest_by_clock, gap + is_off - was_off)

    def answer(self, parameters: Mapping[str, Any], *, now: float, agent: str = "") -> Answer:
        """Resend a code, and record the time."""
        self.live(now)
        username = parameters["Username"]
        before = self.deliveries[username]
        answer = super().answer(parameters, now=now, agent=agent)
        if self.deliveries[username] > before:
            self.sent += 1
            self.people[username].messages.append((now, self.error))
            if self._rng.random() < 0.25:
                self._later(now, 4 * HOUR, username)
        return answer

    def list_users(self, parameters: Mapping[str, Any], *, now: float) -> dict[str, Any]:
        """List, while people come and go."""
        self.live(now)
        return super().list_users(parameters, now=now)


@dataclass(frozen=True, slots=True)
class Hour:
    """The measurements after a run."""

    hour: int
    off: float  #: hours by which the clock on the wall was off
    killed: bool
    exit_code: int | None
    listed: int
    delivered: int  #: codes that went out in this hour
    throttled: int
    messages: int  #: in the ledger
    ledger: int  #: bytes of its files
    memory: int  #: the process's peak so far, in bytes


class Soak:
    """A number of hours of an hourly cron, on one ledger."""

    def __init__(
        self, folder: Path, *, sign_ups: int, seed: int = 0, forgetful: bool = False
    ) -> None:
        """`forgetful` has a new ledger for each run: what the judge must notice."""
        self._rng = random.Random(seed)
        self._fate = random.Random(f"fate {seed}")  # of each hour, however many requests it has
        self.town = Town(self._rng, sign_ups=sign_ups)
        self._folder = folder
        self._forgetful = forgetful
        self._off = 0.0

    def run(self, hours: int) -> Iterator[Hour]:
        """Run hour by hour; yield each."""
        for hour in range(1, hours + 1):
            yield self._hour(hour)
        for person in self.town.people.values():  # those who are still there
            self.town.judge(person)

    def _hour(self, hour: int) -> Hour:
        rng, town = self._fate, self.town
        true = EPOCH + hour * HOUR
        town.live(true)
        if rng.random() < 1 / 4:
            self._off = rng.choice(CLOCKS) * HOUR
        town.outages = []
        if rng.random() < 1 / 2:
            start = true + rng.uniform(0, 60)
            town.outages = [Outage(rng.choice(OUTAGES), start, start + rng.uniform(5, 120))]
        path = self._folder / (f"{hour}.sqlite3" if self._forgetful else "ledger.sqlite3")
        # Every fourth run is killed, at any moment of the minute in which most of it happens.
        pull_at = rng.uniform(0, 60) if rng.random() < 1 / 4 else None
        throttled, sent = town.throttled, town.sent
        rows, code, killed = virtually(lambda: self._cron(path, true, pull_at))
        if hour % 6 == 0:
            with LedgerFile(path) as ledger:
                ledger.records.purge(true + self._off - PURGE_AFTER, entirely=True)
        with LedgerFile(path) as ledger:
            (messages,) = ledger._db.execute("SELECT count(*) FROM messages").fetchone()
        town._places.clear()  # the listing's tokens, which are not used again
        return Hour(
            hour=hour,
            off=self._off / HOUR,
            killed=killed,
            exit_code=code,
            listed=rows,
            delivered=town.sent - sent,
            throttled=town.throttled - throttled,
            messages=messages,
            ledger=sum(file.stat().st_size for file in files_of(path) if file.exists()),
            memory=_peak(),
        )

    async def _cron(
        self, path: Path, true: float, pull_at: float | None
    ) -> tuple[int, int | None, bool]:
        plug = Plug(None if pull_at is None else anyio.current_time() + pull_at)
        report = PluggedReport(plug)
        code = None
        with LedgerFile(path) as ledger, Spool() as spool:
            async with SimulatedSender(
                self.town, epoch=true, latency=lambda: self._rng.uniform(0.04, 0.3), timeout=10.0
            ) as sender:
                job = Job(
                    ledger=PluggedLedger(ledger, plug),
                    report=report,
                    app=CLIENT,
                    spool=spool,
                    info=info(),
                    now=true + self._off,
                    eligibility=ELIGIBILITY,
                    policy=POLICY,
                    limits=Limits(rate=25.0, deadline=50 * 60),
                    rng=self._rng,
                    threads=False,
                )
                # The ledger's newest time holds the clock up where it was set back.
                self.town.error = job.now - true
                source = CognitoSource(
                    SimulatedListing(self.town, sender.now),
                    self.town.settings.pool_id,
                    filter=UNCONFIRMED_FILTER,
                    keep=frozenset(),
                )
                rows = 0
                try:
                    await source.open()
                    rows = sum((await job.plan(source, Selection())).values())
                    summary = await job.run(PluggedSender(sender, plug))
                    code = summary.exit_code
                except* (Pulled, anyio.BrokenResourceError):
                    pass
        if not plug.is_pulled:
            numbers = sorted(result.row for result in report.results)
            assert numbers == list(range(1, rows + 1)), "every row exactly once"
        return rows, code, plug.is_pulled


def _peak() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def table(hours: list[Hour]) -> Iterator[str]:
    """The hours in words, for people."""
    yield "hour  clock  ended   listed  delivered  throttled  in ledger     KB  peak MB"
    for hour in hours:
        ended = "killed" if hour.killed else f"exit {hour.exit_code}"
        yield (
            f"{hour.hour:4}  {hour.off:+3.0f} h  {ended:6} {hour.listed:7} {hour.delivered:10}"
            f" {hour.throttled:10} {hour.messages:10} {hour.ledger // 1024:6}"
            f" {hour.memory / 2**20:8.0f}"
        )


def bytes_a_message(hours: list[Hour]) -> float:
    """Return the ledger's bytes per message: the median over some hours."""
    return statistics.median(hour.ledger / hour.messages for hour in hours)
