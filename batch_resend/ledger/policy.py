"""Whether what a user was sent before rules out another message. Pure.

The reasons that come from the ledger:

  interrupted    a run that died left this user's request open: said once
  cooling-down   a message was accepted less than the cooldown ago
  send-cap       as many messages were accepted as the cap allows
  unknown      only because of messages that nobody can prove or disprove would one of
                 these two apply; --resend-unknown all does not count such messages, but
                 for those that another machine, or another row that names the same
                 person, may be about to send this moment
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from batch_resend.model import Reason

#: Whose unknown messages do not count: those for whom no record was found, or all.
ResendUnknown = Literal["not-recorded", "all"]


@dataclass(frozen=True, slots=True)
class SendPolicy:
    """How many messages a user may get. Seconds; `max_sends` 0 means no cap."""

    cooldown: float = 24 * 3600.0
    max_sends: int = 1
    resend_unknown: ResendUnknown | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What the ledger knows of a user: times in seconds since the epoch.

    `sent` are accepted messages, `unknown` requests whose answer was lost,
    `interrupted` says that a run which died left a request open, `in_flight` that
    another machine, or this run by another name, has one open and may be sending it.
    """

    sent: Sequence[float] = ()
    unknown: Sequence[float] = ()
    interrupted: bool = False
    in_flight: bool = False


NOBODY = History()


ANYBODY = SendPolicy(cooldown=-math.inf, max_sends=0, resend_unknown="all")


def judge_history(history: History, policy: SendPolicy, now: float) -> Reason | None:
    """Say why a user is not to be written to for what they were sent; None if they may."""
    if history.interrupted and policy.resend_unknown != "all":
        return Reason.INTERRUPTED
    if barred := _barred(history.sent, policy, now):
        return barred
    if history.in_flight:
        return Reason.OUTCOME_UNKNOWN
    if policy.resend_unknown == "all" or not history.unknown:
        return None
    if _barred([*history.sent, *history.unknown], policy, now):
        return Reason.OUTCOME_UNKNOWN
    return None


def _barred(messages: Sequence[float], policy: SendPolicy, now: float) -> Reason | None:
    # A message from the future is one from before a clock was set back: it cools too.
    if any(now - at < policy.cooldown for at in messages):
        return Reason.COOLING_DOWN
    if policy.max_sends and len(messages) >= policy.max_sends:
        return Reason.SEND_CAP
    return None
