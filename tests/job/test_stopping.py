"""How runs end early: settings, quotas, limits, outages, the ledger and the report."""

from collections import Counter
from typing import Any

import anyio
import pytest

from batch_resend.errors import LedgerError
from batch_resend.job.attempt import Sender
from batch_resend.job.engine import Job
from batch_resend.job.outcome import Stop
from batch_resend.job.summary import MaxFailures, Summary
from batch_resend.ledger.sqlite.ledger import SqliteLedger
from batch_resend.model import Outcome, Reason, Reply, Request, Wire
from batch_resend.simulator.pool import Kind
from batch_resend.simulator.quota import Quota
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.sender import SimulatedSender
from batch_resend.simulator.setup import Client, Outage, PoolSettings
from tests.support.world import EPOCH, World, users, virtually


def test_wrong_setting_costs_one_request() -> None:
    """The first request goes alone, so that a wrong setting is not repeated."""
    cases = [
        (Cognito(client=Client("another")), Stop.UNKNOWN_CLIENT),
        (Cognito(client=Client("simulatedclient", "a secret of the client")), Stop.WRONG_SECRET),
        (Cognito(settings=PoolSettings(auto_verified=())), Stop.CANNOT_VERIFY),
        (Cognito(outages=[Outage(Kind.REDIRECT)]), Stop.REDIRECTED),
    ]
    for cognito, stop in cases:
        world = World(cognito)
        summary = world.go(users(500))
        assert (summary.stopped_by, summary.exit_code) == (stop, 4)
        assert world.cognito.requests == 1
        assert not world.cognito.deliveries
        assert world.report.reasons[Reason.STOPPED] >= 499


def test_spent_mail_quota_stops_and_next_day_resumes() -> None:
    """The run ends with exit code 3; the same command the next day sends to the rest."""
    world = World(Cognito(settings=PoolSettings(mail_quota=50)))
    summary = world.go(users(120))
    assert (summary.stopped_by, summary.exit_code) == (Stop.MAIL_QUOTA, 3)
    assert world.report.reasons == {Reason.ACCEPTED: 50, Reason.STOPPED: 70}
    assert any(r.attempts for r in world.report.results if r.reason is Reason.STOPPED)
    world.now += 86400
    world.go(users(120))
    assert world.report.reasons == {Reason.SEND_CAP: 50, Reason.ACCEPTED: 50, Reason.STOPPED: 20}
    assert world.cognito.deliveries == Counter(users(100))


def test_max_sent_counts_lost_answers_as_sent() -> None:
    """Not one message more is sent, although three replies never arrive."""
    world = World()
    names = [*users(5), *users(3, "+lost"), *users(90)]
    summary = world.go(names, max_sent=20)
    assert (summary.stopped_by, summary.exit_code) == (Stop.MAX_SENT, 3)
    assert world.cognito.deliveries.total() == 20
    world = World()
    summary = world.go(users(20), max_sent=20)
    assert (summary.stopped_by, summary.exit_code) == (None, 0), "all were served"


def test_too_many_failures_stop_the_run() -> None:
    world = World()
    names = [*users(120), *users(500, "+missing")]
    summary = world.go(names)
    assert (summary.stopped_by, summary.exit_code) == (Stop.MAX_FAILURES, 3)
    failed = world.report.reasons[Reason.USER_NOT_FOUND]
    assert 121 <= failed <= 125, "half of those asked, and what was in flight"
    world = World()
    names = [*users(99, "+missing"), *users(200)]
    summary = world.go(names)
    assert summary.stopped_by is Stop.MAX_FAILURES, "a part counts from 100 requests on"
    assert world.cognito.requests <= 104
    world = World()
    failures = MaxFailures(number=3)
    summary = world.go(users(50, "+missing"), max_failures=failures)
    assert 4 <= world.report.reasons[Reason.USER_NOT_FOUND] <= 6


def test_deadline_starts_no_new_user() -> None:
    world = World()
    summary = world.go(users(1000), rate=10.0, deadline=10.0)
    assert (summary.stopped_by, summary.exit_code) == (Stop.DEADLINE, 3)
    assert 99 <= world.cognito.deliveries.total() <= 101
    assert world.report.reasons.total() == 1000


@pytest.mark.parametrize("kind", [Kind.SILENT, Kind.LOST, Kind.ERROR])
def test_outage_leaves_few_unknown_and_run_resumes(kind: Kind) -> None:
    """Two minutes without Cognito: single requests test it, at growing intervals."""
    world = World(Cognito(outages=[Outage(kind, EPOCH + 10, EPOCH + 130)]))
    summary = world.go(users(600))
    unknown = summary.counts[Outcome.UNKNOWN]
    assert 0 < unknown <= 100
    assert world.report.reasons[Reason.ACCEPTED] == 600 - unknown
    assert max(world.cognito.deliveries.values()) == 1
    pauses = [seconds for _, seconds in world.waits]
    assert pauses == sorted(pauses)
    assert pauses[0] == 1
    assert max(pauses) <= 30


def test_endless_outage_is_given_up() -> None:
    world = World(Cognito(outages=[Outage(Kind.ERROR, EPOCH + 20)]))
    summary = world.go(users(2000), give_up_after=300.0)
    assert (summary.stopped_by, summary.exit_code) == (Stop.GIVE_UP, 3)
    assert summary.counts[Outcome.UNKNOWN] <= 30
    assert 319 <= summary.seconds <= 360


class NoConnection:
    """A network that lets nothing through until a time."""

    def __init__(self, sender: Sender, until: float) -> None:
        self.sender, self.until = sender, until
        self.tries = 0

    async def send(self, request: Request) -> Reply:
        self.tries += 1
        if anyio.current_time() < self.until:
            return Reply(Wire.NOT_SENT, message="refused")
        return await self.sender.send(request)


def test_no_connection_within_30_s_means_wrong_settings() -> None:
    async def work() -> Summary:
        async with SimulatedSender(world.cognito) as sender:
            return await world.run(users(200), sender=NoConnection(sender, 1e9))

    world = World()
    summary = virtually(work)
    assert (summary.stopped_by, summary.exit_code) == (Stop.UNREACHABLE, 4)
    assert 30 <= summary.seconds <= 35
    assert world.ledger.unknown().messages == 0


def test_late_first_connection_fails_no_user() -> None:
    async def work() -> Summary:
        async with SimulatedSender(world.cognito) as sender:
            until = anyio.current_time() + 2.0
            return await world.run(users(200), sender=NoConnection(sender, until))

    world = World()
    summary = virtually(work)
    assert summary.exit_code == 0
    assert world.cognito.deliveries == Counter(users(200))
    assert world.report.of("user0@example.com").attempts > 1


def test_stop_settles_in_flight_and_reports_the_rest() -> None:
    """The next run sends to the remaining users, and to no user twice."""

    async def stop_soon(job: Job) -> None:
        await anyio.sleep(3.0)
        job.stop(Stop.SIGINT)

    world = World(latency=1.0)
    summary = world.go(users(500), during=stop_soon)
    assert (summary.stopped_by, summary.exit_code) == (Stop.SIGINT, 130)
    reasons = world.report.reasons
    assert reasons[Reason.ACCEPTED] == world.cognito.deliveries.total() > 0
    assert reasons[Reason.ACCEPTED] + reasons[Reason.STOPPED] == 500
    assert world.ledger.unknown().messages == 0
    world.go(users(500))
    assert world.cognito.deliveries == Counter(users(500))


def test_stop_after_the_last_user_is_not_reported() -> None:
    """The fifth equal reply stops a run; with five users there is nothing left to stop."""

    class Refusing:
        async def send(self, request: Request) -> Reply:
            return Reply(Wire.ANSWERED, 400, "LimitExceededException", "Something unheard of")

    five = World().go(users(5), sender=Refusing(), max_failures=MaxFailures(number=99))
    assert (five.stopped_by, five.detail) == (None, "")
    six = World().go(users(6), sender=Refusing(), max_failures=MaxFailures(number=99))
    assert (six.stopped_by, six.detail) == (Stop.USER_LIMITS, "Something unheard of")


class Sick:
    """A ledger that breaks at the n-th commit."""

    def __init__(self, ledger: SqliteLedger, at: int) -> None:
        self.ledger, self.left = ledger, at
        self.asked_after = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)

    def commit(self) -> None:
        self.left -= 1
        if self.left < 0:
            self.asked_after += 1
            self.ledger._db.execute("ROLLBACK")
            raise LedgerError("disk full")
        self.ledger.commit()


@pytest.mark.parametrize("at", [0, 1, 2, 3, 50, 51, 52, 53])
def test_failing_ledger_stops_sending_at_once(at: int) -> None:
    """The failing ledger is left alone, and every delivered message is reported."""
    world = World()
    sick = Sick(world.ledger, at)
    summary = world.go(users(200), ledger=sick)
    assert (summary.stopped_by, summary.exit_code, sick.asked_after) == (Stop.LEDGER, 4, 1)
    delivered = set(world.cognito.deliveries)
    names = {
        result.username
        for result in world.report.results
        if result.reason in {Reason.ACCEPTED, Reason.INTERRUPTED}
    }
    assert delivered <= names, "no user was sent a code and reported as not attempted"
    world.go(users(200))
    assert max(world.cognito.deliveries.values(), default=0) == 1


def test_failing_ledger_outranks_an_earlier_stop() -> None:
    """A ledger that fails while a run stops at its deadline becomes the cause."""
    world = World(Cognito(quota=Quota(1000)))
    asked = []

    class Late(Sick):
        def commit(self) -> None:
            if world.job.stopping.cause is None:
                self.left += 1
            super().commit()

        def finish(self, *_: Any) -> None:
            asked.append(self.asked_after)

    late = Late(world.ledger, 0)
    summary = world.go(users(500), ledger=late, deadline=1.0)
    assert (summary.stopped_by, summary.exit_code, late.asked_after) == (Stop.LEDGER, 4, 1)
    assert (summary.detail, asked) == ("disk full", [])


def test_unwritable_report_stops_and_ledger_is_kept() -> None:
    """The next run sends to the remaining users, and to no user twice."""
    world = World()
    summary = world.go(users(200), room=20)
    assert (summary.stopped_by, summary.exit_code) == (Stop.REPORT, 4)
    assert len(world.cognito.deliveries) < 40
    world.go(users(200))
    assert world.cognito.deliveries == Counter(users(200))
