"""Several jobs on one quota: together never above the ceiling, each in its turn, none held up.

Judged by when the requests left, and by what the simulated Cognito delivered.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_resend.job.attempt import Sender
from batch_resend.job.engine import Job, Limits
from batch_resend.job.outcome import Signal, Stop
from batch_resend.job.pace import Pace
from batch_resend.job.pacing import TICK, Gate, Health, SharedPace
from batch_resend.job.planner import Selection
from batch_resend.job.spool import Spool
from batch_resend.job.summary import Summary
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.model import Reason, Reply, Request, Wire
from batch_resend.simulator.quota import Quota
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.sender import SimulatedSender
from tests.support.infos import info
from tests.support.world import CLIENT, EPOCH, Kept, Listed, virtually

TINY = 1e-6


@dataclass
class Watched:
    """A sender that keeps when each request left."""

    inner: Any
    left_at: list[float] = field(default_factory=list)

    async def send(self, request: Request) -> Reply:
        self.left_at.append(anyio.current_time())
        reply: Reply = await self.inner.send(request)
        return reply


class Silent:
    """A Cognito that never answers."""

    async def send(self, request: Request) -> Reply:
        await anyio.sleep(10)
        return Reply(Wire.NO_ANSWER)


@dataclass
class Pool:
    """The work of one of the jobs."""

    users: int
    rate: float = 25.0
    concurrency: int = 64
    silent: bool = False
    limits: dict[str, Any] = field(default_factory=dict)
    left_at: list[float] = field(default_factory=list)
    summary: Summary | None = None


def go(cognito: Cognito, ceiling: float, *pools: Pool, stop_at: float | None = None) -> None:
    """Run a job for each pool, with one pace and one quota, each with a ledger of its own."""

    async def work() -> None:
        shared = SharedPace(Pace(ceiling))
        async with (
            SimulatedSender(cognito, epoch=EPOCH, latency=0.06, timeout=10.0) as simulated,
            contextlib.AsyncExitStack() as stack,
            anyio.create_task_group() as tasks,
        ):
            jobs = []
            for number, pool in enumerate(pools):
                job = Job(
                    ledger=stack.enter_context(LedgerFile(None)),
                    report=Kept(),
                    app=CLIENT,
                    spool=stack.enter_context(Spool()),
                    info=info(),
                    now=EPOCH,
                    limits=Limits(rate=pool.rate, concurrency=pool.concurrency, **pool.limits),
                    threads=False,
                )
                names = [f"user{n}of{number}@example.com" for n in range(pool.users)]
                await job.plan(Listed(names), Selection())
                job.share(shared)
                jobs.append(job)
            for pool, job in zip(pools, jobs, strict=True):
                watched = Watched(Silent() if pool.silent else simulated, pool.left_at)
                tasks.start_soon(one, pool, job, watched)
            if stop_at is not None:
                await anyio.sleep(stop_at)
                for job in jobs:
                    job.stop(Stop.SIGINT)

    async def one(pool: Pool, job: Job, sender: Sender) -> None:
        pool.summary = await job.run(sender)

    virtually(work)


def outcomes(pool: Pool) -> Counter[Reason]:
    assert pool.summary is not None
    assert pool.summary.rows == pool.users
    return Counter(pool.summary.reasons)


def allowed(ceiling: float) -> float:
    """One request, what a timer's lateness of up to 10 ms makes good, and a tick too early."""
    return 1 + min(1.0, 0.01 * ceiling) + TICK * ceiling + TINY


def most_above(left_at: list[float], ceiling: float) -> float:
    """Return by how many requests any window exceeds the ceiling: at most one."""
    times = sorted(left_at)
    worst, lowest = 0.0, float("inf")
    for number, moment in enumerate(times):  # (n_j - n_i + 1) - c (t_j - t_i), over all i <= j
        lowest = min(lowest, number - ceiling * moment)
        worst = max(worst, number + 1 - ceiling * moment - lowest)
    return worst


def test_together_they_never_exceed_the_ceiling_and_all_finish() -> None:
    cognito = Cognito(quota=Quota(50))
    big, small = Pool(900), Pool(300, concurrency=4)
    go(cognito, 25, big, small)
    assert outcomes(big) == {Reason.ACCEPTED: 900}
    assert outcomes(small) == {Reason.ACCEPTED: 300}
    together = big.left_at + small.left_at
    assert most_above(together, 25) <= allowed(25)
    assert max(together) - min(together) < 1199 / 25 * 1.02, "the quota's share is used"
    assert set(cognito.deliveries.values()) == {1}


def test_the_measure_of_the_ceiling_sees_one_request_too_many() -> None:
    evenly = [n / 25 for n in range(100)]
    assert most_above(evenly, 25) == pytest.approx(1)
    assert most_above([*evenly, 2.001], 25) > 1.5


def test_they_take_turns_however_many_wait_in_each() -> None:
    many, few = Pool(600, concurrency=64), Pool(200, concurrency=4)
    go(Cognito(quota=Quota(50)), 20, many, few)
    end = max(few.left_at)
    assert end - min(few.left_at) < 200 / 10 * 1.1
    assert abs(sum(at <= end for at in many.left_at) - 200) <= 4
    # Who is left has the pace alone.
    alone = [at for at in many.left_at if at > end]
    assert len(alone) / (max(alone) - end) > 19


def test_each_keeps_its_own_ceiling_too() -> None:
    slow, fast = Pool(100, rate=4), Pool(500, rate=20)
    go(Cognito(quota=Quota(50)), 20, slow, fast)
    assert most_above(slow.left_at, 4) <= allowed(4)
    assert most_above(slow.left_at + fast.left_at, 20) <= allowed(20)
    assert max(slow.left_at) < 100 / 4 * 1.1
    assert max(fast.left_at) < 500 / 16 * 1.15


def test_a_pool_that_gets_no_answer_holds_up_no_other() -> None:
    dead, well = Pool(50, silent=True, limits={"give_up_after": 120.0}), Pool(500)
    go(Cognito(quota=Quota(50)), 25, dead, well)
    assert outcomes(well) == {Reason.ACCEPTED: 500}
    assert max(well.left_at) < 500 / 25 * 1.1
    assert dead.summary is not None
    assert dead.summary.stopped_by is Stop.GIVE_UP
    assert outcomes(dead)[Reason.STOPPED] > 0


def test_runs_find_a_shared_lower_quota_and_fail_no_user() -> None:
    cognito = Cognito(quota=Quota(12))
    pools = [Pool(300, rate=40) for _ in range(3)]
    go(cognito, 40, *pools)
    for pool in pools:
        assert outcomes(pool) == {Reason.ACCEPTED: 300}
    throttled = sum(pool.summary.throttled for pool in pools if pool.summary)
    assert throttled < 0.08 * 900
    assert max(max(pool.left_at) for pool in pools) < 900 / 12 * 1.3


def test_stop_of_all_leaves_no_request_waiting_for_a_turn() -> None:
    pools = [Pool(200, rate=0.5), Pool(200, rate=0.5), Pool(200, rate=0.5)]
    go(Cognito(), 0.5, *pools, stop_at=9.0)
    for pool in pools:
        assert outcomes(pool)[Reason.STOPPED] > 190
        assert pool.summary is not None
        assert pool.summary.seconds < 11


@settings(deadline=None, max_examples=15)
@given(
    users=st.lists(st.integers(1, 60), min_size=2, max_size=4),
    rates=st.lists(st.integers(1, 60), min_size=4, max_size=4),
    quota=st.integers(3, 80),
)
def test_ceilings_hold_and_each_user_is_sent_one_code(
    users: list[int], rates: list[int], quota: int
) -> None:
    pools = [Pool(count, rate=rate) for count, rate in zip(users, rates, strict=False)]
    ceiling = max(pool.rate for pool in pools)
    cognito = Cognito(quota=Quota(quota))
    go(cognito, ceiling, *pools)
    for pool in pools:
        assert outcomes(pool) == {Reason.ACCEPTED: pool.users}
        assert most_above(pool.left_at, pool.rate) <= allowed(pool.rate)
    assert most_above([at for pool in pools for at in pool.left_at], ceiling) <= allowed(ceiling)
    assert len(cognito.deliveries) == sum(users)
    assert set(cognito.deliveries.values()) == {1}


def test_throttle_and_its_retry_after_apply_to_all_pools() -> None:
    async def work() -> None:
        waits: list[tuple[str, float]] = []
        shared = SharedPace(Pace(20))
        gates = [
            Gate(Pace(20), Health(8), waiting=lambda why, s: waits.append((why, s)))
            for _ in range(2)
        ]
        for gate in gates:
            gate.share(shared)
        place = await gates[0].place()
        assert gates[1].rate == 10  # half of the pace each
        place.signal, place.retry_after = Signal.THROTTLED, 3.0
        gates[0].free(place, anyio.current_time())
        assert gates[1].rate < 10
        assert waits == [("Cognito asked us to slow down", 3.0)] * 2
        asked = anyio.current_time()
        await gates[1].place()
        assert anyio.current_time() - asked == pytest.approx(3.0, abs=0.01)
        gates[0].close()
        assert gates[1].rate == shared.pace.rate

    virtually(work)
