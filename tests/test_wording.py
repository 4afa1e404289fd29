"""Counts and lengths of time, as sentences have them."""

from __future__ import annotations

import pytest

from batch_resend.cli import parsing
from batch_resend.wording import duration, grouped, length, moment, per_second, some, span


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"), (9.94, "9.9 s"), (89, "89 s"), (90, "2 min"), (89 * 60, "89 min"),
        (90 * 60, "1 h 30 min"), (47 * 3600, "47 h 00 min"), (48 * 3600, "2 d 0 h"),
        (23 * 86400 + 4 * 3600, "23 d 4 h"),
    ],
)  # fmt: skip
def test_duration_is_shown_in_the_units_that_matter(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_many_things_are_counted_in_thousands_and_tenths() -> None:
    assert [grouped(count, "mail") for count in (0, 1, 1.0, 12.5, 999, 1000, 1234567)] == [
        "0 mails", "1 mail", "1 mail", "12.5 mails", "999 mails", "1,000 mails",
        "1,234,567 mails",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1209600, "14d"), (86400, "24h"), (172800, "2d"), (5400, "90m"), (90, "90s"), (0, "0s"),
        (0.5, "500ms"), (2.5, "2.5s"), (100.25, "1m40.25s"), (88200, "1d30m"), (360061, "4d4h1m1s"),
    ],
)  # fmt: skip
def test_duration_is_written_as_people_write_it(seconds: float, words: str) -> None:
    assert duration(seconds) == words
    assert parsing.duration("--deadline", words) == seconds


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (86400, "24 h"), (172800, "2 days"), (1209600, "14 days"), (5400, "90 min"), (0, "0 s"),
        (0.5, "500 ms"), (90000, "25 h"), (360060, "4 days 4 h 1 min"),
    ],
)  # fmt: skip
def test_length_is_a_duration_in_a_sentence(seconds: float, words: str) -> None:
    assert length(seconds) == words


def test_rate_is_written_per_second_without_an_exponent() -> None:
    rates = (0.25, 3.275, 25.0, 50.12, 100.4, 1000.0, 12345.6)
    assert [per_second(rate) for rate in rates] == [
        "0.25/s", "3.27/s", "25/s", "50.1/s", "100/s", "1,000/s", "12,346/s",
    ]  # fmt: skip


def test_moment_is_named_by_its_day_in_utc() -> None:
    now = 1795435200.0  # 2026-11-23 12:00
    assert [moment(now - hours * 3600, now) for hours in (0, 11, 13, 37)] == [
        "today 12:00 UTC", "today 01:00 UTC", "yesterday 23:00 UTC", "2026-11-21 23:00 UTC",
    ]  # fmt: skip


def test_some_things_are_counted_in_groups() -> None:
    assert [some(count, "row") for count in (0, 1, 2400)] == ["0 rows", "1 row", "2,400 rows"]
