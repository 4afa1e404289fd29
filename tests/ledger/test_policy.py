"""How often a user may be sent a code: unknown outcomes, and clocks that were wrong."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.ledger.policy import History, ResendUnknown, SendPolicy, judge_history
from batch_resend.model import Reason

NOW = 1_800_000_000.0
DAY = 86400.0
YEARS = 14 * 365 * DAY
LONG_AGO = NOW - 9 * DAY


def judged(history: History, **changes: object) -> Reason | None:
    return judge_history(history, SendPolicy(**changes), NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("unknown", "not_recorded", "without", "not_recorded_only", "all_of_them"),
    [
        (1, 0, Reason.OUTCOME_UNKNOWN, Reason.OUTCOME_UNKNOWN, None),
        (0, 1, Reason.OUTCOME_UNKNOWN, None, None),
        (1, 1, Reason.OUTCOME_UNKNOWN, Reason.OUTCOME_UNKNOWN, Reason.OUTCOME_UNKNOWN),
        (0, 2, Reason.OUTCOME_UNKNOWN, Reason.OUTCOME_UNKNOWN, Reason.OUTCOME_UNKNOWN),
    ],
)
def test_resending_unknown_ones(
    unknown: int,
    not_recorded: int,
    without: Reason | None,
    not_recorded_only: Reason | None,
    all_of_them: Reason | None,
) -> None:
    history = History((), [LONG_AGO] * unknown, not_recorded=[LONG_AGO] * not_recorded)
    assert judged(history) is without
    assert judged(history, resend_unknown="not-recorded") is not_recorded_only
    assert judged(history, resend_unknown="all") is all_of_them


@given(
    cap=st.integers(1, 4),
    resend=st.lists(st.sampled_from([None, "not-recorded", "all"]), min_size=1, max_size=12),
    outcomes=st.lists(st.sampled_from(["sent", "unknown", "not-recorded"]), max_size=12),
)
def test_no_user_gets_two_more_than_the_cap(
    cap: int, resend: Sequence[ResendUnknown | None], outcomes: Sequence[str]
) -> None:
    """Whatever the runs ask for, and were every unknown message one that arrived."""
    sent: list[float] = []
    unknown: list[float] = []
    not_recorded: list[float] = []
    lists = {"sent": sent, "unknown": unknown, "not-recorded": not_recorded}
    for which, outcome in zip(resend, outcomes, strict=False):
        policy = SendPolicy(cooldown=0.0, max_sends=cap, resend_unknown=which)
        if judge_history(History(sent, unknown, not_recorded=not_recorded), policy, NOW) is None:
            lists[outcome].append(LONG_AGO)
    assert len(sent) <= cap
    assert len(sent) + len(unknown) + len(not_recorded) <= cap + 1


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (NOW - YEARS - 3600, Reason.COOLING_DOWN),  # an hour ago by this machine's clock
        (NOW - YEARS - 2 * DAY, None),
        (NOW - 3600, Reason.COOLING_DOWN),  # by the clock that was wrong: the time is not known
        (NOW - 2 * DAY, None),  # two days before the newest time, whichever clock is right
    ],
)
def test_a_cooldown_is_not_shortened_by_a_clock_that_jumped(
    at: float, expected: Reason | None
) -> None:
    assert judged(History([at]), max_sends=0, behind=YEARS) is expected


def test_a_message_from_the_future_cools() -> None:
    assert judged(History([NOW + DAY]), max_sends=0) is Reason.COOLING_DOWN
