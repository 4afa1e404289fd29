"""The lines that a person sees of a run: its progress, and its result. Pure."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime
from typing import Any

from batch_resend.errors import Exit
from batch_resend.job.engine import Snapshot
from batch_resend.job.outcome import Stop
from batch_resend.job.summary import Summary
from batch_resend.ledger import commands
from batch_resend.masking import printable
from batch_resend.model import Outcome, Reason, RunInfo
from batch_resend.wording import per_second, some, span, to_fill_in


def wrapped(text: str, width: int) -> str:
    """Break a line that is too long for a terminal between words, and indent the rest.

    A command stays on one line, however long: what is copied from a terminal must be whole.
    """
    if len(text) <= width or text.lstrip().startswith("batch-resend "):
        return text
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    return textwrap.fill(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def summary_lines(summary: Summary, *, one_of_many: bool = False) -> list[str]:
    """Return what the run came to, in a few lines; of one of many not how to resume."""
    info = summary.info
    lines = [_dry_run(summary) if info.dry_run else _counts(summary)]
    lines += _by_outcome(
        {
            reason: n
            for reason, n in summary.reasons.items()
            if reason.outcome in {Outcome.SKIPPED, Outcome.FAILED, Outcome.UNKNOWN}
        }
    )
    if summary.stopped_by is not None:
        detail = f" ({printable(summary.detail)})" if summary.detail else ""
        lines.append(f"{stopped(summary.stopped_by)}{detail}")
    if not one_of_many:
        lines += _next(summary)
    lines += _unknown(summary)
    if info.existence_hidden and summary.counts[Outcome.SENT]:
        lines.append(
            "The app client hides unknown users (PreventUserExistenceErrors), so `sent` may"
            " include names that do not exist."
        )
    if info.simulated and not info.dry_run:
        lines.append("Simulation only: no real messages were sent.")
    elif not info.endpoint_is_aws and not info.simulated:
        lines.append(f"Custom endpoint: {info.endpoint}")
    return lines + _files(summary)


def stopped(stop: Stop) -> str:
    """Return what ended a run early, as a line of its own."""
    return stop.sentence if stop.sentence.startswith("Stopped") else f"Stopped: {stop.sentence}"


def _counts(summary: Summary) -> str:
    shown = [f"{n:,} {outcome}" for outcome, n in summary.counts.items() if n] or ["no rows"]
    throttled = f", {summary.throttled:,} throttled" if summary.throttled else ""
    return (
        f"{some(summary.rows, 'row')} in {span(summary.seconds)}: {', '.join(shown)}"
        f" ({some(summary.requests, 'request')}{throttled})."
    )


def _dry_run(summary: Summary) -> str:
    counts = summary.counts
    others = [f"{n:,} {o}" for o, n in counts.items() if n and o is not Outcome.PLANNED]
    would = f"{counts[Outcome.PLANNED]:,} would be sent a code"
    return f"Dry run complete: {', '.join([would, *others])}. Nothing was sent."


def _next(summary: Summary) -> list[str]:
    """Return how to send after a dry run, or how to resume a run that was stopped."""
    command = summary.info.next_command or ""
    if summary.info.dry_run:
        return _command("To send:", command) if summary.counts[Outcome.PLANNED] else []
    if not goes_on(summary):
        return []
    if summary.info.simulated and summary.info.ledger is None:
        return [
            "This simulation is not remembered. To try resuming, start one with"
            " --ledger demo.sqlite3."
        ]
    if " --report " in command:  # the same command would find its report in the way
        return _command("To resume (users already sent a code are skipped):", command)
    return ["To resume, run the same command again: users already sent a code are skipped."]


def _command(what: str, command: str) -> list[str]:
    return [what, f"  {command}", *filter(None, [to_fill_in(command)])] if command else []


def _files(summary: Summary) -> list[str]:
    """Return where the results are: what did not arrive, then each file."""
    info = summary.info
    missing = {left.to for left in summary.not_delivered}
    files = (
        ("Report", info.report),
        ("Rows to try again", info.failed),
        ("Page", info.html),
        ("Summary", info.summary),
    )
    return [
        *(str(left) for left in summary.not_delivered),
        *(
            f"{what}: {path}"
            for what, path in files
            if path not in {None, "-", "/dev/null", *missing}
        ),
    ]


def _unknown(summary: Summary) -> list[str]:
    if summary.info.dry_run or (summary.info.simulated and summary.info.ledger is None):
        return []  # a throwaway ledger treats no user as sent to
    if summary.unknown_in_ledger is None:
        return ["Unknown over all runs: not counted, because the ledger could not be read."]
    if not summary.unknown_in_ledger:
        return []
    missing = summary.not_recorded_in_ledger
    recorded = f" ({missing:,} not recorded by CloudTrail)" if missing else ""
    lines = [
        f"Unknown over all runs: {summary.unknown_in_ledger:,}{recorded}. A code may have been"
        " sent or not, so these users are treated as sent."
    ]
    if summary.info.ledger:
        lines.append(f"  {commands.status_command(summary.info.ledger, summary.info.region)}")
        if not summary.info.simulated and summary.unknown_in_ledger > missing:
            new = summary.counts[Outcome.UNKNOWN]
            when = f", from {_recorded(summary)} on" if new else ""
            lines.append(f"To settle them by CloudTrail's records{when}:")
            lines.append(f"  {reconcile_command(summary.info)}")
    if missing:
        lines.append(commands.RESEND_NOT_RECORDED)
    return lines


def reconcile_command(info: RunInfo) -> str:
    """Return the command that settles unknown outcomes, wherever the ledger is."""
    endpoint = "" if info.endpoint_is_aws else info.endpoint
    return commands.reconcile_command(info.ledger or "", info.region, endpoint)


def _recorded(summary: Summary) -> str:
    """Return when CloudTrail should have the last request."""
    at = summary.started_at + summary.seconds + commands.RECORDED_AFTER
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def goes_on(summary: Summary) -> bool:
    """Whether another run would resume this one."""
    return bool(summary.counts[Outcome.NOT_ATTEMPTED]) and summary.exit_code != Exit.SETTINGS


def reached(snapshot: Snapshot) -> int:
    """Return how many users have a result, without those who were left when the run stopped."""
    return snapshot.done - snapshot.tally.outcomes[Outcome.NOT_ATTEMPTED]


def time_left(snapshot: Snapshot) -> str:
    """Return how long the run will take from here, in words; "" where that is not known."""
    left = snapshot.eligible - snapshot.done
    if left <= 0 or not snapshot.accepting or snapshot.stopped_by is not None:
        return ""
    if left <= snapshot.in_flight:
        return f"waiting for {some(left, 'response')}"
    seconds = left / snapshot.rate
    return f"{seconds:.0f} s left" if seconds < 10 else f"{span(seconds)} left"


def progress_line(snapshot: Snapshot, waiting: str = "") -> str:
    """Return in one line how the run stands."""
    outcomes = snapshot.tally.outcomes
    done, total = reached(snapshot), snapshot.eligible
    part = f"{100 * done // total}%" if total else "100%"
    pieces = [f"{done:,}/{total:,} {part}"]
    if snapshot.waves > 1:
        pieces.append(f"wave {snapshot.wave} of {snapshot.waves}")
    pieces += [
        f"{outcomes[outcome]:,} {outcome}"
        for outcome in (Outcome.SENT, Outcome.SKIPPED, Outcome.FAILED, Outcome.UNKNOWN)
        if outcomes[outcome] or outcome is Outcome.SENT
    ]
    pieces.append(f"{per_second(snapshot.rate)} of {per_second(snapshot.ceiling)}")
    if snapshot.throttled:
        pieces.append(f"{snapshot.throttled:,} throttled")
    if snapshot.stopped_by is not None:
        pieces.append(f"stopping, {snapshot.in_flight:,} in flight")
    elif left := waiting or time_left(snapshot):
        pieces.append(left)
    return " | ".join(pieces)


def numbers(snapshot: Snapshot) -> dict[str, Any]:
    """Return the same in numbers."""
    return {
        "done": reached(snapshot),
        "eligible": snapshot.eligible,
        "counts": {str(outcome): n for outcome, n in snapshot.tally.outcomes.items()},
        "rate": round(snapshot.rate, 2),
        "ceiling": snapshot.ceiling,
        "throttled": snapshot.throttled,
        "in_flight": snapshot.in_flight,
    }


def _by_outcome(reasons: dict[Reason, int]) -> list[str]:
    lines = []
    for outcome in Outcome:
        counts = {r: reasons[r] for r in Reason if r.outcome is outcome and r in reasons}
        if counts:
            inner = ", ".join(f"{reason} {n:,}" for reason, n in counts.items())
            lines.append(f"  {outcome:<17}  {sum(counts.values()):,} ({inner})")
    return lines
