"""Where results and events go: the report, the watchers, the caller.

What breaks in one of them ends the run gently, and loses no row.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from batch_resend.errors import ReportError
from batch_resend.job.outcome import Stop
from batch_resend.job.stopping import Stopping
from batch_resend.model import Result
from batch_resend.observer import Event, Observe, Settled

HandOver = Callable[[Result], Awaitable[None]]  #: takes a result; the run waits for it


class Report(Protocol):
    """The receiver of the result of each row; raises `ReportError`."""

    def write(self, result: Result) -> None:
        """Write one result."""
        ...

    async def room(self) -> None:
        """Wait until there is room for more."""
        ...


@dataclass(slots=True, kw_only=True)
class Outlets:
    """All that receive the results and events of one run."""

    report: Report
    observe: Observe
    hand_over: HandOver | None
    stopping: Stopping

    async def result(self, result: Result) -> None:
        """Report a result, show it, and wait until the caller has taken it."""
        try:
            self._write(result)
            await self.report.room()
        except ReportError as error:
            self.stopping.stop(Stop.REPORT, str(error))
        except Exception as error:
            self.stopping.fail(error)
        self.event(Settled(result))
        if self.hand_over is not None:
            with self.stopping.guarded():
                await self.hand_over(result)

    def event(self, event: Event) -> None:
        """Show an event; an error of a watcher ends the run."""
        with self.stopping.guarded():
            self.observe(event)

    def _write(self, result: Result) -> None:
        """Report a row; if that fails because of Cognito's text, report it without the text."""
        try:
            self.report.write(result)
        except ReportError:
            raise
        except Exception as error:
            self.stopping.fail(error)
            self.report.write(
                replace(result, delivery=None, error_code="", error_message="", request_id="")
            )
