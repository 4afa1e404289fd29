"""Power cuts: of what the program wrote only that is there which it had synced.

One run is traced to its end. For any moment of it, the files are rebuilt as a disk would
hold them after a power cut then, and the same command is given again over these, with a
Cognito that remembers every request that had left by then.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from .disk import NEEDED, Disk, Loss, asked
from .harness import SEED, Place, Simulator, Verdict, finish, side_by_side, users
from .tracing import LEAVING, Call, read_trace, under_strace

CUTS = int(os.environ.get("BATCH_RESEND_CUTS", "200"))
#: As many as SQLite needs to empty its log on the way and to begin it anew. A slow machine
#: gathers more steps in a commit, so that it writes less and needs more users.
_USERS = (180, 540, 1620)
_LATENCY = 0.1

_LOG = b"\x37\x7f\x06"  #: how SQLite's log begins

#: The program, but for a ledger that does not wait for the disk.
_HASTY = """
from batch_resend.__main__ import main
from batch_resend.ledger.sqlite import schema

strict = schema.pragma

def lax(db, name, value, wanted):
    strict(db, name, *(("NORMAL", 1) if name == "synchronous" else (value, wanted)))

schema.pragma = lax
main()
"""


@dataclass(frozen=True)
class Traced:
    """A run that went well, and every call of it that matters."""

    folder: Path
    names: Sequence[str]
    calls: Sequence[Call]
    requests: Sequence[int]  #: the moments when a request left

    def disk(self, cut: int) -> Disk:
        """Return the state of the disk at a cut."""
        disk = Disk(self.folder)
        disk.live(self.calls, cut)
        return disk


def trace(place: Place, folder: Path, *program: str) -> Traced:
    """Run once, with all that happens in a folder which was there and empty."""
    output = place.folder / "calls.txt"
    tracer = under_strace(output, NEEDED, "-xx", "-s", "1000000")
    with Simulator(latency=_LATENCY) as simulator:
        ended = place.run(simulator, before=tracer, program=program or ("-m", "batch_resend"))
        assert ended.code == 0, ended.said
    calls = read_trace(output)
    requests = [call.start + 1 for call in calls if asked(call)]
    assert len(requests) == len(place.names), "every request is seen as it leaves"
    return Traced(folder, place.names, calls, requests)


def cut_off(folder: Path, traced: Traced, number: int) -> Verdict:
    """Cut the power: as a request leaves, or anywhere, or while the ledger is made."""
    rng = random.Random(f"{SEED} {number}")
    anywhere = [call.start + rng.randrange(2) for call in traced.calls if call.name in LEAVING]
    making = [moment for moment in anywhere if moment < traced.requests[0]]
    cut = rng.choice((making, traced.requests, anywhere, traced.requests)[number % 4])
    loss = list(Loss)[number // 4 % len(Loss)]
    place = Place(folder / str(number), traced.names)
    place.ledger.parent.mkdir(mode=0o700)
    disk = traced.disk(cut)
    disk.after_loss(place.ledger.parent, loss, rng)
    with Simulator(latency=_LATENCY, delivered=disk.sent) as simulator:
        return finish(place, simulator)


def cut_power(folder: Path, cuts: Sequence[int], *program: str) -> Verdict:
    """Trace a run, and cut its power a number of times."""
    begun = 0
    for count in _USERS:
        place = Place(folder / f"traced-{count}", users(count))
        place.ledger.parent.mkdir(mode=0o700)
        traced = trace(place, place.ledger.parent, *program)
        begun = sum(text.startswith(_LOG) for call in traced.calls for text in call.texts)
        if begun >= 2:
            break
    assert begun >= 2, "the log was emptied and begun anew on the way"
    verdicts = side_by_side(partial(cut_off, folder, traced), cuts)
    return sum(verdicts, Verdict())


def prove(folder: Path, cuts: int, tell: Callable[[str], None]) -> None:
    verdict = cut_power(folder, range(cuts))
    tell(f"{cuts} power cuts, {verdict}, {verdict.doubt(cuts, 'cut')}")
    assert (verdict.twice, verdict.lost) == (0, 0)
    assert verdict.in_doubt > 0, "no cut hit anybody in flight: nothing was tried"


def test_power_cut_never_sends_twice_or_loses_a_user(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    prove(tmp_path, 20, tell)


@pytest.mark.long
@pytest.mark.timeout(6 * 3600)
def test_hundreds_of_power_cuts_never_send_twice_or_lose_users(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    prove(tmp_path, CUTS, tell)


def test_ledger_that_does_not_wait_for_the_disk_is_caught(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    cuts = [1, 3, 5]
    verdict = cut_power(tmp_path, cuts, "-c", _HASTY)
    tell(f"{len(cuts)} power cuts, synchronous=NORMAL, {verdict}")
    assert verdict.twice > 0


def test_a_ledger_in_a_folder_made_for_it_outlives_a_power_cut(tmp_path: Path) -> None:
    place = Place(tmp_path / "traced", users(3))
    traced = trace(place, place.state)
    folder = tmp_path / "found"
    folder.mkdir()
    traced.disk(traced.requests[0]).after_loss(folder, Loss.ALL, random.Random(SEED))
    assert (folder / place.ledger.relative_to(place.state)).exists()
