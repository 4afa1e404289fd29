"""What a person sees of a run, on standard error; standard output carries data only.

On a terminal a live display (`display`), drawn four times a second; elsewhere a plain
line every half minute; with `--log-format json` one object a line. Names are masked
unless asked otherwise.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import shutil
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from batch_resend.console.stream import BackgroundStream
from batch_resend.errors import Exit, Refused
from batch_resend.job.engine import Job, Snapshot
from batch_resend.job.summary import RunEnd, Summary
from batch_resend.masking import mask, mask_within, printable
from batch_resend.model import Outcome, Reason, Result, RunInfo
from batch_resend.observer import Observer
from batch_resend.preflight.preview import Approval, Preview, confirmation_lines, plan_lines
from batch_resend.wording import some, span

if TYPE_CHECKING:
    from batch_resend.console.live import Display

_LIVE_EVERY = 0.25  #: seconds
_PLAIN_EVERY = 30.0
_UNTIL_RECORDED = 900.0  #: seconds until CloudTrail has most calls; about 300 on average
_ANSWERS = 3  #: how often a number that must be typed may be mistyped
_DISPLAY = "batch_resend.console.live"


class Console(Observer):
    """Tells a person, or a log, how the run goes."""

    def __init__(
        self,
        *,
        yes: bool,
        quiet: bool = False,
        verbose: bool = False,
        json_lines: bool = False,
        live: bool = True,
        masked: bool = True,
        stream: IO[str] | None = None,
    ) -> None:
        """`yes` asks no question; `live` allows the live display where there is a terminal.

        `verbose` says a line for every row that was not sent a code.
        """
        self._stream = stream or sys.stderr
        self._yes = yes
        self._quiet = quiet
        self._verbose = verbose
        self._json = json_lines
        self._masked = masked
        able = os.environ.get("TERM", "dumb") not in {"dumb", "unknown"}
        self._terminal = self._stream.isatty()
        self._live = live and not quiet and not json_lines and able and self._terminal
        self._display: Display | None = None
        self._asking = False
        self._job: Job | None = None
        self._began = 0.0
        self._latest: dict[Reason, None] = {}  # why it went wrong, in the order of the last time
        self._waiting = ("", 0.0)

    # -- what the run tells --------------------------------------------------------

    def note(self, text: str) -> None:
        """Say something worth knowing."""
        self._say("note", text)

    def began(self, job: Job) -> None:
        """Take note of the job, for the progress."""
        self._job, self._began = job, time.monotonic()

    def waiting(self, why: str, seconds: float) -> None:
        """Say aloud what is waited for."""
        self._waiting = (why, time.monotonic() + seconds)
        if not self._live:
            self._say("waiting", f"Waiting {seconds:.0f} s: {why}", why=why, seconds=seconds)

    def settled(self, result: Result) -> None:
        """Say a line for a row that was not sent a code, where that is wanted."""
        if result.outcome in {Outcome.FAILED, Outcome.UNKNOWN}:
            self._latest.pop(result.reason, None)
            self._latest[result.reason] = None
        if self._verbose and result.outcome is not Outcome.SENT:
            name = mask(result.username) if self._masked else printable(result.username)
            told = (
                mask_within(result.error_message, result.username)
                if self._masked
                else printable(result.error_message)
            )
            line = f"row {result.row} {name}: {result.outcome}, {result.reason}"
            self._say("result", f"{line} ({told})" if told else line)

    async def confirm(self, preview: Preview) -> bool:
        """Show the plan; ask, where a question is due."""
        lines = plan_lines if preview.info.dry_run else confirmation_lines
        for line in lines(preview, masked=self._masked):
            self._say("plan", line)
        return await self._approved(preview)

    async def _approved(self, preview: Approval) -> bool:
        """Ask, where a question is due; a number that must be typed may be mistyped."""
        if self._yes or not preview.eligible:
            return True
        for _ in range(_ANSWERS):
            answer = await self._answer(preview.question)
            if preview.approved(answer):
                return True
            if not preview.mistyped(answer):
                break
        return False

    def ended(self, summary: RunEnd) -> None:
        """Show what the run came to."""
        self.close()
        if self._json:
            self._say("summary", "", **summary.as_json())
        else:
            self._sum_up(summary)

    def _sum_up(self, summary: Any) -> None:
        for line in summary_lines(summary):
            self._say("summary", line, important=True)

    def error(self, text: str) -> None:
        """Say what went wrong."""
        self.close()
        self._say("error", f"Error: {text}", important=True)

    # -- progress ------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def progress(self) -> AsyncIterator[None]:
        """Show progress while the block runs."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._show)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()
                self.close()
        if isinstance(self._stream, BackgroundStream):
            await self._stream.drained()

    def close(self) -> None:
        """End the progress, and leave the terminal as it was."""
        if self._asking:
            self._asking = False
            self._write("")
        self._job = None
        if self._display is not None:
            self._display.close()
            self._display = None

    def finish(self, within: float) -> None:
        """Wait until all that was said is written, for so many seconds at most."""
        if isinstance(self._stream, BackgroundStream):
            self._stream.finish(within)

    async def _show(self) -> None:
        while True:
            await anyio.sleep(_LIVE_EVERY if self._live else _PLAIN_EVERY)
            if self._live:
                # While others send: rich takes longer to import than a request to leave.
                await anyio.to_thread.run_sync(importlib.import_module, _DISPLAY)
            if not (isinstance(self._stream, BackgroundStream) and self._stream.busy):
                self._tick()

    def _tick(self) -> None:
        if self._job is None:
            return
        snapshot = self._job.snapshot()
        if self._live:
            self._draw(snapshot)
        else:
            self._say("progress", progress_line(snapshot, self._wait()), **numbers(snapshot))

    def _draw(self, snapshot: Snapshot) -> None:
        from batch_resend.console.live import Display, frame

        self._display = self._display or Display(self._stream)
        gone = time.monotonic() - self._began
        drawn = frame(snapshot, seconds=gone, latest=self._latest, waiting=self._wait())
        self._display.show(drawn)

    def _wait(self) -> str:
        why, until = self._waiting
        left = until - time.monotonic()
        return f"waiting {math.ceil(left)} s: {why}" if left > 0 else ""

    async def _answer(self, question: str) -> str:
        self._write(question, end="")
        self._asking = True
        await anyio.wait_readable(sys.stdin)  # a terminal has a whole line, or nothing
        self._asking = False
        return sys.stdin.readline()

    # -- writing -------------------------------------------------------------------

    def _say(self, event: str, text: str, *, important: bool = False, **more: Any) -> None:
        if self._quiet and not important:
            return
        if self._json:
            moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            told = {"time": moment, "event": event, **({"text": text} if text else {}), **more}
            self._write(json.dumps(told))
            return
        if self._terminal:
            text = wrapped(text, shutil.get_terminal_size().columns)
        if self._display is not None:
            self._display.say(text)
        else:
            self._write(text)

    def _write(self, text: str, end: str = "\n") -> None:
        # A closed terminal or a broken pipe must not end a run that is sending.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text + end)
            self._stream.flush()


def wrapped(text: str, width: int) -> str:
    """Break a line that is too long for a terminal between words, and indent the rest."""
    if len(text) <= width:
        return text
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    return textwrap.fill(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def can_ask() -> bool:
    """Whether there is a person at a terminal to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def must_ask(*users: str | None) -> None:
    """Make sure that a person can be asked, where the users come from there; raises `Refused`."""
    if "-" in users or not can_ask():
        raise Refused(
            "Nobody was written to: there is no terminal to confirm at. Look at --dry-run"
            " first, then give --yes."
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
        lines.append(f"  {status_command(summary.info.ledger, summary.info.region)}")
        if not summary.info.simulated:
            lines.append(f"  {reconcile_command(summary.info)}")
            lines.append(
                f"  can settle them by CloudTrail's records, from {_recorded(summary)} on."
            )
    return lines


def reconcile_command(info: RunInfo) -> str:
    """Return the command that settles unknown outcomes, wherever the ledger is."""
    import shlex

    words = ["batch-resend", "reconcile", "--ledger", info.ledger or "", "--region", info.region]
    if not info.endpoint_is_aws:
        words += ["--endpoint-url", info.endpoint]
    return printable(shlex.join(words))


def _recorded(summary: Summary) -> str:
    """Return when CloudTrail should have the last request: it takes about 5 minutes, or more."""
    at = summary.started_at + summary.seconds + _UNTIL_RECORDED
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def status_command(ledger: str, region: str = "") -> str:
    """Give the command that shows who is unknown; a table is found in its Region only."""
    import shlex

    from batch_resend.ledger.dynamodb.address import is_table

    where = f" --region {shlex.quote(region)}" if is_table(ledger) and region else ""
    return f"batch-resend status --ledger {printable(shlex.quote(ledger))}{where}"


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
