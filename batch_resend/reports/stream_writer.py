"""Writes to a pipe or a terminal, whose reader may be slow or stop reading.

A separate thread writes the bytes, so that a reader that does not read blocks only those who
have more to write. Nothing is dropped: a writer that is more than `ENOUGH` bytes ahead of
the reader waits in `room`.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque

import anyio

ENOUGH = 1 << 20  #: bytes that may wait for the reader
MOMENT = 1.0  #: seconds, for bytes that were not waited for
_LOOK = 0.05  #: seconds between two checks of the reader's progress


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte, also to a full pipe that does not block; raises `OSError`."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()


class StreamWriter:
    """Appends to a descriptor in the background. The descriptor is its own to close."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._queue: deque[bytes] = deque()
        self._pending = 0
        self._closing = False
        self._error: OSError | None = None
        self._change = threading.Condition()
        # A daemon: the end of the program does not wait for a reader that never reads.
        self._thread = threading.Thread(target=self._write, name="stream-writer", daemon=True)
        self._thread.start()

    def append(self, data: bytes) -> None:
        """Queue bytes; raises the `OSError` of an earlier write."""
        with self._change:
            self._check()
            self._queue.append(data)
            self._pending += len(data)
            self._change.notify()

    async def room(self) -> None:
        """Wait until the reader has nearly caught up, or is gone."""
        while self.pending > ENOUGH:  # noqa: ASYNC110 - in a thread
            await anyio.sleep(_LOOK)

    async def drained(self) -> None:
        """Wait until every byte is written; raises the `OSError` of a write."""
        while self.pending:  # noqa: ASYNC110 - in a thread
            await anyio.sleep(_LOOK)
        self._check()

    @property
    def pending(self) -> int:
        """How many bytes are still to be written; 0 after a failure."""
        return 0 if self._error else self._pending

    def close(self, within: float | None = MOMENT) -> None:
        """End the thread after the last byte, and wait up to `within` seconds for it."""
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join(within)

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _write(self) -> None:
        try:
            while (data := self._next()) is not None:
                write_all(self._descriptor, data)
                with self._change:
                    self._pending -= len(data)
        except OSError as error:
            with self._change:
                self._error = error
                self._queue.clear()
        finally:
            os.close(self._descriptor)

    def _next(self) -> bytes | None:
        with self._change:
            self._change.wait_for(lambda: self._queue or self._closing)
            if not self._queue:
                return None
            data = b"".join(self._queue)
            self._queue.clear()
            return data
