"""What to do after the last run of a ledger, in words and with its command. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from batch_resend.errors import Exit
from batch_resend.ledger import PastRun
from batch_resend.ledger.commands import reconcile_command
from batch_resend.ledger.owner import place
from batch_resend.masking import printable
from batch_resend.wording import some

_NOT_KEPT = "run its command again (the ledger does not keep it: it may name people)"


def next_step(runs: Sequence[PastRun], *, running: bool | None, unknown: int = 0) -> list[str]:
    """Return what to do now: resume, try again, or nothing; the command on a line of its own.

    `unknown` is how many messages are unknown over all runs.
    """
    if not runs:
        return ["Next: nothing was sent yet. Start a run."]
    last = runs[-1]
    if last.finished_at is None:
        if running:
            return ["Next: wait until the run in progress has ended."]
        return ["Next: run the command of that run again to resume it."]
    if "error" in last.summary:
        return ["Next: fix what kept the last run from starting, then run its command again."]
    counts = last.summary.get("counts", {})
    left, failed = (int(counts.get(outcome, 0)) for outcome in ("not-attempted", "failed"))
    if left:
        cause = last.summary.get("stopped_by") or "it ended"
        text = f"Next: the last run stopped early ({cause}), with {some(left, 'user')} left."
        if cause == "max-failures" or last.summary.get("exit_code") == Exit.SETTINGS:
            return [text, "Fix the cause first, then resume:", *_command(last)]
        return [f"{text} To resume:", *_command(last)]
    if failed:
        text = f"Next: the last run failed for {some(failed, 'user')}."
        return [f"{text} Fix the causes, then:", *_command(last)]
    if unknown:
        are = "is" if unknown == 1 else "are"
        return [f"Next: nothing to send. {some(unknown, 'message')} {are} unknown: see above."]
    return ["Next: nothing. The last run reached all its users."]


def settle_command(ledger: str, runs: Sequence[PastRun], client: str = "") -> str:
    """Return the command that settles unknown outcomes, in the place of the last run.

    If no run has noted its place, as one that was killed has not, `client` says it.
    """
    last = next((run.summary for run in reversed(runs) if "region" in run.summary), None)
    if last is None:
        return reconcile_command(ledger, *place(client))
    endpoint = "" if last.get("endpoint_is_aws", True) else str(last.get("endpoint"))
    return reconcile_command(ledger, str(last["region"]), endpoint)


def last_cap(runs: Sequence[PastRun]) -> int | None:
    """Return the maximum of messages per user of the last run that has one noted."""
    for run in reversed(runs):
        cap = run.summary.get("max_sends")
        if isinstance(cap, int):
            return cap
    return None


def _command(run: PastRun) -> list[str]:
    command = run.summary.get("next_command")
    return [f"  {printable(str(command))}" if command else f"  {_NOT_KEPT}"]
