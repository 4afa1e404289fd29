"""Writing to a reader that may pause: a terminal stopped by Ctrl-S, a pager.

Text is written in the background, so that it never delays a run. While the reader is behind,
`busy` is true and callers omit progress; all other text is kept, up to a bound. What exceeds
the bound is counted, and the count is reported when the reader reads again.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
from typing import IO, cast

from batch_resend.reports.stream_writer import StreamWriter

ENOUGH = 4_000_000  #: bytes that may wait for the reader


def for_people(stream: IO[str]) -> IO[str]:
    """Return a stream that does not wait for its reader; a file is returned as it is."""
    try:
        kind = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError):
        return stream  # it has no descriptor
    if stat.S_ISREG(kind):
        return stream
    return cast("IO[str]", BackgroundStream(stream))


class BackgroundStream(io.TextIOBase):
    """A text stream that takes everything at once and writes it in the background."""

    def __init__(self, stream: IO[str]) -> None:
        """Write where `stream` does; only this object may write there from now on."""
        super().__init__()
        stream.flush()
        self._stream = stream
        self._writer = StreamWriter(os.dup(stream.fileno()))
        self._dropped = 0

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of what is written."""
        return str(getattr(self._stream, "encoding", None) or "utf-8")

    @property
    def busy(self) -> bool:
        """Whether the reader is behind: what is worth nothing later is better left out."""
        return self._writer.pending > 0

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor, which knows a terminal's width."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Queue a text; if too much is waiting already, only count it."""
        if self._writer.pending > ENOUGH:
            self._dropped += 1
            return len(text)
        if self._dropped:
            text = f"({self._dropped:,} lines were left out while they were not read)\n{text}"
            self._dropped = 0
        # A closed terminal or a broken pipe must not end a run that is sending.
        with contextlib.suppress(OSError):
            self._writer.append(text.encode(self.encoding, "backslashreplace"))
        return len(text)

    def flush(self) -> None:
        """Return at once: it is written as soon as it can be."""

    async def drained(self) -> None:
        """Wait until all is written."""
        with contextlib.suppress(OSError):
            await self._writer.drained()

    def finish(self, within: float) -> None:
        """Wait until all is written, for so many seconds at most; nothing may follow."""
        self._writer.close(within)
