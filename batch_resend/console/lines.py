"""The lines that a person sees of a run: how it stands, and what it came to. Pure."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime
from typing import Any

from batch_resend.errors import Exit
from batch_resend.job.engine import Snapshot
from batch_resend.job.summary import Summary
from batch_resend.ledger import commands
from batch_resend.masking import printable
from batch_resend.model import Outcome, Reason, RunInfo
from batch_resend.wording import some, span


def wrapped(text: str, width: int) -> str:
    """Break a line that is too long for a terminal between words, and indent the rest."""
    if len(text) <= width:
        return text
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    return textwrap.fill(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def summary_lines(summary: Summary, *, one_of_many: bool = False) -> list[str]:
    """Say in a few lines what the run came to; of one of many not how to go on."""
    counts = summary.counts
    shown = [f"{n} {outcome}" for outcome, n in counts.items() if n] or ["no rows"]
    throttled = f", {summary.throttled} throttled" if summary.throttled else ""
    lines = [
        f"{some(summary.rows, 'row')} in {span(summary.seconds)}: {', '.join(shown)}"
        f" ({some(summary.requests, 'request')}{throttled})."
    ]
    lines += _by_outcome(
        {
            reason: n
            for reason, n in summary.reasons.items()
            if reason.outcome in {Outcome.SKIPPED, Outcome.FAILED, Outcome.UNKNOWN}
        }
    )
    info = summary.info
    if summary.stopped_by is not None:
        detail = f" ({printable(summary.detail)})" if summary.detail else ""
        lines.append(f"Stopped early: {summary.stopped_by.sentence}{detail}")
    if goes_on(summary) and not one_of_many:
        lines += _to_go_on(info.next_command or "")
    lines += _unknown(summary)
    if info.existence_hidden and counts[Outcome.SENT]:
        lines.append(
            "The app client hides who does not exist (PreventUserExistenceErrors), so `sent` proves"
            " less: a wrong name counts as sent."
        )
    if info.simulated:
        lines.append("Simulated: no real person was written to.")
    elif not info.endpoint_is_aws:
        lines.append(f"The endpoint was not AWS's own: {info.endpoint}")
    lines += [str(left) for left in summary.not_delivered]
    if info.report not in {"-", *(left.to for left in summary.not_delivered)}:
        lines.append(f"Report: {info.report}")
    if info.html not in {None, "-"}:
        lines.append(f"Page: {info.html}")
    return lines


def _unknown(summary: Summary) -> list[str]:
    if summary.unknown_in_ledger is None:
        return ["Unknown over all runs: not known, for the ledger could not be read."]
    if not summary.unknown_in_ledger:
        return []
    lines = [
        f"Unknown over all runs: {summary.unknown_in_ledger}. Nobody can say whether they were sent"
        " a code, so they count as sent."
    ]
    if summary.info.ledger:
        lines.append(f"  {commands.status_command(summary.info.ledger, summary.info.region)}")
        if not summary.info.simulated:
            lines.append(f"  {reconcile_command(summary.info)}")
            lines.append(
                f"  can settle them by CloudTrail's records, from {_recorded(summary)} on."
            )
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
    """Whether another run would go on from here."""
    return bool(summary.counts[Outcome.NOT_ATTEMPTED]) and summary.exit_code != Exit.SETTINGS


def _to_go_on(command: str) -> list[str]:
    if " --report " in command:  # the same command would find its report in the way
        return ["To go on, and nobody is written to twice:", f"  {command}"]
    return ["Run the same command again to go on: nobody is written to twice."]


def progress_line(snapshot: Snapshot, waiting: str = "") -> str:
    """Say in one line how the run stands."""
    outcomes = snapshot.tally.outcomes
    total = snapshot.eligible
    part = f"{100 * snapshot.done // total}%" if total else "100%"
    told = [f"{snapshot.done}/{total} {part}"]
    if snapshot.waves > 1:
        told.append(f"wave {snapshot.wave} of {snapshot.waves}")
    told += [
        f"{outcomes[outcome]} {outcome}"
        for outcome in (Outcome.SENT, Outcome.FAILED, Outcome.UNKNOWN)
        if outcomes[outcome] or outcome is Outcome.SENT
    ]
    told.append(f"{snapshot.rate:.3g}/s of {snapshot.ceiling:.3g}")
    if snapshot.throttled:
        told.append(f"{snapshot.throttled} throttled")
    if snapshot.stopped_by is not None:
        told.append(f"stopping, {snapshot.in_flight} in flight")
    elif waiting:
        told.append(waiting)
    elif total > snapshot.done and snapshot.accepting:
        told.append(f"{span((total - snapshot.done) / snapshot.rate)} left")
    return " | ".join(told)


def numbers(snapshot: Snapshot) -> dict[str, Any]:
    """Say the same in numbers."""
    return {
        "done": snapshot.done,
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
        found = {r: reasons[r] for r in Reason if r.outcome is outcome and r in reasons}
        if found:
            inner = ", ".join(f"{reason} {n}" for reason, n in found.items())
            lines.append(f"  {outcome:<17}  {sum(found.values())} ({inner})")
    return lines
