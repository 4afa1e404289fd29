"""Waves: a few users first, and the next wave only where the last one went well.

A wave is a number of users who are asked for; the next begins when each of these is
settled and no more of *them* failed or are unknown than --max-failures allows. So a
percentage is judged at the end of a wave of any size, and on that wave alone: a long good
one must not hide that the next goes wrong. (Within a wave --max-failures is watched over
the whole run, as without waves.)
"""

from __future__ import annotations

from collections.abc import Sequence

from batch_resend.job.summary import Tally
from batch_resend.model import Outcome

Waves = tuple[int | None, ...]  #: users in each; None, in the last place, is the rest


def divide(waves: Sequence[int | None], eligible: int) -> list[int]:
    """Divide the eligible; whoever is left over goes with the last wave. No wave is empty."""
    found = []
    left = eligible
    for size in waves[:-1]:
        if size is None or size >= left:
            break
        found.append(size)
        left -= size
    return [*found, left]


def room(waves: Waves) -> int | None:
    """How many users the waves have room for; None where the last takes the rest."""
    return None if not waves or waves[-1] is None else sum(size or 0 for size in waves)


def line(number: int, of: int, tally: Tally) -> str:
    """Say what became of a wave's users."""
    counts = tally.outcomes
    shown = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome])
    asked = sum(counts.values())
    return f"Wave {number} of {of}: {asked} user{'s' if asked != 1 else ''}: {shown}"
