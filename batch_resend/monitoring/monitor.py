"""The reporting of a run to another program, beside the run."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

import anyio

from batch_resend.observer import Event, Observe, together

Warn = Callable[[str], None]


class Monitor(Protocol):
    """Reports one run."""

    def observe(self, event: Event) -> None:
        """Called when something happens in the run."""
        ...

    async def report(self) -> None:
        """Report, from the beginning until the end was heard of; never raise.

        From then on it takes seconds at the most.
        """
        ...


@contextlib.asynccontextmanager
async def reporting(monitors: Sequence[Monitor]) -> AsyncIterator[Observe]:
    """Run the monitors beside the block, which must pass them the end.

    They are waited for, even where this is being cancelled.
    """

    async def report(monitor: Monitor) -> None:
        with anyio.CancelScope(shield=True):
            await monitor.report()

    async with anyio.create_task_group() as tasks:
        for monitor in monitors:
            tasks.start_soon(report, monitor)
        yield together(*(monitor.observe for monitor in monitors))
