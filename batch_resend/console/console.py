"""What a person sees of a run, on standard error; standard output carries data only.

On a terminal a live display (`live`), drawn four times per second. Elsewhere it is a log: each
line begins with the UTC time, and a line every 30 seconds reports the progress. With
`--log-format json` each line is one object. Names are masked by default.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import IO, TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from batch_resend.console.colour import coloured, shows_colour
from batch_resend.console.lines import numbers, progress_line, summary_lines, wrapped
from batch_resend.console.stream import BackgroundStream
from batch_resend.errors import BatchResendError, Exit, NotConfirmed, Refused
from batch_resend.job.summary import RunEnd
from batch_resend.masking import mask, mask_typed, mask_within, printable
from batch_resend.model import Outcome, Reason, Result
from batch_resend.observer import (
    Began,
    Ended,
    Event,
    Noted,
    Planned,
    Preparing,
    Settled,
    Waiting,
)
from batch_resend.preflight.preview import (
    Approval,
    Preview,
    confirmation_lines,
    fitting,
    plan_lines,
)
from batch_resend.version import __version__
from batch_resend.wording import some

if TYPE_CHECKING:
    from batch_resend.console.live import Display
    from batch_resend.job.engine import Snapshot

_LIVE_EVERY = 0.25  #: seconds
_PLAIN_EVERY = 30.0
_LATE = 0.3  #: seconds after which a log says what is being done
_ANSWERS = 3  #: how often a number that must be typed may be mistyped
_DISPLAY = "batch_resend.console.live"


class Console:
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
        self._coloured = shows_colour(self._stream)
        self._live = live and not quiet and not json_lines and able and self._terminal
        self._display: Display | None = None
        self._asking = False
        self._preparing: Callable[[], str] | None = None
        self._log = False  # once a log has its first line
        self._began: Began | None = None
        self._began_at = 0.0  # on the monotonic clock
        self._latest: dict[Reason, None] = {}  # why it went wrong, in the order of the last time
        self._waiting = ("", 0.0)

    def starts(self, ledger: str) -> None:
        """Start a log with the version, the process and the ledger; not for a terminal."""
        self._log = not self._terminal and not self._json
        if self._log:
            process = f"process {os.getpid()}, ledger {ledger}"
            self._say("note", f"batch-resend {__version__} started, {process}")

    def ends(self, code: int) -> None:
        """End a log with the exit code, where it has a beginning."""
        if self._log:
            self._say("note", f"Ended with exit code {code}.")

    # -- what the run tells --------------------------------------------------------

    def observe(self, event: Event) -> None:
        """Called when something happens in the run."""
        match event:
            case Noted(text):
                self._say("note", text)
            case Preparing(text):
                self._preparing = text
            case Planned():
                self.close()
            case Began():
                self._began, self._began_at = event, time.monotonic()
            case Waiting(why, seconds):
                self._show_waiting(why, seconds)
            case Settled(result):
                self._show_result(result)
            case Ended(end):
                self._show_end(end)

    def _show_waiting(self, why: str, seconds: float) -> None:
        self._waiting = (why, time.monotonic() + seconds)
        if not self._live:
            self._say("waiting", f"Waiting {seconds:.0f} s: {why}", why=why, seconds=seconds)

    def _show_result(self, result: Result) -> None:
        """Write a line for a row that was not sent a code, if these are wanted."""
        if result.outcome in {Outcome.FAILED, Outcome.UNKNOWN}:
            self._latest.pop(result.reason, None)
            self._latest[result.reason] = None
        if self._verbose and result.outcome is not Outcome.SENT:
            name = mask(result.username) if self._masked else printable(result.username)
            message = (
                mask_within(result.error_message, result.username)
                if self._masked
                else printable(result.error_message)
            )
            line = f"row {result.row} {name}: {result.outcome}, {result.reason}"
            self._say("result", f"{line} ({message})" if message else line)

    async def approve(self, preview: Preview) -> bool:
        """Show the plan; ask, where a question is due."""
        lines = plan_lines if preview.info.dry_run else confirmation_lines
        for line in self._fitting(lines(preview, masked=self._masked)):
            self._say("plan", line)
        return await self._approved(preview)

    def _fitting(self, lines: list[str]) -> list[str]:
        """Return a plan's lines for the width of the terminal, if there is one."""
        return fitting(lines, shutil.get_terminal_size().columns) if self._terminal else lines

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
            self._write(preview.correction)
        return False

    def _show_end(self, end: RunEnd | BatchResendError) -> None:
        self.close()
        if isinstance(end, BatchResendError):
            if self._json or not _was_chosen(end):
                self.error(str(end))
            else:
                self._say("error", str(end), important=True)
        elif self._json:
            self._say("summary", "", **end.as_json())
        else:
            self._sum_up(end)

    def _sum_up(self, summary: Any) -> None:
        for line in summary_lines(summary):
            self._say("summary", line, important=True)

    def error(self, text: str) -> None:
        """Write an error."""
        self.close()
        text = mask_typed(text) if self._masked else text
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
        self._began = self._preparing = None
        if self._display is not None:
            self._display.close()
            self._display = None

    @property
    def in_flight(self) -> int:
        """How many requests wait for their response."""
        return 0 if self._began is None else self._began.snapshot().in_flight

    def quit_now(self) -> None:
        """End the progress of a run that is left at once, and report what is left open."""
        left = self.in_flight
        self.close()
        text = "Quit at once."
        if left:
            text += (
                f" {some(left, 'request')} in flight: the outcome is unknown, and the next run"
                " reports it as interrupted."
            )
        self._say("note", text, important=True)

    def finish(self, within: float) -> None:
        """Wait until all output is written, up to a number of seconds."""
        if isinstance(self._stream, BackgroundStream):
            self._stream.finish(within)

    async def _show(self) -> None:
        if not self._live:
            await anyio.sleep(_LATE)
            if text := self._doing():
                self._say("progress", text)
        while True:
            await anyio.sleep(_LIVE_EVERY if self._live else _PLAIN_EVERY)
            if self._live:
                # While others send: rich takes longer to import than a request to leave.
                await anyio.to_thread.run_sync(importlib.import_module, _DISPLAY)
            if not (isinstance(self._stream, BackgroundStream) and self._stream.busy):
                self._tick()

    def _doing(self) -> str:
        """Return what is done before the plan; "" from then on."""
        return "" if self._preparing is None else self._preparing()

    def _tell_doing(self) -> bool:
        """Show what is done before the plan, if anything is."""
        text = self._doing()
        if text and self._live:
            from batch_resend.console.live import Display, one_line

            self._display = self._display or Display(self._stream)
            self._display.show(one_line(text))
        elif text:
            self._say("progress", text)
        return bool(text)

    def _tick(self) -> None:
        if self._tell_doing() or self._began is None:
            return
        snapshot = self._began.snapshot()
        if self._live:
            self._draw(snapshot)
        else:
            self._say("progress", progress_line(snapshot, self._wait()), **numbers(snapshot))

    def _draw(self, snapshot: Snapshot) -> None:
        from batch_resend.console.live import Display, frame

        self._display = self._display or Display(self._stream)
        gone = time.monotonic() - self._began_at
        drawn = frame(
            snapshot,
            seconds=gone,
            latest=self._latest,
            waiting=self._wait(),
            width=self._display.width,
        )
        self._display.show(drawn)

    def _wait(self) -> str:
        why, until = self._waiting
        left = until - time.monotonic()
        return f"waiting {math.ceil(left)} s: {why}" if left > 0 else ""

    async def _answer(self, question: str) -> str:
        forget_typed_ahead()
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
            entry = {"time": _utc(), "event": event, **({"text": text} if text else {}), **more}
            self._write(json.dumps(entry))
            return
        if self._terminal:
            text = wrapped(text, shutil.get_terminal_size().columns)
        else:
            text = f"{_utc()} {text}"
        if self._display is not None:
            self._display.say(text)
        else:
            self._write(coloured(text) if self._coloured else text)

    def _write(self, text: str, end: str = "\n") -> None:
        # A closed terminal or a broken pipe must not end a run that is sending.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text + end)
            self._stream.flush()


def _was_chosen(end: BatchResendError) -> bool:
    """Whether a person or a signal ended the run before it sent, which is not an error."""
    return isinstance(end, NotConfirmed) or end.exit_code >= Exit.HANGUP


def _utc() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def forget_typed_ahead() -> None:
    """Drop what was typed before a question was shown: it is not an answer to it."""
    import termios

    with contextlib.suppress(termios.error, OSError, ValueError):
        termios.tcflush(sys.stdin, termios.TCIFLUSH)


def can_ask() -> bool:
    """Whether there is a person at a terminal to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def must_ask(*users: str | None) -> None:
    """Make sure that a person can be asked, where the users come from there; raises `Refused`."""
    if "-" in users or not can_ask():
        raise Refused(
            "No messages were sent: confirmation needs a terminal. Review the plan with --dry-run,"
            " then rerun with --yes."
        )
