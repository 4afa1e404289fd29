"""Whether names that differ only in case are two users, and what follows from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from batch_resend.job.engine import Job
from batch_resend.job.planner import Selection
from batch_resend.job.same_user import not_known
from batch_resend.job.spool import Spool
from batch_resend.ledger import Identity, Intend, Settle
from batch_resend.ledger.policy import SendPolicy
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.model import Candidate, Reason
from tests.support.infos import info
from tests.support.world import CLIENT, EPOCH, Kept, Listed, virtually

JOHNS = ("john.doe", "John.Doe", "ada")


async def sensitive() -> bool | None:
    return True


async def insensitive() -> bool | None:
    return False


class Listing(Listed):
    is_listing = True


def reasons(
    source: Listed, case: Callable[[], Awaitable[bool | None]], *sent: str, exclude: str = ""
) -> tuple[list[str], tuple[str, ...]]:
    """Plan; return the reason of each row, and the notes."""

    async def plan() -> tuple[list[str], tuple[str, ...]]:
        with LedgerFile(None) as ledger, Spool() as spool:
            ledger.begin(EPOCH)
            for name in sent:
                (intent,) = ledger.write([Intend(Identity(name), EPOCH)])
                ledger.commit()
                assert isinstance(intent, int)
                ledger.write([Settle(intent, Reason.ACCEPTED, EPOCH)])
                ledger.commit()
            if exclude:
                spool.exclude([exclude])
            job = Job(
                ledger=ledger,
                report=Kept(),
                app=CLIENT,
                info=info(),
                spool=spool,
                now=EPOCH + 90 * 86400,
                policy=SendPolicy(),
                threads=False,
            )
            await job.plan(source, Selection(), case)
            return [str(row.reason) for row in spool], job.notes

    result: tuple[list[str], tuple[str, ...]] = virtually(plan)
    return result


def test_case_sensitive_pool_has_two_users() -> None:
    assert reasons(Listed(JOHNS), sensitive) == (["eligible"] * 3, ())


def test_case_insensitive_pool_has_one_user() -> None:
    assert reasons(Listed(JOHNS), insensitive) == (["eligible", "duplicate", "eligible"], ())


def test_listing_with_two_such_names_is_proof() -> None:
    assert reasons(Listing(JOHNS), not_known) == (["eligible"] * 3, ())


@pytest.mark.parametrize("names", [JOHNS, ("kate", "\u212aate", "ada")])
def test_listed_accounts_are_never_duplicates(names: tuple[str, ...]) -> None:
    """An attacker's name that folds to another's must not take the message away."""
    decisions, notes = reasons(Listing(names), insensitive)
    assert decisions == ["eligible"] * 3
    (note,) = notes
    assert note.startswith("The listing shows 1 user whose name differs from another's only in")


def test_row_that_only_unicode_folds_is_named_with_its_number() -> None:
    """Also where the pool says that case means nothing: that is not about these letters."""
    names = ("kate", "KATE", "\u212aate", "Stra\xdfe", "STRASSE", "\xc4nne", "\xe4nne")
    decisions, notes = reasons(Listed(names), insensitive)
    assert [row for row, reason in enumerate(decisions, 1) if reason == "duplicate"] == [2, 3, 5, 7]
    (note,) = notes
    assert note.startswith("2 rows count as duplicates, because their names are those of earlier")
    assert note.endswith("(rows 3 and 5).")
    unknown = reasons(Listed(names), not_known)[1]
    assert unknown[0].startswith("2 rows counted as a duplicate because only the case")
    assert unknown[1] == note
    assert reasons(Listed(names), sensitive)[1] == ()


def test_unicode_forms_of_a_name_are_two_users_and_noted() -> None:
    names = ("zo\xe9", "ada", "zoe\u0301", "ZOE\u0301", "\u212bsa", "\xc5sa")
    decisions, notes = reasons(Listed(names), sensitive)
    assert decisions == ["eligible"] * 6
    assert notes == (
        "3 names differ from those of earlier rows only in their Unicode form; for Cognito they"
        " are different users (rows 3, 4 and 6).",
    )
    assert reasons(Listed(("zoe\u0301", "ada")), sensitive)[1] == ()


def test_file_without_a_pool_keeps_one_and_names_the_option() -> None:
    assert reasons(Listed(JOHNS), not_known) == (
        ["eligible", "duplicate", "eligible"],
        (
            "1 row counted as a duplicate because only the case of the name differs."
            " If the pool tells such names apart, use --case-sensitive.",
        ),
    )
    assert "2 rows counted" in reasons(Listed([*JOHNS, "ADA"]), not_known)[1][0]


@pytest.mark.parametrize("source", [Listed(JOHNS), Listing(JOHNS)])
def test_same_name_twice_is_a_duplicate_however_case_counts(source: Listed) -> None:
    doubled = type(source)([*JOHNS, "john.doe"])
    assert reasons(doubled, sensitive)[0] == [*["eligible"] * 3, "duplicate"]


def test_ledger_tells_such_names_apart_where_the_pool_does() -> None:
    """What was sent to john.doe says nothing of John.Doe."""
    assert reasons(Listed(JOHNS), sensitive, "john.doe")[0] == ["send-cap", "eligible", "eligible"]
    assert reasons(Listing(JOHNS), not_known, "john.doe")[0] == [
        "send-cap",
        "eligible",
        "eligible",
    ]
    assert reasons(Listed(JOHNS), insensitive, "John.Doe")[0] == [
        "send-cap",
        "duplicate",
        "eligible",
    ]


def test_refused_name_stays_refused_when_judged_again() -> None:
    decisions, _ = reasons(Listed(["a b", "A B"]), sensitive, "a b")
    assert decisions == ["send-cap", "invalid-username"]


def test_contacts_of_a_row_are_matched_with_the_exclude_list() -> None:
    source = Listed(
        [
            Candidate(1, "ok-a", contacts=("mia@x.example",)),
            Candidate(2, "ok-b", contacts=("bob@x.example",)),
            Candidate(3, "ok-a"),
        ]
    )
    assert reasons(source, not_known, exclude="MIA@x.example") == (
        ["excluded", "eligible", "duplicate"],
        (),
    )
    assert reasons(source, not_known, exclude="eve@x.example")[1] == (
        "1 of 1 name in the exclude list matches no user.",
    )
