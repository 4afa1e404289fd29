"""Metrics: the state of a run, written periodically and at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import anyio
import anyio.to_thread

from batch_resend.errors import BatchResendError
from batch_resend.job.summary import RunEnd, Summary
from batch_resend.model import Outcome, RunInfo
from batch_resend.monitoring.monitor import Warn
from batch_resend.observer import Began, Ended, Event

WRITE_WITHIN = 5.0  #: seconds for the last metrics, where a disk hangs


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The state or end of a run, in numbers; the same for every form of metrics."""

    counts: Mapping[Outcome, int] = field(default_factory=dict)
    requests: int = 0
    throttled: int = 0
    seconds: float = 0.0
    exit_code: int | None = None  #: None during the run
    unknown_in_ledger: int | None = None  #: over all runs; None during the run, or not known
    not_recorded_in_ledger: int = 0  #: of these, how many CloudTrail has no record of
    labels: Mapping[str, str] = field(default_factory=dict)  #: Region and client, once known

    @classmethod
    def under_way(cls, began: Began) -> Standing:
        """Read the numbers of an active run."""
        snapshot = began.snapshot()
        return cls(
            counts=snapshot.tally.outcomes,
            requests=snapshot.tally.requests,
            throttled=snapshot.throttled,
            seconds=snapshot.seconds,
            labels=_labels(began.info),
        )

    @classmethod
    def at_the_end(cls, end: Summary | BatchResendError) -> Standing:
        """Read the numbers of a run that has ended."""
        if isinstance(end, BatchResendError):
            return cls(exit_code=int(end.exit_code))
        return cls(
            counts=end.counts,
            requests=end.requests,
            throttled=end.throttled,
            seconds=end.seconds,
            exit_code=int(end.exit_code),
            unknown_in_ledger=end.unknown_in_ledger,
            not_recorded_in_ledger=end.not_recorded_in_ledger,
            labels=_labels(end.info),
        )


def _labels(info: RunInfo) -> dict[str, str]:
    return {"region": info.region, "client_id": info.client_id}


class Form(Protocol):
    """A form of metrics."""

    every: float  #: seconds

    def write(self, standing: Standing) -> None:
        """Write them; raises `OSError`."""
        ...


class Metrics:
    """Metrics, written periodically and at the end. The first failure is warned of."""

    def __init__(self, form: Form, warn: Warn, *, pool: str = "") -> None:
        """Write nothing yet; of many pools these are the metrics of one."""
        self._form = form
        self._warn = warn
        self._pool = pool
        self._warned = False
        self._began: Began | None = None
        self._end: RunEnd | BatchResendError | None = None
        self._ended = anyio.Event()

    def observe(self, event: Event) -> None:
        """Called when something happens: note the start and the end."""
        if isinstance(event, Began):
            self._began = event
        elif isinstance(event, Ended):
            self._end = event.end
            if not isinstance(event.end, BatchResendError):
                self._end = event.end.parts.get(self._pool, event.end)
            self._ended.set()

    async def report(self) -> None:
        """Write during the run, and once more at its end."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_writing)
            await self._ended.wait()
            tasks.cancel_scope.cancel()
        if isinstance(self._end, Summary | BatchResendError):
            await self._write(Standing.at_the_end(self._end))

    async def _keep_writing(self) -> None:
        while True:
            await anyio.sleep(self._form.every)
            if self._began is not None:
                await self._write(Standing.under_way(self._began))

    async def _write(self, standing: Standing) -> None:
        why: str | None = f"no end within {WRITE_WITHIN:g} s"
        with anyio.move_on_after(WRITE_WITHIN):
            try:  # in a thread: a disk may hang
                await anyio.to_thread.run_sync(self._form.write, standing, abandon_on_cancel=True)
            except OSError as error:
                why = error.strerror
            else:
                return
        if not self._warned:
            self._warned = True
            self._warn(f"--metrics cannot be written ({why}). The run is not affected.")
