"""What a run plans: who is selected, and what the ledger knows of each user."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from batch_resend.errors import StaleListing
from batch_resend.job.outcome import Stop
from batch_resend.job.plan import Eligibility
from batch_resend.job.planner import Selection
from batch_resend.ledger import Finding, Identity, Intend, Interrupted, Settle
from batch_resend.ledger.policy import SendPolicy
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.model import Candidate, Evidence, Outcome, Reason
from batch_resend.simulator.pool import Pool, User
from batch_resend.simulator.rules import Cognito
from tests.support.ledgers import apply
from tests.support.world import EPOCH, Listed, World, users


def test_open_intent_of_a_dead_run_is_reported_once() -> None:
    """As `interrupted` the first time, as `outcome-unknown` from then on."""
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


def test_skipped_row_names_the_evidence_of_its_earlier_message() -> None:
    """The rows of users with a code by CloudTrail, or without a record; no other rows."""
    world = World()
    world.ledger.begin(EPOCH)
    for name in ("ada", "bob", "cid", "dan"):
        reason = Reason.ACCEPTED if name == "dan" else Reason.NO_ANSWER
        (intent,) = apply(world.ledger, [Intend(Identity(name), EPOCH)])
        apply(world.ledger, [Settle(intent, reason, EPOCH)])
    outcomes = {Reason.ACCEPTED: "cloudtrail:event-1", Reason.NOT_RECORDED: ""}
    lost = list(world.ledger.records.marked(unknown=True))
    world.ledger.records.settle_unknown(
        [
            Finding(one.handle, *finding)
            for one, finding in zip(lost, outcomes.items(), strict=False)
        ],
        EPOCH + 60,
    )
    world.go(["ada", "bob", "cid", "dan", "eve"])
    assert {r.username: (r.reason, r.evidence) for r in world.report.results} == {
        "ada": (Reason.COOLING_DOWN, Evidence("cloudtrail:event-1", EPOCH + 60)),
        "bob": (Reason.OUTCOME_UNKNOWN, Evidence("", EPOCH + 60)),
        "cid": (Reason.OUTCOME_UNKNOWN, None),
        "dan": (Reason.COOLING_DOWN, None),
        "eve": (Reason.ACCEPTED, None),
    }


def test_clock_set_back_does_not_shorten_a_cooldown() -> None:
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


def test_dry_run_decides_alike_and_writes_nothing() -> None:
    """No request is made, and the ledger stays as it was."""
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
    assert world.ledger.unknown().messages == 1


def test_canary_takes_the_first_or_a_sample() -> None:
    world = World()
    names = ["b d", "ada", "ada", *users(50)]
    world.go(names, selection=Selection(limit=3))
    assert set(world.cognito.deliveries) == {"ada", *users(2)}
    assert world.report.reasons[Reason.OVER_LIMIT] == 48
    world.go(names, selection=Selection(sample=10))
    assert world.cognito.deliveries.total() == 13
    assert world.report.reasons[Reason.ACCEPTED] == 10


def test_failures_of_earlier_runs_come_last() -> None:
    """Failing sign-ups that come first in the input must not stop every run for all others."""
    failing = [f"user{n}+disabled@example.com" for n in range(150)]
    names = [*failing, *users(40)]
    world = World()
    first = world.go(names, concurrency=1)
    assert first.stopped_by is Stop.MAX_FAILURES
    assert not world.cognito.deliveries
    second = world.go(names, concurrency=1)
    assert second.as_json()["notes"] == list(world.job.notes)
    assert world.job.notes == ("100 users come last, for their last request failed or is unknown.",)
    assert set(world.cognito.deliveries) == set(users(40))
    world.go(failing[:1], dry=True)
    assert world.job.notes == ("1 user comes last, for the last request failed or is unknown.",)


def test_limit_takes_users_who_failed_before_last() -> None:
    """Else the same failing users would be the canary of every run."""
    names = ["a+missing@example.com", "b+missing@example.com", *users(2)]
    world = World()
    for _ in range(2):
        world.go(names, selection=Selection(limit=2))
    assert set(world.cognito.deliveries) == set(users(2))
    world.go(names, selection=Selection(limit=1))
    assert world.report.of("a+missing@example.com").reason is Reason.USER_NOT_FOUND


def test_newest_account_of_an_address_is_sent_to() -> None:
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


def accounts(*rows: tuple[float, dict[str, Any]]) -> list[Candidate]:
    """Return accounts with one address, each with its time of sign-up and other differences."""
    address = "ada@example.com"
    plain = Candidate(0, "", {"email": address}, aliases=(address,), status="UNCONFIRMED")
    return [
        replace(plain, row=row, username=f"id{row}", created=created, **changes)
        for row, (created, changes) in enumerate(rows, 1)
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"enabled": False}, Reason.DISABLED),
        ({"status": "CONFIRMED"}, Reason.NOT_UNCONFIRMED),
        ({"created": EPOCH - 60.0}, Reason.TOO_YOUNG),
    ],
)
def test_newest_account_that_is_skipped_takes_no_place(
    changes: dict[str, Any], reason: Reason
) -> None:
    """The newest that can be sent a code is chosen; the newer one keeps its own reason."""
    listed = accounts((10.0, {}), (20.0, {}), (30.0, {}))
    listed[2] = replace(listed[2], **changes)
    world = World(Cognito(Pool([User(c.username) for c in listed])))
    eligible = Eligibility(older_than=3600.0)
    world.go(listed, selection=Selection(one_per_address=True), eligibility=eligible)
    by_row = {result.row: result.reason for result in world.report.results}
    assert by_row == {1: Reason.SAME_ADDRESS, 2: Reason.ACCEPTED, 3: reason}


def test_address_that_had_its_message_gets_no_other() -> None:
    """Not by an older account and not by a newer one, in whichever run."""
    world = World(Cognito(Pool([User(f"id{row}") for row in (1, 2, 3)])))
    selection, eligible = Selection(one_per_address=True), Eligibility(older_than=3600.0)
    listed = accounts((10.0, {}), (20.0, {}), (EPOCH - 60.0, {}))
    for later in (0.0, 2 * 3600.0, 90 * 86400.0):
        world.now += later
        world.go(listed, selection=selection, eligibility=eligible)
        assert world.cognito.deliveries == {"id2": 1}
    assert world.report.reasons == {Reason.SAME_ADDRESS: 2, Reason.SEND_CAP: 1}


def test_plan_says_who_shares_an_address() -> None:
    """Each account is a user of its own; the option for one message is named."""
    shared = accounts((10.0, {}), (20.0, {}), (30.0, {"enabled": False}))
    others = [Candidate(4, "bob", aliases=("bob@example.com",)), Candidate(5, "cid")]
    source = Listed([*shared, *others])
    source.is_listing = True
    world = World()
    world.go(source, dry=True)
    say = "2 users share an address with another user. For one message per address use"
    assert world.job.notes == (f"{say} --one-per-address.",)
    world.go(source, dry=True, selection=Selection(one_per_address=True))
    assert not world.job.notes
    by_file = [replace(user, aliases=(), contacts=user.aliases, attributes={}) for user in shared]
    world.go(by_file, dry=True)
    needs = "which needs a column UserCreateDate in a file"
    assert world.job.notes == (f"{say} --one-per-address, {needs}.",)


def test_user_with_two_names_stays_one_user() -> None:
    """After a listing, either name in a later file finds the message to the other."""
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


def test_stale_listing_restarts_without_loss_or_repeat() -> None:
    """Two breaks are survived; the third ends the run."""
    world = World()
    world.go(Listed(users(1500), stale=2))
    assert world.cognito.deliveries == Counter(users(1500))
    with pytest.raises(StaleListing):
        World().go(Listed(users(10), stale=3))


def test_only_the_users_own_step_closes_an_open_intent() -> None:
    with LedgerFile(None) as ledger:
        ledger.begin(EPOCH)
        apply(ledger, [Intend(Identity("ada"), EPOCH)])
        apply(ledger, [Interrupted(Identity("bob"), EPOCH)])
        assert ledger.history(Identity("ada")).interrupted
