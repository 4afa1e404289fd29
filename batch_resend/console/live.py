"""The live display: progress, redrawn in place below the log lines.

`frame` is pure: a snapshot goes in, a few lines of at most `WIDEST` columns come out; on a
narrow terminal they come without the bar and the labels. `Display` keeps the frame on a
terminal. Log lines wait for the next tick and are then printed above the frame in the same
write, so that neither tears the other. When the terminal is resized, the lines into which it
has broken the old frame are erased too. Writing to a closed terminal is ignored.

This module imports rich: import it only where there is a terminal.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable
from typing import IO, cast

from rich.console import Console, RenderableType
from rich.constrain import Constrain
from rich.control import Control
from rich.progress_bar import ProgressBar
from rich.segment import ControlType, Segment, Segments
from rich.table import Table
from rich.text import Text

from batch_resend.console.lines import reached, time_left
from batch_resend.job.engine import Snapshot
from batch_resend.model import Outcome, Reason
from batch_resend.reasons import ADVICE
from batch_resend.wording import per_second, span

WIDEST = 80  #: columns; a wider frame does not read better, and tears when a terminal shrinks
NARROW = 60  #: columns, below which the bar and the labels give way to the numbers
LATEST = 4  #: how many reasons of failures are shown: the most recent ones

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
    width: int = WIDEST,
) -> Constrain:
    """Draw how the run stands after that many seconds.

    `latest` are the reasons of the last failures, the newest last; `waiting` says what is
    waited for; `width` is the terminal's.
    """
    newest = list(dict.fromkeys(reversed(list(latest))))[:LATEST]
    shown = sorted(newest, key=list(Reason).index)  # each in its place
    widest = max((len(f"{snapshot.tally.reasons[reason]:,}") for reason in shown), default=0)
    narrow = width < NARROW
    rows: list[tuple[str, RenderableType]] = [("", "")]
    if narrow:
        rows += [("", _done(snapshot)), ("", _times(snapshot, seconds, waiting))]
    else:
        done = _done(snapshot).append("   ").append(_times(snapshot, seconds, waiting))
        rows += [("sending", _bar(snapshot)), ("done", done)]
    rows.append(("rate", _rate(snapshot)))
    rows += [
        ("results" if n == 0 else "", text) for n, text in enumerate(_results(snapshot, width))
    ]
    rows += [
        ("" if n else "failures", _failure(reason, snapshot, widest, brief=not narrow))
        for n, reason in enumerate(shown)
    ]
    rows.append(("now", _now(snapshot, waiting)))
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    if not narrow:
        table.add_column(width=8, no_wrap=True, style="dim")
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for label, content in rows:
        table.add_row(*([content] if narrow else [label, content]))
    return Constrain(table, WIDEST)


def _bar(snapshot: Snapshot) -> ProgressBar:
    total = snapshot.eligible
    return ProgressBar(
        total=max(1, total),
        completed=reached(snapshot) if total else 1,
        complete_style="cyan",
        finished_style="green",
        style="bright_black",
    )


def _done(snapshot: Snapshot) -> Text:
    done, total = reached(snapshot), snapshot.eligible
    text = Text(f"{done:,} of {total:,}", "bold")
    if snapshot.waves > 1:
        text.append(f", wave {snapshot.wave} of {snapshot.waves}", "not bold")
    return text.append(f"   {100 * done // total if total else 100} %", "bold")


def _times(snapshot: Snapshot, seconds: float, waiting: str) -> Text:
    left = "" if waiting else time_left(snapshot)
    return Text(f"{about(seconds)} elapsed{f', {left}' if left else ''}", "not bold")


def _rate(snapshot: Snapshot) -> Text:
    text = Text(f"{per_second(snapshot.rate)} (limit {per_second(snapshot.ceiling)})")
    if snapshot.throttled:
        text.append(f"   {snapshot.throttled:,} throttled", "magenta")
    return text


def _results(snapshot: Snapshot, width: int) -> list[Text]:
    """Return the counts by outcome; on a narrow terminal in as many lines as they need."""
    counts = snapshot.tally.outcomes
    lines = [Text()]
    for outcome in Outcome:
        if counts[outcome] or outcome is Outcome.SENT:
            count = Text(f"{counts[outcome]:,} {outcome}", _STYLES.get(outcome, ""))
            if width < NARROW and len(lines[-1]) + len(count) > width - 2:
                lines.append(Text())
            lines[-1].append(count).append("   ")
    return lines


def _failure(reason: Reason, snapshot: Snapshot, widest: int, *, brief: bool) -> Text:
    text = Text()
    text.append(f"{snapshot.tally.reasons[reason]:>{widest},}", _STYLES[reason.outcome])
    if not brief:
        return text.append(f" {reason}")
    text.append(f" {reason:<{_LONGEST}}  ")
    return text.append(ADVICE[reason].brief, "dim")


def _now(snapshot: Snapshot, waiting: str) -> Text:
    in_flight = f"{snapshot.in_flight:,} in flight"
    if snapshot.stopped_by is not None:
        return Text(f"stopping, {in_flight} (Ctrl-C again to quit now)", "bold")
    return Text(waiting, "magenta") if waiting else Text(in_flight)


def one_line(text: str) -> Text:
    """Return a line that is cut where the terminal ends."""
    return Text(text, "dim", no_wrap=True, overflow="ellipsis")


def about(seconds: float) -> str:
    """Write a length of time without needless changes."""
    return f"{seconds:.0f} s" if seconds < 10 else span(seconds)


class Display:
    """A frame at the bottom of a terminal, below the log lines."""

    def __init__(self, stream: IO[str]) -> None:
        """Prepare the display. NO_COLOR, COLUMNS and TERM have their usual meaning."""
        self._console = Console(
            file=cast("IO[str]", _Gone(stream)), force_terminal=True, highlight=False
        )
        self._said: list[str] = []
        self._drawn: list[int] | None = None  # how long each line of the frame is; None: no frame

    @property
    def width(self) -> int:
        """The terminal's width in columns."""
        return self._console.width

    def say(self, text: str) -> None:
        """Print a line above the frame, at the next tick."""
        self._said.append(text)

    def show(self, drawn: RenderableType) -> None:
        """Draw anew, below the log."""
        console = self._console
        height = max(1, console.height - 1)  # one that scrolls could not be erased
        lines = [_trimmed(line) for line in console.render_lines(drawn, pad=False)[:height]]
        pieces = [piece for line in lines for piece in (Segment.line(), *line)][1:]
        with console:  # one write
            self._erase()
            if self._said:
                self._print()
            console.print(Segments(pieces), end="")
            self._drawn = [Segment.get_line_length(line) for line in lines]

    def close(self) -> None:
        """Remove the frame, write what is left, and restore the terminal."""
        with self._console:
            if self._drawn is not None:
                self._erase()
                self._drawn = None
                self._console.show_cursor(True)
            if self._said:
                self._print()

    def _erase(self) -> None:
        """Move to where the frame begins, and clear the terminal from there on."""
        if self._drawn is None:
            self._console.show_cursor(False)
            return
        width = max(1, self._console.width)
        rows = sum(max(1, -(-length // width)) for length in self._drawn)
        self._console.control(
            Control(
                ControlType.CARRIAGE_RETURN,
                *(
                    code
                    for row in range(rows)
                    for code in (
                        *([(ControlType.CURSOR_UP, 1)] if row else []),
                        (ControlType.ERASE_IN_LINE, 2),
                    )
                ),
            )
        )

    def _print(self) -> None:
        lines = Text("\n".join(self._said))
        self._said.clear()
        self._console.print(lines, soft_wrap=True)


def _trimmed(line: list[Segment]) -> list[Segment]:
    """Return a line without blanks at its end, which a narrower terminal would wrap."""
    length = len(line)
    while length and not line[length - 1].text.strip():
        length -= 1
    return line[:length]


class _Gone(io.TextIOBase):
    """A stream that may be closed: writing to it then is ignored."""

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
