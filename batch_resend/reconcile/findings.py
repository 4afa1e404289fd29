"""What each unknown outcome turns out to be, by the record that there is or is not. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from batch_resend.model import Outcome, Reason
from batch_resend.reconcile.records import Record
from batch_resend.reconcile.windows import Around, Doubt, first_moment

DAY = 86400.0
#: How far CloudTrail's event history goes back. User guide, "Working with event history".
HISTORY = 90 * DAY
#: When a missing record counts. "Typically within an average of about 5 minutes ... not
#: guaranteed" (user guide); a code is valid for a day, and so is the cooldown.
OLDER_THAN, LEAST_AGE = DAY, 3600.0
CONTROLS = 20

#: The response was lost on our side of the wire, or the run died first. Not for 5xx and
#: broken triggers: a server that dies after sending loses response and record together.
_LOST_HERE = {
    None,
    Reason.NO_ANSWER,
    Reason.UNREADABLE_ANSWER,
    Reason.INTERRUPTED,
    Reason.NOT_RECORDED,
}


class Why(StrEnum):
    """Why an outcome is still unknown; the value is the word in output and JSON."""

    NOT_RECORDED = "not-recorded"  #: no record, while all controls have one
    TOO_EARLY = "too-early"  #: no record yet
    TOO_OLD = "too-old"  #: older than the event history
    NO_CONTROLS = "no-controls"  #: no record, and too few controls, or not all recorded
    NO_RESULT = "no-result"  #: a record that decides nothing, or a 5xx without one
    OTHER_USER = "other-user"  #: a record of another user's: never seen


@dataclass(frozen=True, slots=True)
class Finding:
    """The present conclusion about a doubt.

    `reason` is what the ledger should say: of outcome `unknown` where `why` says that it is
    still unknown; `stopped` means that nothing was sent, so the intent is taken back. `at` is
    when it happened, or was found out; `evidence` names the record, and is empty without one.
    `due` is when to ask again (`too-early`).
    """

    doubt: Doubt
    reason: Reason | None
    why: Why | None = None
    at: float = 0.0
    evidence: str = ""
    due: float | None = None

    @property
    def changes(self) -> bool:
        """Whether the ledger has another result so far."""
        new = bool(self.evidence) and not self.doubt.recorded
        return new or self.reason is not self.doubt.reason

    @property
    def outcome(self) -> Outcome:
        """The outcome after it."""
        return Outcome.UNKNOWN if self.why or self.reason is None else self.reason.outcome


@dataclass(frozen=True, slots=True)
class Rules:
    """When a missing record counts: seconds since the epoch, and seconds.

    `reaches_back` is how far back the evidence goes.
    """

    now: float
    older_than: float = OLDER_THAN
    controls: int = CONTROLS
    reaches_back: float = math.inf


def conclude(
    doubt: Doubt,
    record: Record | None,
    around: Around,
    rules: Rules,
    hash_name: Callable[[str], bytes],
) -> Finding:
    """Return what a doubt turns out to be; `hash_name` is the ledger's, as for `Doubt.names`."""
    if record is None:
        return _without(doubt, around, rules)
    if record.sub and doubt.names and hash_name(record.sub) not in doubt.names:
        other = replace(record, reason=Reason.UNREADABLE_ANSWER)
        return _recorded(doubt, Why.OTHER_USER, other, rules.now)
    # Never before the intent, nor later than now: a ledger's time does not begin before its own.
    at = max(doubt.intended_at, min(record.at, rules.now))
    if record.reason.outcome is Outcome.UNKNOWN:
        return _recorded(doubt, Why.NO_RESULT, record, at)
    return Finding(doubt, record.reason, at=at, evidence=evidence(record))


def evidence(record: Record) -> str:
    """Name a record, as the ledger keeps it."""
    return f"cloudtrail:{record.event_id}"


def _recorded(doubt: Doubt, why: Why, record: Record, at: float) -> Finding:
    """Return a finding for a record without a result: it can never be `not-recorded` again."""
    reason = record.reason
    if reason in _LOST_HERE:  # says less than what we know, unless we know nothing at all
        has_reason = doubt.reason not in {None, Reason.NOT_RECORDED, Reason.INTERRUPTED}
        reason = doubt.reason if has_reason and doubt.reason else Reason.UNREADABLE_ANSWER
    return Finding(doubt, reason, why, at=at, evidence=evidence(record))


def _without(doubt: Doubt, around: Around, rules: Rules) -> Finding:
    if doubt.recorded or doubt.reason not in _LOST_HERE:
        return Finding(doubt, doubt.reason, Why.NO_RESULT)
    if doubt.reason is Reason.NOT_RECORDED:
        return Finding(doubt, doubt.reason, Why.NOT_RECORDED)  # as was found before
    if first_moment(doubt) < rules.now - rules.reaches_back:
        return Finding(doubt, doubt.reason, Why.TOO_OLD)
    due = doubt.intended_at + max(rules.older_than, LEAST_AGE)
    if rules.now < due:
        return Finding(doubt, doubt.reason, Why.TOO_EARLY, due=due)
    if not around.prove(max(1, rules.controls)):
        return Finding(doubt, doubt.reason, Why.NO_CONTROLS)
    return Finding(doubt, Reason.NOT_RECORDED, Why.NOT_RECORDED, at=rules.now)


def unrecorded_at_most(controls: int) -> float:
    """Return the share of calls that can be without a record, where all controls have one.

    The rule of three: of n that all succeeded, at most 3/n fail (95 %).
    """
    return min(1.0, 3.0 / controls) if controls else 1.0
