"""The way of a stop: it cancels what is prepared, and ends gently what is being sent.

So a stop before the approval leaves nothing behind, and one after it settles what is in
flight and reports every row.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import anyio

from batch_resend.errors import BatchResendError
from batch_resend.job.outcome import Stop


class Interrupted(BatchResendError):
    """Stopped before the first message."""

    def __init__(self, stop: Stop) -> None:
        """Store the exit code of what stopped it."""
        super().__init__(f"{stop.sentence} No messages were sent.")
        self.exit_code = stop.exit_code


class Stops:
    """The stops of one run, or of several that were approved together."""

    def __init__(self) -> None:
        self._first: Stop | None = None
        self._scope = anyio.CancelScope()
        self._runs: list[Callable[[Stop], None]] = []
        self._listeners: list[Callable[[], None]] = []

    @property
    def reach_a_run(self) -> bool:
        """Whether a run that sends takes the stops."""
        return bool(self._runs)

    def stop(self, stop: Stop = Stop.CALLER) -> None:
        """End what is under way."""
        self._first = self._first or stop
        for listener in self._listeners:
            listener()
        for run in self._runs:
            run(stop)
        if not self._runs:
            self._scope.cancel()

    def go_to(self, run: Callable[[Stop], None]) -> None:
        """Pass stops to an active run from now on; nothing is cancelled any more."""
        self._runs.append(run)

    def tell(self, listener: Callable[[], None]) -> None:
        """Call `listener` at each stop, whichever run handles it."""
        self._listeners.append(listener)

    @contextlib.contextmanager
    def before_sending(self) -> Iterator[None]:
        """Cancel the block at a stop that no run takes; raise `Interrupted` then."""
        with self._scope:
            yield
        if self._scope.cancelled_caught:
            raise Interrupted(self._first or Stop.CALLER)
