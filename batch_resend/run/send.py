"""Send what was prepared: replace the files, run the job, write the page, deliver the results.

The approval comes before. From the first message on a stop ends the run gently, and
whatever ends it, every row is reported and the summary returned.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread

from batch_resend.errors import BatchResendError, ReportError
from batch_resend.job.attempt import Sender
from batch_resend.job.engine import Job
from batch_resend.job.outcome import Stop
from batch_resend.job.pacing import SharedPace
from batch_resend.job.summary import Summary
from batch_resend.ledger.dynamodb.address import is_table
from batch_resend.model import Planned
from batch_resend.observer import Began, Noted, Observe
from batch_resend.preflight.preview import Preview
from batch_resend.reports.delivery import Deliveries
from batch_resend.reports.page.samples import Sample, Samples
from batch_resend.run.debug import DebuggedSender
from batch_resend.run.descriptors import affordable
from batch_resend.run.stops import Stops
from batch_resend.settings import Settings

#: Reports when a minute began (`time.time`), and the calls in it that were accepted.
WatchUsage = Callable[[Callable[[float, float], None]], Coroutine[Any, Any, None]]


async def approved(runs: Iterable[PreparedRun], question: Awaitable[bool]) -> bool:
    """Return the answer to the question; the time that it waits is not part of --deadline."""
    since = anyio.current_time()
    answer = await question
    waited = anyio.current_time() - since
    for job in (run.job for run in runs):
        if job.limits.deadline is not None:
            job.limits = replace(job.limits, deadline=job.limits.deadline + waited)
    return answer


@dataclass(slots=True, kw_only=True, eq=False)
class PreparedRun:
    """A run that is planned and checked; made by `prepare`, which also closes it."""

    settings: Settings
    preview: Preview  #: what is about to happen
    heading: str  #: of the input
    encoding: str
    job: Job
    sender: Sender
    outputs: Deliveries
    observe: Observe
    stops: Stops
    unsent: contextlib.ExitStack  #: what is to be undone where nothing is sent
    resources: contextlib.AsyncExitStack
    watch_usage: WatchUsage | None = None
    samples: Samples = field(default_factory=Samples)

    @property
    def rows(self) -> Iterable[Planned]:
        """The whole plan, in the order of the rows."""
        return self.job.spool

    def share(self, pace: SharedPace) -> None:
        """Use a pace that other runs use too; before sending only."""
        self.job.share(pace)

    def publish(self) -> None:
        """Replace the files at their places, after the approval; raises `ReportError`."""
        self.outputs.take_places()

    def debug(self) -> None:
        """Report every request to the observer; before sending only."""
        self.sender = DebuggedSender(self.sender, self.observe, lambda: self.job.snapshot().rate)

    async def carry_out(self) -> Summary:
        """Send, or report the plan if the settings request a dry run."""
        return await (self.report_plan() if self.settings.dry_run else self.send())

    async def report_plan(self) -> Summary:
        """Report what would be sent; nothing is."""
        await anyio.lowlevel.checkpoint_if_cancelled()
        self.stops.tell(self.outputs.hurry)
        self.publish()
        summary = await self.job.dry_run()
        self.unsent.pop_all()
        return await self._deliver(summary)

    async def send(self) -> Summary:
        """Send to all who are eligible; raises `ReportError` where no file could be replaced."""
        await anyio.lowlevel.checkpoint_if_cancelled()  # a stop that came before this
        self.publish()
        self.unsent.pop_all()
        self.stops.go_to(self._stop)
        with anyio.CancelScope(shield=True):  # what is in flight is settled, whatever happens
            began = Began(self.preview.info, self.job.now, self.job.snapshot)
            self.observe(began)
            if not self.settings.simulate:
                self._fit_in()
            async with self._sampled(began), self._usage_watched():
                summary = await self.job.run(self.sender)
        return await self._deliver(summary)

    async def aclose(self) -> None:
        """Close everything before the end of the block, such as the ledger, for other runs."""
        await self.resources.aclose()

    def _stop(self, stop: Stop) -> None:
        self.outputs.hurry()
        self.job.stop(stop)

    async def _deliver(self, summary: Summary) -> Summary:
        if "--html" in self.outputs.files:
            with anyio.CancelScope(shield=True):
                summary = await self._write_page(summary)
        return await self.outputs.finish(summary)

    def _fit_in(self) -> None:
        """Reduce the requests in flight if the machine allows too few open files."""
        wanted = self.settings.concurrency
        on_table = is_table(self.settings.ledger or "")
        fitting = affordable(wanted, each=2 if on_table else 1)
        if fitting < wanted:
            self.job.set_concurrency(fitting)
            text = (
                f"The limit of open files (ulimit -n) is too low for {wanted:,} requests in flight."
                f" Using {fitting:,}."
            )
            self.observe(Noted(text))

    @contextlib.asynccontextmanager
    async def _sampled(self, began: Began) -> AsyncIterator[None]:
        """Collect samples for the page while the block runs, if a page is wanted."""

        async def sample() -> None:
            while True:
                now = began.snapshot()
                at = began.at + now.seconds
                self.samples.add(Sample(at, now.throttled, now.rate, now.ceiling))
                await anyio.sleep(self.samples.every)

        async with anyio.create_task_group() as tasks:
            if self.settings.html is not None:
                tasks.start_soon(sample)
            yield
            tasks.cancel_scope.cancel()

    @contextlib.asynccontextmanager
    async def _usage_watched(self) -> AsyncIterator[None]:
        """Report the account's usage to the pace while the block runs, if it can be read."""

        def used(since: float, calls: float) -> None:
            self.job.gate.used(since - time.time() + anyio.current_time(), calls)

        async with anyio.create_task_group() as tasks:
            if self.watch_usage is not None:
                tasks.start_soon(self.watch_usage, used)
            yield
            tasks.cancel_scope.cancel()

    async def _write_page(self, summary: Summary) -> Summary:
        """Write the page; an error here is reported and has no other effect."""
        from batch_resend.reports.page.render import page

        file, report = self.outputs.files["--html"], self.outputs.files["--report"]

        def write() -> None:
            if not report.is_whole:
                raise ReportError("the report is not whole")
            file.append(
                page(
                    [report.path],
                    summary=summary.as_json(),
                    samples=self.samples.taken,
                    masked=self.settings.mask,
                    plan=self.preview if self.settings.dry_run else None,
                )
            )

        try:
            await anyio.to_thread.run_sync(write)
            await file.drained()
        except Exception as error:
            why = str(error) if isinstance(error, BatchResendError) else type(error).__name__
            sentence = f"--html {file.address} was not created ({why.rstrip('.')})."
            if report.is_whole:
                sentence += f" To create it from the report: batch-resend report {report.path}"
            self.outputs.give_up("--html", sentence)
            return replace(summary, info=replace(summary.info, html=None))
        return summary
