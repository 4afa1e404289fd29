"""Which rows name the same user: decided when the whole input is known.

The promise: two users are not taken for one because their names differ only in case, and
one user is not sent two codes for it. What decides is, in this order, a listing that shows
two such names, the option, the pool's own setting, and else that case means nothing, because
skipping a row is safer than a second message; then the plan says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import anyio.lowlevel

from batch_resend.job.attempt import names_of
from batch_resend.job.plan import judge_name
from batch_resend.job.spellings import note_folded, note_forms
from batch_resend.job.spool import OF_THE_LEDGER, Spool
from batch_resend.ledger.journal import Journal
from batch_resend.ledger.policy import SendPolicy, judge_history
from batch_resend.sources.oddities import Oddities
from batch_resend.wording import some

#: Asks whether names that differ only in case are two users; None where that is not known.
CaseRule = Callable[[], Awaitable[bool | None]]


@dataclass(frozen=True, slots=True)
class SameUser:
    """The answer whether names that differ only in case are two users, with notes on the names."""

    case_sensitive: bool
    notes: tuple[str, ...]


async def not_known() -> bool | None:
    """Return None: whether case counts is not known."""
    return None


async def tell_apart(
    spool: Spool,
    journal: Journal,
    *,
    rule: CaseRule,
    is_listing: bool,
    policy: SendPolicy,
    now: Callable[[], float],
) -> SameUser:
    """Mark the rows that name a user again, and return what was decided."""
    differing = spool.differing_in_case()
    chosen = await rule()
    # Two accounts that Cognito itself lists are two people, whatever any setting says.
    case_sensitive = (is_listing and differing > 0) or bool(chosen)
    if case_sensitive and journal.distinguish_case():
        await _judge_again(spool, journal, policy=policy, now=now)
    spool.exclude_all_rows_of_a_name(case_sensitive=case_sensitive)
    spool.mark_duplicates(case_sensitive=case_sensitive)
    notes = []
    oddities = Oddities()
    if differing and not case_sensitive:
        note_folded(spool, oddities)
        differing -= sum(oddity.count for oddity in oddities.seen())
        if chosen is None and differing > 0:
            notes.append(
                f"{some(differing, 'row')} counted as a duplicate because only the case of the"
                " name differs. If the pool tells such names apart, use --case-sensitive."
            )
    elif differing and chosen is False:
        notes.append(
            f"The listing shows {some(differing, 'user')} whose name differs from another's only"
            " in case. They are different users, though the pool or --no-case-sensitive says"
            " otherwise."
        )
    note_forms(spool, oddities)
    return SameUser(case_sensitive, (*notes, *map(str, oddities.seen())))


async def _judge_again(
    spool: Spool, journal: Journal, *, policy: SendPolicy, now: Callable[[], float]
) -> None:
    """Judge again the rows whose names the ledger had matched to others."""
    for rows in spool.decided(OF_THE_LEDGER):
        histories = await journal.histories([names_of(planned) for planned in rows], now())
        for planned, history in zip(rows, histories, strict=True):
            reason = judge_history(history, policy, now()) or judge_name(planned.username)
            if reason is not planned.reason:
                spool.replace(replace(planned, reason=reason))
        await anyio.lowlevel.checkpoint()
