"""Who bounced or complained since they were sent a code: SES's suppression list beside the ledger.

The list names addresses and no messages: another mail of the account may have bounced. So no
outcome changes by it; `sent` says that Cognito accepted the request, and this says what is known
of the address since. A user is found by the name that was sent to, and by the other names that
a listing knew.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from batch_resend.aws.reach import Suppressed
from batch_resend.ledger import Marked, Message
from batch_resend.masking import mask, printable
from batch_resend.model import REASONS, Outcome
from batch_resend.run.open_ledger import Reconcilable
from batch_resend.wording import grouped

BOUNCED, COMPLAINED = "bounced", "complained"
_WORDS = {"BOUNCE": BOUNCED, "COMPLAINT": COMPLAINED}
_SHOWN = 20  #: users in the text; --json has all


class Suppressions(Protocol):
    """The suppression list of a Region (`aws.reach.SuppressionList`)."""

    region: str

    def pages(self, since: float) -> AsyncIterator[list[Suppressed]]:
        """Yield the addresses that were added or updated since then."""
        ...


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A user whose address was suppressed after a code went there."""

    name: str | None = field(repr=False)  #: None where it was erased
    outcome: Outcome
    sent_at: float
    what: str  #: `bounced`, `complained`, or SES's own word
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """The result. `codes` were or may have been sent, from `since` on."""

    region: str
    codes: int
    since: float | None
    users: Sequence[Undelivered]


async def find_undelivered(ledger: Reconcilable, listed: Suppressions, now: float) -> Deliveries:
    """Compare the list with the codes of a ledger; raises what both raise."""
    codes, since = 0, math.inf
    async for one in _sent(ledger, now):
        codes, since = codes + 1, min(since, one.message.intended_at)
    if not codes:
        return Deliveries(region=listed.region, codes=0, since=None, users=())
    listed_by_key: dict[bytes, Suppressed] = {}
    async for page in listed.pages(since):
        listed_by_key |= {ledger.key_of(address.address): address for address in page}
    undelivered: dict[bytes, Undelivered] = {}
    async for one in _sent(ledger, now):
        message = one.message
        for key in one.keys & listed_by_key.keys():
            last, suppressed = undelivered.get(message.user), listed_by_key[key]
            newer = last is None or last.sent_at <= message.intended_at
            # SES dates what happened, and the ledger the request: to the second.
            if newer and suppressed.at >= math.floor(message.intended_at):
                undelivered[message.user] = _undelivered(message, suppressed)
    users = sorted(undelivered.values(), key=lambda one: one.at)
    return Deliveries(region=listed.region, codes=codes, since=since, users=users)


async def _sent(ledger: Reconcilable, now: float) -> AsyncIterator[Marked]:
    async for one in ledger.marked(now):
        if _outcome(one.message) in {Outcome.SENT, Outcome.UNKNOWN}:
            yield one


def _outcome(message: Message) -> Outcome:
    reason = REASONS.get(message.reason or "")
    return reason.outcome if reason else Outcome.UNKNOWN


def _undelivered(message: Message, suppressed: Suppressed) -> Undelivered:
    what = _WORDS.get(suppressed.reason, printable(suppressed.reason).lower())
    return Undelivered(message.name, _outcome(message), message.intended_at, what, suppressed.at)


def lines(deliveries: Deliveries, *, masked: bool = True) -> Iterator[str]:
    """Yield the report for people."""
    if not deliveries.codes:
        yield "Deliveries: no codes in this ledger."
        return
    counts = Counter(one.what for one in deliveries.users)
    words = ", ".join(f"{what} {count:,}" for what, count in counts.items())
    users = grouped(len(deliveries.users), "user")
    yield (
        f"Amazon SES, {deliveries.region}: of {grouped(deliveries.codes, 'code')} since"
        f" {_minute(deliveries.since or 0)}, {users} suppressed since"
        f"{f' ({words})' if words else ''}"
    )
    for one in deliveries.users[:_SHOWN]:
        name = "(erased)" if one.name is None else mask(one.name) if masked else printable(one.name)
        yield (
            f"  {name:<24} {one.outcome:<8} {_minute(one.sent_at)}, {one.what} {_minute(one.at)}"
        )
    if len(deliveries.users) > _SHOWN:
        yield f"  and {len(deliveries.users) - _SHOWN:,} more: --json lists them all"


def as_json(deliveries: Deliveries, *, masked: bool = True) -> dict[str, Any]:
    """Return the report for programs."""
    return {
        "region": deliveries.region,
        "codes": deliveries.codes,
        "since": deliveries.since,
        "counts": dict(Counter(one.what for one in deliveries.users)),
        "users": [
            {
                "username": mask(one.name) if masked and one.name is not None else one.name,
                "outcome": str(one.outcome),
                "sent_at": one.sent_at,
                "what": one.what,
                "at": one.at,
            }
            for one in deliveries.users
        ],
    }


def _minute(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
