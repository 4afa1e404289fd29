"""The time of a run: the wall clock is read once, and from there on the event loop counts."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio


@dataclass(frozen=True, slots=True)
class Clock:
    """The event loop's time as seconds since the epoch; created at the start of the run."""

    epoch: float  #: seconds since the epoch at which the run began
    began: float = field(default_factory=anyio.current_time)  #: the same in the loop's time

    def now(self) -> float:
        """Return the time, in seconds since the epoch."""
        return self.epoch + anyio.current_time() - self.began

    def at(self, loop_time: float) -> float:
        """Return a time of the event loop in seconds since the epoch."""
        return self.epoch + loop_time - self.began

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return anyio.current_time() - self.began
