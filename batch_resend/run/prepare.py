"""Prepare a run: open what it needs, read, plan and check; nothing is sent.

::

    async with prepare(settings, observe=console.observe) as prepared:
        if not await console.approve(prepared.preview):
            raise NotConfirmed
        summary = await prepared.send()

The order is the order of what an operator wants to hear first: wrong settings, then a
ledger that is held, then files that cannot be written, then input that cannot be read.
The question belongs to whoever prepares. A block that is left without sending leaves
everything as it was: no file is replaced, no new one stays.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

import anyio

from batch_resend.aws import s3
from batch_resend.aws.endpoints import is_aws
from batch_resend.job.engine import Job
from batch_resend.job.request import AppClient
from batch_resend.job.same_user import CaseRule, not_known
from batch_resend.job.spool import Spool
from batch_resend.ledger.sqlite.ledger import SqliteLedger
from batch_resend.masking import printable
from batch_resend.model import Result, RunInfo
from batch_resend.observer import Observe, Planned, ignore, noting
from batch_resend.preflight.check import check
from batch_resend.preflight.facts import Facts
from batch_resend.preflight.preview import Preview
from batch_resend.reports.delivery import Deliveries
from batch_resend.run import preflight
from batch_resend.run.backends import SIMULATED_CLIENT, Backend, open_backend, target_of
from batch_resend.run.client_secret import client_secret
from batch_resend.run.next_command import next_command
from batch_resend.run.open_ledger import owner, writing
from batch_resend.run.open_source import Source, open_source, opener_of
from batch_resend.run.outputs import open_outputs, reports_of
from batch_resend.run.send import PreparedRun
from batch_resend.run.stops import Stops
from batch_resend.settings import Settings
from batch_resend.sources.names import read_names
from batch_resend.sources.planned_batch import BatchSource
from batch_resend.version import __version__

if TYPE_CHECKING:
    from batch_resend.ledger.dynamodb.ledger import DynamoLedger

HandOver = Callable[[Result], Awaitable[None]]


class Resources(contextlib.AsyncExitStack):
    """Everything that is held open; no stop cuts its closing short."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all, the last first."""
        with anyio.CancelScope(shield=True):
            await super().__aexit__(kind, error, trace)


@contextlib.asynccontextmanager
async def prepare(
    settings: Settings,
    *,
    observe: Observe = ignore,
    stops: Stops | None = None,
    hand_over: HandOver | None = None,
    planned: BatchSource | None = None,
    part: bool = False,
) -> AsyncIterator[PreparedRun]:
    """Prepare a run, and close it at the end of the block; raises a `BatchResendError`.

    `stops` learns of the run when it sends. `hand_over` takes every result, and the run
    waits for it. `planned` gives users that were planned elsewhere in place of those of the
    settings; `part` says that they are a part of a larger run.
    """
    async with Resources() as resources:
        opened = await _open(resources, settings, observe)
        reading = _Reading(resources, settings, opened, observe, hand_over, planned, part)
        if settings.user_pool_id and not settings.simulate:
            (job, source), facts = await preflight.side_by_side(
                reading.read_beside, partial(preflight.learn, settings, opened.app)
            )
            backend = opened.backend
            proposed = preflight.proposed(settings, backend.region, backend.endpoint, job.eligible)
            checked = preflight.apply(check(facts, proposed), job, observe)
        else:
            (job, source), checked = await reading.read(not_known), None
        preview = Preview(
            counts=job.spool.counts(),
            first=job.spool.first_eligible(3),
            estimate=preflight.estimate(settings, job, checked),
            info=job.info,
            waves=job.waves,
            notes=job.notes,
        )
        observe(Planned(preview))
        yield PreparedRun(
            settings=settings,
            preview=preview,
            heading=source.heading,
            encoding=source.encoding,
            job=job,
            sender=opened.backend.sender,
            outputs=opened.outputs,
            observe=observe,
            stops=stops or Stops(),
            unsent=opened.unsent,
            resources=resources,
            watch_usage=preflight.watching_usage(settings, checked),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """What is open before the input is read."""

    app: AppClient
    backend: Backend
    ledger: SqliteLedger | DynamoLedger
    store: s3.Store | None  #: where anything lies in S3
    outputs: Deliveries
    unsent: contextlib.ExitStack  #: what is to be undone where nothing is sent


async def _open(resources: Resources, settings: Settings, observe: Observe) -> _Opened:
    now, note = time.time(), noting(observe)
    secret = await client_secret(settings)
    backend = await resources.enter_async_context(open_backend(settings, now, note))
    if is_aws(backend.endpoint) and backend.region != settings.pool_home != "":
        note(
            f"The home of {settings.user_pool_id} is {settings.pool_home}, and {backend.region}"
            " is asked: right only for a replica of the pool."
        )
    ledger = await resources.enter_async_context(writing(settings, backend))
    _note_ledger(ledger, owner(settings, backend), note, dry_run=settings.dry_run)
    store = None
    if settings.uses_s3:
        store = await resources.enter_async_context(s3.open_store(target_of(settings)))
    folder = None
    if ledger.path is not None and not settings.dry_run:
        folder = ledger.path.resolve().parent  # private, and there to stay
    outputs = Deliveries(
        resources, store=store, folder=folder, overwrite=settings.overwrite, note=note
    )
    await open_outputs(outputs, settings, now)
    unsent = resources.enter_context(contextlib.ExitStack())
    unsent.callback(outputs.discard)
    return _Opened(
        app=AppClient(settings.client_id or SIMULATED_CLIENT, secret),
        backend=backend,
        ledger=ledger,
        store=store,
        outputs=outputs,
        unsent=unsent,
    )


def _note_ledger(
    ledger: SqliteLedger | DynamoLedger, client: str, note: Callable[[str], None], *, dry_run: bool
) -> None:
    if ledger.is_new and ledger.address and not dry_run:
        note(f"Warning: no ledger at {ledger.address} yet; this run creates an empty one.")
    if ledger.client != client:
        note(
            f"The {ledger.name} was begun for {ledger.client}, and this run is for {client}:"
            " whoever has the same name in both is taken for one person. Unless both are"
            " clients of one pool, give this run a --ledger of its own."
        )


@dataclass(frozen=True, slots=True)
class _Reading:
    """Reads the input into a planned job."""

    resources: Resources
    settings: Settings
    opened: _Opened
    observe: Observe
    hand_over: HandOver | None
    planned: BatchSource | None
    part: bool

    async def read_beside(self, learned: Callable[[], Awaitable[Facts]]) -> tuple[Job, Source]:
        """Read, and ask what is learned at the same time for the pool's own case rule."""

        async def of_the_pool() -> bool | None:
            return (await learned()).case_sensitive

        return await self.read(of_the_pool)

    async def read(self, case: CaseRule) -> tuple[Job, Source]:
        """Read all and decide; raises `InputError` and `SettingsError`.

        `case` says whether names that differ only in case are two users.
        """
        settings, opened = self.settings, self.opened
        source = await open_source(
            self.resources,
            settings,
            opened.backend,
            opened.store,
            self.planned,
            note=noting(self.observe),
        )
        spool = self.resources.enter_context(Spool())
        if settings.exclude is not None:
            opener = await opener_of(self.resources, opened.store, "--exclude", settings.exclude)
            async for names in read_names(settings.exclude, opener):
                spool.exclude(names)
        job = Job(
            ledger=opened.ledger,
            report=reports_of(opened.outputs, source.heading, source.encoding),
            app=opened.app,
            now=time.time(),
            template=settings.template,
            eligibility=settings.eligibility,
            policy=settings.policy,
            limits=settings.limits,
            spool=spool,
            info=self._info(source),
            observe=self.observe,
            hand_over=self.hand_over,
            part=self.part,
        )
        await job.plan(source, settings.selection, partial(self._case_rule, case))
        return job, source

    async def _case_rule(self, of_the_pool: CaseRule) -> bool | None:
        chosen = self.settings.case_sensitive
        return await of_the_pool() if chosen is None else chosen

    def _info(self, source: Source) -> RunInfo:
        settings, opened = self.settings, self.opened
        backend, ledger = opened.backend, opened.ledger
        return RunInfo(
            version=__version__,
            input=printable(source.name),
            username_column=source.username_column,
            user_pool_id=settings.user_pool_id or None,
            client_id=opened.app.client_id,
            region=backend.region,
            endpoint=backend.endpoint,
            endpoint_is_aws=is_aws(backend.endpoint),
            simulated=settings.simulate,
            dry_run=settings.dry_run,
            ledger=str(ledger.address) if ledger.address else None,
            report=opened.outputs.files["--report"].address,
            failed=settings.failed,
            html=settings.html,
            next_command=next_command(settings),
        )
