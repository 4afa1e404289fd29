"""A run from Python: whole, or with its results as they arrive.

The promises: nothing is printed, no question is asked, no signal is handled, no file is
written that the settings do not name (a ledger is kept, as always), and the host's logging is
left alone.

::

    async with open_run(Settings(client_id="..."), users=["ada", "bob"]) as active:
        async for result in active:
            print(result.row, result.outcome, result.reason)
    print(active.summary.exit_code)
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import AsyncIterator
from functools import partial

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from batch_resend.errors import BatchResendError
from batch_resend.job.summary import Summary
from batch_resend.model import Result
from batch_resend.observer import Ended, Observe, ignore
from batch_resend.preflight.preview import Preview
from batch_resend.run.prepare import HandOver, prepare
from batch_resend.run.send import PreparedRun
from batch_resend.run.stops import Interrupted, Stops
from batch_resend.settings import Settings
from batch_resend.sources.memory_users import Users


def run(settings: Settings, users: Users | None = None, *, observe: Observe = ignore) -> Summary:
    """Run a job to its end and return its summary; `arun` is the same for coroutines.

    Ctrl-C ends the run gently: what is in flight is settled, then `KeyboardInterrupt` is
    raised. Raises a `BatchResendError` if the run cannot start, and `RuntimeError` inside a
    running event loop.
    """
    if _in_a_loop():
        raise RuntimeError(
            "batch_resend.run() cannot be called while an event loop is running in this thread."
            " Use: summary = await batch_resend.arun(settings)"
        )
    faster = importlib.util.find_spec("uvloop") is not None
    work = partial(arun, settings, users, observe=observe)
    return anyio.run(work, backend_options={"use_uvloop": faster})


async def arun(
    settings: Settings, users: Users | None = None, *, observe: Observe = ignore
) -> Summary:
    """Run a job to its end and return its summary. Cancelling it ends the run gently.

    Raises a `BatchResendError` if the run cannot start.
    """
    async with open_run(settings, users, observe=observe) as active:
        async for _ in active:
            pass
    return active.summary


def _in_a_loop() -> bool:
    try:
        anyio.get_current_task()
    except Exception:  # of several kinds, by the version of anyio
        return False
    return True


@contextlib.asynccontextmanager
async def open_run(
    settings: Settings, users: Users | None = None, *, observe: Observe = ignore
) -> AsyncIterator[ActiveRun]:
    """Run a job from Python, with its results as they arrive.

    `users` are names, mappings, `Candidate`s or a DataFrame, in place of the settings' own.
    The block starts when all is planned, and sending starts when it asks for the first
    result. Leaving it early stops the run gently. Raises a `BatchResendError` if the run
    cannot start, or is stopped before it sends.
    """
    stops = Stops()
    send, receive = anyio.create_memory_object_stream[Result](0)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(send)
        stack.enter_context(receive)
        try:
            preparing = prepare(
                settings,
                observe=observe,
                stops=stops,
                hand_over=_handing_over(send, stops),
                users=users,
                always_report=False,
            )
            prepared = await stack.enter_async_context(preparing)
        except BatchResendError as error:
            observe(Ended(error))
            raise
        active = ActiveRun(prepared, stops, receive)
        raised: Exception | None = None
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(active.carry_out, send)
                try:
                    yield active
                except Exception as error:  # what leaves a task group is a group of errors
                    raised = error
                finally:
                    left_early = active.leave()
        finally:  # also where the caller is cancelled
            if active.end is not None:
                observe(Ended(active.end))
        if raised is not None:
            raise raised
        if isinstance(active.end, BatchResendError) and not (
            left_early and isinstance(active.end, Interrupted)
        ):
            raise active.end


def _handing_over(results: MemoryObjectSendStream[Result], stops: Stops) -> HandOver:
    async def hand_over(result: Result) -> None:
        try:
            await results.send(result)
        except anyio.BrokenResourceError:
            stops.stop()  # the receiver is gone

    return hand_over


class ActiveRun:
    """A run that is prepared, and sends while it is iterated over for its results."""

    def __init__(
        self, prepared: PreparedRun, stops: Stops, results: MemoryObjectReceiveStream[Result]
    ) -> None:
        """Called by `open_run`."""
        self.end: Summary | BatchResendError | None = None
        self._prepared = prepared
        self._stops = stops
        self._results = results
        self._wanted = anyio.Event()

    @property
    def preview(self) -> Preview:
        """What is about to happen."""
        return self._prepared.preview

    @property
    def summary(self) -> Summary:
        """What the run came to; known once the block is left."""
        if isinstance(self.end, Summary):
            return self.end
        raise RuntimeError("the run has not ended yet")

    def stop(self) -> None:
        """End the run gently."""
        self._stops.stop()

    def __aiter__(self) -> AsyncIterator[Result]:
        """Begin to send, and iterate over the results in order of completion."""
        self._wanted.set()
        return self._results.__aiter__()

    async def carry_out(self, results: MemoryObjectSendStream[Result]) -> None:
        """Send, once a result is wanted; at the end there are no more results."""
        async with results:
            await self._wanted.wait()
            try:
                with self._stops.before_sending():
                    self.end = await self._prepared.carry_out()
            except BatchResendError as error:
                self.end = error

    def leave(self) -> bool:
        """Stop iterating and end the run; return whether it was still active."""
        early = self.end is None
        self._stops.stop()
        self._results.close()
        self._wanted.set()
        return early
