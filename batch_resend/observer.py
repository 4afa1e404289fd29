"""What is to be heard of a run: frozen values, each handed to `observe` when it happens.

A console, a log, pings, metrics, the samples of a page and a program all hear the same.
An observer returns at once, decides nothing and raises nothing: a run is never slower or
other for being watched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # an engine that says what happens stands above this module
    from batch_resend.errors import BatchResendError
    from batch_resend.job.engine import Job, Snapshot
    from batch_resend.job.summary import RunEnd
    from batch_resend.model import Planned as PlannedRow
    from batch_resend.model import Result, RunInfo
    from batch_resend.preflight.preview import Preview


@dataclass(frozen=True, slots=True)
class Noted:
    """Something worth knowing."""

    text: str


@dataclass(frozen=True, slots=True)
class Planned:
    """All is read and decided; nothing has been sent."""

    preview: Preview


@dataclass(frozen=True, slots=True)
class Began:
    """Sending begins."""

    info: RunInfo
    at: float  #: seconds since the epoch
    snapshot: Callable[[], Snapshot]  #: how the run stands, whenever it is called


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing is sent for some seconds."""

    why: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Settled:
    """A row has its result."""

    result: Result


@dataclass(frozen=True, slots=True)
class Ended:
    """The run is over: its summary, or why it was never begun."""

    end: RunEnd | BatchResendError


Event = Noted | Planned | Began | Waiting | Settled | Ended
Observe = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Observe nothing."""


def together(*observers: Observe) -> Observe:
    """Make several observers one; they hear of each event in their order."""

    def observe(event: Event) -> None:
        for each in observers:
            each(event)

    return observe


class Observer:
    """Watches a run and answers its one question. This one is silent and says yes."""

    def note(self, text: str) -> None:
        """Hear of something worth knowing."""

    def planned(self, rows: Iterable[PlannedRow], heading: str, encoding: str) -> None:
        """Hear the whole plan, in the order of the rows; heading and encoding are the input's."""

    async def confirm(self, preview: Preview) -> bool:
        """Say whether to go on; asked once, after the plan and before the first message."""
        del preview
        return True

    def waiting(self, why: str, seconds: float) -> None:
        """Hear that nobody is asked for so many seconds."""

    def settled(self, result: Result) -> None:
        """Hear what became of a row."""

    def began(self, job: Job) -> None:
        """Hear that sending begins; `job.snapshot()` tells how it stands."""
