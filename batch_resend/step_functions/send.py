"""Send: run the job over one batch. Once a message may have been sent, nothing is raised."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from batch_resend.aws import s3
from batch_resend.errors import BatchResendError, Exit
from batch_resend.job.outcome import Stop
from batch_resend.job.summary import Summary
from batch_resend.model import Candidate, Reason
from batch_resend.observer import Event, Settled
from batch_resend.reports import merge
from batch_resend.run.prepare import prepare
from batch_resend.settings import Settings
from batch_resend.sources import planned_batch
from batch_resend.step_functions.arguments import HERE, settings_for_batch
from batch_resend.step_functions.objects import Execution

_TO_SETTLE = 20.0  #: seconds, beside those of a request, for what remains after the last one


async def send(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Run the job over the users of a batch without a result from an earlier attempt.

    Raises only before the first message.
    """
    number = int(event["batch"])
    async with s3.open_store(HERE) as store:
        execution = Execution(store, str(event["place"]))
        rows, _ = await execution.tries(number)
        settled = {row: merge.reason(line) for row, line in rows.items()}
        settled = {row: reason for row, reason in settled.items() if reason is not Reason.STOPPED}
        remaining = [user for user in await execution.users(number) if user.row not in settled]
        settings = settings_for_batch(await execution.plan(), execution.batch(number))
        settings = replace(
            settings, rate=float(event["rate"]), deadline=_time_left(context, settings.timeout)
        )
        reasons: dict[int, Reason] = {}
        summary, problem = None, None
        if remaining:
            summary, problem = await _try(settings, reasons, remaining, execution, number)
    stopped_by = None if summary is None else summary.stopped_by
    code = Exit.DONE if summary is None else summary.exit_code
    if summary is None and problem is not None:
        code = Exit.SETTINGS  # it broke while sending
    outcomes: dict[str, list[int]] = {}
    for row, reason in sorted((reasons | settled).items()):
        outcomes.setdefault(f"{reason.outcome}/{reason}", []).append(row)
    return {
        "batch": number,
        "outcomes": outcomes,
        "stopped_by": None if stopped_by is None else str(stopped_by),
        # Each time some user is settled, so it ends.
        "again": stopped_by is Stop.DEADLINE
        and any(reason is not Reason.STOPPED for reason in reasons.values()),
        "exit_code": int(code),
        "problem": problem,
        "why": "; ".join(str(each) for each in (stopped_by, problem) if each is not None),
    }


async def _try(
    settings: Settings,
    reasons: dict[int, Reason],
    users: Sequence[Candidate],
    execution: Execution,
    number: int,
) -> tuple[Summary | None, str | None]:
    """Run the job and keep its report, whatever happens; return summary and error, if any.

    `reasons` receives the reason of each row.
    """

    def observe(event: Event) -> None:
        if isinstance(event, Settled):
            reasons[event.result.row] = event.result.reason

    summary, problem = None, None
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.csv")
        settings = replace(settings, report=str(report))
        batch = planned_batch.BatchSource(execution.batch(number), users)
        async with contextlib.AsyncExitStack() as stack:
            prepared = await stack.enter_async_context(
                prepare(settings, observe=observe, users=batch, part=True)
            )
            prepared.publish()
            try:
                summary = await prepared.send()
                await prepared.aclose()
            except Exception as error:
                problem = _sentence(error)
        try:
            summary_json = None if summary is None else summary.as_json()
            await execution.add_try(number, report, summary_json)
        except Exception as error:
            problem = _sentence(error)  # the ledger has it, and so does the response
    return summary, problem


def _sentence(error: Exception) -> str:
    """Return the text of our own errors, the type of others, whose text may hold anything."""
    if isinstance(error, ExceptionGroup):  # of what broke side by side
        return ", ".join(dict.fromkeys(map(_sentence, error.exceptions)))
    return str(error) if isinstance(error, BatchResendError) else type(error).__name__


def _time_left(context: Any, timeout: float) -> float:
    """Return the seconds in which users may be requested: the rest is for those in flight."""
    seconds = float(context.get_remaining_time_in_millis()) / 1000
    return max(0.0, seconds - 1.5 * timeout - _TO_SETTLE)
