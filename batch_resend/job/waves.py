"""Waves: a few users first, and the next wave only where the last one went well.

A wave is a number of users who are asked for; the next begins when each of these is
settled and no more of *them* failed or are unknown than --max-failures allows. So a
percentage is judged at the end of a wave of any size, and on that wave alone: a long good
one must not hide that the next goes wrong. (Within a wave --max-failures is watched over
the whole run, as without waves.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from batch_resend.job.summary import MaxFailures, Tally
from batch_resend.model import Outcome, Result
from batch_resend.wording import some

Waves = tuple[int | None, ...]  #: users in each; None, in the last place, is the rest


def divide(waves: Sequence[int | None], eligible: int) -> list[int]:
    """Divide the eligible; the remainder joins the last wave. No wave is empty."""
    sizes = []
    remaining = eligible
    for size in waves[:-1]:
        if size is None or size >= remaining:
            break
        sizes.append(size)
        remaining -= size
    return [*sizes, remaining]


def room(waves: Waves) -> int | None:
    """Return how many users fit into the waves; None if the last one has no limit."""
    return None if not waves or waves[-1] is None else sum(size or 0 for size in waves)


def line(number: int, of: int, tally: Tally) -> str:
    """Return the results of a wave in a line."""
    counts = tally.outcomes
    shown = ", ".join(f"{counts[outcome]:,} {outcome}" for outcome in Outcome if counts[outcome])
    asked = sum(counts.values())
    return f"Wave {number} of {of} ({some(asked, 'user')}): {shown}"


@dataclass(slots=True)
class Schedule:
    """The users to be requested, divided into waves, and how far it has come."""

    sizes: list[int]  #: users in each wave
    number: int = 0  #: of the wave under way, from 0
    done: int = 0  #: users whose result is known
    tally: Tally = field(default_factory=Tally)  #: of the wave under way
    _left: int = field(init=False)  #: users of this wave who are still to be taken

    def __post_init__(self) -> None:
        self._left = self.size

    @property
    def eligible(self) -> int:
        """How many users there are in all waves."""
        return sum(self.sizes)

    @property
    def size(self) -> int:
        """How many users belong to the wave under way."""
        return self.sizes[self.number]

    @property
    def is_last(self) -> bool:
        """Whether no wave follows."""
        return self.number + 1 >= len(self.sizes)

    @property
    def finished(self) -> bool:
        """Whether all users of this wave are taken; the last one lasts to the last row."""
        return self._left <= 0 and not self.is_last

    def take(self) -> None:
        """Count a user who is about to be requested."""
        self._left -= 1

    def add(self, result: Result) -> None:
        """Count the result of a user of these waves."""
        self.done += 1
        self.tally.add(result)

    def judge(self, allowed: MaxFailures) -> tuple[str, bool]:
        """Judge the wave that has ended: a sentence about it, and whether the next may begin."""
        text = line(self.number + 1, len(self.sizes), self.tally)
        if self.is_last:
            return f"{text}.", True
        if allowed.exceeded(self.tally, at_an_end=True):
            return f"{text}. That is more than --max-failures allows.", False
        return f"{text}. Continuing with {self.sizes[self.number + 1]:,} more.", True

    def begin_next(self) -> None:
        """Start the next wave."""
        self.number, self.tally = self.number + 1, Tally()
        self._left = self.size
