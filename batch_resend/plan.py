"""Who is sent a code, who is not, and why. Pure: time and history are handed in.

Every candidate gets exactly one reason, the first that applies in the order of
`model.Reason`'s skips; ELIGIBLE where none does. What needs the whole input to be
known (over-limit, same-address) is decided by the spool over the planned rows.

The three reasons that come from the ledger:

  interrupted    a run that died left this user's request open: said once
  cooling-down   a message was accepted less than the cooldown ago
  send-cap       as many messages were accepted as the cap allows
  unsettled      only because of messages that nobody can prove or disprove would one of
                 these two apply; --resend-unsettled does not count such messages, but
                 for those that another machine, or another row that names the same
                 person, may be about to send this moment
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from batch_resend.model import Candidate, Reason

UNCONFIRMED = "UNCONFIRMED"
LONGEST_USERNAME = 128

_PLAIN_NAME = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator wants. Durations in seconds; `max_sends` 0 means no cap."""

    match: tuple[tuple[str, re.Pattern[str]], ...] = ()
    older_than: float | None = None
    newer_than: float | None = None
    cooldown: float = 24 * 3600.0
    max_sends: int = 1
    resend_unsettled: bool = False


@dataclass(frozen=True, slots=True)
class History:
    """What the ledger knows of a user: times in seconds since the epoch.

    `sent` are accepted messages, `unsettled` requests whose answer was lost,
    `interrupted` says that a run which died left a request open, `in_flight` that
    another machine, or this run by another name, has one open and may be sending it.
    """

    sent: Sequence[float] = ()
    unsettled: Sequence[float] = ()
    interrupted: bool = False
    in_flight: bool = False


NOBODY = History()
ANYBODY = Policy(cooldown=-math.inf, max_sends=0, resend_unsettled=True)


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


def decide(
    candidate: Candidate,
    *,
    duplicate: bool,
    excluded: bool,
    history: History,
    policy: Policy,
    now: float,
) -> Reason:
    """Decide about one candidate.

    `duplicate`: an earlier row names the same user. `excluded`: the name is on the list
    of people never to write to. `now`: seconds since the epoch.
    """
    if duplicate:
        return Reason.DUPLICATE
    if excluded:
        return Reason.EXCLUDED
    if any(not regex.search(candidate.attributes.get(name, "")) for name, regex in policy.match):
        return Reason.NOT_MATCHED
    if candidate.status not in (None, UNCONFIRMED):
        return Reason.NOT_UNCONFIRMED
    if candidate.enabled is False:
        return Reason.DISABLED
    if candidate.created is not None:
        age = now - candidate.created
        if policy.older_than is not None and age < policy.older_than:
            return Reason.TOO_YOUNG
        if policy.newer_than is not None and age > policy.newer_than:
            return Reason.TOO_OLD
    if history is not NOBODY and (told := judge_history(history, policy, now)):
        return told
    return Reason.ELIGIBLE if valid_username(candidate.username) else Reason.INVALID_USERNAME


def judge_history(history: History, policy: Policy, now: float) -> Reason | None:
    """Say why a user is not to be written to for what they were sent; None if they may."""
    if history.interrupted and not policy.resend_unsettled:
        return Reason.INTERRUPTED
    if barred := _barred(history.sent, policy, now):
        return barred
    if history.in_flight:
        return Reason.UNSETTLED
    if policy.resend_unsettled or not history.unsettled:
        return None
    if _barred([*history.sent, *history.unsettled], policy, now):
        return Reason.UNSETTLED
    return None


def _barred(messages: Sequence[float], policy: Policy, now: float) -> Reason | None:
    # A message from the future is one from before a clock was set back: it cools too.
    if any(now - at < policy.cooldown for at in messages):
        return Reason.COOLING_DOWN
    if policy.max_sends and len(messages) >= policy.max_sends:
        return Reason.SEND_CAP
    return None
