"""A laboratory for paces: a quota, a distance, other traffic, and no clock at all.

An event simulation in plain arithmetic: a minute of requests takes milliseconds, so that
controllers can be compared over many quotas, latencies, bursts and enforcement styles.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from batch_resend.simulator.quota import Meter, Quota


class Paced(Protocol):
    """What a controller must be able to do; `batch_resend.job.pacing.Pace` does."""

    @property
    def rate(self) -> float: ...

    def delay(self, now: float) -> float: ...
    def leave(self, now: float) -> None: ...
    def throttled(self, left_at: float, now: float) -> None: ...
    def answered(self, left_at: float, now: float, *, busy: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Burst:
    """So many calls of others at once: evenly over `lasts`, `every` so often (seconds)."""

    calls: int
    lasts: float
    every: float

    def moments(self, start: float) -> Iterator[float]:
        """When the calls of one burst come."""
        return (start + n * self.lasts / self.calls for n in range(self.calls))


@dataclass
class Drive:
    """What came of it. `left_at` are the times of all requests, `rates` of all answers."""

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


def drive(
    pace: Paced,
    quota: Quota,
    *,
    users: int | None = None,
    seconds: float = 3600.0,
    latency: float = 0.06,
    jitter: float = 0.1,
    concurrency: int = 64,
    others: float = 0.0,
    burst: Burst | None = None,
    seed: int = 0,
) -> Drive:
    """Serve so many users, or for so long.

    `others` (so many a second, Poisson) or those of a `burst` draw from the quota too.
    Each way takes half of `latency` (seconds), and up to `jitter` of that longer: without
    it a pace that divides the quota's rate can fall into step with the tokens.
    """
    rng, meter, came = random.Random(seed), Meter(quota), Drive()
    order = itertools.count()
    events: list[tuple[float, int, str, float]] = []
    waiting = users if users is not None else 10**9
    in_flight = 0
    asked = True  # an event "leave" is on its way

    def way() -> float:
        return latency / 2 * (1 + jitter * rng.random())

    def at(time: float, what: str, left: float = 0.0) -> None:
        heapq.heappush(events, (time, next(order), what, left))

    at(0.0, "leave")
    if others:
        at(rng.expovariate(others), "other")
    if burst:
        at(burst.every * rng.random(), "burst", burst.every)
    while events and (users is None or came.accepted < users):
        now, _, what, left = heapq.heappop(events)
        if now > seconds:
            break
        came.seconds = now
        if what in {"other", "one of a burst"}:
            came.others += 1
            came.others_throttled += not meter.take(now)
            if what == "other":
                at(now + rng.expovariate(others), "other")
        elif what == "burst":
            for call in burst.moments(now) if burst else ():
                at(call, "one of a burst")
            at(now + left, "burst", left)
        elif what == "arrive":
            at(now + way(), "accepted" if meter.take(now) else "throttled", left)
        elif what == "leave":
            asked = False
            if in_flight < concurrency and waiting > 0:
                if (delay := pace.delay(now)) <= 1e-9:
                    pace.leave(now)
                    came.left_at.append(now)
                    in_flight, waiting = in_flight + 1, waiting - 1
                    at(now + way(), "arrive", now)
                    delay = 0.0
                at(now + delay, "leave")
                asked = True
        else:
            in_flight -= 1
            if what == "accepted":
                came.accepted += 1
                came.accepted_at.append(now)
                pace.answered(left, now, busy=pace.delay(now) > 0)
            else:
                came.throttled += 1
                waiting += 1
                pace.throttled(left, now)
            came.rates.append((now, pace.rate))
            if not asked:
                at(now, "leave")
                asked = True
    return came
