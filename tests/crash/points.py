"""Every single call of a run, as strace can hit it.

strace counts the calls of a name for each thread apart, and whichever thread comes first to
the number is hit. So the points are of two kinds: the calls of the main thread, traced alone
(it makes the ledger, sends, reports, ends the run), and the calls on the ledger's log, which
but for the first few are those of the thread that commits. All that this thread does besides
is to wake the main one.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .harness import SEED, Place, Simulator
from .tracing import read_trace, under_strace

_LATENCY = 0.1


@dataclass(frozen=True)
class Point:
    """The n-th call of a name: of the main thread, or on the ledger's log.

    With `ledger` only those calls of the main thread count that touch the ledger's files.
    """

    call: str
    number: int
    log: bool
    ledger: bool

    def __str__(self) -> str:
        return f"{self.call}-{self.number}-{'log' if self.log else 'main'}"

    def hit(
        self,
        place: Place,
        output: str | Path,
        how: str,
        *more: str,
        on: bool = False,
        calls: Sequence[str] = (),
    ) -> list[str]:
        """Start a command to which `how` happens here, or from here on; trace `calls` too."""
        inject = f"inject={self.call}:{how}:when={self.number}{'+' if on else ''}"
        wanted = [self.call, *calls]
        return _tracer(place, output, wanted, self.log, self.ledger, "-e", inject, *more)


def points(place: Place, calls: Sequence[str], *, ledger: bool = False) -> list[Point]:
    """Count the calls of two runs that nothing happens to."""
    return [*_count(place, calls, ledger, log=False), *_count(place, calls, ledger, log=True)]


def spread(every: Sequence[Point], most: int) -> list[Point]:
    """Choose a number of points, evenly."""
    offset = random.Random(SEED).random()
    return [every[int((n + offset) * len(every) / most)] for n in range(most)]


def _tracer(
    place: Place, output: str | Path, calls: Sequence[str], log: bool, ledger: bool, *more: str
) -> list[str]:
    paths = [f"{place.ledger}-wal"]
    if not log:
        ends = ("", ".lock", "-journal", ".new", ".new-journal", ".sums", ".sums.new")
        paths = [*paths, *(f"{place.ledger}{end}" for end in ends), str(place.ledger.parent)]
    only = [option for path in paths for option in ("-P", path)] if log or ledger else []
    return under_strace(output, calls, *only, *more, threads=log)


def _count(place: Place, calls: Sequence[str], ledger: bool, *, log: bool) -> list[Point]:
    place = Place(place.folder / ("log" if log else "main"), place.names)
    output = place.folder / "calls.txt"
    with Simulator(latency=_LATENCY) as simulator:
        assert place.run(simulator, before=_tracer(place, output, calls, log, ledger)).code == 0
    trace = read_trace(output)
    main = trace[0].thread
    numbers = Counter(call.name for call in trace if (call.thread != main) == log)
    # On the log, the main thread is first to the first few numbers.
    first: Counter[str] = Counter()
    for call in trace if log else ():
        if call.thread != main:
            break
        first[call.name] += 1
    return [
        Point(name, number, log, ledger)
        for name, most in sorted(numbers.items())
        for number in range(first[name] + 1, most + 1)
    ]
