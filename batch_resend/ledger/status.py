"""Sums over the runs and messages of a ledger, and their form for programs. Pure.

A user is in the first of these states that applies:

  sent       at least one message was accepted
  unknown    a message may have been accepted: counts as sent
  failed     nothing was sent, for the last reason
  skipped    Cognito had no code to send: confirmed already

Confirmed users are counted by the day of their last message. Cognito does not store the
day of the confirmation: a user's UserLastModifiedDate moves with every later change. So of
the users whose last message was N days ago, those who are confirmed now are counted; a day
later, the same users are in the row of N + 1 days.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from batch_resend.ledger import Message, PastRun
from batch_resend.ledger.commands import RECORDED_AFTER
from batch_resend.masking import mask, printable
from batch_resend.model import Reason

SCHEMA = 1
SHOWN = 20  #: unknown messages that are shown one by one
_DAY = 86400.0
STATES = ("sent", "unknown", "failed", "skipped")
POOL_SAYS = ("confirmed", "unconfirmed", "other", "not_listed")


@dataclass(slots=True)
class Stock:
    """Sums over all messages, one user after the other."""

    max_sends: int = 1
    messages: Counter[tuple[str, str]] = field(default_factory=Counter)  #: by state, reason
    users: Counter[tuple[str, str]] = field(default_factory=Counter)  #: by state, last reason
    by_run: Counter[tuple[int, str]] = field(default_factory=Counter)  #: messages by run, state
    forgotten: int = 0  #: users whose name has been erased
    at_cap: int = 0  #: users who had as many messages as allowed
    at_cap_in_doubt: int = 0  #: of these only because unknown ones count
    evidence: Counter[str] = field(default_factory=Counter)  #: settled by evidence, by state
    unknown_at: float = 0.0  #: the time of the latest unknown message

    def add(self, messages: Sequence[Message]) -> None:
        """Count all messages to one user, the oldest first."""
        for message in messages:
            self.messages[message.state, message.reason or ""] += 1
            self.by_run[message.run, message.state] += 1
            if message.is_unknown:
                self.unknown_at = max(self.unknown_at, message.at)
            elif message.evidence:
                self.evidence[message.state] += 1
        last = messages[-1]
        state = state_of(messages)
        why = last.reason if last.state == state or last.is_unknown else None
        why = "open" if last.state == "open" else why or ""
        self.users[state, why if state != "sent" else ""] += 1
        self.forgotten += all(message.name is None for message in messages)
        sent = sum(message.state == "sent" for message in messages)
        counted = sent + sum(message.is_unknown for message in messages)
        if 0 < self.max_sends <= counted:
            self.at_cap += 1
            self.at_cap_in_doubt += sent < self.max_sends

    @property
    def unknown(self) -> int:
        """How many messages are unknown."""
        return sum(n for (state, _), n in self.messages.items() if state in {"open", "unknown"})

    @property
    def not_recorded(self) -> int:
        """How many messages are unknown, and CloudTrail has no record of them."""
        return self.messages["unknown", str(Reason.NOT_RECORDED)]

    def in_state(self, state: str) -> int:
        """Return how many users are in this state."""
        return sum(n for (of, _), n in self.users.items() if of == state)


def state_of(messages: Sequence[Message]) -> str:
    """Return the state of a user, by all messages to them."""
    if any(message.state == "sent" for message in messages):
        return "sent"
    if any(message.is_unknown for message in messages):
        return "unknown"
    return messages[-1].state


@dataclass(slots=True)
class Confirmations:
    """Counts of users by status in the pool and whole days since the last accepted message."""

    user_pool_id: str
    days: dict[int, Counter[str]] = field(default_factory=dict)
    in_doubt: Counter[str] = field(default_factory=Counter)  #: users in the state `unknown`

    def add(self, messages: Sequence[Message], status: str | None, now: float) -> None:
        """Count a user who was or may have been sent a code; `status` None is not listed."""
        words = {None: "not_listed", "CONFIRMED": "confirmed", "UNCONFIRMED": "unconfirmed"}
        word = words.get(status, "other")
        sent = [message.at for message in messages if message.state == "sent"]
        if sent:
            day = int(max(0.0, now - max(sent)) // _DAY)
            self.days.setdefault(day, Counter())[word] += 1
        elif any(message.is_unknown for message in messages):
            self.in_doubt[word] += 1

    @property
    def total(self) -> Counter[str]:
        """All users who were certainly sent a code."""
        return sum(self.days.values(), Counter())


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """All that `batch-resend status` shows."""

    ledger: str
    simulated: bool
    running: bool | None  #: whether a run is active; None if that cannot be known
    runs: Sequence[PastRun]
    stock: Stock
    unknown: Sequence[Message]  #: the first few
    confirmations: Confirmations | None = None
    client: str = ""  #: the client that the ledger belongs to, as `ledger.owner` describes it


def take_stock(users: Iterable[Sequence[Message]], max_sends: int) -> Stock:
    """Sum up all users' messages."""
    stock = Stock(max_sends)
    for messages in users:
        stock.add(messages)
    return stock


def confirmations(
    users: Iterable[Sequence[Message]],
    status_of: Callable[[bytes], str | None],
    user_pool_id: str,
    now: float,
) -> Confirmations:
    """Count who has confirmed; `status_of` is the pool's status of a `Message.user`."""
    counts = Confirmations(user_pool_id)
    for messages in users:
        counts.add(messages, status_of(messages[0].user), now)
    return counts


# -- for programs ----------------------------------------------------------------------


def as_json(status: Status, *, masked: bool = True) -> dict[str, Any]:
    """Return the status in the form for programs."""
    stock, confirmed = status.stock, status.confirmations
    return {
        "schema": SCHEMA,
        "ledger": status.ledger,
        "simulated": status.simulated,
        "running": status.running,
        "runs": [_run_json(run, stock) for run in status.runs],
        "messages": {
            f"{state}/{reason}" if reason else state: n
            for (state, reason), n in sorted(stock.messages.items())
        },
        "users": {state: stock.in_state(state) for state in STATES},
        "forgotten": stock.forgotten,
        "at_cap": {
            "max_sends": stock.max_sends,
            "users": stock.at_cap,
            "in_doubt": stock.at_cap_in_doubt,
        },
        "unknown": {
            "messages": stock.unknown,
            "first": [_message_json(message, masked) for message in status.unknown],
            "not_recorded": stock.not_recorded,
            "reconcile_from": stock.unknown_at + RECORDED_AFTER if stock.unknown else None,
        },
        "settled_by_evidence": dict(stock.evidence),
        "confirmations": None
        if confirmed is None
        else {
            "user_pool_id": confirmed.user_pool_id,
            **_cohort(confirmed.total),
            "by_day": [
                {"days": day} | _cohort(confirmed.days[day]) for day in sorted(confirmed.days)
            ],
            "unknown": _cohort(confirmed.in_doubt),
        },
    }


def history_json(
    name: str, ledger: str, messages: Sequence[Message], *, masked: bool = True
) -> dict[str, Any]:
    """Return the messages to one user in the form for programs."""
    return {
        "schema": SCHEMA,
        "ledger": ledger,
        "username": shown_name(name, masked),
        "state": state_of(messages) if messages else None,
        "messages": [_message_json(message, masked) for message in messages],
    }


def _message_json(message: Message, masked: bool) -> dict[str, Any]:
    return {
        "run": message.run,
        "username": None if message.name is None else shown_name(message.name, masked),
        "state": message.state,
        "reason": message.reason,
        "intended_at": message.intended_at,
        "settled_at": message.settled_at,
        "evidence": message.evidence,
        "reconciled_at": message.reconciled_at,
    }


def _cohort(counts: Counter[str]) -> dict[str, int]:
    return {"written_to": counts.total(), **{word: counts[word] for word in POOL_SAYS}}


def _run_json(run: PastRun, stock: Stock) -> dict[str, Any]:
    return {
        "run": run.number,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "exit_code": run.summary.get("exit_code"),
        "stopped_by": run.summary.get("stopped_by"),
        "error": run.summary.get("error"),
        "counts": counts_of(run, stock),
    }


def counts_of(run: PastRun, stock: Stock) -> dict[str, int]:
    """Return a run's rows by outcome, or without a summary, its messages by state."""
    if counts := run.summary.get("counts"):
        return dict(counts)
    return {state: n for (of, state), n in sorted(stock.by_run.items()) if of == run.number}


def shown_name(name: str, masked: bool) -> str:
    """Return a user's name as it may be shown."""
    return mask(name) if masked else printable(name)
