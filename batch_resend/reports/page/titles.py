"""The reasons and outcomes in a few words, for readers who have never seen their codes."""

from __future__ import annotations

from batch_resend.model import Outcome, Reason
from batch_resend.reasons import ADVICE

OUTCOME_TITLES = {
    Outcome.SENT: "Sent",
    Outcome.PLANNED: "Planned",
    Outcome.SKIPPED: "Skipped",
    Outcome.FAILED: "Failed",
    Outcome.UNKNOWN: "Unknown",
    Outcome.NOT_ATTEMPTED: "Not attempted",
}

_TITLES = {
    "accepted": "Sent a new code",
    "eligible": "Would be sent a new code",
    "duplicate": "Same user as an earlier row",
    "same-address": "Another account with the same address",
    "excluded": "On the exclude list",
    "not-matched": "Does not match the filter",
    "not-unconfirmed": "Not waiting for confirmation",
    "disabled": "Account is disabled",
    "too-young": "Signed up too recently",
    "too-old": "Signed up too long ago",
    "cooling-down": "Was sent a code recently",
    "send-cap": "Already had the maximum number of codes",
    "outcome-unknown": "May have been sent a code earlier",
    "suppressed": "On the suppression list of the mail provider",
    "over-limit": "Left for a later run",
    "already-confirmed": "Confirmed already",
    "invalid-username": "Not a valid username",
    "user-not-found": "Not in the user pool",
    "user-disabled": "Account is disabled",
    "attempt-limit": "Five codes within the last hour",
    "delivery-failed": "Message refused by the mail or SMS provider",
    "rejected-by-trigger": "Refused by the pool's Lambda trigger",
    "rejected": "Refused by Cognito",
    "blocked": "Blocked by the firewall (AWS WAF)",
    "connection": "Could not connect to Cognito",
    "no-answer": "Response lost",
    "server-error": "Server error",
    "trigger-error": "The pool's Lambda trigger failed",
    "unreadable-answer": "Response not from Cognito",
    "interrupted": "Run was killed during the request",
    "not-recorded": "CloudTrail has no record of the request",
    "stopped": "Run ended first",
}


def title(reason: Reason) -> str:
    """Return a reason in a few words."""
    brief = ADVICE[reason].brief
    return _TITLES.get(str(reason), brief[:1].upper() + brief[1:])
