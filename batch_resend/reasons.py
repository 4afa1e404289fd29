"""What each reason means and what to do about it: defined once, for README, page and terminal.

Plain text; what stands between backticks is an option, a word of the report or of Cognito.
"""

from __future__ import annotations

from dataclasses import dataclass

from batch_resend.model import Reason


@dataclass(frozen=True, slots=True)
class Advice:
    """A reason in words, and what a person can do about it."""

    meaning: str
    action: str
    few: str = ""  #: the meaning in a few words, where it is long

    @property
    def brief(self) -> str:
        """The meaning, short enough for a line of a terminal."""
        return self.few or self.meaning.replace("`", "")


_ASK = "ask the user, or accept two messages with `--resend-unknown all`"
_READ = "read `error_message`"
_NONE = "no action needed"

ADVICE: dict[Reason, Advice] = {
    Reason.ACCEPTED: Advice(
        "Cognito accepted the request and returned a destination",
        "no action needed; delivery itself is not tracked",
    ),
    Reason.ELIGIBLE: Advice(
        "would be sent a code",
        "run without `--dry-run`",
    ),
    Reason.DUPLICATE: Advice(
        "an earlier row names the same user",
        _NONE,
    ),
    Reason.SAME_ADDRESS: Advice(
        "another account has the same address (`--one-per-address`)",
        _NONE,
        few="another account has the same address",
    ),
    Reason.EXCLUDED: Advice(
        "listed in the `--exclude` file",
        _NONE,
    ),
    Reason.NOT_MATCHED: Advice(
        "does not match `--match`",
        _NONE,
    ),
    Reason.NOT_UNCONFIRMED: Advice(
        "the status is not UNCONFIRMED",
        "`FORCE_CHANGE_PASSWORD` needs a new invitation, `RESET_REQUIRED` a password reset",
    ),
    Reason.DISABLED: Advice(
        "the account is disabled",
        "enable the user, if that is right",
    ),
    Reason.TOO_YOUNG: Advice(
        "signed up more recently than `--older-than`",
        "no action needed: a later run includes the user",
    ),
    Reason.TOO_OLD: Advice(
        "signed up longer ago than `--newer-than`",
        _NONE,
    ),
    Reason.COOLING_DOWN: Advice(
        "was sent a code within `--cooldown`",
        "no action needed: codes are valid for 24 hours",
    ),
    Reason.SEND_CAP: Advice(
        "was already sent the number of codes that `--max-sends` allows, over all runs",
        "for a reminder, run with `--max-sends 2`",
        few="was sent as many codes as --max-sends allows",
    ),
    Reason.OUTCOME_UNKNOWN: Advice(
        "an earlier request may have sent a code, and counts as sent",
        _ASK,
        few="an earlier request may have sent a code",
    ),
    Reason.SUPPRESSED: Advice(
        "on Amazon SES's suppression list, or opted out of text messages: nothing would arrive",
        "ask the user for another address; to send all the same, remove the address from the list",
        few="nothing would arrive: suppressed by SES or SNS",
    ),
    Reason.OVER_LIMIT: Advice(
        "beyond `--limit` or the last of `--waves`, or not drawn by `--sample`",
        "run again",
        few="beyond --limit or --waves, or not in --sample",
    ),
    Reason.ALREADY_CONFIRMED: Advice(
        "Cognito reports the account as confirmed",
        "no action needed: already confirmed",
    ),
    Reason.INVALID_USERNAME: Advice(
        "not a valid Cognito username; no request was made",
        "fix the username in the input",
        few="not a valid Cognito username",
    ),
    Reason.USER_NOT_FOUND: Advice(
        "the client has no such user",
        "fix the username in the input; it may be an alias, which does not work before it is "
        "verified",
    ),
    Reason.USER_DISABLED: Advice(
        "Cognito reports the account as disabled",
        "enable the user, if that is right",
        few="the account is disabled",
    ),
    Reason.ATTEMPT_LIMIT: Advice(
        "the user was sent five codes within an hour",
        "run again after an hour",
        few="sent five codes within an hour",
    ),
    Reason.DELIVERY_FAILED: Advice(
        "Amazon SES or SNS refused the message",
        "read `error_message`; usually the address is wrong",
    ),
    Reason.REJECTED_BY_TRIGGER: Advice(
        "the pool's Lambda trigger refused the user",
        _READ,
    ),
    Reason.REJECTED: Advice(
        "Cognito refused the request",
        _READ,
    ),
    Reason.BLOCKED: Advice(
        "AWS WAF blocked all attempts",
        "allow this machine's IP address, or lower `--rate`",
    ),
    Reason.CONNECTION: Advice(
        "could not connect on any attempt",
        "check the network, then run again",
    ),
    Reason.NO_ANSWER: Advice(
        "timed out or disconnected after the request was sent",
        _ASK,
        few="the response was lost",
    ),
    Reason.SERVER_ERROR: Advice(
        "Cognito or an intermediary returned a 5xx response",
        _ASK,
        few="Cognito or a proxy failed (HTTP 5xx)",
    ),
    Reason.TRIGGER_ERROR: Advice(
        "the pool's Lambda trigger failed; if it sends the messages, it may have sent this one",
        "read the function's log",
        few="the pool's Lambda trigger failed",
    ),
    Reason.UNREADABLE_ANSWER: Advice(
        "the response did not come from Cognito, or was cut short",
        "look for a proxy or captive portal",
        few="the response was not from Cognito",
    ),
    Reason.INTERRUPTED: Advice(
        "a run was killed, or lost its ledger, while this request was in flight; reported once, "
        "then `outcome-unknown`",
        _ASK,
        few="a run was killed during this request",
    ),
    Reason.NOT_RECORDED: Advice(
        "CloudTrail has no record of the request, while all our answered requests around it have"
        " one (`batch-resend reconcile`)",
        "accept that a few may get two messages: `--resend-unknown not-recorded`",
        few="CloudTrail has no record of the request",
    ),
    Reason.STOPPED: Advice(
        "the run ended first; the summary says why. With `attempts` above 0, Cognito answered that "
        "it sent nothing",
        "run again",
    ),
}
