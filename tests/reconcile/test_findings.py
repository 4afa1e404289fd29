"""What each unknown outcome turns out to be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batch_resend.model import Outcome, Reason
from batch_resend.reconcile.findings import (
    DAY,
    HISTORY,
    Finding,
    Rules,
    Why,
    conclude,
    unrecorded_at_most,
)
from batch_resend.reconcile.records import Record
from batch_resend.reconcile.windows import Around, Doubt

AT = 1_800_000_000.0
RULES = Rules(now=AT + DAY, reaches_back=HISTORY)
ALL_FOUND = Around(near=20, missing=0)
DOUBT = Doubt("1", "m", AT, Reason.NO_ANSWER)


def record(reason: Reason = Reason.ACCEPTED, sub: str = "s", at: float = AT + 1) -> Record:
    return Record("m", "r", sub, at, "e-1", reason)


def find(
    doubt: Doubt = DOUBT,
    match: Record | None = None,
    around: Around = ALL_FOUND,
    rules: Rules = RULES,
) -> Finding:
    return conclude(doubt, match, around, rules, str.encode)


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        (Reason.ACCEPTED, Outcome.SENT),
        (Reason.ATTEMPT_LIMIT, Outcome.FAILED),
        (Reason.ALREADY_CONFIRMED, Outcome.SKIPPED),
        (Reason.STOPPED, Outcome.NOT_ATTEMPTED),
    ],
)
@pytest.mark.parametrize("before", [None, Reason.NO_ANSWER, Reason.SERVER_ERROR])
def test_record_with_a_result_settles(
    reason: Reason, outcome: Outcome, before: Reason | None
) -> None:
    """At once, whatever the controls are: a record does not go away."""
    early = Rules(now=AT + 10)
    finding = find(replace(DOUBT, reason=before), record(reason), Around(), early)
    assert finding == Finding(
        replace(DOUBT, reason=before), reason, at=AT + 1, evidence="cloudtrail:e-1"
    )
    assert finding.outcome is outcome
    assert finding.changes


@pytest.mark.parametrize(
    ("recorded", "at"), [(AT - 3600, AT), (AT + 5, AT + 5), (AT + 10 * DAY, AT + DAY)]
)
def test_time_of_a_record_is_held_between_intent_and_now(recorded: float, at: float) -> None:
    """A record from the year 9999 must not move a ledger's clock."""
    assert find(match=record(at=recorded)).at == at


@pytest.mark.parametrize(
    ("before", "recorded", "after"),
    [
        (Reason.NO_ANSWER, Reason.SERVER_ERROR, Reason.SERVER_ERROR),
        (Reason.INTERRUPTED, Reason.TRIGGER_ERROR, Reason.TRIGGER_ERROR),
        (Reason.NOT_RECORDED, Reason.SERVER_ERROR, Reason.SERVER_ERROR),
        (Reason.NO_ANSWER, Reason.UNREADABLE_ANSWER, Reason.NO_ANSWER),
        (Reason.SERVER_ERROR, Reason.UNREADABLE_ANSWER, Reason.SERVER_ERROR),
        (Reason.INTERRUPTED, Reason.UNREADABLE_ANSWER, Reason.UNREADABLE_ANSWER),
        (Reason.NOT_RECORDED, Reason.UNREADABLE_ANSWER, Reason.UNREADABLE_ANSWER),
        (None, Reason.UNREADABLE_ANSWER, Reason.UNREADABLE_ANSWER),
    ],
)
def test_record_without_a_result_leaves_it_unknown(
    before: Reason | None, recorded: Reason, after: Reason
) -> None:
    """It did reach Cognito, so it is not, and never will be, `not-recorded`."""
    finding = find(replace(DOUBT, reason=before), record(recorded))
    assert (finding.why, finding.reason, finding.outcome) == (
        Why.NO_RESULT,
        after,
        Outcome.UNKNOWN,
    )
    assert finding.changes
    later = replace(DOUBT, reason=after, recorded=True)
    assert find(later, record(recorded)).changes is False
    assert find(later).why is Why.NO_RESULT
    assert find(later).changes is False


def test_record_of_another_user_settles_nothing() -> None:
    listed = replace(DOUBT, names=frozenset({b"s", b"ada@example.com"}))
    assert find(listed, record(sub="s")).reason is Reason.ACCEPTED
    assert find(listed, record(sub="")).reason is Reason.ACCEPTED
    finding = find(listed, record(sub="t"))
    assert finding.why is Why.OTHER_USER
    assert finding.reason is Reason.NO_ANSWER
    assert find(DOUBT, record(sub="t")).reason is Reason.ACCEPTED


def test_missing_record_is_not_recorded_amid_controls() -> None:
    finding = find()
    assert finding == Finding(DOUBT, Reason.NOT_RECORDED, Why.NOT_RECORDED, at=AT + DAY)
    assert finding.outcome is Outcome.UNKNOWN
    again = find(replace(DOUBT, reason=Reason.NOT_RECORDED))
    assert again.why is Why.NOT_RECORDED
    assert not again.changes


@pytest.mark.parametrize(
    "reason", [Reason.SERVER_ERROR, Reason.TRIGGER_ERROR], ids=["5xx", "trigger"]
)
def test_missing_record_of_a_server_s_error_says_nothing(reason: Reason) -> None:
    """A server that dies after sending loses response and record together."""
    finding = find(replace(DOUBT, reason=reason))
    assert (finding.why, finding.changes) == (Why.NO_RESULT, False)


@pytest.mark.parametrize("reason", [None, Reason.NO_ANSWER, Reason.INTERRUPTED])
def test_missing_record_of_a_young_request_is_too_early(reason: Reason | None) -> None:
    finding = find(replace(DOUBT, reason=reason), rules=replace(RULES, now=AT + DAY - 1))
    assert (finding.why, finding.due, finding.changes) == (Why.TOO_EARLY, AT + DAY, False)


def test_missing_record_never_counts_within_an_hour() -> None:
    rules = Rules(now=AT + 3599, older_than=0.0)
    assert find(rules=rules).due == AT + 3600
    assert find(rules=replace(rules, now=AT + 3600)).why is Why.NOT_RECORDED


@pytest.mark.parametrize(
    ("around", "wanted"), [(Around(19, 0), 20), (Around(100, 1), 20), (Around(0, 0), 0)]
)
def test_missing_record_without_enough_controls_says_nothing(around: Around, wanted: int) -> None:
    finding = find(around=around, rules=replace(RULES, controls=wanted))
    assert (finding.why, finding.changes) == (Why.NO_CONTROLS, False)


def test_request_from_before_the_history_is_too_old() -> None:
    rules = replace(RULES, now=AT + HISTORY)
    assert find(rules=rules).why is Why.TOO_OLD
    assert find(match=record(), rules=rules).reason is Reason.ACCEPTED
    assert find(rules=Rules(now=AT + 2 * HISTORY)).why is Why.NOT_RECORDED


@pytest.mark.parametrize(("controls", "share"), [(0, 1.0), (2, 1.0), (100, 0.03), (300, 0.01)])
def test_bound_is_the_rule_of_three(controls: int, share: float) -> None:
    assert unrecorded_at_most(controls) == share
