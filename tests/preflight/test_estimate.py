"""How long, which limit, what it costs: by hand, in a table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.preflight.estimate import (
    Estimate,
    MailQuota,
    Messages,
    day,
    dollars,
    messages,
    own_sender,
)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOON = at("2026-11-23 12:00")


def ses(a_day: int = 1000, left: int = 1000, a_second: float | None = None) -> MailQuota:
    return MailQuota(whose="Amazon SES", a_day=a_day, left=left, rolling=True, a_second=a_second)


def estimate(users: int = 1200, **changes: Any) -> Estimate:
    facts: dict[str, Any] = {"rate": 25.0, "now": NOON, "sent": Messages(mail=users)}
    return Estimate(users=users, **(facts | changes))


@pytest.mark.parametrize(
    ("mails", "now", "done"),
    [
        (50, "2026-11-23 12:00", "2026-11-23 12:00"),
        # Fifty today, the next fifty from 09:00 of the next day on.
        (51, "2026-11-23 12:00", "2026-11-24 09:00"),
        (100, "2026-11-23 12:00", "2026-11-24 09:00"),
        (101, "2026-11-23 12:00", "2026-11-25 09:00"),
        # At 08:00 the mail day of yesterday is still going on.
        (51, "2026-11-23 08:00", "2026-11-23 09:00"),
        (51, "2026-11-23 09:00", "2026-11-24 09:00"),
    ],
)
def test_cognito_mail_quota_resets_at_nine(mails: int, now: str, done: str) -> None:
    assert own_sender().finished_at(mails, at(now)) == at(done)


@pytest.mark.parametrize(
    ("mails", "left", "done"),
    [
        (300, 300, "2026-11-23 12:00"),
        (301, 300, "2026-11-24 12:00"),
        (1300, 300, "2026-11-24 12:00"),
        (1301, 300, "2026-11-25 12:00"),
        (1, 0, "2026-11-24 12:00"),
    ],
)
def test_ses_quota_counts_the_last_24_hours(mails: int, left: int, done: str) -> None:
    assert ses(left=left).finished_at(mails, NOON) == at(done)


@pytest.mark.parametrize(
    ("verifies", "telephones", "sent"),
    [
        (None, None, Messages(unknown=10)),
        (("email",), None, Messages(mail=10)),
        (("phone_number",), None, Messages(text=10)),
        (("email", "phone_number"), None, Messages(either=10)),
        (("email", "phone_number"), 3, Messages(mail=7, text=3)),
    ],
)
def test_users_with_a_phone_number_get_a_text_message(
    verifies: tuple[str, ...] | None, telephones: int | None, sent: Messages
) -> None:
    assert messages(10, verifies, telephones) == sent


@pytest.mark.parametrize(
    ("changes", "words", "done"),
    [
        ({}, "the rate of 25/s", "2026-11-23"),
        ({"rate": 100.0, "quota": 50.0}, "the quota of 50/s", "2026-11-23"),
        ({"mail": own_sender()}, "the mail quota of 50 per day", "2026-12-16"),
        ({"mail": ses(2000, 2000)}, "the rate of 25/s", "2026-11-23"),
        ({"mail": ses(2000, 2000, 14)}, "Amazon SES's rate of 14/s", "2026-11-23"),
        ({"mail": ses(500, 500, 14)}, "the mail quota of 500 per day", "2026-11-25"),
        # Text messages take no mail quota.
        ({"mail": own_sender(), "sent": Messages(text=1200)}, "the rate of 25/s",
         "2026-11-23"),
        # Users who may get either, or whose kind is unknown, may get a mail.
        ({"mail": own_sender(), "sent": Messages(either=1200)}, "the mail quota of 50 per day",
         "2026-12-16"),
        ({"mail": own_sender(), "sent": Messages(unknown=1200)}, "the mail quota of 50 per day",
         "2026-12-16"),
    ],
)  # fmt: skip
def test_slowest_limit_binds(changes: dict[str, Any], words: str, done: str) -> None:
    estimated = estimate(**changes)
    assert (estimated.binding.words, estimated.finished_on) == (words, done)
    assert estimated.held_back == (words.split()[1] not in {"rate", "quota"})


def test_first_user_needs_no_wait() -> None:
    assert estimate(1201).seconds == 48.0
    assert estimate(1).seconds == 0.0
    assert estimate(0).seconds == 0.0


@pytest.mark.parametrize(
    ("changes", "reached"),
    [
        ({}, (1200, "")),
        ({"max_sent": 40}, (40, "--max-sent")),
        ({"max_sent": 1200}, (1200, "")),
        ({"deadline": 10.0}, (251, "--deadline")),
        ({"mail": own_sender()}, (50, "the mail quota")),
        ({"mail": ses(1000, 300)}, (300, "the mail quota")),
        ({"mail": own_sender(), "max_sent": 40}, (40, "--max-sent")),
        # Two hundred get a text message, and of the rest fifty a mail.
        ({"mail": own_sender(), "sent": Messages(mail=1000, text=200)}, (250, "the mail quota")),
    ],
)
def test_first_limit_of_this_run_is_named(
    changes: dict[str, Any], reached: tuple[int, str]
) -> None:
    assert estimate(**changes).reached == reached


@pytest.mark.parametrize(
    ("changes", "amounts"),
    [
        ({}, []),
        ({"by_ses": True}, ["$0.12 for mail"]),
        ({"by_ses": False}, ["nothing for mail"]),
        ({"by_ses": True, "sent": Messages(text=1200)}, ["from $12.00 for text messages"]),
        (
            {"by_ses": True, "sent": Messages(mail=1000, text=200)},
            ["$0.10 for mail", "from $2.00 for text messages"],
        ),
        ({"tier": "ESSENTIALS"}, ["up to $18.00 in monthly active users"]),
        ({"tier": "LITE"}, ["up to $6.60 in monthly active users"]),
        ({"tier": "PLUS"}, ["up to $24.00 in monthly active users"]),
        ({"tier": "SOMETHING NEW"}, []),
    ],
)
def test_cost_is_rough_and_names_its_assumptions(
    changes: dict[str, Any], amounts: list[str]
) -> None:
    items = estimate(**changes).costs
    assert [amount for amount, _ in items] == amounts
    assert all(assumption for _, assumption in items)


def test_no_users_cost_nothing() -> None:
    estimated = estimate(0, by_ses=True, tier="PLUS", mail=own_sender())
    assert estimated.costs == []
    assert estimated.finished_on == "2026-11-23"


def test_days_are_utc_and_small_costs_are_shown() -> None:
    assert day(at("2026-11-23 23:59")) == "2026-11-23"
    assert dollars(0.004) == "less than $0.01"
    assert dollars(0) == "$0.00"
    assert dollars(12345.678) == "$12,345.68"


@given(
    st.integers(0, 10**6), st.integers(1, 10**5), st.integers(0, 10**5), st.booleans(),
    st.floats(0, 2e9),
)  # fmt: skip
def test_mail_quota_is_never_exceeded(
    mails: int, a_day: int, left: int, rolling: bool, now: float
) -> None:
    quota = MailQuota(whose="any", a_day=a_day, left=min(left, a_day), rolling=rolling)
    done = quota.finished_at(mails, now)
    days = max(0, round((done - now) / 86400 + 0.5)) if done > now else 0
    assert done >= now
    assert mails <= quota.left + days * a_day
