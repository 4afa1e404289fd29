"""How fast: never above the ceiling, just below the quota, never into an outage.

The quota of `UserResourceRead` (50 requests per second by default; Cognito Developer
Guide, "Quotas") belongs to the whole account and Region and is shared with live
sign-ups; Cognito never says what is left. Being throttled is the only sign of it.

`Pace` (in `pace`) is arithmetic on the rate and `Health` on outages; both are handed the time
and know no clock. `Gate` is the one part that waits: a task that passes it may call Cognito
*now*, and until then nothing is promised to any user. `SharedPace` is one pace for the gates
of several runs. `retry` says how this and tenacity divide the work.

  - Requests are spaced evenly: a burst of one, no tokens hoarded in a pause.
  - A throttle lowers the rate for all users and fails none. Requests that had left
    before the rate was lowered do not lower it again: they were sent at the old rate.
  - After a handful of requests in a row without a definite response, one user at a time
    is tried, with growing pauses, until a response comes. A run starts that way too, so
    that a wrong setting costs one request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from batch_resend.job.outcome import Signal
from batch_resend.job.pace import Pace

TICK = 0.001  #: seconds; timers are not finer, and waiting for less would spin
LOOK_UP = 0.25  #: seconds; a longer wait is interrupted to see whether things have changed

HANDFUL = 5  #: so many requests in a row without a definite response are an outage
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  #: seconds


class Health:
    """The state of the connection: does Cognito respond, and how many requests may be in flight."""

    def __init__(self, concurrency: int) -> None:
        """Start unproven: one request at a time until the first definite response."""
        self._concurrency = concurrency
        self._proven = False
        self._silent = 0  # requests in a row without a definite response
        self._outage_at: float | None = None
        self._pauses = 0
        self.connected = False  #: some connection came about
        self._silent_since = 0.0

    @property
    def allowed(self) -> int:
        """How many requests may be in flight."""
        return self._concurrency if self._proven else 1

    def heard(self, left_at: float, now: float, *, definite: bool) -> float:
        """Record a response or its absence; return for how many seconds requests should pause."""
        if definite:
            self._proven, self._silent = True, 0
            return 0.0
        if not self._silent:
            self._silent_since = left_at
        self._silent += 1
        if self._silent < HANDFUL:
            return 0.0
        if self._proven or self._outage_at is None:
            self._proven, self._outage_at, self._pauses = False, now, 0
        elif left_at < self._outage_at:
            return 0.0  # it left before the outage was known: nothing new
        self._pauses += 1
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._pauses - 1, 10))

    def silent_for(self, now: float) -> float:
        """Return the seconds since the first request in a row without a definite response left."""
        return now - self._silent_since if self._silent else 0.0


@dataclass(slots=True)
class Place:
    """The right to call Cognito once, now. The holder records what came back."""

    left_at: float
    signal: Signal | None = None  #: None: no request was made after all
    connected: bool = True  #: a connection came about
    retry_after: float = 0.0  #: seconds to wait, as the response demands
    spent: bool = False  #: counts against the budget: sent or unknown


class Closed(Exception):
    """The gate is closed: the run is ending, and no more requests are made."""


@dataclass(slots=True)
class SharedPace:
    """One pace for several gates, whose runs draw from the same quota.

    Each gate sends one of the tasks that wait there, and these are served in the order of
    arrival: so the gates take turns. The task whose turn it is has passed its own gate and
    waits for the pace alone: an outage of one run does not delay the others. What one run
    finds out about the quota is known to all.
    """

    pace: Pace
    gates: list[Gate] = field(default_factory=list)
    turn: anyio.Lock = field(default_factory=anyio.Lock)

    @property
    def part(self) -> float:
        """Requests per second that are left to each open gate."""
        return self.pace.rate / max(1, sum(not gate.closed for gate in self.gates))


@dataclass(slots=True)
class Gate:
    """The place where tasks wait: for the pace, for room, for the end of an outage.

    Places are given in the order of arrival. `budget` bounds the places that end up
    spent, counting those in flight: never one message more. With a `shared` pace the
    gate's own one only keeps its ceiling.
    """

    pace: Pace
    health: Health
    budget: int | None = None
    waiting: Callable[[str, float], None] = lambda _why, _seconds: None
    in_flight: int = 0
    spent: int = 0
    throttled: int = 0
    closed: bool = False
    shared: SharedPace | None = None
    _turn: anyio.Lock = field(default_factory=lambda: anyio.Lock(fast_acquire=True))
    _change: anyio.Event | None = None  # set while a task waits for it
    _pause_until: float = float("-inf")
    _blocks: int = 0

    def close(self) -> None:
        """Stop all tasks at the gate; those that wait get `Closed`."""
        self.closed = True
        self._changed()

    def share(self, shared: SharedPace) -> None:
        """Use a shared pace, within the ceiling of its own; call it before any task waits."""
        self.pace = Pace(self.pace.ceiling, start=self.pace.ceiling)
        self.shared = shared
        shared.gates.append(self)

    @property
    def rate(self) -> float:
        """Requests per second that may leave here now; with a shared pace, its part."""
        return self.pace.rate if self.shared is None else min(self.pace.rate, self.shared.part)

    def used(self, since: float, calls: float) -> None:
        """Report to the pace how many calls the account made in the minute from `since` on.

        `since` is on the clock of `anyio.current_time`.
        """
        self._learning.used(since, calls)

    async def place(self) -> Place:
        """Wait for a place, to be given back by `free`. Raises `Closed` when the run ends."""
        now: float | None
        if self.shared is not None:
            async with self._turn:
                now = await self._shared_place(self.shared)
        elif self._turn.locked() or (now := self._open()) is None:
            async with self._turn:
                while (now := self._open()) is None:
                    await self._wait()
        self.pace.leave(now)
        self.in_flight += 1
        return Place(now)

    def free(self, place: Place, now: float) -> None:
        """Free a place, with the outcome of its request."""
        self.in_flight -= 1
        self.spent += place.spent
        self._heard(place, now)
        self._changed()

    async def _shared_place(self, shared: SharedPace) -> float:
        """Wait until this gate is open and it is its turn at the shared pace."""
        while True:
            while self._open() is None:
                await self._wait()
            async with shared.turn:
                while (now := self._open()) is not None:  # if it closes, other gates go first
                    delay = shared.pace.delay(now)
                    if delay <= TICK:
                        shared.pace.leave(now)
                        return now
                    await anyio.sleep(min(delay, LOOK_UP))

    def _open(self) -> float | None:
        """Return the time, if a task may pass now."""
        if self.closed:
            raise Closed
        now = anyio.current_time()
        return now if self._has_room() and self._delay(now) <= TICK else None

    async def _wait(self) -> None:
        if self._has_room():
            delay = self._delay(anyio.current_time())
            await anyio.sleep(min(max(0.0, delay), LOOK_UP))
        else:
            self._change = anyio.Event()
            await self._change.wait()

    def _has_room(self) -> bool:
        return self.in_flight < self.health.allowed and (
            self.budget is None or self.spent + self.in_flight < self.budget
        )

    def _delay(self, now: float) -> float:
        return max(self._pause_until - now, self.pace.delay(now))

    def _heard(self, place: Place, now: float) -> None:
        if place.signal is None:
            return
        pace = self._learning
        if place.connected:
            self.health.connected = True
        pause = self.health.heard(place.left_at, now, definite=place.signal is not Signal.SILENT)
        if pause:
            self._pause(now, pause, "no response from Cognito")
        if place.signal is Signal.BLOCKED:
            self._blocks += 1
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._blocks, 10))
            self._pause(now, pause, "blocked by a firewall (AWS WAF)")
        elif place.signal is Signal.THROTTLED:
            self.throttled += 1
            pace.throttled(place.left_at, now)
        elif place.signal is Signal.ANSWERED:
            self._blocks = 0
            pace.answered(place.left_at, now)
        if place.retry_after > 0:
            seconds = min(place.retry_after, 10 * LONGEST_PAUSE)
            of_all = self.shared if place.signal is Signal.THROTTLED else None
            for gate in of_all.gates if of_all else (self,):
                gate._pause(now, seconds, "Cognito asked us to slow down")  # noqa: SLF001 - our own kind

    @property
    def _learning(self) -> Pace:
        return self.pace if self.shared is None else self.shared.pace

    def _pause(self, now: float, seconds: float, why: str) -> None:
        if now + seconds > self._pause_until:
            self._pause_until = now + seconds
            self.waiting(why, seconds)

    def _changed(self) -> None:
        if self._change is not None:
            self._change.set()
            self._change = None
