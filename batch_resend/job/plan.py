"""Who is sent a code, who is not, and why. Pure: time and history are parameters.

Every candidate gets exactly one reason, the first that applies in the order of
`model.Reason`'s skips; ELIGIBLE where none does. What needs the whole input to be
known (duplicate, same-address, over-limit) is decided over the planned rows.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from batch_resend.errors import InputError
from batch_resend.job import match
from batch_resend.ledger.policy import NO_HISTORY, History, SendPolicy, judge_history
from batch_resend.masking import printable
from batch_resend.model import Candidate, Reason
from batch_resend.sources.listed_user import UNCONFIRMED

LONGEST_USERNAME = 128

_PLAIN_NAME = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, slots=True)
class Eligibility:
    """The users that the operator selects. Ages of a sign-up in seconds; `since` is a moment."""

    match: tuple[tuple[str, re.Pattern[str]], ...] = ()
    older_than: float | None = None
    newer_than: float | None = None
    since: float | None = None

    def judge_age(self, created: float, now: float) -> Reason | None:
        """Return why a user who signed up then is skipped, or None."""
        if self.older_than is not None and now - created < self.older_than:
            return Reason.TOO_YOUNG
        if self.newer_than is not None and now - created > self.newer_than:
            return Reason.TOO_OLD
        if self.since is not None and created < self.since:
            return Reason.TOO_OLD
        return None


def valid_username(name: str) -> bool:
    r"""Whether Cognito's own pattern and length allow the name.

    `[\p{L}\p{M}\p{S}\p{N}\p{P}]+`, 1 to 128 characters: no blanks and no control
    characters (service model of cognito-idp, `UsernameType`). Counted in code points.
    """
    if _PLAIN_NAME.fullmatch(name):
        return True
    return 1 <= len(name) <= LONGEST_USERNAME and all(
        unicodedata.category(c)[0] in "LMSNP" for c in name
    )


def judge_name(name: str) -> Reason:
    """Return whether a user of this name can be sent a code, were there nothing else."""
    return Reason.ELIGIBLE if valid_username(name) else Reason.INVALID_USERNAME


def _matches(candidate: Candidate, eligibility: Eligibility) -> bool:
    for name, pattern in eligibility.match:
        try:
            if not match.has(pattern, candidate.attributes.get(name, "")):
                return False
        except match.TooSlow as error:
            raise InputError(
                f"Row {candidate.row}: --match {printable(name)}={printable(str(error))} takes"
                f" longer than {match.LONGEST:g} s, for it backtracks without end. Use a simpler"
                " pattern."
            ) from error
    return True


def decide(
    candidate: Candidate,
    *,
    excluded: bool,
    history: History,
    eligibility: Eligibility,
    policy: SendPolicy,
    now: float,
) -> Reason:
    """Decide about one candidate.

    `excluded`: the name is on the list of people never to send to. `now`: seconds since
    the epoch. Raises `InputError` where a pattern of --match takes too long.
    """
    if excluded:
        return Reason.EXCLUDED
    if not _matches(candidate, eligibility):
        return Reason.NOT_MATCHED
    if candidate.status not in (None, UNCONFIRMED):
        return Reason.NOT_UNCONFIRMED
    if candidate.enabled is False:
        return Reason.DISABLED
    own = now - policy.behind  # an age is judged by this run's clock
    if candidate.created is not None and (why := eligibility.judge_age(candidate.created, own)):
        return why
    if history is not NO_HISTORY and (refusal := judge_history(history, policy, now)):
        return refusal
    reason = judge_name(candidate.username)
    return reason if candidate.exists or reason is not Reason.ELIGIBLE else Reason.USER_NOT_FOUND
