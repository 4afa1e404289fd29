"""The metrics of several pools: each pool has its own."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import anyio.to_thread

from batch_resend.errors import BatchResendError
from batch_resend.job.engine import Job
from batch_resend.monitoring.notify import End, Metrics


class PoolsMetrics:
    """The metrics of several pools: each is told of its own run."""

    def __init__(self, pools: Mapping[str, Metrics]) -> None:
        """Take them in, by the pool's name."""
        self._pools = pools

    def began(self, job: Job) -> None:
        """Nothing to do: a pool's own metrics hear of its job."""

    async def begin(self) -> None:
        """Let all of them begin."""
        async with anyio.create_task_group() as tasks:
            for metrics in self._pools.values():
                tasks.start_soon(metrics.begin)

    async def end(self, end: End) -> None:
        """Tell each how its pool ended."""
        async with anyio.create_task_group() as tasks:
            for name, metrics in self._pools.items():
                own = end if isinstance(end, BatchResendError) else end.parts[name]
                tasks.start_soon(metrics.end, own)
