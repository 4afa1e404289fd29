"""Writes to people, who may not read: a terminal stopped by Ctrl-S, a paused pager.

Text is written by a thread of its own, so that it never holds up the run. While the reader
stands still, progress is dropped (`busy`); what else is said is kept, up to a bound, and
what goes beyond it is counted and said once the reader reads again.
"""

from __future__ import annotations

import contextlib
import io
import threading
from collections import deque
from typing import IO

ENOUGH = 4_000_000  #: characters that may wait for the reader


class BackgroundStream(io.TextIOBase):
    """A text stream that takes everything at once and writes it in the background."""

    def __init__(self, stream: IO[str]) -> None:
        """Write to `stream`, from the first text on."""
        super().__init__()
        self._stream = stream
        self._queue: deque[str] = deque()
        self._pending = 0
        self._dropped = 0
        self._closing = False
        self._change = threading.Condition()
        # A daemon: the end of the program does not wait for a reader who never reads.
        self._thread = threading.Thread(target=self._work, name="console", daemon=True)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of what is written."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def busy(self) -> bool:
        """Whether the reader is behind: leave out what is worth nothing later."""
        return self._pending > 0

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor, of which a terminal's width can be asked."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Take a text; where too much is waiting already, only count it."""
        with self._change:
            if self._pending > ENOUGH:
                self._dropped += 1
            elif text:
                self._queue.append(text)
                self._pending += len(text)
                self._change.notify()
                if self._thread.ident is None:
                    self._thread.start()
        return len(text)

    def flush(self) -> None:
        """Return at once: it is written as soon as it can be."""

    def finish(self, within: float | None = None) -> None:
        """Wait until all is written, for so many seconds at most; take no more."""
        with self._change:
            self._closing = True
            self._change.notify()
        if self._thread.ident is not None:
            self._thread.join(within)

    def _work(self) -> None:
        while text := self._next():
            # A closed terminal or a broken pipe must not end a run that is sending.
            with contextlib.suppress(OSError, ValueError):
                self._stream.write(text)
                self._stream.flush()
            with self._change:
                self._pending -= len(text)

    def _next(self) -> str:
        with self._change:
            self._change.wait_for(lambda: self._queue or self._closing)
            text = "".join(self._queue)
            self._queue.clear()
            if self._dropped and text:
                more = f"({self._dropped} lines were left out while nobody read)\n"
                text += more
                self._pending += len(more)
                self._dropped = 0
            return text
