"""Waves: the next one makes no request before the last one is settled and judged."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_resend.job.engine import Job
from batch_resend.job.outcome import Stop
from batch_resend.job.planner import Selection
from batch_resend.job.summary import MaxFailures, Summary, Tally
from batch_resend.job.waves import Waves, divide, line, room
from batch_resend.ledger import Identity, Intend
from batch_resend.model import Reason, Result
from batch_resend.observer import Event, Noted
from batch_resend.simulator.quota import Quota
from batch_resend.simulator.rules import Cognito
from tests.support.ledgers import apply
from tests.support.world import EPOCH, World, users


@pytest.mark.parametrize(
    ("waves", "eligible", "sizes"),
    [
        ((), 47, [47]),
        ((), 0, [0]),
        ((None,), 47, [47]),
        ((10, 100, None), 500, [10, 100, 390]),
        ((10, 100, None), 111, [10, 100, 1]),
        ((10, 100, None), 110, [10, 100]),
        ((10, 100, None), 60, [10, 50]),
        ((10, 100, None), 10, [10]),
        ((10, 100, None), 3, [3]),
        ((10, 100, None), 0, [0]),
        ((10, 100), 110, [10, 100]),
        ((10, 100), 15, [10, 5]),
        ((5,), 5, [5]),
    ],
)
def test_eligible_users_are_divided_into_waves(
    waves: Waves, eligible: int, sizes: list[int]
) -> None:
    assert divide(waves, eligible) == sizes


def test_waves_without_a_rest_have_limited_room() -> None:
    assert room(()) is None
    assert room((10, None)) is None
    assert room((10, 100)) == 110


def tally(*reasons: Reason) -> Tally:
    counted = Tally()
    for reason in reasons:
        counted.add(Result(1, "ada", reason, attempts=1))
    return counted


def test_line_counts_the_outcomes_of_a_wave() -> None:
    many = tally(*[Reason.ACCEPTED] * 8, Reason.USER_NOT_FOUND, Reason.NO_ANSWER)
    assert line(1, 3, many) == "Wave 1 of 3 (10 users): 8 sent, 1 failed, 1 unknown"
    assert line(3, 3, tally(Reason.ACCEPTED)) == "Wave 3 of 3 (1 user): 1 sent"


@pytest.mark.parametrize(
    ("most", "failed", "sent", "exceeded"),
    [
        (MaxFailures(part=0.5), 6, 4, True),
        (MaxFailures(part=0.5), 5, 5, False),
        (MaxFailures(part=0.5), 1, 0, True),
        (MaxFailures(part=0.0), 1, 9, True),
        (MaxFailures(part=0.0), 0, 10, False),
        (MaxFailures(part=1.0), 10, 0, False),
        (MaxFailures(number=3), 3, 0, False),
        (MaxFailures(number=3), 4, 0, True),
        (MaxFailures(), 10, 0, False),
    ],
)
def test_percentage_counts_at_the_end_of_any_wave(
    most: MaxFailures, failed: int, sent: int, exceeded: bool
) -> None:
    counted = tally(*[Reason.USER_NOT_FOUND] * failed, *[Reason.ACCEPTED] * sent)
    assert most.exceeded(counted, at_an_end=True) is exceeded
    assert MaxFailures(part=0.5).exceeded(counted) is False


class Watched(World):
    """A world in which every line about a wave is kept, with what was true when it was said."""

    def waves(self, names: Sequence[str], waves: Waves, **changes: Any) -> Summary:
        self.notes: list[str] = []
        self.delivered: list[int] = []
        self.in_doubt: list[int] = []
        self.reported: list[int] = []

        def observe(event: Event) -> None:
            if not isinstance(event, Noted):
                return
            self.notes.append(event.text)
            self.delivered.append(self.cognito.deliveries.total())
            self.in_doubt.append(self.ledger.unknown().messages + self.job.snapshot().in_flight)
            self.reported.append(len(self.report.results))

        async def listen(job: Job) -> None:
            job._outlets.observe = observe

        return self.go(names, waves=waves, during=listen, **changes)


def test_wave_begins_when_the_last_one_is_reported() -> None:
    world = Watched(Cognito(quota=Quota(50)), latency=2.0)
    summary = world.waves(users(200), (10, 100, None))
    assert (summary.stopped_by, summary.exit_code) == (None, 0)
    assert world.cognito.deliveries == Counter(users(200))
    assert world.notes == [
        "Wave 1 of 3 (10 users): 10 sent. Continuing with 100 more.",
        "Wave 2 of 3 (100 users): 100 sent. Continuing with 90 more.",
        "Wave 3 of 3 (90 users): 90 sent.",
    ]
    assert world.delivered == [10, 110, 200]
    assert world.reported == [10, 110, 200]
    assert world.in_doubt == [0, 0, 0]


def test_bad_wave_is_the_last() -> None:
    world = Watched()
    names = [*users(4), *users(6, "+missing"), *users(300, "+x")]
    summary = world.waves(names, (10, 100, None))
    assert (summary.stopped_by, summary.exit_code) == (Stop.MAX_FAILURES, 3)
    assert world.cognito.requests == 10
    assert world.notes == [
        "Wave 1 of 3 (10 users): 4 sent, 6 failed. That is more than --max-failures allows."
    ]
    assert world.report.reasons == {
        Reason.ACCEPTED: 4, Reason.USER_NOT_FOUND: 6, Reason.STOPPED: 300,
    }  # fmt: skip
    # The same command again begins with a wave of those who are left and have not failed.
    world.now += 60
    world.waves(names, (10, 100, None))
    assert world.notes[0].startswith("Wave 1 of 3 (10 users): 10 sent.")
    assert set(world.cognito.deliveries.values()) == {1}
    assert world.report.reasons[Reason.USER_NOT_FOUND] == 6
    assert [result.reason for result in world.report.results[-6:]] == [Reason.USER_NOT_FOUND] * 6


def test_wave_at_the_limit_continues() -> None:
    world = Watched()
    summary = world.waves([*users(5), *users(5, "+missing"), *users(50, "+x")], (10, None))
    assert (summary.stopped_by, summary.exit_code) == (None, 1)
    assert world.cognito.deliveries.total() == 55


def test_each_wave_is_judged_by_itself() -> None:
    world = Watched()
    names = [*users(50), *users(1, "+x"), *users(3, "+missing"), *users(20, "+y")]
    summary = world.waves(names, (50, 4, None))
    assert summary.stopped_by is Stop.MAX_FAILURES, "3 of 4 are too many, though 3 of 54 are few"
    assert world.report.reasons[Reason.STOPPED] == 20


def test_failures_within_a_wave_stop_the_run() -> None:
    world = Watched()
    summary = world.waves(
        users(50, "+missing"), (20, None), max_failures=MaxFailures(number=3), concurrency=1
    )
    assert summary.stopped_by is Stop.MAX_FAILURES
    assert world.cognito.requests == 4
    assert world.notes == [], "the wave came to no end"


def test_last_wave_is_not_judged() -> None:
    world = Watched()
    summary = world.waves([*users(10), *users(5, "+missing")], (10, None))
    assert (summary.stopped_by, summary.exit_code) == (None, 1)
    assert world.notes[1] == "Wave 2 of 2 (5 users): 5 failed."


def test_single_wave_is_not_reported() -> None:
    for waves in ((), (None,), (100, None)):
        world = Watched()
        world.waves(users(30), waves)
        assert world.cognito.deliveries == Counter(users(30))
        assert world.notes == []


def test_only_requested_users_count_for_a_wave() -> None:
    world = Watched()
    world.go(["ada"])
    world.ledger.begin(EPOCH)
    apply(world.ledger, [Intend(Identity("open"), EPOCH)])
    names = ["ada", "b d", *users(2), "USER0@example.com", "open", *users(5, "+x"), "c d", "user9"]
    world.waves(names, (2, 3, None))
    assert world.notes == [
        "Wave 1 of 3 (2 users): 2 sent. Continuing with 3 more.",
        "Wave 2 of 3 (3 users): 3 sent. Continuing with 3 more.",
        "Wave 3 of 3 (3 users): 3 sent.",
    ]
    assert world.report.reasons == {
        Reason.ACCEPTED: 8, Reason.COOLING_DOWN: 1, Reason.INVALID_USERNAME: 2,
        Reason.DUPLICATE: 1, Reason.INTERRUPTED: 1,
    }  # fmt: skip


def test_confirmed_users_count_but_not_as_failures() -> None:
    world = Watched()
    world.waves([*users(10, "+confirmed"), *users(3)], (10, None))
    assert world.notes[0] == "Wave 1 of 2 (10 users): 10 skipped. Continuing with 3 more."


def test_stop_between_waves_reports_the_rest() -> None:
    async def stop_soon(job: Job) -> None:
        while job.snapshot().wave == 1:
            await anyio.sleep(0.01)
        job.stop(Stop.SIGINT)

    world = World(latency=1.0)
    summary = world.go(users(300), waves=(10, 100, None), during=stop_soon)
    assert (summary.stopped_by, summary.exit_code) == (Stop.SIGINT, 130)
    assert 10 <= world.cognito.deliveries.total() <= 12
    assert world.ledger.unknown().messages == 0
    assert world.job.schedule.number == 1, "no wave began after that"
    world.go(users(300), waves=(10, 100, None))
    assert world.cognito.deliveries == Counter(users(300))


def test_deadline_and_max_sent_hold_over_all_waves() -> None:
    world = World()
    summary = world.go(users(300), waves=(10, 50, None), max_sent=60)
    assert summary.stopped_by is Stop.MAX_SENT
    assert world.cognito.deliveries.total() == 60
    world = World()
    summary = world.go(users(1000), waves=(10, 50, None), rate=10.0, deadline=10.0)
    assert summary.stopped_by is Stop.DEADLINE
    assert 95 <= world.cognito.deliveries.total() <= 101


def test_snapshot_knows_the_wave() -> None:
    seen: list[tuple[int, int]] = []

    async def look(job: Job) -> None:
        while True:
            snapshot = job.snapshot()
            seen.append((snapshot.wave, snapshot.waves))
            await anyio.sleep(0.05)

    World().go(users(100), waves=(10, 20, None), during=look)
    assert sorted(set(seen)) == [(1, 3), (2, 3), (3, 3)]
    assert seen == sorted(seen)


def test_dry_run_has_no_waves() -> None:
    world = World()
    world.go(users(30), waves=(10, None), dry=True)
    assert world.report.reasons == {Reason.ELIGIBLE: 30}


sized = st.lists(st.integers(1, 12), max_size=4)


@settings(max_examples=60, deadline=None)
@given(
    sizes=sized,
    rest=st.booleans(),
    names=st.lists(
        st.sampled_from(["", "+missing", "+lost", "+confirmed", "+busy", "bad name"]), max_size=40
    ),
    most=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    concurrency=st.integers(1, 8),
)
def test_any_waves_request_once_and_end_at_a_bad_one(
    sizes: list[int], rest: bool, names: list[str], most: float, concurrency: int
) -> None:
    waves: Waves = (*sizes, *([None] if rest or not sizes else []))
    listed = [name if " " in name else f"user{n}{name}" for n, name in enumerate(names)]
    world = Watched()
    limit = room(waves)
    summary = world.waves(
        listed,
        waves,
        selection=Selection(limit=limit) if limit is not None else None,
        max_failures=MaxFailures(part=most),
        concurrency=concurrency,
    )
    assert max(world.cognito.deliveries.values(), default=0) <= 1
    # By hand: wave after wave over those who can be asked for, up to the first bad one.
    asked = 0
    left = [name for name in names if " " not in name][: limit if limit is not None else None]
    for size in (*sizes, len(left)):
        wave, left = left[:size], left[size:]
        asked += len(wave)
        bad = sum(name in {"+missing", "+lost"} for name in wave)
        if not left or bad > most * len(wave):
            break
    eligible = [row for row, name in enumerate(names, 1) if " " not in name]
    assert {r.row for r in world.report.results if r.attempts} == set(eligible[:asked])
    assert (summary.stopped_by is Stop.MAX_FAILURES) == bool(left)
