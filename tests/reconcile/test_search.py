"""Which of the wanted records have been seen."""

from __future__ import annotations

from batch_resend.model import Reason
from batch_resend.reconcile.records import Record
from batch_resend.reconcile.search import Search
from batch_resend.reconcile.windows import Doubt, Window

ADA = Doubt("1", "ada", 0.0)
BOB = Doubt("2", "bob", 0.0, request_id="r-bob")


def record(mark: str, request: str = "r", reason: Reason = Reason.ACCEPTED) -> Record:
    return Record(mark, request, "", 1.0, "e", reason)


def test_records_of_others_are_counted_and_let_go() -> None:
    search = Search([ADA, BOB], ["control"])
    for one in (None, record("x"), record(""), record("control"), record("ada")):
        search.take(one)
    assert search.read == 4
    assert search.seen == {"control"}
    assert search.record_of(ADA) == record("ada")
    assert search.record_of(BOB) is None


def test_record_is_found_by_its_request_where_the_mark_is_gone() -> None:
    search = Search([ADA, BOB], [])
    search.take(record("", "r-bob"))
    assert search.record_of(BOB) == record("", "r-bob")
    assert search.record_of(ADA) is None


def test_more_careful_record_is_kept_in_either_order() -> None:
    sent, refused = record("ada"), record("ada", reason=Reason.ATTEMPT_LIMIT)
    for order in ((sent, refused), (refused, sent), (sent, sent, refused)):
        search = Search([ADA], [])
        for one in order:
            search.take(one)
        assert search.record_of(ADA) == sent


def test_search_is_over_once_every_doubt_was_sent() -> None:
    """A refusal is not the end: an earlier record of the same request may say `sent`."""
    window = Window(0.0, 1.0, (ADA, BOB))
    search = Search([ADA, BOB], [])
    search.take(record("ada"))
    assert not search.is_over(window)
    search.take(record("bob", reason=Reason.ATTEMPT_LIMIT))
    assert not search.is_over(window)
    search.take(record("bob"))
    assert search.is_over(window)
