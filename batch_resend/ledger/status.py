"""What a ledger comes to: sums over its runs and messages, and how they are shown. Pure.

A user is in the first of these states that applies:

  sent       at least one message was accepted
  unknown  nobody can say whether one was: counts as sent
  failed     nothing was sent, for the last reason
  skipped    Cognito had no code to send: confirmed already

How many have confirmed is told by the day of the message, not by that of the
confirmation, which Cognito does not keep: a user's UserLastModifiedDate moves with every
later change. So of those who were last written to so many days ago it is counted who is
confirmed now; looked at again another day, the same people stand a day further down.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from batch_resend.ledger import Message, PastRun
from batch_resend.ledger.commands import RECORDED_AFTER
from batch_resend.ledger.next_step import next_step
from batch_resend.masking import mask, printable
from batch_resend.model import Reason
from batch_resend.wording import some

SCHEMA = 1
SHOWN = 20  #: unknown messages that are shown one by one
_RUNS_SHOWN = 10
_DAY = 86400.0
_STATES = ("sent", "unknown", "failed", "skipped")
_POOL_SAYS = ("confirmed", "unconfirmed", "other", "not_listed")
_COUNTED = ("sent", "failed", "unknown", "skipped")  #: of a run


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
        """How many users are in this state."""
        return sum(n for (found, _), n in self.users.items() if found == state)


def state_of(messages: Sequence[Message]) -> str:
    """The state of a user, by all messages to them."""
    if any(message.state == "sent" for message in messages):
        return "sent"
    if any(message.is_unknown for message in messages):
        return "unknown"
    return messages[-1].state


@dataclass(slots=True)
class Confirmations:
    """Who has confirmed since: counts by whole days since the last accepted message."""

    user_pool_id: str
    days: dict[int, Counter[str]] = field(default_factory=dict)
    in_doubt: Counter[str] = field(default_factory=Counter)  #: users in the state `unknown`

    def add(self, messages: Sequence[Message], status: str | None, now: float) -> None:
        """Count a user who was or may have been written to; `status` None is not listed."""
        said = {None: "not_listed", "CONFIRMED": "confirmed", "UNCONFIRMED": "unconfirmed"}
        word = said.get(status, "other")
        sent = [message.at for message in messages if message.state == "sent"]
        if sent:
            day = int(max(0.0, now - max(sent)) // _DAY)
            self.days.setdefault(day, Counter())[word] += 1
        elif any(message.is_unknown for message in messages):
            self.in_doubt[word] += 1

    @property
    def total(self) -> Counter[str]:
        """All who were certainly written to."""
        return sum(self.days.values(), Counter())


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """All that `batch-resend status` knows."""

    ledger: str
    simulated: bool
    running: bool | None  #: whether a run goes on; None where that cannot be known
    runs: Sequence[PastRun]
    stock: Stock
    unknown: Sequence[Message]  #: the first few
    confirmations: Confirmations | None = None


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
    found = Confirmations(user_pool_id)
    for messages in users:
        found.add(messages, status_of(messages[0].user), now)
    return found


# -- for programs ----------------------------------------------------------------------


def as_json(status: Status, *, masked: bool = True) -> dict[str, Any]:
    """Give the status in the form for programs."""
    stock, found = status.stock, status.confirmations
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
        "users": {state: stock.in_state(state) for state in _STATES},
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
        if found is None
        else {
            "user_pool_id": found.user_pool_id,
            **_cohort(found.total),
            "by_day": [{"days": day} | _cohort(found.days[day]) for day in sorted(found.days)],
            "unknown": _cohort(found.in_doubt),
        },
    }


def history_json(
    name: str, ledger: str, messages: Sequence[Message], *, masked: bool = True
) -> dict[str, Any]:
    """Give what is known of one user in the form for programs."""
    return {
        "schema": SCHEMA,
        "ledger": ledger,
        "username": _shown(name, masked),
        "state": state_of(messages) if messages else None,
        "messages": [_message_json(message, masked) for message in messages],
    }


def _message_json(message: Message, masked: bool) -> dict[str, Any]:
    return {
        "run": message.run,
        "username": None if message.name is None else _shown(message.name, masked),
        "state": message.state,
        "reason": message.reason,
        "intended_at": message.intended_at,
        "settled_at": message.settled_at,
        "evidence": message.evidence,
        "reconciled_at": message.reconciled_at,
    }


def _cohort(counts: Counter[str]) -> dict[str, int]:
    return {"written_to": counts.total(), **{word: counts[word] for word in _POOL_SAYS}}


def _run_json(run: PastRun, stock: Stock) -> dict[str, Any]:
    return {
        "run": run.number,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "exit_code": run.summary.get("exit_code"),
        "stopped_by": run.summary.get("stopped_by"),
        "error": run.summary.get("error"),
        "counts": _counts(run, stock),
    }


def _counts(run: PastRun, stock: Stock) -> dict[str, int]:
    """A run's rows by outcome, or where it did not tell, its messages by state."""
    if told := run.summary.get("counts"):
        return dict(told)
    return {state: n for (of, state), n in sorted(stock.by_run.items()) if of == run.number}


# -- for people ------------------------------------------------------------------------


def lines(status: Status, *, more: str, masked: bool = True) -> list[str]:
    """Say it in lines of up to 80 columns; `more` is the command that lists all unknown."""
    stock = status.stock
    said = [f"Ledger {printable(status.ledger)}"]
    if status.simulated:
        said.append("Simulation only: no real messages were sent.")
    said += ["", *_run_lines(status.runs, stock, running=status.running)]
    if stock.messages:
        said += ["", f"Users {sum(stock.users.values()):,}", *_by_state(stock.users)]
        said += [f"  (names erased      {stock.forgotten:,})"] if stock.forgotten else []
        if stock.max_sends:
            doubt = stock.at_cap_in_doubt
            why = f" ({doubt:,} of them with an unknown message)" if doubt else ""
            limit = some(stock.max_sends, "message")
            said.append(f"Reached the limit of {limit} (--max-sends): {stock.at_cap:,}{why}")
        said += ["", f"Messages {stock.messages.total():,}", *_by_state(stock.messages)]
    if stock.unknown:
        said += ["", f"Unknown {stock.unknown:,}: a code may have been sent, or not"]
        said += _table(status.unknown, masked)
        rest = stock.unknown - len(status.unknown)
        said += [f"  and {rest:,} more:", f"  {more}"] if rest > 0 else []
    if status.confirmations is not None:
        said += ["", *_confirmation_lines(status.confirmations)]
    return [*said, "", *next_step(status.runs, running=status.running)]


def history_lines(
    name: str, ledger: str, messages: Sequence[Message], *, masked: bool = True
) -> list[str]:
    """Say what is known of one user, in lines."""
    shown = _shown(name, masked)
    if not messages:
        return [f"No record of {shown} in {printable(ledger)}."]
    state = state_of(messages)
    return [f"{shown} in the ledger {printable(ledger)}: {state}", *_table(messages, masked)]


def _run_lines(runs: Sequence[PastRun], stock: Stock, *, running: bool | None) -> list[str]:
    if not runs:
        return ["No run so far"]
    said = [
        f"Runs {len(runs):,}",
        "  run  started (UTC)     took      sent  failed unknown skipped  ended",
    ]
    if len(runs) > _RUNS_SHOWN:
        said.append(f"  ...  {len(runs) - _RUNS_SHOWN} earlier ones")
    for run in runs[-_RUNS_SHOWN:]:
        counts = _counts(run, stock)
        numbers = [counts.get(state, 0) for state in _COUNTED]
        goes_on = None if running is None else running and run is runs[-1]
        took = "" if run.finished_at is None else _time(run.finished_at - run.started_at)
        said.append(
            f"  {run.number:>3}  {_moment(run.started_at)}  {took:<6}{numbers[0]:>8,}"
            f" {numbers[1]:>7,} {numbers[2]:>7,} {numbers[3]:>7,}  {_end(run, goes_on=goes_on)}"
        )
    without = [run for run in runs[-_RUNS_SHOWN:] if run.finished_at is None]
    if running is None and without:
        said.append("  No end: in progress, or cut off. The next run will list what it left open.")
    elif not running and runs[-1] in without:
        said.append("  The next run will list the users whose requests this run left open.")
    if "error" in runs[-1].summary:
        said.append(
            f"  Run {runs[-1].number} did not start: {printable(str(runs[-1].summary['error']))}"
        )
    return said


def _end(run: PastRun, *, goes_on: bool | None) -> str:
    """How a run ended; `goes_on` None is not known of one without an end."""
    if run.finished_at is None:
        return {None: "no end", True: "in progress", False: "cut off"}[goes_on]
    if "error" in run.summary:
        return "did not start"
    return str(run.summary.get("stopped_by") or f"exit {run.summary.get('exit_code')}")


def _by_state(counts: Counter[tuple[str, str]]) -> list[str]:
    said = []
    for state in (*_STATES, "open"):
        reasons = {reason: n for (found, reason), n in sorted(counts.items()) if found == state}
        if reasons:
            inner = ", ".join(
                f"{reason} {n:,}" for reason, n in reasons.items() if reason not in {"", "accepted"}
            )
            line = f"  {state:<17}  {sum(reasons.values()):,}" + (f" ({inner})" if inner else "")
            said += textwrap.wrap(line, 79, subsequent_indent=" " * 21, break_on_hyphens=False)
    return said


def _table(messages: Sequence[Message], masked: bool) -> list[str]:
    return [
        f"  run {message.run:>3}  {_moment(message.at)}  {message.state:<7}"
        f"  {message.reason or '':<19}  "
        + ("(name erased)" if message.name is None else _shown(message.name, masked))
        for message in messages
    ]


def _confirmation_lines(found: Confirmations) -> list[str]:
    total = found.total
    part = f" ({100 * total['confirmed'] / total.total():.0f} %)" if total else ""
    said = [
        f"Confirmed since, of those sent a code: {total['confirmed']:,} of {total.total():,}{part}"
        f" in {found.user_pool_id}"
    ]
    rows = [(str(day), found.days[day]) for day in sorted(found.days)]
    if found.in_doubt:
        rows.append(("unknown", found.in_doubt))
    if rows:
        said.append("  days since        sent  confirmed  unconfirmed  other  not listed")
    for title, counts in rows:
        said.append(
            f"  {title:>10}  {counts.total():>10,}  {counts['confirmed']:>9,}"
            f"  {counts['unconfirmed']:>11,}  {counts['other']:>5,}  {counts['not_listed']:>10,}"
        )
    return said


def _shown(name: str, masked: bool) -> str:
    return mask(name) if masked else printable(name)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60}h{minutes % 60:02d}"
