"""Whether what a user was sent before rules out another message. Pure.

The reasons that come from the ledger:

  interrupted      a run that died left this user's request open: reported once
  cooling-down     a message was accepted less than the cooldown ago
  send-cap         as many messages were accepted as the cap allows
  outcome-unknown  one of the last two would apply, but only because of messages that can be
                   neither proved nor disproved. --resend-unknown does not count such
                   messages, except those that another machine, or another row for the same
                   person, may be sending now; and it never allows a user more than one
                   message beyond the cap, even if all of them were sent

Two clocks count where they differ: this run's own, and the newest time in the ledger, which
a clock that was wrong for a day may have set years ahead. The age of a message is measured
by this run's clock; that of a message from this run's future, by the ledger's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from batch_resend.model import Evidence, Reason

#: Which unknown messages do not count: those without a record, or all.
ResendUnknown = Literal["not-recorded", "all"]


@dataclass(frozen=True, slots=True)
class SendPolicy:
    """The limit of messages for a user. Seconds; `max_sends` 0 means no cap.

    `behind` is how far this run's clock is behind the times that are judged and stored.
    """

    cooldown: float = 24 * 3600.0
    max_sends: int = 1
    resend_unknown: ResendUnknown | None = None
    behind: float = 0.0


@dataclass(frozen=True, slots=True)
class History:
    """The messages to a user: times in seconds since the epoch.

    `sent` are accepted messages, `unknown` requests whose response was lost. `not_recorded`
    are those of which no record was found; they are not among `unknown`. `interrupted`: a
    run that died left a request open. `in_flight`: another machine, or this run under
    another name, has an open request and may be sending it. `last_failed`: the newest request
    failed or is unknown, so that no message was accepted since. `evidence` is the latest that
    settled one of them later.
    """

    sent: Sequence[float] = ()
    unknown: Sequence[float] = ()
    interrupted: bool = False
    in_flight: bool = False
    not_recorded: Sequence[float] = ()
    last_failed: bool = field(default=False, compare=False)  # rules nothing out
    evidence: Evidence | None = None


NO_HISTORY = History()


class Earlier(NamedTuple):
    """An earlier message as it counts for the next one; `at`: when settled, or else intended."""

    state: str  #: an outcome, or `open`
    reason: str | None
    at: float
    in_flight: bool = False
    interrupted: bool = False
    evidence: Evidence | None = None


def history_of(messages: Iterable[Earlier]) -> History:
    """Return the history that these messages make."""
    sent: list[float] = []
    unknown: list[float] = []
    not_recorded: list[float] = []
    failed: list[float] = []
    evidence: Evidence | None = None
    interrupted = in_flight = False
    for message in messages:
        if message.state == "sent":
            sent.append(message.at)
        elif message.state == "failed":
            failed.append(message.at)
        elif message.state in {"open", "unknown"}:
            no_record = message.reason == Reason.NOT_RECORDED
            (not_recorded if no_record else unknown).append(message.at)
        in_flight |= message.in_flight
        interrupted |= message.interrupted
        if message.evidence and (evidence is None or message.evidence.at > evidence.at):
            evidence = message.evidence
    unsuccessful = [*failed, *unknown, *not_recorded]
    last_failed = bool(unsuccessful) and max(unsuccessful) > max(sent, default=-math.inf)
    if not sent and not unknown and not not_recorded:
        return History(last_failed=True) if last_failed else NO_HISTORY
    return History(sent, unknown, interrupted, in_flight, not_recorded or (), last_failed, evidence)


ANYBODY = SendPolicy(cooldown=-math.inf, max_sends=0, resend_unknown="all")


def judge_history(history: History, policy: SendPolicy, now: float) -> Reason | None:
    """Return why earlier messages rule out another one; None if they do not.

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
    # If all of them were sent: at most one beyond the cap, however often a run is repeated.
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
    # A message from the future was sent before a clock was set back: its cooldown counts too.
    return own - at if at <= own else now - at
