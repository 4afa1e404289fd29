"""Several pools in one run: all prepared, approved once, sent side by side.

Each pool is a run of its own, with its own ledger, report and guards. What they have in
common are three things. No message is sent in any of them before all are planned and
approved: whatever can be found wrong in one ends all. Those that draw from the same quota
go by one pace. And there is one summary, whose exit code is that of the worst.

Once messages go out the pools are on their own: what ends one lets the others go on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping

import anyio

from batch_resend.aws import s3, s3_address
from batch_resend.errors import BatchResendError, NotConfirmed
from batch_resend.job.pace import Pace
from batch_resend.job.pacing import SharedPace
from batch_resend.job.summary import Summary
from batch_resend.observer import Observe
from batch_resend.pools.apart import check_apart
from batch_resend.pools.preview import PoolsPreview
from batch_resend.pools.summary import PoolsSummary
from batch_resend.reports.delivery import Deliveries
from batch_resend.run.backends import target_of
from batch_resend.run.prepare import Resources, prepare
from batch_resend.run.send import PreparedRun, approved
from batch_resend.run.stops import Stops
from batch_resend.settings import Settings

Approve = Callable[[PoolsPreview], Awaitable[bool]]


class PoolsFailed(BatchResendError):
    """Some of the pools cannot be run, so no messages were sent in any."""

    def __init__(self, errors: Mapping[str, BatchResendError]) -> None:
        """Store the error of each pool; the exit code is that of the worst."""
        super().__init__(" ".join(f"Pool {name}: {error}" for name, error in errors.items()))
        self.exit_code = max(error.exit_code for error in errors.values())


async def run_pools(
    settings: Mapping[str, Settings],
    *,
    observers: Mapping[str, Observe],
    approve: Approve,
    note: Callable[[str], None],
    stops: Stops,
    summary: str | None = None,
) -> PoolsSummary:
    """Prepare all, ask once, send all; raises a `BatchResendError` where nothing was sent.

    `summary` is where the one summary goes.
    """
    check_apart(settings, summary)
    with stops.before_sending():
        async with Resources() as resources:
            outputs = await _open_outputs(resources, settings, summary, note)
            unsent = resources.enter_context(contextlib.ExitStack())
            unsent.callback(outputs.discard)
            stops.tell(outputs.hurry)
            runs = await _prepare_all(resources, settings, observers, stops)
            preview = PoolsPreview({name: run.preview for name, run in runs.items()})
            if not await approved(runs.values(), approve(preview)):
                raise NotConfirmed
            _publish(outputs, runs)
            _share_paces(preview, runs)
            ends = await _carry_out_all(runs)
            unsent.pop_all()
            return await outputs.finish(PoolsSummary(ends))


async def _open_outputs(
    resources: Resources,
    settings: Mapping[str, Settings],
    summary: str | None,
    note: Callable[[str], None],
) -> Deliveries:
    first = next(iter(settings.values()))
    store = None
    if s3_address.is_address(summary):
        store = await resources.enter_async_context(s3.open_store(target_of(first)))
    outputs = Deliveries(resources, store=store, folder=None, overwrite=first.overwrite, note=note)
    if summary is not None:
        await outputs.open("--summary", summary)
    return outputs


async def _prepare_all(
    resources: Resources,
    settings: Mapping[str, Settings],
    observers: Mapping[str, Observe],
    stops: Stops,
) -> dict[str, PreparedRun]:
    """Prepare all at the same time; raises `PoolsFailed` as soon as one cannot be."""
    prepared: dict[str, PreparedRun] = {}
    errors: dict[str, BatchResendError] = {}

    async def prepare_one(name: str) -> None:
        preparing = prepare(settings[name], observe=observers[name], stops=stops)
        try:  # inside: what leaves a task group is a group of errors
            prepared[name] = await resources.enter_async_context(preparing)
        except BatchResendError as error:
            errors[name] = error
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for name in settings:
            tasks.start_soon(prepare_one, name)
    if errors:
        raise PoolsFailed({name: errors[name] for name in settings if name in errors})
    return {name: prepared[name] for name in settings}


def _publish(outputs: Deliveries, runs: Mapping[str, PreparedRun]) -> None:
    """Replace all files at their places; the first failure ends all."""
    outputs.take_places()
    for name, run in runs.items():
        try:
            run.publish()
        except BatchResendError as error:
            raise PoolsFailed({name: error}) from error


def _share_paces(preview: PoolsPreview, runs: Mapping[str, PreparedRun]) -> None:
    for quota in preview.quotas:
        if len(quota.pools) > 1:
            quotas = [runs[name].job.gate.pace.usage.quota for name in quota.pools]
            numbers = [enforced for enforced in quotas if enforced is not None]
            enforced = min(numbers) if len(numbers) == len(quotas) else None
            pace = SharedPace(Pace(quota.ceiling, quota=enforced))
            for name in quota.pools:
                runs[name].share(pace)


async def _carry_out_all(
    runs: Mapping[str, PreparedRun],
) -> dict[str, Summary | BatchResendError]:
    """Send in all; raises `PoolsFailed` where no pool has a summary."""
    ends: dict[str, Summary | BatchResendError] = {}

    async def carry_out(name: str, run: PreparedRun) -> None:
        async with contextlib.aclosing(run):  # others may have its ledger from then on
            try:
                ends[name] = await run.carry_out()
            except BatchResendError as error:
                ends[name] = error

    async with anyio.create_task_group() as tasks:
        for name, run in runs.items():
            tasks.start_soon(carry_out, name, run)
    errors = {name: end for name, end in ends.items() if isinstance(end, BatchResendError)}
    if len(errors) == len(ends):
        raise PoolsFailed(errors)
    return {name: ends[name] for name in runs}
