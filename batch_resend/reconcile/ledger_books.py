"""A ledger, whichever it is, as reconciling needs it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from batch_resend import ledger
from batch_resend.ledger import Marked
from batch_resend.model import REASONS, Outcome, Reason
from batch_resend.reconcile.findings import Finding
from batch_resend.reconcile.windows import Control, Doubt, Window
from batch_resend.run.open_ledger import Reconcilable

#: Seconds that a request can have been under way: the longest sensible `--timeout`, and what
#: else a run may have waited for between its intent and the request.
FLIGHT = 300.0

#: What Cognito itself has answered, so that CloudTrail must have it.
_ANSWERED = {
    Reason.ACCEPTED,
    Reason.ALREADY_CONFIRMED,
    Reason.USER_NOT_FOUND,
    Reason.USER_DISABLED,
    Reason.ATTEMPT_LIMIT,
    Reason.DELIVERY_FAILED,
    Reason.REJECTED_BY_TRIGGER,
    Reason.REJECTED,
}


class LedgerBooks:
    """An open ledger; `now` is when its findings are made."""

    def __init__(self, opened: Reconcilable, *, now: float, flight: float = FLIGHT) -> None:
        self.flight = flight
        self.hash_name = opened.key_of
        self._ledger = opened
        self._now = now

    async def doubts(self) -> Sequence[Doubt]:
        """Return the messages of unknown outcome with a mark."""
        return [_doubt(one) async for one in self._ledger.marked(self._now, unknown=True)]

    async def controls(self, searched: Sequence[Window]) -> AsyncIterator[Control]:
        """Yield the messages that Cognito answered, from the first window to the last."""
        if not searched:
            return
        first, last = searched[0].start, searched[-1].end
        async for one in self._ledger.marked(self._now, since=first, until=last):
            message = one.message
            if REASONS.get(message.reason or "") in _ANSWERED and not message.evidence:
                yield Control(one.mark, message.intended_at, message.at)

    async def settle(self, findings: Sequence[Finding]) -> None:
        """Make findings durable."""
        await self._ledger.settle_unknown([_written(one) for one in findings], self._now)


def _doubt(one: Marked) -> Doubt:
    message = one.message
    return Doubt(
        id=one.handle,
        mark=one.mark,
        intended_at=message.intended_at,
        reason=REASONS.get(message.reason or ""),
        request_id=message.request_id or "",
        # A listing tells a user's other names, the sub among them; a file tells one name only.
        names=one.keys if len(one.keys) > 1 else frozenset(),
        recorded=bool(message.evidence),
        name=message.name,
    )


def _written(one: Finding) -> ledger.Finding:
    reason = one.reason
    if reason is not None and reason.outcome is Outcome.NOT_ATTEMPTED:
        reason = None  # nothing was sent: as if the intent had not been
    # What stays unknown keeps its time: the cooldown counts from there.
    at = None if one.outcome is Outcome.UNKNOWN else one.at
    return ledger.Finding(one.doubt.id, reason, one.evidence, at)
