"""The status of a ledger, in lines of text for people. Pure."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from batch_resend.ledger import Message, PastRun
from batch_resend.ledger.commands import RECORDED_AFTER, RESEND_NOT_RECORDED
from batch_resend.ledger.evidence import evidence_words
from batch_resend.ledger.next_step import next_step, settle_command
from batch_resend.ledger.status import (
    POOL_SAYS,
    STATES,
    Confirmations,
    Status,
    Stock,
    counts_of,
    shown_name,
    state_of,
)
from batch_resend.masking import printable
from batch_resend.wording import some

_RUNS_SHOWN = 10
_COUNTED = ("sent", "failed", "unknown", "skipped")  #: of a run
_WIDTH = 80


def lines(status: Status, *, more: str, masked: bool = True, now: float = 0.0) -> list[str]:
    """Return the status in lines of up to 80 columns; `more` is the command for all unknown.

    Commands are longer: they stay whole.
    """
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
            why = f" ({doubt:,} with an unknown message)" if doubt else ""
            limit = some(stock.max_sends, "message")
            said += _wrapped(f"Reached the limit of {limit} (--max-sends): {stock.at_cap:,}{why}")
        said += ["", f"Messages {stock.messages.total():,}", *_by_state(stock.messages)]
    if stock.unknown or stock.evidence:
        said += ["", *_unknown_lines(status, more, masked, now)]
    if status.confirmations is not None:
        said += ["", *_confirmation_lines(status.confirmations)]
    return [
        *said,
        "",
        *next_step(status.runs, running=status.running, unknown=status.stock.unknown),
    ]


def history_lines(
    name: str, ledger: str, messages: Sequence[Message], *, masked: bool = True
) -> list[str]:
    """Return the messages to one user, in lines."""
    shown = shown_name(name, masked)
    if not messages:
        return [f"No record of {shown} in {printable(ledger)}."]
    state = state_of(messages)
    return [f"{shown} in the ledger {printable(ledger)}: {state}"] + [
        line
        for message in messages
        for line in (*_table([message], masked), *_evidence_line(message))
    ]


def _run_lines(runs: Sequence[PastRun], stock: Stock, *, running: bool | None) -> list[str]:
    if not runs:
        return ["No run so far"]
    said = [f"Runs {len(runs):,}", *_run_table(runs, stock, running=running)]
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


def _run_table(runs: Sequence[PastRun], stock: Stock, *, running: bool | None) -> list[str]:
    """Return the latest runs as a table; counts of millions move the ends to lines of their own."""
    latest = runs[-_RUNS_SHOWN:]
    counts = [[f"{counts_of(run, stock).get(state, 0):,}" for state in _COUNTED] for run in latest]
    widths = [
        max(least, *(len(row[column]) + (not column) for row in counts))
        for column, least in enumerate((8, 7, 7, 7))
    ]
    room = _WIDTH - len("  run  2026-11-28 08:00  89 min") - sum(widths) - len(widths) - 1
    goes_on = [None if running is None else running and run is runs[-1] for run in latest]
    ends = [_end(run, goes_on=on) for run, on in zip(latest, goes_on, strict=True)]
    beside = max(map(len, ["ended", *ends])) <= room

    def line(number: str, started: str, took: str, counted: Sequence[str], end: str) -> list[str]:
        numbers = " ".join(f"{n:>{width}}" for n, width in zip(counted, widths, strict=True))
        text = f"  {number:>3}  {started:<16}  {took:<6}{numbers}"
        return [f"{text}  {end}"] if beside else [text, *([f"       ended: {end}"] if end else [])]

    said = line("run", "started (UTC)", "took", _COUNTED, "ended" if beside else "")
    if len(runs) > len(latest):
        said.append(f"  ...  {len(runs) - len(latest):,} earlier ones")
    for run, counted, end in zip(latest, counts, ends, strict=True):
        took = "" if run.finished_at is None else _time(run.finished_at - run.started_at)
        said += line(f"{run.number}", _moment(run.started_at), took, counted, end)
    return said


def _end(run: PastRun, *, goes_on: bool | None) -> str:
    """Return how a run ended; `goes_on` None means that it cannot be known."""
    if run.finished_at is None:
        return {None: "no end", True: "in progress", False: "cut off"}[goes_on]
    if "error" in run.summary:
        return "did not start"
    return str(run.summary.get("stopped_by") or f"exit {run.summary.get('exit_code')}")


def _by_state(counts: Counter[tuple[str, str]]) -> list[str]:
    said = []
    for state in (*STATES, "open"):
        reasons = {reason: n for (of, reason), n in sorted(counts.items()) if of == state}
        if reasons:
            inner = ", ".join(
                f"{reason} {n:,}" for reason, n in reasons.items() if reason not in {"", "accepted"}
            )
            line = f"  {state:<17}  {sum(reasons.values()):,}" + (f" ({inner})" if inner else "")
            said += _wrapped(line, 21)
    return said


def _unknown_lines(status: Status, more: str, masked: bool, now: float) -> list[str]:
    """Return the unknown, what evidence has settled, and how to settle the rest."""
    stock = status.stock
    settled, missing = stock.evidence.total(), stock.not_recorded
    parts = [
        f"{count:,} {what}"
        for count, what in (
            (settled, "settled by CloudTrail's records"),
            (missing, "not recorded"),
            (stock.unknown - missing, "left"),
        )
        if count
    ]
    if not settled and not missing:
        parts = ["a code may have been sent, or not"]
    said = _wrapped(f"Unknown outcomes: {stock.unknown + settled:,}; {', '.join(parts)}")
    said += _table(status.unknown, masked)
    rest = stock.unknown - len(status.unknown)
    said += [f"  and {rest:,} more:", f"  {more}"] if rest > 0 else []
    if stock.unknown > missing and not status.simulated:
        due = stock.unknown_at + RECORDED_AFTER
        when = f", from {_moment(due)} UTC on" if due > now else ""
        said.append(f"  To settle them by CloudTrail's records{when}:")
        said.append(f"  {settle_command(status.ledger, status.runs, status.client)}")
    if missing:
        said += _wrapped(f"  {RESEND_NOT_RECORDED}")
    return said


def _evidence_line(message: Message) -> list[str]:
    """Return what settled a message later, if anything did."""
    evidence = message.settled_by
    return [] if evidence is None else [f"           {evidence_words(evidence)}"]


def _table(messages: Sequence[Message], masked: bool) -> list[str]:
    return [
        f"  run {message.run:>3}  {_moment(message.at)}  {message.state:<7}"
        f"  {message.reason or '':<19}  "
        + ("(name erased)" if message.name is None else shown_name(message.name, masked))
        for message in messages
    ]


def _confirmation_lines(confirmed: Confirmations) -> list[str]:
    total = confirmed.total
    part = f" ({100 * total['confirmed'] / total.total():.0f} %)" if total else ""
    said = _wrapped(
        f"Confirmed since: {total['confirmed']:,} of {total.total():,} users sent a code{part}, in"
        f" {confirmed.user_pool_id}"
    )
    rows = [(str(day), confirmed.days[day]) for day in sorted(confirmed.days)]
    if confirmed.in_doubt:
        rows.append(("unknown", confirmed.in_doubt))
    if rows:
        cells = [[f"{n:,}" for n in (counts.total(), *(counts[word] for word in POOL_SAYS))]
                 for _, counts in rows]  # fmt: skip
        heads = ("sent", *(word.replace("_", " ") for word in POOL_SAYS))
        widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
        widths[0] = max(10, widths[0])
        titles = ["days since", *(title for title, _ in rows)]
        for title, numbers in zip(titles, [heads, *cells], strict=True):
            shown = "  ".join(f"{n:>{width}}" for n, width in zip(numbers, widths, strict=True))
            said.append(f"  {title:>10}  {shown}")
    return said


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60}h{minutes % 60:02d}"


def _wrapped(text: str, indent: int = 4) -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent=" " * indent, break_on_hyphens=False)
