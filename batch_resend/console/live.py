"""The live display: how the run stands, redrawn in place below the log lines.

`frame` is pure: a snapshot goes in, a few lines of at most `WIDEST` columns come out.
`Display` keeps it on a terminal. Log lines wait for the next tick and are then printed
above the frame in the same write, so that neither tears the other and a thousand lines
a second cost no more than one. A terminal that is gone is written to in vain.

This module imports rich: import it only where there is a terminal.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable
from typing import IO, cast

from rich.console import Console, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from batch_resend.job.engine import Snapshot
from batch_resend.model import Outcome, Reason
from batch_resend.reasons import ADVICE
from batch_resend.wording import span

WIDEST = 80  #: columns; a wider frame is no easier to read, and tears when a terminal shrinks
LATEST = 4  #: so many reasons of failures are shown: those that were heard of last

_STYLES = {
    Outcome.SENT: "green",
    Outcome.FAILED: "red",
    Outcome.UNKNOWN: "yellow",
}

_FAILURES = [r for r in Reason if r.outcome in {Outcome.FAILED, Outcome.UNKNOWN}]
_LONGEST = max(map(len, _FAILURES))


def frame(
    snapshot: Snapshot,
    *,
    seconds: float,
    latest: Iterable[Reason] = (),
    waiting: str = "",
) -> Constrain:
    """Draw how the run stands after so many seconds.

    `latest` are the reasons of the last failures, the newest last; `waiting` says what
    is waited for.
    """
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(width=8, no_wrap=True, style="dim")
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    done, total = snapshot.done, snapshot.eligible
    bar = ProgressBar(
        total=max(1, total),
        completed=done if total else 1,
        complete_style="cyan",
        finished_style="green",
        style="bright_black",
    )
    table.add_row()
    table.add_row("sending", bar)
    table.add_row("done", _done(snapshot, seconds, foreseeable=not waiting))
    table.add_row("pace", _pace(snapshot))
    table.add_row("so far", _outcomes(snapshot))
    newest = list(dict.fromkeys(reversed(list(latest))))[:LATEST]
    widest = max((len(f"{snapshot.tally.reasons[reason]:,}") for reason in newest), default=0)
    for number, reason in enumerate(sorted(newest, key=list(Reason).index)):  # each in its place
        table.add_row("" if number else "lately", _failures(reason, snapshot, widest))
    table.add_row("now", _now(snapshot, waiting))
    return Constrain(table, WIDEST)


def _done(snapshot: Snapshot, seconds: float, *, foreseeable: bool) -> Text:
    done, total = snapshot.done, snapshot.eligible
    text = Text(f"{done:,} of {total:,}", "bold")
    if snapshot.waves > 1:
        text.append(f", wave {snapshot.wave} of {snapshot.waves}", "not bold")
    text.append(f"   {100 * done // total if total else 100} %", "bold")
    text.append(f"   {about(seconds)} gone", "not bold")
    going_on = snapshot.accepting and snapshot.stopped_by is None
    if total > done and foreseeable and going_on:
        text.append(f", about {about((total - done) / snapshot.rate)} left", "not bold")
    return text


def _pace(snapshot: Snapshot) -> Text:
    text = Text(f"{snapshot.rate:.1f} a second, ceiling {snapshot.ceiling:g}")
    if snapshot.throttled:
        text.append(f"   {snapshot.throttled:,} throttled", "magenta")
    return text


def _outcomes(snapshot: Snapshot) -> Text:
    counts = snapshot.tally.outcomes
    text = Text()
    for outcome in Outcome:
        if counts[outcome] or outcome is Outcome.SENT:
            text.append(f"{counts[outcome]:,} {outcome}", _STYLES.get(outcome, ""))
            text.append("   ")
    return text


def _failures(reason: Reason, snapshot: Snapshot, widest: int) -> Text:
    text = Text()
    text.append(f"{snapshot.tally.reasons[reason]:>{widest},}", _STYLES[reason.outcome])
    text.append(f" {reason:<{_LONGEST}}  ")
    text.append(ADVICE[reason].brief, "dim")
    return text


def _now(snapshot: Snapshot, waiting: str) -> Text:
    in_flight = f"{snapshot.in_flight} in flight"
    if snapshot.stopped_by is not None:
        return Text(f"stopping: {in_flight} to be settled; Ctrl-C again leaves at once", "bold")
    return Text(waiting, "magenta") if waiting else Text(in_flight)


def about(seconds: float) -> str:
    """Say a length of time as one would, and calmly: no number that changes needlessly."""
    return f"{seconds:.0f} s" if seconds < 10 else span(seconds)


class Display:
    """Keeps a frame at the bottom of a terminal, below what is said."""

    def __init__(self, stream: IO[str]) -> None:
        """Draw nothing yet. NO_COLOR, COLUMNS and TERM mean what they mean everywhere."""
        self._console = Console(
            file=cast("IO[str]", _Gone(stream)), force_terminal=True, highlight=False
        )
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._said: list[str] = []

    def say(self, text: str) -> None:
        """Print a line above the frame, at the next tick."""
        self._said.append(text)

    def show(self, drawn: RenderableType) -> None:
        """Draw anew, below what has been said."""
        self._live.start()
        self._live.update(drawn)
        with self._console:  # one write
            if self._said:
                self._print()
            self._live.refresh()

    def close(self) -> None:
        """Take the frame away, say what is left, and leave the terminal as it was."""
        self._live.update("")
        self._live.stop()
        if self._said:
            self._print()

    def _print(self) -> None:
        told = Text("\n".join(self._said))
        self._said.clear()
        self._console.print(told, soft_wrap=True)


class _Gone(io.TextIOBase):
    """A stream that may be gone: what nobody can read any more is no error."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()
