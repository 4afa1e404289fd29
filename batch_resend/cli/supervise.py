"""A run of the command line: signals stop it, a console and monitors observe it.

The first signal ends the run gently, a second one at once. Monitors receive the end,
whatever it is, and have a few seconds to report it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from batch_resend.cli.event_loop import SIGNALS
from batch_resend.errors import BatchResendError

if TYPE_CHECKING:
    import anyio.abc

    from batch_resend.console.console import Console
    from batch_resend.job.summary import RunEnd
    from batch_resend.monitoring.monitor import Monitor
    from batch_resend.run.stops import Stops

_ONE_STORM = 1.0  #: seconds in which several signals are one wish to stop
_AT_ONCE = 0.5  #: seconds in which what was said last must be written


async def supervise(
    work: Callable[[Stops], Awaitable[RunEnd]], console: Console, monitors: Sequence[Monitor]
) -> int:
    """Run the work to its end, whatever that is; return the exit code."""
    import anyio

    from batch_resend.job.outcome import Stop
    from batch_resend.monitoring.monitor import reporting
    from batch_resend.observer import Ended, Noted
    from batch_resend.run.stops import Stops

    stops, over = Stops(), anyio.Event()
    end: RunEnd | BatchResendError = BatchResendError("The program failed.")

    async def listen(*, task_status: anyio.abc.TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(*SIGNALS) as signals:
            task_status.started()
            first: float | None = None
            async for number in signals:
                now = time.monotonic()
                if over.is_set():
                    console.finish(_AT_ONCE)
                    os._exit(end.exit_code)  # only monitors are under way
                if first is None:
                    first = now
                    if stops.reach_a_run:
                        console.observe(Noted(_stopping(number)))
                    stops.stop(Stop[number.name])
                elif now - first > _ONE_STORM:
                    console.quit_now()
                    console.finish(_AT_ONCE)
                    os._exit(128 + number)  # the intents are on disk: the next run names them

    async with anyio.create_task_group() as tasks:
        await tasks.start(listen)
        async with reporting(monitors) as tell:
            try:
                async with console.progress():
                    end = await _ended(work, stops)
                    console.observe(Ended(end))
                    console.ends(int(end.exit_code))
            finally:
                over.set()
                tell(Ended(end))
        tasks.cancel_scope.cancel()
    return int(end.exit_code)


def _stopping(number: signal.Signals) -> str:
    again = "Press Ctrl-C" if number is signal.SIGINT else "Send the signal"
    return f"Stopping: waiting for the requests in flight. {again} again to quit now."


async def _ended(
    work: Callable[[Stops], Awaitable[RunEnd]], stops: Stops
) -> RunEnd | BatchResendError:
    try:  # here: what leaves a task group is a group of errors
        return await work(stops)
    except BatchResendError as error:
        return error
