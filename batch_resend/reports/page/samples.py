"""How a run stood from second to second: what its report cannot tell afterwards.

A row of the report knows when its user was settled, but not when an earlier try was
throttled, nor which pace and ceiling held. Flat memory: when there are too many samples
every other is dropped, and from then on half as many are taken.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_MOST = 1000


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment; `at` is in seconds since the epoch, `throttled` counts from the start."""

    at: float
    throttled: int
    rate: float  #: the pace, in requests a second
    ceiling: float


@dataclass(slots=True)
class Samples:
    """The samples of a run; `every` is how many seconds to wait for the next one."""

    every: float = 1.0
    taken: list[Sample] = field(default_factory=list)

    def add(self, sample: Sample) -> None:
        """Keep a sample, and make room where there are too many."""
        self.taken.append(sample)
        if len(self.taken) >= _MOST:
            self.taken = self.taken[::2]
            self.every *= 2
