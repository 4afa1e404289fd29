"""The gate and the outages: arithmetic by hand, and virtual time."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest
import trio.testing

from batch_resend.job.outcome import Signal, judge
from batch_resend.job.pace import Pace
from batch_resend.job.pacing import (
    HANDFUL,
    LONGEST_PAUSE,
    Closed,
    Gate,
    Health,
    Place,
)
from batch_resend.model import Reply, Wire

TIRED = "Attempt limit exceeded, please try after some time."


def virtually(work: Callable[[], Any]) -> Any:
    clock = trio.testing.MockClock(autojump_threshold=0)
    return trio.run(work, clock=clock)


def test_run_starts_with_single_requests_until_a_response() -> None:
    health = Health(64)
    assert health.allowed == 1
    health.heard(0.0, 1.0, definite=False)
    assert health.allowed == 1
    health.heard(1.0, 2.0, definite=True)
    assert health.allowed == 64


def test_several_lost_responses_in_a_row_are_an_outage() -> None:
    """A few requests in a row without a response are an outage, which a response ends."""
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


def test_answers_between_the_silences_prevent_an_outage() -> None:
    health = Health(64)
    for n in range(100):
        assert health.heard(n, n + 1, definite=n % HANDFUL == 0) == 0
    assert health.allowed == 64


class Run:
    """Tasks that want to pass a gate, and their results."""

    def __init__(
        self,
        heard: Callable[[int, Place], None] | None = None,
        *,
        users: int,
        took: float = 0.1,
        **changes: Any,
    ) -> None:
        self.times: list[float] = []
        self.closed = 0
        self.most = 0
        self.waits: list[tuple[str, float]] = []
        self._heard = heard or (lambda _n, _place: None)
        self._users, self._took, self._changes = users, took, changes
        self.gate: Gate

    async def __call__(self) -> None:
        self.gate = Gate(
            self._changes.get("pace", Pace(10)),
            self._changes.get("health", Health(self._changes.get("concurrency", 8))),
            budget=self._changes.get("budget"),
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
            if stop_after := self._changes.get("stop_after"):
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


def test_closed_gate_lets_no_request_pass_or_wait() -> None:
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
        (Signal.THROTTLED, 7.0, "Cognito asked us to slow down", 7.0),
        (Signal.ANSWERED, 9999.0, "Cognito asked us to slow down", 300.0),
    ],
)
def test_pause_applies_to_all_requests_and_is_reported(
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
