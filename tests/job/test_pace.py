"""The pace's arithmetic, by hand: what each throttle and each response makes of the rate."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.job.pace import (
    CUT,
    EASE,
    EMPTY_CUT,
    FIRST_CUT,
    LONGEST_REST,
    PRICE,
    REST,
    SHORT_REST,
    SLOWEST,
    TARGET,
    Pace,
)
from batch_resend.job.usage import Usage
from batch_resend.simulator.quota import Quota, Style
from tests.benchmarks.lab import drive


def departures(pace: Pace, until: float, *, now: float = 0.0) -> list[float]:
    times: list[float] = []
    while True:
        now += max(0.0, pace.delay(now))
        if now >= until:
            return times
        pace.leave(now)
        times.append(now)


@pytest.mark.parametrize(("ceiling", "rate"), [(25, 25), (50, 50), (500, 50), (0.5, 0.5)])
def test_it_starts_at_the_ceiling_or_at_cognitos_default(ceiling: float, rate: float) -> None:
    assert rate == Pace(ceiling).rate


def test_requests_are_spaced_evenly() -> None:
    times = departures(Pace(20), 10)
    assert len(times) == 200
    for before, after in pairwise(times):
        assert after - before == pytest.approx(0.05)


def test_nothing_is_hoarded_in_a_pause() -> None:
    pace = Pace(20)
    departures(pace, 1)
    times = departures(pace, 100.99, now=100)
    assert len(times) == 20


def test_a_little_lateness_is_made_good_and_no_more() -> None:
    pace = Pace(20)
    pace.leave(0.0)
    pace.leave(0.055)
    assert pace.delay(0.055) == pytest.approx(0.045)
    pace.leave(1.0)
    assert pace.delay(1.0) == pytest.approx(0.05)


def test_requests_that_left_before_a_cut_do_not_cut_again() -> None:
    pace = Pace(50)
    pace.throttled(0.9, 1.0)
    rate = pace.rate
    assert rate == pytest.approx(50 * FIRST_CUT)
    for _ in range(20):
        pace.throttled(0.99, 1.05)
    assert rate == pace.rate
    pace.throttled(1.2, 1.3)
    assert pace.rate < rate


def test_requests_delayed_into_the_rest_do_not_cut_again() -> None:
    """A commit can hold a request back that had its slot before the cut."""
    pace = Pace(50)
    pace.throttled(0.9, 1.0)
    rate, rest = pace.rate, pace.delay(1.0)
    pace.throttled(1.0 + rest * 0.99, 1.3)
    assert pace.rate == rate
    pace.throttled(1.0 + rest * 1.01, 1.3)
    assert pace.rate < rate


def test_a_throttle_gives_the_quota_a_rest() -> None:
    pace = Pace(50)
    pace.throttled(0.9, 1.0)
    assert pace.delay(1.0) == pytest.approx(4 / (50 * FIRST_CUT))


def test_the_rate_never_ends() -> None:
    pace = Pace(50)
    for second in range(1, 5000):
        pace.throttled(second, second + 0.5)
    assert pace.rate == SLOWEST
    assert 0 < pace.delay(5000) <= 4 / SLOWEST


def grow(pace: Pace, since: float, seconds: float, *, busy: bool = True) -> None:
    """Answer ten times per second; where `busy`, each slot is taken as soon as it is free."""
    for tick in range(int(seconds * 10)):
        at = since + tick / 10
        if busy:
            pace.leave(at)
        pace.answered(at, at)


def test_it_returns_to_just_below_the_limit_and_holds() -> None:
    pace = Pace(1000)
    pace.throttled(0.9, 1.0)
    assert pace.limit == pytest.approx(42.5)
    grow(pace, 1.1, 9)
    assert pace.rate == pytest.approx(42.5 * 0.97, rel=0.001)
    grow(pace, 10.1, 10)
    assert pace.rate > 42.5, "and then looks for more"


def test_a_limit_met_again_is_held_further_away() -> None:
    held = []
    pace, now = Pace(1000), 1.0
    pace.throttled(now, now)
    for _ in range(6):
        grow(pace, now + 0.5, 8)
        now += 8.5
        held.append(round(pace.rate / (pace.limit or 0.0), 2))
        pace._accepted, pace._spare, pace._spare_at = 15, 0.0, now  # fully earned
        pace.throttled(now, now)
    assert held[0] == pytest.approx(0.97, abs=0.01)
    assert held == sorted(held, reverse=True)
    assert held[-1] == pytest.approx(0.8, abs=0.01)


def test_a_strict_second_is_known_at_the_first_throttle() -> None:
    for rate in (10, 20, 30):
        pace = Pace(50)
        drive(pace, Quota(rate, style=Style.SLIDING_SECOND), seconds=1.0)
        assert pace.limit == rate


def test_the_tail_of_a_throttled_second_teaches_nothing() -> None:
    """It slows the rate: by a quarter where something was accepted in between, else by more."""
    pace = Pace(50)
    pace.throttled(0.9, 0.91)
    limit, left = pace.limit, 0.91 + pace.delay(0.91) + 0.01
    pace.answered(left, left)
    pace.throttled(left, left)
    assert pace.rate == pytest.approx(50 * FIRST_CUT**2, rel=0.03)
    left += pace.delay(left) + 0.01
    pace.throttled(left, left)
    assert pace.rate == pytest.approx(50 * FIRST_CUT**2 * EMPTY_CUT, rel=0.03)
    assert left < 1.9
    assert pace.limit == limit
    pace.throttled(2.0, 2.0)
    assert pace.limit != limit


def measured(rate: float, *, limit: float = 40.0, accepted: int = 10) -> Pace:
    """A pace that has measured its limit, last met it at 10 and sent `accepted` since."""
    pace = Pace(1000)
    pace.throttled(1.0, 1.0)
    pace._guessed, pace.limit, pace.rate = False, limit, rate
    pace._count_from(10.0)
    pace._accepted = accepted
    return pace


def test_a_throttle_above_the_limit_slows_down_less() -> None:
    pace = measured(42.0)
    pace._spare, pace._spare_at = 0.0, 20.0
    pace._last_second.extend(19 + (n + 1) / 44 for n in range(44))
    pace.throttled(20.0, 20.0)
    assert pace.rate == pytest.approx(42 * EASE)
    assert pace.limit == pytest.approx(40.5)  # the bucket says 40, the second 42


@pytest.mark.parametrize(
    ("accepted", "spare", "left", "limit"),
    [
        (0, 0.0, CUT, 40.0),  # none, and the bucket was empty: fully earned
        (PRICE // 2, 0.0, 1 - (1 - CUT) / 2, 40.0),
        (PRICE // 2, 20.0, 1 - (1 - CUT) / 4, 40 - 20 / 10 / 8),  # a bucket half full
        (PRICE // 2, 40.0, 1.0, 40.0),  # a full one: a burst of others
        (PRICE, 0.0, 1.0, 40.4),  # a price, paid
    ],
)
def test_a_throttle_is_believed_as_far_as_it_was_earned(
    accepted: int, spare: float, left: float, limit: float
) -> None:
    pace = measured(36.0, accepted=accepted)
    pace._spare, pace._spare_at = spare, 20.0
    pace.throttled(20.0, 20.0)
    assert pace.rate == pytest.approx(36 * left)
    assert pace.limit == pytest.approx(limit)


def test_no_price_is_paid_for_a_guess_a_look_or_in_haste() -> None:
    guessed, looked, hasty = (measured(36.0, accepted=PRICE) for _ in range(3))
    guessed._guessed, looked.rate = True, 41.0
    for pace, at in ((guessed, 20.0), (looked, 20.0), (hasty, 12.0)):
        pace._spare, pace._spare_at = 0.0, at
        rate = pace.rate
        pace.throttled(at, at)
        assert pace.limit != 40.4
        assert pace.rate < rate or pace is hasty


def test_a_rest_gives_back_ten_requests_and_at_most_a_second() -> None:
    for rate, rest in ((36.0, REST / 36), (5.0, LONGEST_REST), (1.0, 4.0)):
        pace = measured(rate, limit=rate / 0.9, accepted=PRICE)
        pace.throttled(20.0, 20.0)
        assert pace.rate == rate
        assert pace.delay(20.0) == pytest.approx(rest)


def test_the_limit_is_measured_between_two_throttles() -> None:
    for burst in (3, 30, 150):
        pace = Pace(1000)
        drive(pace, Quota(30, burst=burst), seconds=300)
        assert pace.limit == pytest.approx(30, rel=0.12), burst


def test_the_limit_is_measured_right_from_far_away() -> None:
    """Counted are departures: responses would bias the interval by the round trip."""
    for seed in range(3):
        pace = Pace(1000)
        drive(pace, Quota(30, burst=30), seconds=200, latency=0.3, seed=seed)
        assert pace.limit == pytest.approx(30, rel=0.1)


def test_a_moving_quota_is_followed_down_at_once_and_up_in_time() -> None:
    """Down within seconds; up within a minute, since live calls come first."""

    def quota(now: float) -> float:
        return 60.0 if now < 90 or now > 190 else 15.0

    came = drive(Pace(1000), Quota(quota), seconds=260)

    def between(start: float, end: float) -> float:
        return sum(start <= at < end for at in came.left_at) / (end - start)

    assert between(80, 90) == pytest.approx(60, rel=0.2)
    assert between(96, 100) < 20
    assert between(170, 190) == pytest.approx(15, rel=0.2)
    assert max(rate for at, rate in came.rates if 190 < at < 250) > 54


@pytest.mark.parametrize("style", Style)
@pytest.mark.parametrize("rate", [5, 30, 120])
def test_no_style_of_enforcement_costs_much(style: Style, rate: int) -> None:
    came = drive(Pace(1000), Quota(rate, style=style), users=rate * 60)
    assert came.throttled_part < 0.05
    assert came.seconds < 60 * 1.25


answers = st.lists(
    st.tuples(
        st.sampled_from(["answered", "throttled", "silent"]),
        st.one_of(st.just(0.0), st.floats(0, 0.02), st.floats(0, 5)),
        st.booleans(),
    ),
    max_size=150,
)


@given(answers, st.floats(0.5, 200), st.booleans())
def test_no_window_has_more_than_the_ceiling_allows(
    answers: list[tuple[str, float, bool]], ceiling: float, punctual: bool
) -> None:
    """A timer may be late, by anything: a hundredth of a second of it is made good."""
    pace, now, times = Pace(ceiling), 0.0, []
    for what, late, busy in answers:
        now = max(now, pace.delay(now) + now) + (0.0 if punctual else late)
        pace.leave(now)
        times.append(now)
        if what == "throttled":
            pace.throttled(now, now)
        elif what == "answered":
            if not busy:
                now += 1.0
            pace.answered(now, now)
    slack = 0.0 if punctual else 0.01
    for first, start in enumerate(times):
        for count, end in enumerate(times[first:], start=1):
            assert count <= ceiling * (end - start + slack) + 1 + 1e-6


@given(st.floats(0.5, 200), st.floats(0, 1000))
def test_after_a_pause_of_any_length_nothing_was_hoarded(ceiling: float, pause: float) -> None:
    pace = Pace(ceiling)
    before = departures(pace, 10 / pace.rate)
    start = before[-1] + pause
    after = departures(pace, start + 10 / pace.rate, now=start)
    assert len(after) <= 11


def test_growth_needs_a_pace_that_is_waited_for() -> None:
    pace = Pace(1000)
    grow(pace, 0.0, 100, busy=False)
    assert pace.rate == 50


def test_growth_survives_timers_that_wake_late() -> None:
    """A response that comes between the moment a slot is free and the moment a late timer
    takes it shows a pace that is waited for; a slot that is free for a gap does not."""
    for gaps, grown in ((0.98, True), (1.02, False)):
        pace = measured(20.0)
        pace.leave(20.0)
        pace.answered(20.0, 20.0)
        rate, free_at = pace.rate, 20.0 + pace.delay(20.0)
        pace.answered(20.01, free_at + gaps / rate)
        assert (pace.rate > rate) is grown, gaps


def test_growth_survives_timers_later_than_a_gap() -> None:
    pace = measured(500.0, limit=600.0)
    pace.leave(20.0)
    pace.answered(20.0, 20.0)
    pace.answered(20.001, 20.002 + 0.009)
    assert pace.rate > 500


def test_it_never_passes_the_ceiling() -> None:
    pace = Pace(60)
    grow(pace, 0.0, 1000)
    assert pace.rate == 60
    pace.throttled(1000, 1000)
    grow(pace, 1000.1, 1000)
    assert pace.rate == 60


steps = st.lists(
    st.tuples(st.sampled_from(["leave", "throttle", "answer"]), st.floats(0, 30)),
    max_size=200,
)


@given(steps, st.floats(0.1, 10_000))
def test_whatever_comes_the_rate_stays_within_its_bounds(
    steps: list[tuple[str, float]], ceiling: float
) -> None:
    pace, now = Pace(ceiling), 0.0
    for what, later in steps:
        left, now = now, now + later
        if what == "leave":
            now = max(now, now + pace.delay(now))
            pace.leave(now)
        elif what == "throttle":
            pace.throttled(left, now)
        else:
            pace.answered(left, now)
        assert min(SLOWEST, ceiling) <= pace.rate <= ceiling
        assert pace.delay(now) <= 5 / min(SLOWEST, ceiling)


# -- what is known -----------------------------------------------------------------


def test_a_known_quota_is_where_the_pace_begins_and_ends() -> None:
    pace = Pace(1000, quota=80)
    assert pace.rate == 80
    grow(pace, 0.0, 100)
    assert pace.rate == 80
    assert Pace(25, quota=80).rate == 25


def test_far_below_a_known_quota_throttles_are_chance_at_first() -> None:
    """One in a hundred is borne for good; one in ten is believed after six more than that."""
    pace, now = Pace(25, quota=50), 0.0
    for _ in range(30):
        for _ in range(99):
            now += 0.04
            pace.answered(now, now)
        pace.throttled(now, now)
        assert pace.rate == 25
        assert pace.delay(now) == pytest.approx(SHORT_REST / 25)
        now += 0.1
    throttles = 0
    while pace.rate == 25 and throttles < 20:
        for _ in range(9):
            now += 0.04
            pace.answered(now, now)
        pace.throttled(now, now)
        throttles, now = throttles + 1, now + 0.1
    assert 5 <= throttles <= 10


def test_where_others_use_is_known_their_room_is_left_to_them() -> None:
    pace = Pace(1000, quota=50)
    pace.used(-60.0, 35 * 60)
    grow(pace, 0.0, 5)
    assert pace.rate == pytest.approx(15 * TARGET)
    pace._accepted = PRICE
    pace.throttled(6.0, 6.0)
    assert pace.rate == pytest.approx(15 * TARGET * 0.97)


def test_a_metric_that_throttles_speak_against_is_put_aside() -> None:
    pace, now = Pace(1000, quota=50), 0.0
    pace.used(-60.0, 0.0)  # it reports no others
    for _ in range(12):
        pace.throttled(now, now)
        now += pace.delay(now) + 0.01
        pace.answered(now, now)
    assert pace.usage.room(now) is None
    assert pace.rate < 15


def test_own_requests_do_not_count_as_use_by_others() -> None:
    usage = Usage(50)
    for n in range(600):
        usage.accepted(30 + n / 10)  # ten a second, from 30 to 90
    usage.counted(30.0, 20 * 60)
    assert usage.room(100.0) == pytest.approx(40, abs=0.1)


def test_minute_reported_again_replaces_the_first() -> None:
    """Two pools of one quota may each request the metric; their clocks agree to a second."""
    usage = Usage(50)
    for since, calls in ((0.0, 600), (60.0, 1200), (0.4, 600), (60.3, 1800)):
        usage.counted(since, calls)
    assert usage.room(130.0) == pytest.approx(50 - (10 + 30) / 2)


def test_old_or_little_room_is_not_believed() -> None:
    usage = Usage(50)
    assert usage.room(0.0) is None
    usage.counted(0.0, 35 * 60)
    assert usage.room(120.0) == pytest.approx(15)
    assert usage.room(601.0) is None
    usage.counted(600.0, 90 * 60)
    assert usage.room(700.0) is None, "more than the quota: the metric counts something else"
    assert Usage(None).room(0.0) is None
