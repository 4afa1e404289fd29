"""The pace's goals that are cheap enough to be tests: in the lab, late as a real machine is.

The figures are medians over a few seeds with some air; `python -m tests.benchmarks.goals` has
all goals over more of them.
"""

from functools import partial
from statistics import median

import pytest

from batch_resend.simulator.quota import Style
from tests.benchmarks import goals
from tests.benchmarks.goals import Score, World
from tests.benchmarks.lab import METRIC

BUCKET = Style.TOKEN_BUCKET


def run(goal: partial[Score], seeds: int = 4) -> tuple[float, float, float]:
    """The medians of what is measured, of our and of others' throttled part."""
    scores = [goal(World(), seed) for seed in range(seeds)]
    return (
        median(score.value for score in scores),
        median(score.throttled for score in scores),
        median(score.others or 0.0 for score in scores),
    )


def test_an_unknown_quota_costs_little_on_a_late_machine() -> None:
    """Late timers starved the growth once: 1.04, and 1.48 at 500 per second."""
    value, throttled, _ = run(partial(goals.unknown, 30, 900, None))
    assert value < 1.03
    assert throttled < 0.008
    assert run(partial(goals.unknown, 500, 30_000, None), seeds=2)[0] < 1.15


@pytest.mark.parametrize(("rate", "most", "throttles"), [(1, 1.8, 0.18), (2, 1.21, 0.09)])
def test_a_quota_of_one_or_two_is_found(rate: int, most: float, throttles: float) -> None:
    value, throttled, _ = run(partial(goals.unknown, rate, 120 * rate, None))
    assert value < most
    assert throttled < throttles


def test_a_moving_quota_is_mostly_used() -> None:
    value, throttled, _ = run(partial(goals.moving, (40, 15, 60)))
    assert value > 0.82
    assert throttled < 0.01


def test_live_calls_are_hardly_throttled() -> None:
    """A constant rate that knows everything: 1.0 % at all of the rest, 0.3 % at 96 % of it."""
    taken, _, live = run(partial(goals.live, BUCKET, 1000, None, None))
    assert taken > 0.9
    assert live < 0.014
    taken, _, live = run(partial(goals.live, BUCKET, 1000, 50.0, METRIC))
    assert taken > 0.92
    assert live < 0.005


@pytest.mark.parametrize("lie", goals.LYING)
def test_a_lying_metric_harms_live_calls_no_more_than_none(lie: str) -> None:
    taken, _, live = run(partial(goals.live, BUCKET, 1000, 50.0, goals.LYING[lie]))
    assert taken > 0.88
    assert live < 0.016


@pytest.mark.parametrize(("every", "least"), [(5, 0.6), (10, 0.75), (30, 0.75)])
@pytest.mark.parametrize("quota", [None, 50.0])
def test_bursts_of_others_do_not_wear_the_pace_down(
    every: float, least: float, quota: float | None
) -> None:
    assert run(partial(goals.bursts, every, quota, None))[0] > (least if quota is None else 0.85)


@pytest.mark.parametrize("part", [0.003, 0.01])
def test_chance_throttles_are_borne_where_the_quota_is_known(part: float) -> None:
    assert run(partial(goals.chance, part, 25, 50.0))[0] > 0.88


def test_three_processes_share_a_quota_fairly() -> None:
    index, throttled, _ = run(partial(goals.shared, BUCKET, 0.0, None))
    assert index > 0.9
    assert throttled < 0.01


def test_configured_quota_is_fully_used_without_a_throttle() -> None:
    value, throttled, _ = run(partial(goals.fixed_rate, BUCKET), seeds=2)
    assert value < 1.005
    assert throttled == 0
