"""Whether what a user was sent before rules out another message. Pure.

The reasons that come from the ledger:

  interrupted      a run that died left this user's request open: said once
  cooling-down     a message was accepted less than the cooldown ago
  send-cap         as many messages were accepted as the cap allows
  outcome-unknown  only because of messages that can be neither proved nor disproved would
                   one of these two apply. --resend-unknown does not count such messages,
                   but for those that another machine, or another row that names the same
                   person, may be about to send this moment; and it never lets a user have
                   more than one message beyond the cap, were all of them sent

Two clocks are judged by, where they differ: this run's own, and the newest time in the
ledger, which a clock that was wrong for a day may have put years ahead. The age of a message
is that by this run's clock; of one from this run's future, that by the ledger's.
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
    """How many messages a user may get. Seconds; `max_sends` 0 means no cap.

    `behind` is how far this run's clock is behind the times that are judged and written down.
    """

    cooldown: float = 24 * 3600.0
    max_sends: int = 1
    resend_unknown: ResendUnknown | None = None
    behind: float = 0.0


@dataclass(frozen=True, slots=True)
class History:
    """What the ledger knows of a user: times in seconds since the epoch.

    `sent` are accepted messages, `unknown` requests whose answer was lost; of these
    `not_recorded` are not among `unknown`: no record of them was found. `interrupted` says
    that a run which died left a request open, `in_flight` that another machine, or this run
    by another name, has one open and may be sending it.
    """

    sent: Sequence[float] = ()
    unknown: Sequence[float] = ()
    interrupted: bool = False
    in_flight: bool = False
    not_recorded: Sequence[float] = ()


NOBODY = History()


ANYBODY = SendPolicy(cooldown=-math.inf, max_sends=0, resend_unknown="all")


def judge_history(history: History, policy: SendPolicy, now: float) -> Reason | None:
    """Say why a user is not to be written to for what they were sent; None if they may.

    `now` is never before the newest time in the ledger.
    """
    if history.interrupted and policy.resend_unknown != "all":
        return Reason.INTERRUPTED
    if barred := _barred(history.sent, policy, now):
        return barred
    if history.in_flight:
        return Reason.OUTCOME_UNKNOWN
    counted = list(history.sent)
    if policy.resend_unknown != "all":
        counted += history.unknown
    if policy.resend_unknown is None:
        counted += history.not_recorded
    if _barred(counted, policy, now):
        return Reason.OUTCOME_UNKNOWN
    # Were all of them sent: one more may go beyond the cap, however often a run is repeated.
    most = len(history.sent) + len(history.unknown) + len(history.not_recorded)
    if policy.max_sends and most > policy.max_sends:
        return Reason.OUTCOME_UNKNOWN
    return None


def _barred(messages: Sequence[float], policy: SendPolicy, now: float) -> Reason | None:
    if any(_age(at, policy, now) < policy.cooldown for at in messages):
        return Reason.COOLING_DOWN
    if policy.max_sends and len(messages) >= policy.max_sends:
        return Reason.SEND_CAP
    return None


def _age(at: float, policy: SendPolicy, now: float) -> float:
    own = now - policy.behind
    # A message from the future is one from before a clock was set back: it cools too.
    return own - at if at <= own else now - at
