"""When the requests in doubt were made, and which answered ones around them are controls. Pure.

A mark makes a wide window harmless; what it costs is the Region's events in it. So a window
is as wide as clocks may differ and requests may take, and no wider. All times are in seconds
since the epoch.

A control is a request of ours that Cognito answered. It needs a record as much as the one in
doubt does, so it shows whether marks arrive in CloudTrail at all: from these hours, by this
way, in this account.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from batch_resend.model import Reason

CLOCKS = 60.0  #: by how much our clock and AWS's may differ
BEFORE = 60.0  #: how long before a request its controls may have been made

#: Controls that are kept: a sample of more, even over time, for marks are as good as drawn.
MOST_CONTROLS = 100_000


@dataclass(frozen=True, slots=True)
class Doubt:
    """A message of unknown outcome.

    `id` is how its ledger knows it, `reason` None while it is open. `request_id` is empty
    where no response came. `names` are keyed hashes of a listed user's names, the `sub` among
    them; empty where no listing has them. `recorded`: an earlier search has found a record. `name`
    is the name sent to, if it has not been erased; for people only.
    """

    id: str
    mark: str
    intended_at: float
    reason: Reason | None = None
    request_id: str = ""
    names: frozenset[bytes] = frozenset()
    recorded: bool = False
    name: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Control:
    """A message that Cognito answered; its record is made between the two times."""

    mark: str
    intended_at: float
    settled_at: float


@dataclass(frozen=True, slots=True)
class Window:
    """A time to be searched, and the doubts that it is searched for."""

    start: float
    end: float
    doubts: tuple[Doubt, ...] = field(default=(), repr=False)

    def must_hold(self, control: Control) -> bool:
        """Whether a control's record lies in it, whatever the clocks are."""
        begins, ends = control.intended_at - CLOCKS, control.settled_at + CLOCKS
        return self.start <= begins and ends <= self.end


def first_moment(doubt: Doubt) -> float:
    """Return when the records that matter to a doubt begin, those of its controls included."""
    return doubt.intended_at - BEFORE - CLOCKS


def windows(doubts: Iterable[Doubt], flight: float) -> list[Window]:
    """Return the times that hold every record wanted, apart from each other, oldest first.

    `flight` is the longest that a request can have been under way.
    """
    merged: list[tuple[float, float, list[Doubt]]] = []
    for doubt in sorted(doubts, key=lambda one: one.intended_at):
        start = first_moment(doubt)
        end = doubt.intended_at + flight + CLOCKS
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], end, merged[-1][2])
            merged[-1][2].append(doubt)
        else:
            merged.append((start, end, [doubt]))
    return [Window(start, end, tuple(within)) for start, end, within in merged]


def within(searched: Iterable[Window], oldest: float, now: float) -> list[Window]:
    """Leave out what no history has, and what is still to come."""
    return [
        replace(window, start=max(window.start, oldest), end=min(window.end, now))
        for window in searched
        if window.end > oldest and window.start < now
    ]


@dataclass(frozen=True, slots=True)
class Around:
    """The controls of one doubt, and those of its whole window that have no record."""

    near: int = 0
    missing: int = 0

    def prove(self, wanted: int) -> bool:
        """Whether a missing record among them is evidence."""
        return self.near >= wanted and not self.missing


class Controls:
    """The controls of all windows: first `add` them all, then `count`."""

    def __init__(self, searched: Sequence[Window], flight: float) -> None:
        self._flight = flight
        self._searched = searched
        self._starts = [window.start for window in searched]
        self._controls: list[Control] = []
        self._times: list[float] = []
        self._missing_before = [0]

    def add(self, control: Control) -> None:
        """Keep a control, if its record must lie in a window."""
        window = self._window_of(control.intended_at)
        if window is None or not window.must_hold(control):
            return
        self._controls.append(control)
        if len(self._controls) >= 2 * MOST_CONTROLS:
            self._thin_out()

    def marks(self) -> frozenset[str]:
        """Return the marks of those that are kept."""
        if len(self._controls) > MOST_CONTROLS:
            self._thin_out()
        return frozenset(control.mark for control in self._controls)

    def count(self, seen: Container[str]) -> None:
        """Count those without a record, given the marks that have one."""
        self._controls.sort(key=lambda one: one.intended_at)
        self._times = [control.intended_at for control in self._controls]
        missing = (control.mark not in seen for control in self._controls)
        self._missing_before = [0, *accumulate(missing)]

    def around(self, doubt: Doubt) -> Around:
        """Return the controls of a doubt, as `count` has found them."""
        window = self._window_of(doubt.intended_at)
        if window is None:
            return Around()
        start = doubt.intended_at - BEFORE
        near, _ = self._of(start, doubt.intended_at + self._flight)
        return Around(near, self.in_window(window)[1])

    def in_window(self, window: Window) -> tuple[int, int]:
        """Return how many a window has, and how many of these have no record."""
        return self._of(window.start, window.end)

    def _of(self, start: float, end: float) -> tuple[int, int]:
        first, after = bisect_left(self._times, start), bisect_right(self._times, end)
        return after - first, self._missing_before[after] - self._missing_before[first]

    def _window_of(self, at: float) -> Window | None:
        index = bisect_right(self._starts, at) - 1
        return self._searched[index] if index >= 0 else None

    def _thin_out(self) -> None:
        self._controls = sorted(self._controls, key=lambda one: one.mark)[:MOST_CONTROLS]
