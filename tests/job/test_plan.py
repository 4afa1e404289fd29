"""Who is sent a code and who is not: tables by hand."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.errors import InputError
from batch_resend.job import match
from batch_resend.job.plan import Eligibility, decide, valid_username
from batch_resend.ledger.policy import NO_HISTORY, History, SendPolicy
from batch_resend.model import Candidate, Outcome, Reason

HOUR, DAY = 3600.0, 86400.0
NOW = 1_800_000_000.0
ONCE = SendPolicy()
REMINDERS = SendPolicy(max_sends=3, cooldown=72 * HOUR)


def decided(candidate: Candidate, **changes: Any) -> Reason:
    facts: dict[str, Any] = {
        "excluded": False,
        "history": NO_HISTORY,
        "eligibility": Eligibility(),
        "policy": ONCE,
        "now": NOW,
    }
    return decide(candidate, **(facts | changes))


def listed(**changes: Any) -> Candidate:
    facts: dict[str, Any] = {"status": "UNCONFIRMED", "enabled": True, "created": NOW - 2 * DAY}
    return Candidate(1, "ada", **(facts | changes))


ADA = Candidate(1, "ada")
DE = Eligibility(match=(("lang", re.compile("^de")),))


@pytest.mark.parametrize(
    ("candidate", "changes", "reason"),
    [
        (ADA, {}, Reason.ELIGIBLE),
        (listed(), {}, Reason.ELIGIBLE),
        (ADA, {"excluded": True, "eligibility": DE}, Reason.EXCLUDED),
        (ADA, {"eligibility": DE}, Reason.NOT_MATCHED),
        (Candidate(1, "ada", {"lang": "en-de"}), {"eligibility": DE}, Reason.NOT_MATCHED),
        (Candidate(1, "ada", {"lang": "de-AT"}), {"eligibility": DE}, Reason.ELIGIBLE),
        # A column that a row does not have is an empty one, which a pattern may ask for.
        (ADA, {"eligibility": Eligibility(match=(("lang", re.compile("^$")),))}, Reason.ELIGIBLE),
        (listed(status="CONFIRMED", enabled=False), {}, Reason.NOT_UNCONFIRMED),
        (listed(status="FORCE_CHANGE_PASSWORD"), {}, Reason.NOT_UNCONFIRMED),
        (listed(enabled=False), {"eligibility": Eligibility(older_than=9 * DAY)}, Reason.DISABLED),
        (listed(), {"eligibility": Eligibility(older_than=2 * DAY)}, Reason.ELIGIBLE),
        (listed(), {"eligibility": Eligibility(older_than=2 * DAY + 1)}, Reason.TOO_YOUNG),
        (listed(), {"eligibility": Eligibility(newer_than=2 * DAY)}, Reason.ELIGIBLE),
        (listed(), {"eligibility": Eligibility(newer_than=2 * DAY - 1)}, Reason.TOO_OLD),
        (listed(created=NOW), {"eligibility": Eligibility(older_than=0.0)}, Reason.ELIGIBLE),
        (listed(), {"eligibility": Eligibility(since=NOW - 2 * DAY)}, Reason.ELIGIBLE),
        (listed(), {"eligibility": Eligibility(since=NOW - 2 * DAY + 1)}, Reason.TOO_OLD),
        # An age is judged by this run's clock, a day behind the times of the ledger.
        (
            listed(created=NOW - 2.5 * DAY),
            {"eligibility": Eligibility(older_than=2 * DAY), "policy": SendPolicy(behind=DAY)},
            Reason.TOO_YOUNG,
        ),
        # An address without an account, as --resolve finds it.
        (Candidate(1, "ada", exists=False), {}, Reason.USER_NOT_FOUND),
        (Candidate(1, "a b", exists=False), {}, Reason.INVALID_USERNAME),
        (Candidate(1, "a b"), {}, Reason.INVALID_USERNAME),
        (Candidate(1, "a b"), {"excluded": True}, Reason.EXCLUDED),
        (Candidate(1, ""), {}, Reason.INVALID_USERNAME),
    ],
)
def test_the_first_reason_that_applies_counts(
    candidate: Candidate, changes: dict[str, Any], reason: Reason
) -> None:
    assert reason == decided(candidate, **changes)


def test_pattern_without_an_end_is_named_with_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match, "LONGEST", 0.05)
    endless = Eligibility(match=(("lang", re.compile(r"(a|aa)+\Z")),))
    with pytest.raises(InputError) as caught:
        decided(Candidate(7, "ada", {"lang": "a" * 90 + "!"}), eligibility=endless)
    assert str(caught.value) == (
        r"Row 7: --match lang=(a|aa)+\Z takes longer than 0.05 s, for it backtracks without end."
        " Use a simpler pattern."
    )


@pytest.mark.parametrize(
    ("history", "policy", "reason"),
    [
        (History(), ONCE, Reason.ELIGIBLE),
        (History(sent=[NOW - HOUR]), ONCE, Reason.COOLING_DOWN),
        (History(sent=[NOW - 24 * HOUR]), ONCE, Reason.SEND_CAP),
        (History(sent=[NOW + 9 * DAY]), ONCE, Reason.COOLING_DOWN),
        (History(sent=[NOW - 90 * DAY]), ONCE, Reason.SEND_CAP),
        (History(sent=[NOW - 90 * DAY]), SendPolicy(max_sends=0), Reason.ELIGIBLE),
        (History(sent=[NOW - 71 * HOUR]), REMINDERS, Reason.COOLING_DOWN),
        (History(sent=[NOW - 73 * HOUR]), REMINDERS, Reason.ELIGIBLE),
        (History(sent=[NOW - 9 * DAY] * 2), REMINDERS, Reason.ELIGIBLE),
        (History(sent=[NOW - 9 * DAY] * 3), REMINDERS, Reason.SEND_CAP),
        (History(sent=[NOW - 9 * DAY] * 4), REMINDERS, Reason.SEND_CAP),
        # Unproved messages count as sent, and the reason says that they do.
        (History(unknown=[NOW - HOUR]), ONCE, Reason.OUTCOME_UNKNOWN),
        (History(unknown=[NOW - 90 * DAY]), ONCE, Reason.OUTCOME_UNKNOWN),
        (History(unknown=[NOW - 9 * DAY]), REMINDERS, Reason.ELIGIBLE),
        (History(unknown=[NOW - HOUR]), REMINDERS, Reason.OUTCOME_UNKNOWN),
        (History([NOW - 9 * DAY] * 2, [NOW - 9 * DAY]), REMINDERS, Reason.OUTCOME_UNKNOWN),
        (History([NOW - HOUR], [NOW - HOUR]), ONCE, Reason.COOLING_DOWN),
        (History([], [NOW - HOUR], interrupted=True), ONCE, Reason.INTERRUPTED),
        (History([NOW - HOUR], [NOW], interrupted=True), ONCE, Reason.INTERRUPTED),
        (History([], [NOW], True), SendPolicy(resend_unknown="all"), Reason.ELIGIBLE),
        (History([], [NOW - HOUR]), SendPolicy(resend_unknown="all"), Reason.ELIGIBLE),
        (
            History([NOW - HOUR], [NOW]),
            SendPolicy(resend_unknown="all"),
            Reason.COOLING_DOWN,
        ),
    ],
)
def test_the_ledger_decides_over_all_runs(
    history: History, policy: SendPolicy, reason: Reason
) -> None:
    assert reason == decided(ADA, history=history, policy=policy)


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("ada", True),
        ("ada@example.com", True),
        ("+15550100", True),
        ("Zoë", True),
        ("日本", True),
        ("€$|~", True),
        ("🙂", True),
        ("e\u0301", True),
        ("x" * 128, True),
        ("é" * 128, True),
        ("", False),
        ("x" * 129, False),
        ("é" * 129, False),
        ("a b", False),
        ("a\u00a0b", False),
        ("a\tb", False),
        ("a\x00", False),
        ("a\u200b", False),
        ("a\u202e", False),
        ("\ud800", False),
        ("ada\n", False),
    ],
)
def test_cognitos_own_pattern_and_length_decide_what_a_name_is(name: str, valid: bool) -> None:
    assert valid is valid_username(name)


@given(
    st.builds(
        Candidate,
        st.just(1),
        st.text(max_size=4),
        st.just({}),
        st.just(""),
        st.just(()),
        st.sampled_from([None, "UNCONFIRMED", "CONFIRMED"]),
        st.sampled_from([None, True, False]),
        st.one_of(st.none(), st.floats(0, 2 * NOW)),
    ),
    st.booleans(),
    st.builds(
        History,
        st.lists(st.floats(0, 2 * NOW), max_size=3),
        st.lists(st.floats(0, 2 * NOW), max_size=3),
        st.booleans(),
    ),
    st.integers(0, 3),
)
def test_plan_never_sends_to_users_that_the_ledger_bars(
    candidate: Candidate, excluded: bool, history: History, cap: int
) -> None:
    policy = SendPolicy(max_sends=cap)
    reason = decide(
        candidate,
        excluded=excluded,
        history=history,
        eligibility=Eligibility(),
        policy=policy,
        now=NOW,
    )
    assert reason.outcome in {
        Outcome.PLANNED,
        Outcome.SKIPPED,
        Outcome.UNKNOWN,
        Outcome.FAILED,
    }
    if reason is Reason.ELIGIBLE:
        times = [*history.sent, *history.unknown]
        assert not excluded
        assert candidate.enabled is not False
        assert not history.interrupted
        assert not cap or len(times) < cap
        assert all(NOW - at >= policy.cooldown for at in times)
