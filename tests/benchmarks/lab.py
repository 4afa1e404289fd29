"""A laboratory for paces: a quota, a distance, other traffic, and no clock at all.

An event simulation in plain arithmetic: a minute of requests takes milliseconds, so that
controllers can be compared over many quotas, latencies, bursts and enforcement styles.

A real machine is not punctual: timers wake late, the intent is committed between the slot and
the request, responses wait to be handled, and a network's delays vary. `Late` is that
lateness. Without it, paces are compared on a machine that does not exist.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from batch_resend.simulator.quota import Meter, Quota

TICK = 0.001  #: seconds; the gate lets a request leave so much early rather than wait for it
LOOK_UP = 0.25  #: seconds; the longest that the gate sleeps at once
MINUTE = 60


class Paced(Protocol):
    """The protocol of a controller; `batch_resend.job.pacing.Pace` has it."""

    @property
    def rate(self) -> float: ...

    def delay(self, now: float) -> float: ...
    def leave(self, now: float) -> None: ...
    def throttled(self, left_at: float, now: float) -> None: ...
    def answered(self, left_at: float, now: float) -> None: ...


class Seeing(Paced, Protocol):
    """A controller that makes use of the account's usage metric."""

    def used(self, since: float, calls: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Burst:
    """Calls of others in a burst: evenly over `lasts` seconds, one burst every `every` seconds."""

    calls: int
    lasts: float
    every: float

    def moments(self, start: float) -> Iterator[float]:
        """Return the times of the calls of one burst."""
        return (start + n * self.lasts / self.calls for n in range(self.calls))


@dataclass(frozen=True, slots=True)
class Late:
    """How late things are on a real machine, in seconds. The values are frozen: they are the
    lateness that was measured over HTTP on a busy machine, and no pace is tuned with them."""

    timer: float = 0.005  #: a timer wakes up to so much late
    commit: tuple[float, float] = (0.001, 0.008)  #: from the slot to the request
    slow_commit: tuple[float, float] = (0.01, 5.0)  #: of so many of them, so many times as long
    handled: float = 0.003  #: a response is handled up to so much after it came
    spread: float = 0.2  #: sigma of a way's log-normal duration
    tail: tuple[float, float, float] = (0.01, 3.0, 6.0)  #: of so many ways, times as long

    def commits(self, rng: random.Random) -> float:
        share, times = self.slow_commit
        return rng.uniform(*self.commit) * (times if rng.random() < share else 1)

    def way(self, latency: float, rng: random.Random) -> float:
        share, least, most = self.tail
        times = rng.uniform(least, most) if rng.random() < share else 1.0
        return latency / 2 * rng.lognormvariate(0, self.spread) * times


LATE = Late()


@dataclass(frozen=True, slots=True)
class Metric:
    """The account's usage metric as a run sees it: `AWS/Usage` CallCount less ThrottleCount,
    so the accepted calls of a minute, some time after that minute."""

    delay: tuple[float, float] = (60.0, 180.0)  #: seconds from a minute's end to its value
    gaps: float = 0.05  #: of so many minutes there is never a value
    factor: float = 1.0  #: of the truth: a metric that lies says 0 or 2
    since: float = -3600.0  #: seconds before the run from which on there are values
    until: float = float("inf")  #: from then on the metric is missing


METRIC = Metric()
Others = float | Callable[[float], float]


@dataclass
class Drive:
    """The result. `left_at` are the times of all requests, `rates` of all responses."""

    seconds: float = 0.0
    accepted: int = 0
    throttled: int = 0
    others: int = 0
    others_throttled: int = 0
    left_at: list[float] = field(default_factory=list)
    accepted_at: list[float] = field(default_factory=list)
    rates: list[tuple[float, float]] = field(default_factory=list)

    @property
    def throttled_part(self) -> float:
        return self.throttled / max(1, self.throttled + self.accepted)


@dataclass
class _Client:
    """One process with a pace of its own."""

    pace: Paced
    waiting: int
    concurrency: int
    came: Drive = field(default_factory=Drive)
    in_flight: int = 0
    asked: bool = True  # an event "leave" is on its way
    proven: bool = False  # a definite response has come: before it the first request is alone

    @property
    def has_room(self) -> bool:
        return self.in_flight < self.concurrency and self.waiting > 0


def drive(
    pace: Paced,
    quota: Quota,
    *,
    users: int | None = None,
    seconds: float = 3600.0,
    latency: float = 0.06,
    jitter: float = 0.1,
    concurrency: int = 64,
    others: Others = 0.0,
    burst: Burst | None = None,
    chance: float = 0.0,
    late: Late | None = None,
    metric: Metric | None = None,
    seed: int = 0,
) -> Drive:
    """Serve a number of users, or for a time.

    `others` (so many per second, Poisson) or those of a `burst` draw from the quota too, and
    of our requests `chance` are throttled for no reason. Each way takes half of `latency`
    (seconds), and up to `jitter` of that longer: without it a pace that divides the quota's
    rate can fall into step with the tokens. With `late` everything is late as it says. A pace
    that is given a `metric` must be a `Seeing` one.
    """
    lab = Lab(quota, latency, jitter, others, burst, chance, late, metric, seed)
    return lab.run([pace], users=users, seconds=seconds, concurrency=concurrency)[0]


class Lab:
    """The events of one quota, in their order."""

    def __init__(
        self,
        quota: Quota,
        latency: float = 0.06,
        jitter: float = 0.1,
        others: Others = 0.0,
        burst: Burst | None = None,
        chance: float = 0.0,
        late: Late | None = None,
        metric: Metric | None = None,
        seed: int = 0,
    ) -> None:
        self._meter = Meter(quota)
        self._latency, self._jitter, self._chance, self._late = latency, jitter, chance, late
        self._others, self._burst = others, burst
        self._rng = random.Random(seed)
        self._metric, self._rng_of_metric = metric, random.Random(seed + 1)
        self._calls: Counter[int] = Counter()  # accepted in each minute, by its number
        self._delivered: set[int] = set()  # minutes whose value was handed over, or never comes
        self._order = itertools.count()
        self._events: list[tuple[float, int, str, int, float]] = []
        self._clients: list[_Client] = []
        self.others = self.others_throttled = 0

    def run(
        self,
        paces: Sequence[Paced],
        *,
        users: int | None = None,
        seconds: float = 3600.0,
        concurrency: int = 64,
        apart: float = 0.0,
    ) -> list[Drive]:
        """Run one client a pace, each `apart` seconds after the one before."""
        waiting = users if users is not None else 10**9
        self._clients = [_Client(pace, waiting, concurrency) for pace in paces]
        for number, _ in enumerate(paces):
            self._at(number * apart, "leave", number)
        if self._others:
            self._next_other(0.0)
        if self._burst:
            self._at(self._burst.every * self._rng.random(), "burst")
        if self._metric:
            self._calls.update(dict(self._history(self._metric)))
            self._at(0.0, "metric")
        now = 0.0
        while self._events:
            if users is not None and all(c.came.accepted >= users for c in self._clients):
                break
            now, _, what, who, left = heapq.heappop(self._events)
            if now > seconds:
                break
            self._happen(now, what, who, left)
        for client in self._clients:
            came = client.came
            came.others, came.others_throttled = self.others, self.others_throttled
        return [client.came for client in self._clients]

    def _happen(self, now: float, what: str, who: int, left: float) -> None:
        if what in {"other", "one of a burst"}:
            self.others += 1
            taken = self._meter.take(now)
            self._calls[int(now // MINUTE)] += taken
            self.others_throttled += not taken
            if what == "other":
                self._next_other(now)
            return
        if what == "no other":
            self._next_other(now)
            return
        if what == "metric":
            assert self._metric is not None
            self._tell(self._metric, now)
            self._at(now + MINUTE, "metric")
            return
        if what == "burst":
            assert self._burst is not None
            for call in self._burst.moments(now):
                self._at(call, "one of a burst")
            self._at(now + self._burst.every, "burst")
            return
        client = self._clients[who]
        client.came.seconds = now
        if what == "leave":
            self._leave(client, who, now)
        elif what == "arrive":
            taken = self._meter.take(now) and not self._rng.random() < self._chance
            self._calls[int(now // MINUTE)] += taken
            back = now + self._way()
            if self._late:
                back += self._rng.uniform(0, self._late.handled)
            self._at(back, "accepted" if taken else "throttled", who, left)
        else:
            self._answered(client, who, now, left, accepted=what == "accepted")

    def _leave(self, client: _Client, who: int, now: float) -> None:
        client.asked = False
        if self._late and not client.proven and client.in_flight:
            return
        if not client.has_room:
            return
        delay = client.pace.delay(now)
        if delay <= (TICK if self._late else 1e-9):
            client.pace.leave(now)
            client.came.left_at.append(now)
            client.in_flight, client.waiting = client.in_flight + 1, client.waiting - 1
            left = now + (self._late.commits(self._rng) if self._late else 0.0)
            self._at(left + self._way(), "arrive", who, left)
            delay = 0.0
        elif self._late:
            delay = min(delay, LOOK_UP) + self._rng.uniform(0, self._late.timer)
        client.asked = True
        self._at(now + delay, "leave", who)

    def _answered(
        self, client: _Client, who: int, now: float, left: float, *, accepted: bool
    ) -> None:
        client.in_flight -= 1
        client.proven = True
        if accepted:
            client.came.accepted += 1
            client.came.accepted_at.append(now)
            client.pace.answered(left, now)
        else:
            client.came.throttled += 1
            client.waiting += 1
            client.pace.throttled(left, now)
        client.came.rates.append((now, client.pace.rate))
        if not client.asked:
            client.asked = True
            self._at(now, "leave", who)

    def _history(self, metric: Metric) -> Iterator[tuple[int, int]]:
        """The others' calls of the minutes before the run."""
        for minute in range(int(metric.since // MINUTE), 0):
            rate = self._others(0.0) if callable(self._others) else self._others
            calls = self._rng_of_metric.gauss(rate * MINUTE, (rate * MINUTE) ** 0.5)
            if self._burst:
                every, start = self._burst.every, self._rng_of_metric.random()
                bursts = int((MINUTE / every) + start)
                calls += bursts * self._burst.calls
            yield minute, max(0, round(calls))

    def _tell(self, metric: Metric, now: float) -> None:
        """Deliver the published values: to each process, when it would request them."""
        for minute in sorted(self._calls):
            end = (minute + 1) * MINUTE
            if minute in self._delivered or end > min(metric.until, now - metric.delay[0]):
                continue
            if end > now - self._rng_of_metric.uniform(*metric.delay):
                continue
            self._delivered.add(minute)
            if self._rng_of_metric.random() >= metric.gaps:
                for client in self._clients:
                    client.pace.used(minute * MINUTE, self._calls[minute] * metric.factor)  # type: ignore[attr-defined]

    def _way(self) -> float:
        if self._late:
            return self._late.way(self._latency, self._rng)
        return self._latency / 2 * (1 + self._jitter * self._rng.random())

    def _next_other(self, now: float) -> None:
        rate = self._others(now) if callable(self._others) else self._others
        if rate > 0:
            self._at(now + self._rng.expovariate(rate), "other")
        else:
            self._at(now + 1.0, "no other")

    def _at(self, time: float, what: str, who: int = 0, left: float = 0.0) -> None:
        heapq.heappush(self._events, (time, next(self._order), what, who, left))
