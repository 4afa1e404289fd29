"""Prepare a run: open what it needs, read, plan and check; nothing is sent.

::

    async with prepare(settings, observe=console.observe) as prepared:
        if not await console.approve(prepared.preview):
            raise NotConfirmed
        summary = await prepared.send()

Problems are reported in the order that an operator wants to know of them: wrong settings,
then a ledger that is held, then files that cannot be written, then input that cannot be
read. The caller asks for approval. A block that is left without sending leaves everything
as it was: no file is replaced, no new one stays.
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
from batch_resend.errors import BatchResendError, OutOfTime
from batch_resend.job.engine import Job
from batch_resend.job.reach import Lists, ListsRead
from batch_resend.job.request import AppClient
from batch_resend.job.same_user import CaseRule, not_known
from batch_resend.job.spool import Spool
from batch_resend.ledger.sqlite.ledger import SqliteLedger
from batch_resend.masking import printable
from batch_resend.model import Result, RunInfo
from batch_resend.observer import Observe, Planned, Preparing, ignore, noting
from batch_resend.preflight.check import CheckResult, check
from batch_resend.preflight.facts import Facts
from batch_resend.preflight.policy_words import Memory, policy_words
from batch_resend.preflight.preview import Preview
from batch_resend.reports.delivery import Deliveries
from batch_resend.run import preflight
from batch_resend.run.backends import SIMULATED_CLIENT, Backend, open_backend, target_of
from batch_resend.run.client_secret import client_secret
from batch_resend.run.next_command import next_command
from batch_resend.run.open_ledger import note_failed_start, owner, writing
from batch_resend.run.open_source import check_users, open_source, opener_of
from batch_resend.run.outputs import open_outputs, reports_of
from batch_resend.run.progress import Preparation
from batch_resend.run.send import PreparedRun
from batch_resend.run.stops import Stops
from batch_resend.settings import Settings
from batch_resend.sources.memory_users import Users
from batch_resend.sources.names import read_names
from batch_resend.sources.planned_batch import BatchSource
from batch_resend.version import __version__
from batch_resend.wording import duration

if TYPE_CHECKING:
    from batch_resend.ledger.dynamodb.ledger import DynamoLedger
    from batch_resend.run.open_source import Source

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
    users: BatchSource | Users | None = None,
    part: bool = False,
    always_report: bool = True,
) -> AsyncIterator[PreparedRun]:
    """Prepare a run, and close it at the end of the block; raises a `BatchResendError`.

    `stops` learns of the run when it sends. `hand_over` takes every result, and the run
    waits for it. `users` are those of a program, or were planned before, in place of those of
    the settings; `part` says that they are a part of a larger run. `always_report`: a report
    that is not named gets a name, and else is not written.
    """
    by_caller = users is not None and not isinstance(users, BatchSource)
    listed = settings.is_listing and not by_caller  #: whether the users are the pool's listing
    if by_caller or users is None:
        check_users(settings, by_caller=by_caller)
    async with Resources() as resources:
        opened = await _open(
            resources, settings, observe, listed=listed, always_report=always_report
        )
        reading = _Reading(resources, settings, opened, observe, hand_over, users, part)
        try:
            job, source, checked = await reading.read_and_check(listed=listed)
        except BatchResendError as error:
            if not settings.dry_run and not part:
                await note_failed_start(opened.ledger, error)
            raise
        preview = _preview(settings, opened.ledger, job, checked, listed=listed)
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


def _preview(
    settings: Settings,
    ledger: SqliteLedger | DynamoLedger,
    job: Job,
    checked: CheckResult | None,
    *,
    listed: bool,
) -> Preview:
    return Preview(
        counts=job.spool.counts(),
        examples=job.spool.examples(3),
        estimate=preflight.estimate(settings, job, checked, listed=listed),
        info=job.info,
        waves=job.waves,
        notes=job.notes,
        policy=policy_words(
            max_sends=settings.max_sends,
            cooldown=settings.cooldown,
            older_than=settings.older_than,
            newer_than=settings.newer_than,
        ),
        memory=_memory(ledger),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """The resources that are open before the input is read."""

    app: AppClient
    backend: Backend
    ledger: SqliteLedger | DynamoLedger
    store: s3.Store | None  #: where anything lies in S3
    outputs: Deliveries
    spool: Spool
    preparation: Preparation
    unsent: contextlib.ExitStack  #: what is to be undone where nothing is sent


async def _open(
    resources: Resources,
    settings: Settings,
    observe: Observe,
    *,
    listed: bool,
    always_report: bool,
) -> _Opened:
    now, note = time.time(), noting(observe)
    secret = await client_secret(settings)
    backend = await resources.enter_async_context(
        open_backend(settings, now, note, listed=listed or settings.resolve)
    )
    if is_aws(backend.endpoint) and backend.region != settings.pool_home != "":
        note(
            f"{settings.user_pool_id} was created in {settings.pool_home}, but requests go to"
            f" {backend.region}. This is right only for a replica of the pool."
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
    await open_outputs(outputs, settings, now, always_report=always_report)
    unsent = resources.enter_context(contextlib.ExitStack())
    unsent.callback(outputs.discard)
    spool = resources.enter_context(Spool())
    return _Opened(
        app=AppClient(settings.client_id or SIMULATED_CLIENT, secret),
        backend=backend,
        ledger=ledger,
        store=store,
        outputs=outputs,
        spool=spool,
        preparation=Preparation(settings, spool),
        unsent=unsent,
    )


def _note_ledger(
    ledger: SqliteLedger | DynamoLedger, client: str, note: Callable[[str], None], *, dry_run: bool
) -> None:
    if ledger.is_new and ledger.address and not dry_run:
        note(f"Warning: no ledger at {ledger.address} yet; this run creates an empty one.")
    if ledger.client != client:
        note(
            f"The {ledger.name} belongs to {ledger.client}, and this run is for {client}. Users"
            " with the same name in both are treated as one person. Unless both are clients of"
            " one pool, use another --ledger for this run."
        )


def _memory(ledger: SqliteLedger | DynamoLedger) -> Memory:
    """Look up what the ledger has; of a table only whether there is one."""
    if ledger.is_new or not isinstance(ledger, SqliteLedger):
        return Memory(is_new=ledger.is_new)
    people, last_run = ledger.records.remembered()
    return Memory(people, last_run)


@dataclass(frozen=True, slots=True)
class _Reading:
    """The reading of the input into a planned job."""

    resources: Resources
    settings: Settings
    opened: _Opened
    observe: Observe
    hand_over: HandOver | None
    users: BatchSource | Users | None
    part: bool

    async def read_and_check(self, *, listed: bool) -> tuple[Job, Source, CheckResult | None]:
        """Read all, and check the pool at the same time where it is named."""
        settings, backend = self.settings, self.opened.backend
        if not settings.user_pool_id or settings.simulate:
            return *await self.read(not_known), None
        (job, source), facts = await preflight.side_by_side(self.read_beside, self.learn)
        proposed = preflight.proposed(
            settings, backend.region, backend.endpoint, job.eligible, listed=listed
        )
        checked = preflight.apply(check(facts, proposed), job, self.observe)
        return job, source, checked

    async def learn(self) -> Facts:
        """Ask AWS; the spool receives the addresses that get nothing."""
        keep = preflight.reporting(self.opened.spool.suppress, noting(self.observe))
        facts = await preflight.learn(self.settings, self.opened.app, keep)
        self.opened.preparation.learn(facts)
        return facts

    async def read_beside(self, learned: Callable[[], Awaitable[Facts]]) -> tuple[Job, Source]:
        """Read, and ask what is learned at the same time for the pool's own case rule."""

        async def of_the_pool() -> bool | None:
            return (await learned()).case_sensitive

        async def of_the_lists() -> Lists | None:
            return preflight.lists_of(await learned())

        planned = isinstance(self.users, BatchSource)
        return await self.read(of_the_pool, None if planned else of_the_lists)

    async def read(self, case: CaseRule, lists: ListsRead | None = None) -> tuple[Job, Source]:
        """Read all and decide; raises `InputError` and `SettingsError`.

        `case` says whether names that differ only in case are two users, `lists` what is
        known of addresses that get nothing. A listing, and what --resolve looks up, end
        at --deadline, which counts from here.
        """
        settings = self.settings
        asks_the_pool = settings.resolve or (self.users is None and settings.is_listing)
        with anyio.move_on_after(settings.deadline if asks_the_pool else None):
            return await self._read(case, lists)
        raise OutOfTime(
            f"The users were not listed within --deadline {duration(settings.deadline or 0)}, so no"
            " messages were sent. Run again with a longer --deadline, or pass the users as a CSV"
            " file."
        )

    async def _read(self, case: CaseRule, lists: ListsRead | None) -> tuple[Job, Source]:
        settings, opened, spool = self.settings, self.opened, self.opened.spool
        self.observe(Preparing(opened.preparation))
        source = await open_source(
            self.resources,
            settings,
            opened.backend,
            opened.store,
            self.users,
            note=noting(self.observe),
        )
        if settings.exclude is not None:
            opener = await opener_of(self.resources, opened.store, "--exclude", settings.exclude)
            async with contextlib.aclosing(read_names(settings.exclude, opener)) as every:
                async for names in every:
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
            lists=lists,
        )
        await job.plan(source, settings.selection, partial(self._case_rule, case))
        opened.preparation.is_read = True
        return job, source

    async def _case_rule(self, of_the_pool: CaseRule) -> bool | None:
        chosen = self.settings.case_sensitive
        return await of_the_pool() if chosen is None else chosen

    @property
    def _can_be_typed(self) -> bool:
        """Whether the command line can do what this run does."""
        return self.users is None or isinstance(self.users, BatchSource)

    def _info(self, source: Source) -> RunInfo:
        settings, opened = self.settings, self.opened
        backend, ledger = opened.backend, opened.ledger
        report = opened.outputs.files.get("--report")
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
            max_sends=settings.max_sends,
            ledger=str(ledger.address) if ledger.address else None,
            report=report.address if report else None,
            failed=settings.failed,
            html=settings.html,
            summary=settings.summary,
            next_command=next_command(settings) if self._can_be_typed else None,
        )
