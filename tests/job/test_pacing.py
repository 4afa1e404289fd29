"""The pace: arithmetic by hand, and the gate in virtual time."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from statistics import median
from typing import Any

import anyio
import pytest
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.job.outcome import Signal, judge
from batch_resend.job.pacing import (
    CUT,
    EASE,
    HANDFUL,
    HOLD,
    LONGEST_PAUSE,
    SLOWEST,
    Closed,
    Gate,
    Health,
    Pace,
    Place,
)
from batch_resend.model import Reply, Wire
from batch_resend.simulator.quota import Quota, Style
from tests.benchmarks import pace as bench
from tests.benchmarks.lab import LATE, drive

TIRED = "Attempt limit exceeded, please try after some time."


def virtually(work: Callable[[], Any]) -> Any:
    clock = trio.testing.MockClock(autojump_threshold=0)
    return trio.run(work, clock=clock)


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
    assert rate == pytest.approx(30)
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
    assert pace.delay(1.0) == pytest.approx(4 / 30)


def test_the_rate_never_ends() -> None:
    pace = Pace(50)
    for second in range(1, 5000):
        pace.throttled(second, second + 0.5)
    assert pace.rate == SLOWEST
    assert 0 < pace.delay(5000) <= 4 / SLOWEST


def grow(pace: Pace, since: float, seconds: float, *, busy: bool = True) -> None:
    """Answer ten times a second; where `busy`, each slot is taken as soon as it is free."""
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


def test_each_time_the_same_limit_is_met_it_is_held_further_away() -> None:
    held, places = [], []
    pace, now = Pace(1000), 1.0
    pace.throttled(now, now)
    for _ in range(6):
        limit = pace.limit or 0.0
        start = None
        while True:
            before = pace.rate
            now += 0.1
            pace.leave(now)
            pace.answered(now, now)
            if pace.rate == before and start is None:
                start = now
            elif pace.rate > before and start is not None:
                held.append(now - start)
                places.append(before / limit)
                break
        pace.rate, pace._accepted = limit, int((now - pace._met_at) * limit)
        pace.throttled(now, now)
    assert held == pytest.approx([HOLD] * 6, abs=0.3)
    assert places == pytest.approx([0.97, 0.94, 0.91, 0.88, 0.85, 0.85], abs=0.002)


def test_where_requests_are_counted_by_the_second_the_first_throttle_tells_the_limit() -> None:
    for rate in (10, 20, 30):
        pace = Pace(50)
        drive(pace, Quota(rate, style=Style.SLIDING_SECOND), seconds=1.0)
        assert pace.limit == rate


def test_the_tail_of_a_throttled_second_slows_down_but_teaches_nothing() -> None:
    pace = Pace(50)
    pace.throttled(0.9, 0.91)
    limit, cuts, left = pace.limit, 1, 0.91 + pace.delay(0.91)
    while left < 1.9:
        assert pace.limit == limit
        assert pace.rate == pytest.approx(50 * CUT**cuts)
        pace.throttled(left, left + 0.01)
        cuts, left = cuts + 1, left + 0.01 + pace.delay(left + 0.01)
    assert cuts >= 3
    pace.throttled(left, left + 0.01)
    assert pace.limit != limit


def test_who_looked_for_more_and_found_a_throttle_slows_down_less() -> None:
    for part, left in ((1.05, EASE), (0.95, CUT)):
        pace = Pace(1000)
        pace.throttled(1.0, 1.0)
        assert pace.limit == pytest.approx(42.5)
        pace.rate, pace._accepted = 42.5 * part, int(42.5 * 19)
        pace._last_second.extend(19 + (n + 1) / 44 for n in range(44))
        pace.throttled(20.0, 20.0)
        assert pace.rate == pytest.approx(42.5 * part * left)


def test_the_limit_is_measured_by_what_was_accepted_between_two_throttles() -> None:
    for burst in (3, 30, 150):
        pace = Pace(1000)
        drive(pace, Quota(30, burst=burst), seconds=300)
        assert pace.limit == pytest.approx(30, rel=0.1), burst


def test_the_limit_is_measured_right_from_far_away() -> None:
    """Counted are departures: responses would bias the interval by the round trip."""
    pace = Pace(1000)
    pace.throttled(1.0, 1.3)
    for n in range(40 * 6):
        left = 1.0 + (n + 1) / 40
        pace.leave(left)
        pace.answered(left, left + 0.3)
        pace.rate = 40.0
    pace.limit = 40.0
    pace.throttled(7.01, 7.31)
    assert pace.limit == pytest.approx(40, rel=0.01)


def test_a_quota_that_moves_is_followed_down_within_seconds_and_up_within_half_a_minute() -> None:
    def quota(now: float) -> float:
        return 60.0 if now < 90 or now > 190 else 15.0

    came = drive(Pace(1000), Quota(quota), seconds=240)

    def between(start: float, end: float) -> float:
        return sum(start <= at < end for at in came.left_at) / (end - start)

    assert between(80, 90) == pytest.approx(60, rel=0.2)
    assert between(96, 100) < 20
    assert between(170, 190) == pytest.approx(15, rel=0.2)
    assert max(rate for at, rate in came.rates if 190 < at < 220) > 54


@pytest.mark.parametrize("latency", [0.04, 0.06, 0.1])
def test_late_timers_cost_an_unknown_quota_next_to_nothing(latency: float) -> None:
    """They starved the growth once: 1.04 and 1.48 times the ideal."""
    late = [
        drive(Pace(1000), Quota(30, burst=30), users=900, latency=latency, late=LATE, seed=seed)
        for seed in range(4)
    ]
    assert median(came.seconds for came in late) / (29 + latency) < 1.03
    fast = drive(
        Pace(1000), Quota(500), users=30_000, latency=latency, late=LATE, concurrency=256
    )  # fmt: skip
    assert fast.seconds / (59 + latency) < 1.15


@pytest.mark.parametrize("latency", [0.02, 0.06, 0.15])
def test_an_unknown_quota_costs_little_time_and_few_throttles(latency: float) -> None:
    score = bench.unknown_quota(bench.untold, latency)
    assert score.ratio < 1.05
    assert score.throttled < (0.01 if latency < 0.1 else 0.02)


@pytest.mark.parametrize("before", [0, 4, 10, 17])
def test_of_a_quota_that_moves_most_is_used(before: float) -> None:
    score = bench.moving_quota(bench.untold, 0.06, before)
    assert score.ratio > 0.88
    assert score.throttled < 0.02


@pytest.mark.parametrize("ceiling", [25, 1000])
def test_who_shares_the_quota_is_hardly_throttled(ceiling: float) -> None:
    scores = [bench.beside_live_traffic(partial(Pace, ceiling), seed) for seed in range(9)]
    assert min(score.ratio for score in scores) > 0.8
    assert median(score.throttled for score in scores) < (0.01 if ceiling == 25 else 0.015)


def test_a_quota_that_was_told_is_used_to_the_full_without_a_throttle() -> None:
    score = bench.told(Style.TOKEN_BUCKET, 0.06)
    assert score.ratio < 1.001
    assert score.throttled == 0


@pytest.mark.parametrize("style", Style)
@pytest.mark.parametrize("rate", [5, 30, 120])
def test_no_style_of_enforcement_costs_many_throttles_or_much_time(style: Style, rate: int) -> None:
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
def test_whatever_comes_no_window_has_more_than_the_ceiling_allows(
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


def test_it_does_not_grow_where_the_pace_is_not_what_holds_the_run_back() -> None:
    pace = Pace(1000)
    grow(pace, 0.0, 100, busy=False)
    assert pace.rate == 50


def test_growth_survives_timers_that_wake_late() -> None:
    """A response that comes between the moment a slot is free and the moment a late timer
    takes it shows a pace that is waited for; a slot that nobody took for a gap does not."""
    for late, grown in ((0.019, True), (0.021, False)):
        pace = Pace(1000)
        pace.leave(0.0)
        pace.answered(0.0, 0.0)
        free_at = pace.delay(0.0)
        assert free_at == pytest.approx(1 / 50)
        pace.answered(0.01, free_at + late)
        assert (pace.rate > 50) is grown, late


def test_growth_survives_timers_later_than_a_gap() -> None:
    pace = Pace(1000, start=500)
    pace.leave(0.0)
    pace.answered(0.0, 0.0)
    pace.answered(0.001, 0.002 + 0.009)
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


def test_a_run_begins_with_one_at_a_time_until_an_answer_has_come() -> None:
    health = Health(64)
    assert health.allowed == 1
    health.heard(0.0, 1.0, definite=False)
    assert health.allowed == 1
    health.heard(1.0, 2.0, definite=True)
    assert health.allowed == 64


def test_a_handful_in_a_row_without_an_answer_is_an_outage_and_an_answer_ends_it() -> None:
    health = Health(64)
    health.heard(0.0, 0.0, definite=True)
    for n in range(HANDFUL - 1):
        assert health.heard(n, n + 10, definite=False) == 0
    assert health.allowed == 64
    assert health.heard(5.0, 20.0, definite=False) == 1
    assert health.allowed == 1
    # Those that were in flight when it was noticed say nothing new.
    for _ in range(50):
        assert health.heard(19.0, 21.0, definite=False) == 0
    pauses = [health.heard(t, t + 10.0, definite=False) for t in (21.0, 33, 47, 65, 91, 121)]
    assert pauses == [2, 4, 8, 16, 30, LONGEST_PAUSE]
    assert health.silent_for(130.0) == 130.0
    assert health.heard(200.0, 200.1, definite=True) == 0
    assert health.allowed == 64
    assert health.silent_for(201.0) == 0.0


def test_answers_between_the_silences_are_no_outage() -> None:
    health = Health(64)
    for n in range(100):
        assert health.heard(n, n + 1, definite=n % HANDFUL == 0) == 0
    assert health.allowed == 64


class Run:
    """Many who want to pass a gate, and what they hear."""

    def __init__(
        self,
        heard: Callable[[int, Place], None] | None = None,
        *,
        users: int,
        took: float = 0.1,
        **given: Any,
    ) -> None:
        self.times: list[float] = []
        self.closed = 0
        self.most = 0
        self.waits: list[tuple[str, float]] = []
        self._heard = heard or (lambda _n, _place: None)
        self._users, self._took, self._given = users, took, given
        self.gate: Gate

    async def __call__(self) -> None:
        self.gate = Gate(
            self._given.get("pace", Pace(10)),
            self._given.get("health", Health(self._given.get("concurrency", 8))),
            budget=self._given.get("budget"),
            waiting=lambda why, seconds: self.waits.append((why, seconds)),
        )
        start = anyio.current_time()

        async def pass_once() -> None:
            try:
                place = await self.gate.place()
            except Closed:
                self.closed += 1
                return
            self.times.append(anyio.current_time() - start)
            self.most = max(self.most, self.gate.in_flight)
            await anyio.sleep(self._took)
            place.signal = Signal.ANSWERED
            self._heard(len(self.times), place)
            self.gate.free(place, anyio.current_time())

        async with anyio.create_task_group() as tasks:
            for _ in range(self._users):
                tasks.start_soon(pass_once)
            if stop_after := self._given.get("stop_after"):
                await anyio.sleep(stop_after)
                self.gate.close()


def test_no_more_are_in_flight_than_allowed() -> None:
    run = Run(users=50, took=10.0, concurrency=4)
    virtually(run)
    assert run.most == 4
    assert len(run.times) == 50


def test_the_first_goes_alone() -> None:
    run = Run(users=3, took=5.0)
    virtually(run)
    assert run.times == pytest.approx([0, 5, 5.1])


def test_a_closed_gate_lets_nobody_pass_and_leaves_nobody_waiting() -> None:
    run = Run(users=100, stop_after=1.55)
    virtually(run)
    assert len(run.times) + run.closed == 100
    assert 15 <= len(run.times) <= 16
    assert run.gate.in_flight == 0


def test_a_budget_counts_those_in_flight_too() -> None:
    def heard(n: int, place: Place) -> None:
        place.spent = n % 2 == 0

    run = Run(heard, users=100, took=1.0, budget=10, stop_after=100.0)
    virtually(run)
    assert run.gate.spent == 10
    assert len(run.times) <= 21


def test_a_place_that_was_not_used_tells_nothing() -> None:
    def heard(_n: int, place: Place) -> None:
        place.signal = None

    run = Run(heard, users=5, took=1.0)
    virtually(run)
    assert not run.gate.health.connected
    assert run.gate.health.allowed == 1


@pytest.mark.parametrize(
    ("signal", "retry_after", "why", "pause"),
    [
        (Signal.BLOCKED, 0.0, "blocked by a firewall (AWS WAF)", 2.0),
        (Signal.THROTTLED, 7.0, "Cognito asks to wait", 7.0),
        (Signal.ANSWERED, 9999.0, "Cognito asks to wait", 300.0),
    ],
)
def test_a_pause_is_kept_by_everybody_and_said_aloud(
    signal: Signal, retry_after: float, why: str, pause: float
) -> None:
    def heard(n: int, place: Place) -> None:
        if n == 3:
            place.signal, place.retry_after = signal, retry_after

    run = Run(heard, users=10, took=0.01, pace=Pace(1))
    virtually(run)
    assert run.waits == [(why, pause)]
    assert run.times[3] - run.times[2] == pytest.approx(pause + 0.01, abs=6)
    assert run.times[3] - run.times[2] >= pause


def test_blocks_in_a_row_pause_longer_and_an_answer_forgets_them() -> None:
    def heard(n: int, place: Place) -> None:
        if n not in {5, 6}:
            place.signal = Signal.BLOCKED

    run = Run(heard, users=8, took=0.01)
    virtually(run)
    assert [seconds for _, seconds in run.waits] == [2, 4, 8, 16, 2, 4]


def test_a_tired_user_says_nothing_about_the_pace() -> None:
    tired = judge(Reply(Wire.ANSWERED, 400, "LimitExceededException", TIRED))
    assert tired.signal is Signal.ANSWERED

    def heard(_n: int, place: Place) -> None:
        place.signal = tired.signal

    run = Run(heard, users=100, took=0.01, pace=Pace(50))
    virtually(run)
    assert run.gate.throttled == 0
    assert run.gate.pace.rate == 50
    assert run.times[-1] == pytest.approx(99 / 50)


def test_throttles_are_counted_and_slow_the_pace() -> None:
    def heard(n: int, place: Place) -> None:
        if n == 2:
            place.signal = Signal.THROTTLED

    run = Run(heard, users=10, took=0.01)
    virtually(run)
    assert run.gate.throttled == 1
    assert run.gate.pace.limit == pytest.approx(8.5)
