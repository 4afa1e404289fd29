"""Which times are searched, and which answered requests are controls in them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.reconcile import windows as module
from batch_resend.reconcile.windows import Control, Controls, Doubt, Window, windows

FLIGHT = 300.0


def doubt(at: float) -> Doubt:
    return Doubt(f"d{at}", f"mark{at}", at)


def control(at: float, took: float = 1.0, mark: str = "") -> Control:
    return Control(mark or f"control{at}", at, at + took)


def controlled(controls: Iterable[Control], searched: Sequence[Window]) -> Controls:
    result = Controls(searched, FLIGHT)
    for one in controls:
        result.add(one)
    return result


def test_window_holds_clocks_controls_and_flight() -> None:
    (window,) = windows([doubt(1000.0)], FLIGHT)
    assert (window.start, window.end) == (880.0, 1360.0)


def test_windows_that_touch_are_one() -> None:
    one, two = windows([doubt(2000.0), doubt(1480.0), doubt(1000.0)], FLIGHT)
    assert (one.start, one.end) == (880.0, 1840.0)
    assert [one_doubt.intended_at for one_doubt in one.doubts] == [1000.0, 1480.0]
    assert (two.start, two.end) == (1880.0, 2360.0)


@given(st.lists(st.floats(0, 1e5), max_size=30), st.floats(1, 2000))
def test_windows_hold_each_doubt_once_and_do_not_touch(times: list[float], flight: float) -> None:
    result = windows(map(doubt, times), flight)
    assert sorted(one.intended_at for window in result for one in window.doubts) == sorted(times)
    for window in result:
        for one in window.doubts:
            rounding = 1e-6
            assert window.start <= one.intended_at - 120 + rounding
            assert window.end >= one.intended_at + flight + 60 - rounding
    assert all(a.end < b.start for a, b in itertools.pairwise(result))


def test_control_counts_only_where_its_record_must_be() -> None:
    """From a minute before the doubt on, and answered before the longest flight is over."""
    searched = windows([doubt(1000.0)], FLIGHT)
    inside = [940.0, 1000.0, 1299.0]
    outside = [939.0, 1299.5, 1400.0, 100.0]
    controls = controlled(map(control, [*inside, *outside]), searched)
    assert controls.marks() == {f"control{at}" for at in inside}


def test_one_missing_control_spoils_its_window_only() -> None:
    early, late = doubt(1000.0), doubt(5000.0)
    searched = windows([early, late], FLIGHT)
    controls = controlled(map(control, [990.0, 995.0, 4990.0, 4995.0]), searched)
    controls.count(controls.marks() - {"control990.0"})
    assert controls.around(early) == module.Around(near=2, missing=1)
    assert not controls.around(early).prove(1)
    assert controls.around(late) == module.Around(near=2, missing=0)
    assert controls.around(late).prove(2)
    assert not controls.around(late).prove(3)
    assert controls.in_window(searched[0]) == (2, 1)


def test_far_controls_of_a_long_window_are_not_around() -> None:
    """But one of them that is missing spoils the window all the same."""
    doubts = [doubt(1000.0 + 400 * n) for n in range(10)]
    searched = windows(doubts, FLIGHT)
    assert len(searched) == 1
    controls = controlled(map(control, [4590.0, 4595.0]), searched)
    controls.count({"control4590.0"})
    assert controls.around(doubts[0]) == module.Around(near=0, missing=1)
    assert controls.around(doubts[-1]) == module.Around(near=2, missing=1)


def test_controls_are_sampled_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    """By their marks, so that the same ones are kept each time."""
    monkeypatch.setattr(module, "MOST_CONTROLS", 100)
    searched = windows([doubt(1000.0)], FLIGHT)
    many = [control(950.0 + n / 10, mark=f"{n * 7919 % 1000:04}") for n in range(1000)]
    controls = controlled(iter(many), searched)
    again = controlled(reversed(many), searched)
    assert controls.marks() == again.marks() == {f"{n:04}" for n in range(100)}


def test_doubt_outside_of_all_windows_has_no_controls() -> None:
    assert controlled([control(990.0)], []).around(doubt(1000.0)) == module.Around()
