"""What each reason means and what to do about it: said once, for README, page and terminal.

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

ADVICE: dict[Reason, Advice] = {
    Reason.ACCEPTED: Advice(
        "Cognito took the order and named the destination",
        "nothing; that the message arrives is up to mail or telephone",
    ),
    Reason.ELIGIBLE: Advice(
        "would be sent a code",
        "run without `--dry-run`",
    ),
    Reason.DUPLICATE: Advice(
        "an earlier row names the same user",
        "nothing",
    ),
    Reason.SAME_ADDRESS: Advice(
        "a newer account has the same address (`--one-per-address`)",
        "nothing",
        few="a newer account has the same address",
    ),
    Reason.EXCLUDED: Advice(
        "named in the file of `--exclude`",
        "nothing",
    ),
    Reason.NOT_MATCHED: Advice(
        "a `--match` does not fit",
        "nothing",
    ),
    Reason.NOT_UNCONFIRMED: Advice(
        "the listing shows another status",
        "`FORCE_CHANGE_PASSWORD` needs a new invitation, `RESET_REQUIRED` a forgotten password",
    ),
    Reason.DISABLED: Advice(
        "the listing shows a disabled user",
        "enable the user, if that is right",
    ),
    Reason.TOO_YOUNG: Advice(
        "signed up more recently than `--older-than`",
        "a later run finds them",
    ),
    Reason.TOO_OLD: Advice(
        "signed up longer ago than `--newer-than`",
        "nothing",
    ),
    Reason.COOLING_DOWN: Advice(
        "was sent a code within `--cooldown`",
        "nothing; codes are valid for 24 hours",
    ),
    Reason.SEND_CAP: Advice(
        "was sent as many codes as `--max-sends` allows, over all runs",
        "`--max-sends 2` for a reminder",
        few="was sent as many codes as --max-sends allows",
    ),
    Reason.OUTCOME_UNKNOWN: Advice(
        "an earlier request may have sent a code, and counts as if it had",
        _ASK,
        few="an earlier request may have sent a code",
    ),
    Reason.OVER_LIMIT: Advice(
        "beyond `--limit` or the last of `--waves`, or not drawn by `--sample`",
        "run again",
        few="beyond --limit or --waves, or not in --sample",
    ),
    Reason.ALREADY_CONFIRMED: Advice(
        "Cognito says so",
        "nothing: the good news",
    ),
    Reason.INVALID_USERNAME: Advice(
        "no name that Cognito could accept; nobody was asked",
        "correct the row",
        few="no name that Cognito could accept",
    ),
    Reason.USER_NOT_FOUND: Advice(
        "no such user for this client",
        "correct the row; it may be an alias, which does not work before it is verified",
    ),
    Reason.USER_DISABLED: Advice(
        "Cognito says so",
        "enable the user, if that is right",
        few="the user is disabled",
    ),
    Reason.ATTEMPT_LIMIT: Advice(
        "the user had five codes within an hour",
        "run again after an hour",
    ),
    Reason.DELIVERY_FAILED: Advice(
        "Amazon SES or SNS refused the message",
        "read `error_message`; usually a bad address",
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
        "AWS WAF blocked every try",
        "let the runner's address pass, or go slower",
    ),
    Reason.CONNECTION: Advice(
        "no connection came about in any try",
        "check the network; run again",
    ),
    Reason.NO_ANSWER: Advice(
        "the time was up or the connection broke after the request had left",
        _ASK,
        few="the answer was lost",
    ),
    Reason.SERVER_ERROR: Advice(
        "Cognito or something before it answered 5xx",
        _ASK,
        few="Cognito or a proxy failed (HTTP 5xx)",
    ),
    Reason.TRIGGER_ERROR: Advice(
        "the pool's Lambda trigger failed; if it sends the messages, it may have sent this one",
        "read the function's log",
        few="the pool's Lambda trigger failed",
    ),
    Reason.UNREADABLE_ANSWER: Advice(
        "an answer came that is none of Cognito's, or broke off",
        "look for a proxy or captive portal",
        few="the answer was none of Cognito's",
    ),
    Reason.INTERRUPTED: Advice(
        "a run died, or lost its ledger, with this request open: said once, `outcome-unknown` from "
        "then on",
        _ASK,
        few="a run died with this request open",
    ),
    Reason.NOT_RECORDED: Advice(
        "CloudTrail has no record of the request, while all our answered requests around it have"
        " one (`batch-resend reconcile`)",
        "accept that a few may get two messages: `--resend-unknown not-recorded`",
        few="CloudTrail has no record of the request",
    ),
    Reason.STOPPED: Advice(
        "the run ended first; the summary says why. With `attempts` above 0 Cognito "
        "answered that it sent nothing",
        "run again",
    ),
}
