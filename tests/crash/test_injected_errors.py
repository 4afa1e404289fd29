"""The disk fails, once or from then on, at any write or sync of the ledger's files."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.support.program import without_times

from .harness import Ended, Place, Simulator, Verdict, finish, side_by_side, users
from .points import Point, points, spread
from .tracing import Call, read_trace

USERS = int(os.environ.get("BATCH_RESEND_ERRORS", "12"))
_LATENCY = 0.1
_CALLS = ("pwrite64", "write", "fsync", "fdatasync", "ftruncate")
_ERRORS = (("EIO", False), ("ENOSPC", True))  #: once, or from then on


@dataclass(frozen=True)
class Case:
    """A call that fails, and its place."""

    point: Point
    error: str
    on: bool

    def __str__(self) -> str:
        return f"{self.point}-{self.error}"


@dataclass(frozen=True)
class Failed:
    """The result of an error at a point."""

    hit: bool
    code: int
    verdict: Verdict
    complaints: list[str]


def fail(folder: Path, names: Sequence[str], case: Case) -> Failed:
    """Inject an error into a call, inspect the end of the program, run it again, judge."""
    place = Place(folder / str(case), names)
    with Simulator(latency=_LATENCY) as simulator:
        ended, calls = run_into(case, place, simulator)
        place_of_it = next((n for n, call in enumerate(calls) if call.injected), None)
        complaints = []
        if place_of_it is not None:
            complaints = look(place, simulator, ended, calls, place_of_it)
        return Failed(place_of_it is not None, ended.code, finish(place, simulator), complaints)


def run_into(case: Case, place: Place, simulator: Simulator) -> tuple[Ended, list[Call]]:
    """Run while a call fails; also return the calls on the ledger's files."""
    output = place.folder / "calls.txt"
    before = case.point.hit(
        place, output, f"error={case.error}", "-ttt", "-y", on=case.on, calls=_CALLS
    )
    return place.run(simulator, before=before), read_trace(output)


def look(
    place: Place, simulator: Simulator, ended: Ended, calls: Sequence[Call], failed: int
) -> list[str]:
    """Return what is wrong about the end of a run."""
    call, later = calls[failed], calls[failed + 1 :]
    delivered, reasons = simulator.deliveries, ended.report.reasons
    requests = simulator.cognito.request_times or [0.0]
    reported = {name for name, reason in reasons.items() if reason in {"accepted", "interrupted"}}
    committer = call.thread != calls[0].thread  # a last word is the main thread's
    wrong = {
        "a traceback": "Traceback" in ended.said,
        f"exit code {ended.code}": ended.code not in {0, 4},
        f"the report has {len(reasons)} rows": (reasons or delivered)
        and not ended.report.tells_every(place.names),
        "sent a code and not reported": not delivered.keys() <= reported,
        "a commit was tried again": committer and any(c.thread == call.thread for c in later),
    }
    if ended.code == 0:
        # SQLite does without a folder's sync, and need not empty the log when all is done.
        spare = f"<{place.ledger.parent}>" in call.arguments or call.at > max(requests)
        wrong["the failure was not heard of"] = not spare
        wrong["not every user was served"] = set(reasons.values()) != {"accepted"}
    else:
        said = without_times(ended.said).splitlines()
        lines = [line for line in said if line.startswith(("Error:", "Stopped"))]
        wrong[f"{len(lines)} sentences"] = len(lines) != 1
        # However late a request leaves, its intent was on the disk before: none was lost.
        wrong["sent without an intent"] = not delivered.keys() <= intended(place)
    return [what for what, is_so in wrong.items() if is_so]


def intended(place: Place) -> set[str]:
    """Return the users with an intent, read from a copy: to open the ledger would repair it."""
    copy = place.folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(place.ledger.parent, copy)
    with contextlib.closing(sqlite3.connect(copy / place.ledger.name)) as ledger:
        try:
            return {name for (name,) in ledger.execute("SELECT name FROM messages")}
        except sqlite3.OperationalError:
            return set()  # it was not made to its end


def break_disk(
    folder: Path, names: Sequence[str], tell: Callable[[str], None], most: int | None = None
) -> None:
    every = points(Place(folder / "counted", names), _CALLS, ledger=True)
    assert {"pwrite64", "fdatasync", "fsync"} <= {point.call for point in every}
    chosen = every if most is None else spread(every, most)
    cases = [Case(point, *error) for point in chosen for error in _ERRORS]
    if most is not None:
        cases = [case for n, case in enumerate(cases) if n % 4 in {0, 3}]  # one, then the other
    done = side_by_side(partial(fail, folder, names), cases)
    verdict = sum((one.verdict for one in done), Verdict())
    hits = sum(one.hit for one in done)
    codes = Counter(one.code for one in done if one.hit)
    unheard = [str(case) for case, one in zip(cases, done, strict=True) if one.hit and not one.code]
    tell(
        f"{hits} errors at {len(chosen)} of {len(every)} points of a run of {len(names)} users,"
        f" exit codes {dict(codes)}, {verdict}, {verdict.doubt(hits, 'error')};"
        f" did without: {', '.join(unheard) or 'none'}"
    )
    wrong = {
        str(case): one.complaints for case, one in zip(cases, done, strict=True) if one.complaints
    }
    assert not wrong
    assert hits >= 0.7 * len(cases)
    assert (verdict.twice, verdict.lost) == (0, 0)


def test_failing_disk_stops_the_run_without_a_second_message(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    break_disk(tmp_path, users(12), tell, most=14)


@pytest.mark.long
@pytest.mark.timeout(6 * 3600)
def test_disk_error_at_any_call_causes_no_second_message(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    break_disk(tmp_path, users(USERS), tell)


def test_ledger_that_cannot_note_the_start_leaves_no_report(
    tmp_path: Path,
) -> None:
    """A run whose start cannot be noted leaves no report without rows."""
    place = Place(tmp_path, users(3))
    with Simulator() as simulator:
        first_sync_of_the_log = Point("fdatasync", 1, log=True, ledger=True)
        ended, calls = run_into(Case(first_sync_of_the_log, "EIO", on=False), place, simulator)
        assert any(call.injected for call in calls)
        assert ended.code == 4
        assert not simulator.deliveries
    assert not ended.path.exists() or ended.report.tells_every(place.names)
