"""The whole job in virtual time: thousands of users in seconds, every fault by the clock.

Judged by what the simulated Cognito delivered, never by the report alone.
"""

from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_resend.errors import LedgerError
from batch_resend.job.engine import Job
from batch_resend.job.summary import MaxFailures
from batch_resend.ledger import Unknowns
from batch_resend.ledger.policy import SendPolicy
from batch_resend.ledger.sqlite.ledger import SqliteLedger
from batch_resend.model import Candidate, Outcome, Reason
from batch_resend.simulator.pool import Kind
from batch_resend.simulator.quota import Quota, Style
from batch_resend.simulator.rules import Cognito
from tests.support.world import EPOCH, Listed, World, users


def test_every_user_is_sent_one_code_and_reported_once() -> None:
    world = World(Cognito(quota=Quota(50)))
    summary = world.go(users(2000))
    assert world.report.reasons == {Reason.ACCEPTED: 2000}
    assert world.cognito.deliveries == Counter(users(2000))
    assert summary.exit_code == 0
    assert summary.requests == 2000


class Slow(Listed):
    """A listing that takes a minute, or a person who looks at the plan for one."""

    async def batches(self) -> AsyncGenerator[list[Candidate], None]:
        await anyio.sleep(60)
        yield self.candidates


def test_length_of_a_run_is_that_of_its_sending() -> None:
    summary = World().go(Slow(["ada"]))
    assert summary.seconds < 1
    assert summary.started_at == EPOCH + 60


def test_same_command_again_sends_nothing() -> None:
    world = World()
    world.go(users(300))
    summary = world.go(["new", *reversed(users(300))])
    assert world.report.reasons == {Reason.COOLING_DOWN: 300, Reason.ACCEPTED: 1}
    assert world.cognito.deliveries == Counter([*users(300), "new"])
    assert summary.exit_code == 0
    world.now += 25 * 3600
    world.go(users(300))
    assert world.report.reasons == {Reason.SEND_CAP: 300}


def test_reminders_wait_for_cooldown_and_stop_at_cap() -> None:
    world = World()
    policy = SendPolicy(max_sends=3, cooldown=3600)
    for _ in range(9):
        world.go(["ada"], policy=policy)
        world.now += 1801
    assert world.cognito.deliveries == {"ada": 3}
    assert world.report.reasons == {Reason.SEND_CAP: 1}


EXPECTED = {
    Kind.EMAIL: Reason.ACCEPTED,
    Kind.SMS: Reason.ACCEPTED,
    Kind.CONFIRMED: Reason.ALREADY_CONFIRMED,
    Kind.MISSING: Reason.USER_NOT_FOUND,
    Kind.DISABLED: Reason.USER_DISABLED,
    Kind.TIRED: Reason.ATTEMPT_LIMIT,
    Kind.UNDELIVERABLE: Reason.DELIVERY_FAILED,
    Kind.TRIGGER: Reason.REJECTED_BY_TRIGGER,
    Kind.LAMBDA: Reason.TRIGGER_ERROR,
    Kind.WAF: Reason.BLOCKED,
    Kind.BUSY: Reason.ACCEPTED,
    Kind.ERROR: Reason.SERVER_ERROR,
    Kind.UNAVAILABLE: Reason.SERVER_ERROR,
    Kind.HTML: Reason.UNREADABLE_ANSWER,
    Kind.EMPTY: Reason.UNREADABLE_ANSWER,
    Kind.ENDLESS: Reason.UNREADABLE_ANSWER,
    Kind.SILENT: Reason.NO_ANSWER,
    Kind.NODETAILS: Reason.UNREADABLE_ANSWER,
    Kind.GATEWAY: Reason.SERVER_ERROR,
    Kind.PROXY: Reason.UNREADABLE_ANSWER,
    Kind.LOST: Reason.NO_ANSWER,
    Kind.FIN: Reason.NO_ANSWER,
    Kind.RST: Reason.NO_ANSWER,
    Kind.HALF: Reason.UNREADABLE_ANSWER,
    Kind.BOUNCE: Reason.ACCEPTED,  # Cognito does not know what becomes of a message
    Kind.COMPLAINT: Reason.ACCEPTED,
    Kind.OPTOUT: Reason.ACCEPTED,
}


def test_every_kind_of_user_has_its_reason() -> None:
    """An unknown outcome is not retried, and counts as sent in the next run."""
    assert set(EXPECTED) == set(Kind) - {Kind.REDIRECT}
    world = World()
    names = {f"user+{kind}@example.com": reason for kind, reason in EXPECTED.items()}
    summary = world.go(names)
    assert names == {result.username: result.reason for result in world.report.results}
    for result in world.report.results:
        if result.outcome is Outcome.UNKNOWN:
            assert result.attempts == 1, result.username
    assert max(world.cognito.deliveries.values()) == 1
    assert summary.exit_code == 1
    # Unknown users count as sent, with a reason of their own.
    world.go(names)
    unknown = [name for name, reason in names.items() if reason.outcome is Outcome.UNKNOWN]
    assert {world.report.of(name).reason for name in unknown} == {Reason.OUTCOME_UNKNOWN}
    assert max(world.cognito.deliveries.values()) == 1


def test_throttling_slows_the_run_and_fails_no_user() -> None:
    for style in Style:
        world = World(Cognito(quota=Quota(10, style=style)))
        summary = world.go(users(600), rate=50.0)
        assert world.report.reasons == {Reason.ACCEPTED: 600}
        assert world.cognito.throttled == summary.throttled > 0
        assert world.cognito.throttled < 100
        assert any(result.attempts > 1 for result in world.report.results)


def test_no_second_exceeds_the_ceiling() -> None:
    world = World(Cognito(keep_times=True), latency=0.0)
    world.go(users(500), rate=20.0)
    times = world.cognito.request_times
    assert times is not None
    for start in times:
        assert sum(start <= at < start + 1 - 1e-6 for at in times) <= 20


def test_tired_users_do_not_slow_others() -> None:
    """100 users over their own hourly limit; the others are served at full pace."""
    names = [*users(100, "+tired"), *users(100)]
    world = World()
    summary = world.go(names, rate=50.0, max_failures=MaxFailures())
    assert world.report.reasons == {Reason.ATTEMPT_LIMIT: 100, Reason.ACCEPTED: 100}
    assert summary.seconds == pytest.approx(4, abs=0.3)


def test_waiting_users_have_no_open_intent() -> None:
    """Open intents are never more than requests in flight."""
    opened: list[int] = []

    async def look(job: Job) -> None:
        while True:
            await anyio.sleep(0.333)
            snapshot = job.snapshot()
            opened.append(world.ledger.unknown().messages - snapshot.in_flight)

    world = World(Cognito(quota=Quota(5, burst=5)))
    world.go(users(300), rate=50.0, during=look)
    assert len(opened) > 100
    assert max(opened) <= 0


class Uncounted:
    """A ledger that may be written but not be read as a whole."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self.ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)

    def unknown(self) -> Unknowns:
        raise LedgerError("The ledger may not be read.")


def test_unreadable_ledger_leaves_unknown_count_empty() -> None:
    """This run's own count would claim that there are no others."""
    world = World()
    summary = world.go(users(2), ledger=Uncounted(world.ledger))
    assert (summary.unknown_in_ledger, summary.stopped_by, summary.exit_code) == (None, None, 0)
    assert world.notes == [
        "How many are unknown over all runs is not known. The ledger may not be read."
    ]


def test_progress_counts_only_eligible_users() -> None:
    standing = []

    async def look(job: Job) -> None:
        await anyio.sleep(0.3)
        standing.append((job.snapshot(), world.report.reasons[Reason.ACCEPTED]))

    world = World()
    world.go([f"not a name {n}" for n in range(50)] + users(50), during=look)
    ((snapshot, sent),) = standing
    assert snapshot.eligible == 50
    assert 0 < snapshot.done == sent < 50


names = st.lists(
    st.sampled_from(
        [*"abcdefgh", *"ABCD", "bad name", "", *(f"{c}+{k}" for c in "xy" for k in EXPECTED)]
    ),
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(
    inputs=st.lists(names, min_size=1, max_size=3),
    quota=st.floats(0.5, 50),
    rate=st.floats(1, 100),
    concurrency=st.integers(1, 64),
    hour_limits=st.booleans(),
)
def test_rows_in_equal_rows_out_and_one_message_a_name(
    inputs: list[list[str]], quota: float, rate: float, concurrency: int, hour_limits: bool
) -> None:
    """Over any lists, quotas, rates and concurrency."""
    cognito = Cognito(quota=Quota(quota, style=Style.TOKEN_BUCKET), keep_times=hour_limits)
    world = World(cognito)
    sent: Counter[str] = Counter()
    for listed in inputs:
        world.go(listed, rate=rate, concurrency=concurrency)
        for result in world.report.results:
            if result.reason is Reason.ACCEPTED:
                sent[result.username.casefold()] += 1
        (opened,) = world.ledger._db.execute(
            "SELECT count(*) FROM messages WHERE state = 'open'"
        ).fetchone()
        assert opened == 0
    delivered: Counter[str] = Counter()
    for name, count in world.cognito.deliveries.items():
        delivered[name.casefold()] += count
    assert max(delivered.values(), default=0) <= 1, "one message per person"
    assert sent <= delivered, "no user is reported as sent without a delivery"
    lost = set(delivered - sent)
    assert all(Kind.of(name) in EXPECTED for name in lost)
    assert all(EXPECTED[Kind.of(name)].outcome is Outcome.UNKNOWN for name in lost)
