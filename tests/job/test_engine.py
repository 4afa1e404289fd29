"""The whole job in virtual time: thousands of users in seconds, every fault by the clock.

Judged by what the simulated Cognito delivered, never by the report alone.
"""

from collections import Counter
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_resend.errors import LedgerError, StaleListing
from batch_resend.job.attempt import Sender
from batch_resend.job.engine import Job, Selection
from batch_resend.job.outcome import Stop
from batch_resend.job.summary import MaxFailures, Summary
from batch_resend.ledger import Identity, Intend, Interrupted
from batch_resend.ledger.policy import SendPolicy
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.ledger.sqlite.ledger import SqliteLedger
from batch_resend.model import Candidate, Outcome, Reason, Reply, Request, Wire
from batch_resend.simulator.pool import Kind, Pool, User
from batch_resend.simulator.quota import Quota, Style
from batch_resend.simulator.rules import Client, Cognito, Outage, PoolSettings
from batch_resend.simulator.sender import SimulatedSender
from tests.support.ledgers import apply
from tests.support.world import EPOCH, Listed, World, users, virtually


def test_every_user_is_sent_one_code_and_reported_once() -> None:
    world = World(Cognito(quota=Quota(50)))
    summary = world.go(users(2000))
    assert world.report.reasons == {Reason.ACCEPTED: 2000}
    assert world.cognito.deliveries == Counter(users(2000))
    assert summary.exit_code == 0
    assert summary.requests == 2000


def test_the_same_command_again_mails_nobody() -> None:
    world = World()
    world.go(users(300))
    summary = world.go(["new", *reversed(users(300))])
    assert world.report.reasons == {Reason.COOLING_DOWN: 300, Reason.ACCEPTED: 1}
    assert world.cognito.deliveries == Counter([*users(300), "new"])
    assert summary.exit_code == 0
    world.now += 25 * 3600
    world.go(users(300))
    assert world.report.reasons == {Reason.SEND_CAP: 300}


def test_reminders_go_out_after_the_cooldown_and_up_to_the_cap() -> None:
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
    Kind.LOST: Reason.NO_ANSWER,
    Kind.FIN: Reason.NO_ANSWER,
    Kind.RST: Reason.NO_ANSWER,
    Kind.HALF: Reason.UNREADABLE_ANSWER,
}


def test_every_kind_of_user_ends_as_it_must_and_no_unknown_is_asked_again() -> None:
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
    # Who is unknown counts as sent, and is told apart.
    world.go(names)
    unknown = [name for name, reason in names.items() if reason.outcome is Outcome.UNKNOWN]
    assert {world.report.of(name).reason for name in unknown} == {Reason.OUTCOME_UNKNOWN}
    assert max(world.cognito.deliveries.values()) == 1


def test_being_throttled_slows_everybody_and_fails_nobody() -> None:
    for style in Style:
        world = World(Cognito(quota=Quota(10, style=style)))
        summary = world.go(users(600), rate=50.0)
        assert world.report.reasons == {Reason.ACCEPTED: 600}
        assert world.cognito.throttled == summary.throttled > 0
        assert world.cognito.throttled < 100
        assert any(result.attempts > 1 for result in world.report.results)


def test_no_second_holds_more_requests_than_the_ceiling() -> None:
    world = World(Cognito(keep_times=True), latency=0.0)
    world.go(users(500), rate=20.0)
    times = world.cognito.request_times
    assert times is not None
    for start in times:
        assert sum(start <= at < start + 1 - 1e-6 for at in times) <= 20


def test_one_tired_user_does_not_slow_everybody() -> None:
    names = [*users(100, "+tired"), *users(100)]
    world = World()
    summary = world.go(names, rate=50.0, max_failures=MaxFailures())
    assert world.report.reasons == {Reason.ATTEMPT_LIMIT: 100, Reason.ACCEPTED: 100}
    assert summary.seconds == pytest.approx(4, abs=0.3)


def test_the_first_request_goes_alone_and_a_wrong_setting_costs_one() -> None:
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


def test_a_spent_mail_quota_stops_the_run_and_the_next_day_goes_on() -> None:
    world = World(Cognito(settings=PoolSettings(mail_quota=50)))
    summary = world.go(users(120))
    assert (summary.stopped_by, summary.exit_code) == (Stop.MAIL_QUOTA, 3)
    assert world.report.reasons == {Reason.ACCEPTED: 50, Reason.STOPPED: 70}
    assert any(r.attempts for r in world.report.results if r.reason is Reason.STOPPED)
    world.now += 86400
    world.go(users(120))
    assert world.report.reasons == {Reason.SEND_CAP: 50, Reason.ACCEPTED: 50, Reason.STOPPED: 20}
    assert world.cognito.deliveries == Counter(users(100))


def test_no_message_more_than_max_sent_even_where_answers_are_lost() -> None:
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


def test_the_deadline_starts_no_new_user() -> None:
    world = World()
    summary = world.go(users(1000), rate=10.0, deadline=10.0)
    assert (summary.stopped_by, summary.exit_code) == (Stop.DEADLINE, 3)
    assert 99 <= world.cognito.deliveries.total() <= 101
    assert world.report.reasons.total() == 1000


def test_an_outage_costs_few_unknowns_and_the_run_goes_on_by_itself() -> None:
    for kind, count in ((Kind.SILENT, 10_000), (Kind.LOST, 3000), (Kind.ERROR, 3000)):
        world = World(Cognito(outages=[Outage(kind, EPOCH + 60, EPOCH + 180)]))
        summary = world.go(users(count))
        unknown = summary.counts[Outcome.UNKNOWN]
        assert 0 < unknown <= 100, kind
        assert world.report.reasons[Reason.ACCEPTED] == count - unknown
        assert max(world.cognito.deliveries.values()) == 1
        pauses = [seconds for _, seconds in world.waits]
        assert pauses == sorted(pauses)
        assert pauses[0] == 1
        assert max(pauses) <= 30


def test_an_outage_that_does_not_end_is_given_up() -> None:
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
        from batch_resend.model import Wire

        self.tries += 1
        if anyio.current_time() < self.until:
            return Reply(Wire.NOT_SENT, message="refused")
        return await self.sender.send(request)


def test_without_a_single_connection_the_settings_are_wrong() -> None:
    async def work() -> Summary:
        async with SimulatedSender(world.cognito) as sender:
            return await world.run(users(200), sender=NoConnection(sender, 1e9))

    world = World()
    summary = virtually(work)
    assert (summary.stopped_by, summary.exit_code) == (Stop.UNREACHABLE, 4)
    assert 30 <= summary.seconds <= 35
    assert world.ledger.unknown() == 0


def test_a_connection_that_comes_late_fails_nobody() -> None:
    async def work() -> Summary:
        async with SimulatedSender(world.cognito) as sender:
            until = anyio.current_time() + 2.0
            return await world.run(users(200), sender=NoConnection(sender, until))

    world = World()
    summary = virtually(work)
    assert summary.exit_code == 0
    assert world.cognito.deliveries == Counter(users(200))
    assert world.report.of("user0@example.com").attempts > 1


def test_a_gentle_stop_settles_what_is_in_flight_and_reports_the_rest() -> None:
    async def stop_soon(job: Job) -> None:
        await anyio.sleep(3.0)
        job.stop(Stop.SIGINT)

    world = World(latency=1.0)
    summary = world.go(users(500), during=stop_soon)
    assert (summary.stopped_by, summary.exit_code) == (Stop.SIGINT, 130)
    reasons = world.report.reasons
    assert reasons[Reason.ACCEPTED] == world.cognito.deliveries.total() > 0
    assert reasons[Reason.ACCEPTED] + reasons[Reason.STOPPED] == 500
    assert world.ledger.unknown() == 0
    world.go(users(500))
    assert world.cognito.deliveries == Counter(users(500))


def test_whoever_waits_or_rests_has_no_open_intent() -> None:
    opened: list[int] = []

    async def look(job: Job) -> None:
        while True:
            await anyio.sleep(0.333)
            snapshot = job.snapshot()
            opened.append(world.ledger.unknown() - snapshot.in_flight)

    world = World(Cognito(quota=Quota(5, burst=5)))
    world.go(users(300), rate=50.0, during=look)
    assert len(opened) > 100
    assert max(opened) <= 0


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


class Uncounted:
    """A ledger that may be written but not be read as a whole."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self.ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)

    def unknown(self) -> int:
        raise LedgerError("The ledger may not be read.")


def test_what_is_unknown_over_all_runs_is_never_said_to_be_what_this_run_left() -> None:
    world = World()
    summary = world.go(users(2), ledger=Uncounted(world.ledger))
    assert (summary.unknown_in_ledger, summary.stopped_by, summary.exit_code) == (None, None, 0)
    assert world.notes == [
        "How many are unknown over all runs is not known. The ledger may not be read."
    ]


@pytest.mark.parametrize("at", [0, 1, 2, 3, 50, 51, 52, 53])
def test_a_ledger_that_breaks_stops_sending_at_once_and_is_not_asked_again(at: int) -> None:
    world = World()
    sick = Sick(world.ledger, at)
    summary = world.go(users(200), ledger=sick)
    assert (summary.stopped_by, summary.exit_code, sick.asked_after) == (Stop.LEDGER, 4, 1)
    delivered = set(world.cognito.deliveries)
    told = {
        result.username
        for result in world.report.results
        if result.reason in {Reason.ACCEPTED, Reason.INTERRUPTED}
    }
    assert delivered <= told, "nobody was written to and called not attempted"
    world.go(users(200))
    assert max(world.cognito.deliveries.values(), default=0) == 1


def test_a_ledger_that_breaks_while_a_run_stops_is_what_the_run_is_told_to_have_died_of() -> None:
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


def test_where_everybody_was_asked_before_a_stop_nothing_of_it_is_told() -> None:
    class Refusing:
        async def send(self, request: Request) -> Reply:
            return Reply(Wire.ANSWERED, 400, "LimitExceededException", "Something unheard of")

    five = World().go(users(5), sender=Refusing(), max_failures=MaxFailures(number=99))
    assert (five.stopped_by, five.detail) == (None, "")
    six = World().go(users(6), sender=Refusing(), max_failures=MaxFailures(number=99))
    assert (six.stopped_by, six.detail) == (Stop.USER_LIMITS, "Something unheard of")


def test_only_whoever_is_to_be_written_to_counts_as_done() -> None:
    standing = []

    async def look(job: Job) -> None:
        await anyio.sleep(0.3)
        standing.append((job.snapshot(), world.report.reasons[Reason.ACCEPTED]))

    world = World()
    world.go([f"not a name {n}" for n in range(50)] + users(50), during=look)
    ((snapshot, sent),) = standing
    assert snapshot.eligible == 50
    assert 0 < snapshot.done == sent < 50


def test_a_report_that_cannot_be_written_stops_sending_and_loses_no_memory() -> None:
    world = World()
    summary = world.go(users(200), room=20)
    assert (summary.stopped_by, summary.exit_code) == (Stop.REPORT, 4)
    assert len(world.cognito.deliveries) < 40
    world.go(users(200))
    assert world.cognito.deliveries == Counter(users(200))


def test_what_a_dead_run_left_open_is_reported_once_as_interrupted() -> None:
    world = World()
    world.ledger.begin(EPOCH)
    apply(world.ledger, [Intend(Identity("ada"), EPOCH), Intend(Identity("bob"), EPOCH)])
    world.go(["ada", "cid"])
    assert world.report.of("ada").reason is Reason.INTERRUPTED
    assert world.report.of("cid").reason is Reason.ACCEPTED
    world.go(["ADA", "bob"])
    assert world.report.of("ADA").reason is Reason.OUTCOME_UNKNOWN
    assert world.report.of("bob").reason is Reason.INTERRUPTED
    policy = SendPolicy(resend_unknown="all")
    world.go(["ada", "bob"], policy=policy)
    assert world.report.reasons == {Reason.ACCEPTED: 2}


def test_a_clock_that_was_set_back_does_not_shorten_a_cooldown() -> None:
    world = World()
    policy = SendPolicy(max_sends=0)
    world.go(["ada"], policy=policy)
    sent_at = world.now
    world.now -= 48 * 3600
    world.go(["ada", "bob"], policy=policy)
    assert world.report.of("ada").reason is Reason.COOLING_DOWN
    world.now = sent_at + 23 * 3600
    world.go(["ada", "bob"], policy=policy)
    assert world.report.reasons == {Reason.COOLING_DOWN: 2}
    world.now = sent_at + 25 * 3600
    world.go(["ada", "bob"], policy=policy)
    assert world.report.reasons == {Reason.ACCEPTED: 2}


def test_a_dry_run_says_the_same_and_sends_and_remembers_nothing() -> None:
    world = World()
    world.go(["ada"])
    apply(world.ledger, [Intend(Identity("open"), world.now)])
    summary = world.go(["ada", "bob", "BOB", "open", "b d"], dry=True)
    assert {result.username: result.reason for result in world.report.results} == {
        "ada": Reason.COOLING_DOWN,
        "bob": Reason.ELIGIBLE,
        "BOB": Reason.DUPLICATE,
        "open": Reason.INTERRUPTED,
        "b d": Reason.INVALID_USERNAME,
    }
    assert summary.counts[Outcome.PLANNED] == 1
    assert world.cognito.requests == 1
    assert world.ledger.unknown() == 1


def test_a_canary_takes_the_first_or_a_sample_of_the_eligible() -> None:
    world = World()
    names = ["b d", "ada", "ada", *users(50)]
    world.go(names, selection=Selection(limit=3))
    assert set(world.cognito.deliveries) == {"ada", *users(2)}
    assert world.report.reasons[Reason.OVER_LIMIT] == 48
    world.go(names, selection=Selection(sample=10))
    assert world.cognito.deliveries.total() == 13
    assert world.report.reasons[Reason.ACCEPTED] == 10


def test_only_the_newest_account_of_an_address_is_written_to() -> None:
    def account(row: int, created: float, address: str) -> Candidate:
        return Candidate(
            row,
            f"id{row}",
            {"email": address},
            aliases=(address,),
            status="UNCONFIRMED",
            enabled=True,
            created=created,
        )

    listed = [
        account(1, 10.0, "ada@example.com"),
        account(2, 30.0, "ADA@example.com"),
        account(3, 20.0, "ada@example.com"),
        account(4, 5.0, "bob@example.com"),
        account(5, 5.0, ""),
    ]
    world = World(Cognito(Pool([User(c.username) for c in listed])))
    selection = Selection(one_per_address=True)
    world.go(listed, selection=selection)
    assert set(world.cognito.deliveries) == {"id2", "id4", "id5"}
    assert world.report.reasons[Reason.SAME_ADDRESS] == 2
    # A CSV that knows only the address finds the message that went to the account.
    world.go(["ada@example.com", "bob@example.com"])
    assert world.report.reasons == {Reason.COOLING_DOWN: 2}


def test_a_person_known_by_two_names_is_one_person_to_every_later_file() -> None:
    ada = Candidate(1, "ada", aliases=("ada@example.com",), status="UNCONFIRMED", enabled=True)
    reminder = SendPolicy(max_sends=2, cooldown=72 * 3600.0)
    for files in ([["ada"], ["ada@example.com"]], [["ada", "ada@example.com"]]):
        world = World()
        world.go([ada])
        world.now += 4 * 86400
        reasons: Counter[Reason] = Counter()
        for file in files:
            world.go(file, policy=reminder, concurrency=1)
            reasons += world.report.reasons
            world.now += 600
        assert reasons == {Reason.ACCEPTED: 1, Reason.COOLING_DOWN: 1}
        assert world.cognito.deliveries == {"ada": 2}


def test_a_listing_that_breaks_off_begins_again_and_loses_and_doubles_nobody() -> None:
    world = World()
    world.go(Listed(users(1500), stale=2))
    assert world.cognito.deliveries == Counter(users(1500))
    with pytest.raises(StaleListing):
        World().go(Listed(users(10), stale=3))


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
def test_as_many_rows_out_as_in_and_one_message_a_name_whatever_happens(
    inputs: list[list[str]], quota: float, rate: float, concurrency: int, hour_limits: bool
) -> None:
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
    assert sent <= delivered, "nobody is called sent without a delivery"
    lost = set(delivered - sent)
    assert all(Kind.of(name) in EXPECTED for name in lost)
    assert all(EXPECTED[Kind.of(name)].outcome is Outcome.UNKNOWN for name in lost)


def test_an_open_intent_is_closed_only_by_a_step_that_says_so() -> None:
    with LedgerFile(None) as ledger:
        ledger.begin(EPOCH)
        apply(ledger, [Intend(Identity("ada"), EPOCH)])
        apply(ledger, [Interrupted(Identity("bob"), EPOCH)])
        assert ledger.history(Identity("ada")).interrupted
