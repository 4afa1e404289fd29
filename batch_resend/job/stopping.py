"""How a run ends early: the first reason counts, and all that wait are released.

To stop is to close the gate of the pace: no further user is requested, and what is in
flight is settled. Time stops a run too: its deadline, too long without an accepted
request, or no connection at all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import anyio

from batch_resend.errors import place_of
from batch_resend.job.outcome import Signal, Stop
from batch_resend.job.pacing import Gate

CONNECT_WITHIN = 30.0  #: seconds; without a single connection for that long, settings are wrong
LONGEST_MESSAGE = 500  #: characters of an error message that are kept


@dataclass(slots=True, eq=False)
class Refusals:
    """Since when no request has been accepted (silence, throttles, blocks), and why."""

    message: str = ""  #: what was last said instead
    _since: float | None = None

    def heard(self, signal: Signal, left_at: float, message: str) -> None:
        """Record what came of a request that left at that time."""
        if signal is Signal.ANSWERED:
            self._since, self.message = None, ""
            return
        if self._since is None:
            self._since = left_at
        self.message = message

    def lasted(self, now: float) -> float:
        """Return the seconds since the first of the requests in a row that were not accepted."""
        return 0.0 if self._since is None else now - self._since


@dataclass(slots=True, eq=False)
class Stopping:
    """The decision whether a run ends early: the cause, and its own words."""

    gate: Gate
    cause: Stop | None = None
    detail: str = ""
    refusals: Refusals = field(default_factory=Refusals)
    _called: anyio.Event = field(default_factory=anyio.Event)

    def stop(self, cause: Stop, detail: str = "") -> None:
        """End the run: no further user is requested, what is in flight is settled.

        The first cause is kept; only a ledger that fails is worse than any other.
        """
        if self.cause is None or (cause is Stop.LEDGER and self.cause is not Stop.LEDGER):
            self.cause, self.detail = cause, detail[:LONGEST_MESSAGE]
            self._called.set()
            self.gate.close()

    def fail(self, error: Exception) -> None:
        """End the run for an error that nothing foresaw; every row is still reported."""
        self.stop(Stop.INTERNAL, place_of(error))

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn an unforeseen error into the end of the run, and nothing else."""
        try:
            yield
        except Exception as error:
            self.fail(error)

    def withdraw(self) -> None:
        """Forget the cause, where every user was requested before it could stop anything."""
        self.cause, self.detail = None, ""

    async def rest(self, seconds: float) -> None:
        """Sleep, until the run is to end at the longest."""
        with anyio.move_on_after(seconds):
            await self._called.wait()

    async def watch_time(self, deadline: float | None, give_up_after: float) -> None:
        """Stop at the deadline (in the event loop's time), or after too long without success."""
        while True:
            now, health = anyio.current_time(), self.gate.health
            silent, refused = health.silent_for(now), self.refusals.lasted(now)
            if deadline is not None and now >= deadline:
                self.stop(Stop.DEADLINE)
            elif not health.connected and silent >= CONNECT_WITHIN:
                self.stop(Stop.UNREACHABLE, self.refusals.message)
            elif refused >= give_up_after:
                self.stop(Stop.GIVE_UP, self.refusals.message)
            if self.cause is not None:
                return
            left = min(give_up_after - refused, CONNECT_WITHIN - silent)
            until_deadline = left if deadline is None else deadline - now
            await anyio.sleep(max(0.05, min(left, until_deadline)))
