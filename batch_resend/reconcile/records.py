"""What a CloudTrail record says of one of our requests. Pure.

Records come from files that anyone may have written, so nothing is taken on trust: a field of
the wrong type counts as missing, and what does not fit together counts as a record without a
result, never as a result.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from batch_resend.job.outcome import judge
from batch_resend.marks import find_mark
from batch_resend.model import Delivery, Outcome, Reason, Reply, Wire

EVENT_NAME = "ResendConfirmationCode"
EVENT_SOURCE = "cognito-idp.amazonaws.com"

_EVENT_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_LONGEST = 1024  #: characters of a text that are read

#: What a verdict means for the question whether a message went out, the most careful last.
_CARE = (Outcome.NOT_ATTEMPTED, Outcome.FAILED, Outcome.SKIPPED, Outcome.UNKNOWN, Outcome.SENT)


@dataclass(frozen=True, slots=True)
class Record:
    """The parts of a record that count: the user, and Cognito's action.

    `at` is in seconds since the epoch; `reason` what `outcome.judge` makes of the result:
    of outcome `unknown` where there is none, and `stopped` where Cognito did nothing.
    """

    mark: str
    request_id: str
    sub: str
    at: float
    event_id: str
    reason: Reason

    def prevails_over(self, other: Record) -> bool:
        """Whether of two records of one request this one is to be believed.

        There should be one. Where a proxy repeated the request, the one that may have sent a
        message counts.
        """
        return _care(self) > _care(other)


def _care(record: Record) -> int:
    return _CARE.index(record.reason.outcome)


def parse_record(text: str) -> Record | None:
    """Read a record from its JSON, as `read_record` does; None if it is not JSON."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return read_record(raw)


def read_record(raw: object) -> Record | None:
    """Return a record; None if it is not of a resend, or has no sign of its user."""
    if not isinstance(raw, dict) or raw.get("eventName") != EVENT_NAME:
        return None
    if raw.get("eventSource") != EVENT_SOURCE:
        return None
    mark, request_id = find_mark(_text(raw.get("userAgent"))), _text(raw.get("requestID"))
    if not mark and not request_id:
        return None
    event_id, at = _text(raw.get("eventID")), _time(_text(raw.get("eventTime")))
    reason = _reason(raw)
    if at is None or not _EVENT_ID.fullmatch(event_id):
        reason, at, event_id = Reason.UNREADABLE_ANSWER, at or 0.0, ""  # not to be referred to
    extra = raw.get("additionalEventData")
    sub = _text(extra.get("sub")) if isinstance(extra, dict) else ""
    return Record(mark, request_id, sub, at, event_id, reason)


def _reason(raw: Mapping[str, Any]) -> Reason:
    delivery = _delivery(raw.get("responseElements"))
    code, message = raw.get("errorCode"), _text(raw.get("errorMessage"))
    if code is None and not message:
        reply = Reply(Wire.ANSWERED, 200, delivery=delivery)
    elif isinstance(code, str) and code and delivery is None:
        reply = Reply(Wire.ANSWERED, 400, code=code[:_LONGEST], message=message)
    else:
        return Reason.UNREADABLE_ANSWER  # an error and a delivery, or an error without a name
    return judge(reply).reason


def _delivery(elements: object) -> Delivery | None:
    details = elements.get("codeDeliveryDetails") if isinstance(elements, dict) else None
    if not isinstance(details, dict):
        return None
    medium, destination = _text(details.get("deliveryMedium")), _text(details.get("destination"))
    if not medium and not destination:
        return None
    return Delivery(medium, destination, _text(details.get("attributeName")))


def _time(text: str) -> float | None:
    try:
        at = datetime.fromisoformat(text)
        return None if at.tzinfo is None else at.timestamp()
    except (ValueError, OverflowError):
        return None


def _text(value: object) -> str:
    return value[:_LONGEST] if isinstance(value, str) else ""
