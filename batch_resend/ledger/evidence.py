"""What settled an unknown outcome later, in words. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from batch_resend.masking import printable
from batch_resend.model import Evidence

_FROM = "cloudtrail:"


def evidence_words(evidence: Evidence) -> str:
    """Return which record settled it and when, or since when none is known."""
    when = datetime.fromtimestamp(evidence.at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    if not evidence.record:
        return f"no record in CloudTrail on {when}"
    return f"CloudTrail's record {printable(evidence.record.removeprefix(_FROM))}, found {when}"
