"""Killed at every single call by which something leaves the process, and resumed.

strace delivers SIGKILL as the call begins: all before it has happened, the call has not.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from .harness import Place, Simulator, Verdict, finish, side_by_side, users
from .points import Point, points, spread
from .tracing import LEAVING

USERS = int(os.environ.get("BATCH_RESEND_SWEEP", "60"))
_LATENCY = 0.1


@dataclass(frozen=True)
class Died:
    """The result of a kill at a point."""

    killed: bool
    verdict: Verdict


def die(folder: Path, names: Sequence[str], point: Point) -> Died:
    """Kill a run at a point, resume it, judge."""
    place = Place(folder / str(point), names)
    with Simulator(latency=_LATENCY) as simulator:
        ended = place.run(simulator, before=point.hit(place, os.devnull, "signal=SIGKILL"))
        assert ended.report.whole, "a killed run leaves whole lines"
        return Died(ended.code < 0, finish(place, simulator))


def sweep(
    folder: Path, names: Sequence[str], tell: Callable[[str], None], most: int | None = None
) -> None:
    """Kill at every point, or at a number of them spread over all."""
    place = Place(folder / "counted", names)
    every = points(place, LEAVING)
    assert {"write", "pwrite64", "fdatasync", "fsync"} <= {point.call for point in every}
    chosen = every if most is None else spread(every, most)
    done = side_by_side(partial(die, folder, names), chosen)
    died = sum(one.killed for one in done)
    verdict = sum((one.verdict for one in done), Verdict())
    each = ", ".join(f"{n} {call}" for call, n in Counter(p.call for p in chosen).most_common())
    tell(
        f"{len(chosen)} of {len(every)} points of a run of {len(names)} users ({each}), {died}"
        f" kills, {verdict}, {verdict.doubt(died, 'kill')}"
    )
    # How many writes a run makes depends on how the users' steps gather in commits.
    assert died >= 0.7 * len(chosen)
    assert (verdict.twice, verdict.lost) == (0, 0)


def test_death_anywhere_never_sends_twice_or_loses_a_user(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    sweep(tmp_path, users(20), tell, most=20)


@pytest.mark.long
@pytest.mark.timeout(6 * 3600)
def test_death_at_any_call_never_sends_twice_or_loses_a_user(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    sweep(tmp_path, users(USERS), tell)
