"""Which rows name the same user: decided when the whole input is known.

The promise: two users are not taken for one because their names differ only in case, and
one user is not sent two codes for it. What decides is, in this order, the option, the
pool's own setting, a listing that shows two such names, and else that case means nothing,
because skipping a row is safer than a second message; then the plan says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import anyio.lowlevel

from batch_resend.job.attempt import names_of
from batch_resend.job.plan import judge_name
from batch_resend.job.spool import Spool
from batch_resend.ledger.journal import Journal
from batch_resend.ledger.policy import SendPolicy, judge_history
from batch_resend.model import Reason
from batch_resend.wording import some

#: Asks whether names that differ only in case are two users; None where that is not known.
CaseRule = Callable[[], Awaitable[bool | None]]


@dataclass(frozen=True, slots=True)
class SameUser:
    """Whether names that differ only in case are two users, and what to say of it, or ""."""

    case_sensitive: bool
    note: str


#: The reasons that come from the ledger, which is asked by name.
OF_THE_LEDGER = (
    Reason.COOLING_DOWN,
    Reason.SEND_CAP,
    Reason.OUTCOME_UNKNOWN,
    Reason.INTERRUPTED,
)


async def not_known() -> bool | None:
    """Nothing says whether case counts."""
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
    case_sensitive, note = await rule(), ""
    if case_sensitive is None:
        case_sensitive = is_listing and differing > 0
        if differing and not case_sensitive:
            note = (
                f"{some(differing, 'row')} counted as a duplicate because only the case of the"
                " name differs. If the pool tells such names apart, use --case-sensitive."
            )
    if case_sensitive and journal.distinguish_case():
        await _judge_again(spool, journal, policy=policy, now=now)
    spool.exclude_all_rows_of_a_name(case_sensitive=case_sensitive)
    spool.mark_duplicates(case_sensitive=case_sensitive)
    return SameUser(case_sensitive, note)


async def _judge_again(
    spool: Spool, journal: Journal, *, policy: SendPolicy, now: Callable[[], float]
) -> None:
    """Judge again the rows whose names the ledger had taken for others'."""
    for rows in spool.decided(OF_THE_LEDGER):
        histories = await journal.histories([names_of(planned) for planned in rows], now())
        for planned, history in zip(rows, histories, strict=True):
            reason = judge_history(history, policy, now()) or judge_name(planned.username)
            if reason is not planned.reason:
                spool.replace(replace(planned, reason=reason))
        await anyio.lowlevel.checkpoint()
