"""The events of a run: frozen values, each passed to `observe` when it happens.

A console, a log, pings, metrics, the samples of a page and a program all hear the same.
An observer returns at once, decides nothing and raises nothing: a run is never slower or
other for being watched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # an engine that says what happens stands above this module
    from batch_resend.errors import BatchResendError
    from batch_resend.job.engine import Snapshot
    from batch_resend.job.summary import RunEnd
    from batch_resend.model import Result, RunInfo
    from batch_resend.preflight.preview import Preview


@dataclass(frozen=True, slots=True)
class Noted:
    """A note for the operator."""

    text: str


@dataclass(frozen=True, slots=True)
class Preparing:
    """The input is read and the pool is checked, until the run is planned."""

    text: Callable[[], str]  #: how far it has come, whenever it is called


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


Event = Noted | Preparing | Planned | Began | Waiting | Settled | Ended
Observe = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Observe nothing."""


def together(*observers: Observe) -> Observe:
    """Combine several observers; each receives the events in their order."""

    def observe(event: Event) -> None:
        for each in observers:
            each(event)

    return observe


def noting(observe: Observe) -> Callable[[str], None]:
    """Make a function that hands a text to an observer as something worth knowing."""
    return lambda text: observe(Noted(text))
