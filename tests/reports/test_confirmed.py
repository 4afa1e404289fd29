"""Who has confirmed since, of the users of reports: counted by the pool's listing."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_resend.model import Candidate, Reason
from batch_resend.reports.page.confirmed import Confirmed, SentUsers
from tests.support.pages import result, write


def listed(name: str, status: str | None, *others: str) -> Candidate:
    return Candidate(1, name, aliases=others, status=status)


def test_users_are_found_by_any_of_their_names_and_counted_once(tmp_path: Path) -> None:
    rows = [
        result(1, username="ada@example.com"),
        result(2, username="id-2"),
        result(3, username="=id-3"),
        result(4, username="gone"),
        result(5, Reason.USER_NOT_FOUND, username="failed"),
    ]
    one, two = write(tmp_path / "1.csv", rows), write(tmp_path / "2.csv", rows[:2])
    with SentUsers([one, two]) as sent:
        sent.listed([listed("id-1", "CONFIRMED", "sub-1", "Ada@Example.com")])
        sent.listed([listed("id-2", "UNCONFIRMED"), listed("=id-3", "CONFIRMED")])
        sent.listed([listed("=ID-3", "UNCONFIRMED"), listed("failed", "CONFIRMED")])
        counts = sent.counted("p")
    assert counts == Confirmed("p", sent=4, confirmed=2, not_listed=1)


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ((0, 0, 0), "No user was sent a code."),
        ((4, 1, 0), "1 of 4 users who were sent a code has confirmed since (25 %)."),
        (
            (2400, 1200, 1100),
            "1,200 of 2,400 users who were sent a code have confirmed since (50 %). 1,100 are not"
            " in the pool.",
        ),
    ],
)
def test_sentence_counts_in_words(counts: tuple[int, int, int], sentence: str) -> None:
    assert Confirmed("p", *counts).sentence == sentence
