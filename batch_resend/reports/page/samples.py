"""Samples of a run, second by second: what its report does not contain.

A row of the report has the time when its user was settled, but not the times of throttled
attempts, nor the rate and limit. Flat memory: when there are too many samples, every other
one is dropped, and from then on half as many are taken.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_MOST = 1000


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment; `at` is in seconds since the epoch, `throttled` counts from the start."""

    at: float
    throttled: int
    rate: float  #: requests per second
    ceiling: float


@dataclass(slots=True)
class Samples:
    """The samples of a run; `every` is the number of seconds until the next one."""

    every: float = 1.0
    taken: list[Sample] = field(default_factory=list)

    def add(self, sample: Sample) -> None:
        """Keep a sample, and make room if there are too many."""
        self.taken.append(sample)
        if len(self.taken) >= _MOST:
            self.taken = self.taken[::2]
            self.every *= 2
