"""Where the concrete parts meet: settings become a job, and the job a summary.

The order is the order of what an operator wants to hear first: wrong settings, then a
ledger that is held, then files that cannot be written, then input that cannot be read;
then the plan and the question; only then is anybody written to.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import stat
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc
import anyio.streams.memory

from batch_resend.aws import clients, s3, s3_address, secrets
from batch_resend.aws.endpoints import AwsTarget, is_aws, same_endpoint
from batch_resend.aws.tls import check_key_log
from batch_resend.errors import (
    BatchResendError,
    InputError,
    Refused,
    ReportError,
    SettingsError,
    UsageError,
)
from batch_resend.job.attempt import Sender
from batch_resend.job.engine import Job
from batch_resend.job.outcome import Stop
from batch_resend.job.pace import DEFAULT_QUOTA
from batch_resend.job.pacing import SharedPace
from batch_resend.job.request import AppClient
from batch_resend.job.spool import Spool
from batch_resend.job.summary import Summary
from batch_resend.ledger.dynamodb.address import is_table, table_address
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.ledger.sqlite.ledger import SqliteLedger
from batch_resend.ledger.sqlite.lockfile import files_of
from batch_resend.masking import printable
from batch_resend.model import Result, RunInfo
from batch_resend.observer import Event, Noted, Observer, Settled, Waiting
from batch_resend.preflight.check import CheckResult, check
from batch_resend.preflight.estimate import Estimate, Messages
from batch_resend.preflight.facts import Facts
from batch_resend.preflight.finding import Level, ProposedRun, estimated
from batch_resend.preflight.preview import Preview
from batch_resend.reports.delivery import Deliveries
from batch_resend.reports.page.samples import Sample, Samples
from batch_resend.reports.private_file import PrivateFile
from batch_resend.reports.results_csv import CsvReport, FailedRows
from batch_resend.run.descriptors import affordable
from batch_resend.run.next_command import next_command
from batch_resend.settings import UNCONFIRMED_FILTER, LedgerTarget, Settings, state_folder
from batch_resend.sources.cognito import CognitoSource
from batch_resend.sources.csv_file import CsvSource, read_names
from batch_resend.sources.named_users import NamedUsers
from batch_resend.sources.planned_batch import BatchSource
from batch_resend.sources.text_input import Opener, without_waiting
from batch_resend.version import __version__

if TYPE_CHECKING:
    from batch_resend.ledger.dynamodb.ledger import DynamoLedger

SIMULATED_CLIENT = "simulated"
SIMULATED_POOL = "us-east-1_Simulated"
SIMULATED_USERS = 500
_LONGEST_SECRET = 4096  #: bytes
_SIMULATED_LATENCY = 0.06  #: seconds: as far away as another Region of the same continent


@dataclass(frozen=True, slots=True)
class _World:
    """Cognito, or what stands in for it."""

    sender: Sender
    listing: Any  #: a client that has `list_users`, where users are listed
    region: str
    endpoint: str


class _Reports:
    """All that is told of every row; one that breaks does not take the others with it."""

    def __init__(self, *reports: CsvReport | FailedRows) -> None:
        self._reports = list(reports)

    def write(self, result: Result) -> None:
        broken = None
        for report in tuple(self._reports):
            try:
                report.write(result)
            except ReportError as error:
                self._reports.remove(report)
                broken = error
        if broken is not None:
            raise broken

    async def room(self) -> None:
        """Wait until each of them has room for more rows."""
        for report in self._reports:
            await report.room()


class Run:
    """One run of the job, from settings to summary."""

    def __init__(
        self,
        settings: Settings,
        *,
        observer: Observer | None = None,
        results: anyio.streams.memory.MemoryObjectSendStream[Result] | None = None,
        source: BatchSource | None = None,
        part: bool = False,
    ) -> None:
        """Nothing is opened yet. `results` is handed every result, as it comes.

        `source` gives the users in place of the input that the settings name; `part` says
        that they are a part of a larger run.
        """
        self.settings = settings
        self._given = source
        self._part = part
        self.summary: Summary | None = None
        self._observer = observer or Observer()
        self._results = results
        self._job: Job | None = None
        self._sending = False
        self._stop: Stop | None = None
        self._before = anyio.CancelScope()
        self._store: s3.Store | None = None
        self._deliveries: Deliveries | None = None
        self._samples = Samples()

    @property
    def sending(self) -> bool:
        """Whether anybody may have been written to."""
        return self._sending

    def share(self, pace: SharedPace) -> None:
        """Go by a pace that other runs go by too; while the observer is asked to confirm."""
        assert self._job is not None  # noqa: S101 - for the type checker: it is planned by then
        self._job.share(pace)

    def take_places(self) -> None:
        """Let the files replace what is there, for the run is approved; raises `ReportError`."""
        assert self._deliveries is not None  # noqa: S101 - for the type checker: as above
        self._deliveries.take_places()

    def stop(self, stop: Stop = Stop.CALLER) -> None:
        """End the run gently: settle what is in flight, report the rest as not attempted."""
        self._stop = self._stop or stop
        if self._deliveries is not None:
            self._deliveries.hurry()
        if self._job is not None and self._sending:
            self._job.stop(stop)
        else:
            self._before.cancel()

    async def execute(self) -> Summary:
        """Do it all; raises a `BatchResendError` where nobody could be written to."""
        now = time.time()
        summary = None
        async with contextlib.AsyncExitStack() as stack:
            with self._before:
                summary = await self._in(stack, now)
            if summary is None:
                raise Interrupted(self._stop or Stop.CALLER)
        self.summary = summary
        return summary

    async def _in(self, stack: contextlib.AsyncExitStack, now: float) -> Summary | None:
        settings = self.settings
        client_id = settings.client_id or SIMULATED_CLIENT
        secret = await client_secret(settings)
        world = await stack.enter_async_context(_world(settings, now, self._observer.note))
        if is_aws(world.endpoint) and world.region != settings.pool_home != "":
            self._observer.note(
                f"The home of {settings.user_pool_id} is {settings.pool_home}, and {world.region}"
                " is asked: right only for a replica of the pool."
            )
        ledger = await self._ledger(stack, world)
        self._tell_of(ledger, _client(settings, world))
        self._deliveries = deliveries = await self._open_places(stack, ledger)
        try:
            await self._open_report(deliveries, now)
            for option, path in settings.outputs():
                if option != "--report":
                    await deliveries.open(option, path)
            job = await self._plan(
                stack, world, ledger, AppClient(client_id, secret), deliveries.files
            )
            if settings.dry_run:
                summary = await job.dry_run()
        except BaseException:
            deliveries.discard()
            raise
        if not settings.dry_run:
            self._sending = True
            if self._stop:
                job.stop(self._stop)
            # From here on a stop is a matter of the job, which settles what is in flight.
            with anyio.CancelScope(shield=True):
                self._observer.began(job)
                async with self._sampled(job):
                    if not settings.simulate:
                        self._fit_in(job)
                    summary = await job.run(world.sender)
        if "--html" in deliveries.files:
            with anyio.CancelScope(shield=True):
                summary = await self._write_page(deliveries, summary)
        return await deliveries.finish(summary)

    def _tell_of(self, ledger: SqliteLedger | DynamoLedger, client: str) -> None:
        if ledger.is_new and ledger.address and not self.settings.dry_run:
            self._observer.note(
                f"Warning: no ledger at {ledger.address} yet; this run creates an empty one."
            )
        if ledger.client != client:
            self._observer.note(
                f"The {ledger.name} was begun for {ledger.client}, and this run is for {client}:"
                " whoever has the same name in both is taken for one person. Unless both are"
                " clients of one pool, give this run a --ledger of its own."
            )

    async def _open_report(self, deliveries: Deliveries, now: float) -> None:
        """Open the report; where none is named, under a name that is free."""
        if self.settings.report is not None:
            await deliveries.open("--report", self.settings.report)
            return
        name = time.strftime("resend-report-%Y%m%dT%H%M%SZ", time.gmtime(now))
        for more in ("", *(f"-{n}" for n in range(2, 100))):
            try:
                await deliveries.open("--report", f"{name}{more}.csv", anew=True)
            except ReportError as error:
                if not isinstance(error.__context__, FileExistsError) or more == "-99":
                    raise  # else another run began within the same second
            else:
                return

    async def _open_places(
        self, stack: contextlib.AsyncExitStack, ledger: SqliteLedger | DynamoLedger
    ) -> Deliveries:
        settings = self.settings
        if settings.uses_s3:
            self._store = await stack.enter_async_context(s3.open_store(place_of(settings)))
        folder = None
        if ledger.path is not None and not settings.dry_run:
            folder = ledger.path.resolve().parent  # private, and there to stay
        return Deliveries(
            stack,
            store=self._store,
            folder=folder,
            overwrite=settings.overwrite,
            note=self._observer.note,
        )

    def _fit_in(self, job: Job) -> None:
        """Have fewer requests in flight where the machine allows too few open files."""
        wanted = self.settings.concurrency
        on_table = is_table(self.settings.ledger or "")
        fitting = affordable(wanted, each=2 if on_table else 1)
        if fitting < wanted:
            job.set_concurrency(fitting)
            self._observer.note(
                f"Too few files may be open here (ulimit -n): at most {fitting} in flight,"
                f" in place of {wanted}."
            )

    @contextlib.asynccontextmanager
    async def _sampled(self, job: Job) -> AsyncIterator[None]:
        """Take samples for the page while the block runs, where a page is wanted."""

        async def sample() -> None:
            while True:
                now = job.snapshot()
                at = job.now + now.seconds
                self._samples.add(Sample(at, now.throttled, now.rate, now.ceiling))
                await anyio.sleep(self._samples.every)

        async with anyio.create_task_group() as tasks:
            if self.settings.html is not None:
                tasks.start_soon(sample)
            yield
            tasks.cancel_scope.cancel()

    async def _write_page(self, deliveries: Deliveries, summary: Summary) -> Summary:
        """Write the page; what goes wrong with it is told, and harms nothing else."""
        from batch_resend.reports.page.render import page

        file, report = deliveries.files["--html"], deliveries.files["--report"]

        def write() -> None:
            if not report.is_whole:
                raise ReportError("the report is not whole")
            told = summary.as_json()
            samples = self._samples.taken
            file.append(
                page([report.path], summary=told, samples=samples, masked=self.settings.mask)
            )

        try:
            await anyio.to_thread.run_sync(write)
        except Exception as error:
            summary = replace(summary, info=replace(summary.info, html=None))
            why = str(error) if isinstance(error, BatchResendError) else type(error).__name__
            told = f"--html {file.address} was not made ({why.rstrip('.')})."
            if report.is_whole:
                told += f" To make it of the report: batch-resend report {report.path}"
            deliveries.give_up("--html", told)
        return summary

    async def _plan(
        self,
        stack: contextlib.AsyncExitStack,
        world: _World,
        ledger: SqliteLedger | DynamoLedger,
        app: AppClient,
        files: dict[str, PrivateFile],
    ) -> Job:
        """Read and plan, meanwhile check; then show it, and ask."""
        checked = None
        if self.settings.user_pool_id and not self.settings.simulate:
            job, checked = await self._plan_and_check(stack, world, ledger, app, files)
        else:
            job = await self._read(stack, world, ledger, app, files)
        if checked is not None:
            if stops := checked.of(Level.STOP):
                raise SettingsError(" ".join([*stops, "Nobody was written to."]))
            for warning in checked.of(Level.WARNING):
                self._observer.note(f"Check: {warning}")
        preview = Preview(
            counts=job.spool.counts(),
            first=job.spool.first_eligible(3),
            estimate=self._estimate(job, checked),
            info=job.info,
            waves=job.waves,
        )
        if not await self._observer.confirm(preview):
            raise Refused("Nobody was written to: the run was not confirmed.")
        self.take_places()
        return job

    async def _plan_and_check(
        self,
        stack: contextlib.AsyncExitStack,
        world: _World,
        ledger: SqliteLedger | DynamoLedger,
        app: AppClient,
        files: dict[str, PrivateFile],
    ) -> tuple[Job, CheckResult]:
        """Read and plan, and learn beside it what the check judges."""
        facts: Facts | None = None
        job: Job | None = None
        failed: BatchResendError | None = None

        async def learn() -> None:
            nonlocal facts
            facts = await self._learn(app)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(learn)
            try:  # inside: what leaves a task group is a group of errors
                job = await self._read(stack, world, ledger, app, files)
            except BatchResendError as error:
                failed = error
                tasks.cancel_scope.cancel()
        if failed is not None:
            raise failed
        assert job is not None  # noqa: S101 - for the type checker: read, or failed
        assert facts is not None  # noqa: S101 - the same
        checked = check(facts, wish_of(self.settings, world.region, world.endpoint, job.eligible))
        job.set_rate(checked.rate)
        job.info = replace(
            job.info,
            account=facts.account_id,
            quota=facts.quota,
            existence_hidden=facts.hides_existence,
        )
        return job, checked

    async def _learn(self, app: AppClient) -> Facts:
        from batch_resend.preflight.probe import probe

        settings = self.settings
        return await probe(
            place_of(settings),
            user_pool_id=settings.user_pool_id,
            client_id=app.client_id,
            secret=app.secret,
        )

    def _estimate(self, job: Job, checked: CheckResult | None) -> Estimate:
        settings = self.settings
        if checked is None:
            return Estimate(
                users=job.eligible,
                rate=settings.limits.rate,
                now=job.now,
                sent=Messages(unknown=job.eligible),
                max_sent=settings.max_sent,
                deadline=settings.deadline,
            )
        return estimated(
            checked.facts,
            checked.run,
            job.eligible,
            telephones=job.spool.telephones() if settings.is_listing else None,
            max_sent=settings.max_sent,
            deadline=settings.deadline,
        )

    async def _read(
        self,
        stack: contextlib.AsyncExitStack,
        world: _World,
        ledger: SqliteLedger | DynamoLedger,
        app: AppClient,
        files: dict[str, PrivateFile],
    ) -> Job:
        settings = self.settings
        source = self._given or self._source(
            world, await _opener(stack, self._store, "USERS", settings.users)
        )
        stack.push_async_callback(source.aclose)
        await source.open()
        _check_columns(settings, source.name, source.columns)
        spool = stack.enter_context(Spool(case_sensitive=bool(settings.case_sensitive)))
        if settings.exclude is not None:
            opener = await _opener(stack, self._store, "--exclude", settings.exclude)
            async for name in read_names(settings.exclude, opener):
                spool.exclude([name])
        reports: list[CsvReport | FailedRows] = [CsvReport(files["--report"])]
        if "--failed" in files:
            reports.append(FailedRows(files["--failed"], source.heading, source.encoding))
        info = RunInfo(
            version=__version__,
            input=printable(source.name),
            username_column=source.username_column,
            user_pool_id=settings.user_pool_id or None,
            client_id=app.client_id,
            region=world.region,
            endpoint=world.endpoint,
            endpoint_is_aws=is_aws(world.endpoint),
            simulated=settings.simulate,
            dry_run=settings.dry_run,
            ledger=str(ledger.address) if ledger.address else None,
            report=files["--report"].address,
            failed=settings.failed,
            html=settings.html,
            next_command=next_command(settings),
        )
        self._job = job = Job(
            ledger=ledger,
            report=_Reports(*reports),
            app=app,
            now=time.time(),
            template=settings.template,
            eligibility=settings.eligibility,
            policy=settings.policy,
            limits=settings.limits,
            spool=spool,
            info=info,
            observe=self._observe,
            hand_over=self._hand_over,
            part=self._part,
        )
        await job.plan(source, settings.selection)
        self._observer.planned(spool, source.heading, source.encoding)
        return job

    def _observe(self, event: Event) -> None:
        match event:
            case Noted(text):
                self._observer.note(text)
            case Waiting(why, seconds):
                self._observer.waiting(why, seconds)
            case Settled(result):
                self._observer.settled(result)

    async def _hand_over(self, result: Result) -> None:
        if self._results is not None:
            try:
                await self._results.send(result)
            except anyio.BrokenResourceError:
                self.stop()  # nobody listens any more

    def _source(
        self, world: _World, opener: Opener | None
    ) -> CsvSource | CognitoSource | NamedUsers:
        settings = self.settings
        keep = settings.names
        if settings.users is not None:
            return _csv_source(settings, settings.users, opener)
        if settings.user:
            return NamedUsers(settings.user)
        if settings.one_per_address:
            keep |= {"email", "phone_number"}
        return CognitoSource(
            world.listing,
            settings.user_pool_id or SIMULATED_POOL,
            filter=UNCONFIRMED_FILTER if settings.filter is None else settings.filter,
            keep=keep,
        )

    async def _ledger(
        self, stack: contextlib.AsyncExitStack, world: _World
    ) -> SqliteLedger | DynamoLedger:
        settings = self.settings
        given: dict[str, Any] = {
            "client": _client(settings, world),
            "case_sensitive": bool(settings.case_sensitive),
            "simulated": settings.simulate,
            "must_exist": settings.needs_a_ledger,
            "read_only": settings.dry_run,
        }
        if settings.ledger is not None and is_table(settings.ledger):
            from batch_resend.ledger.dynamodb.ledger import open_ledger

            address, many = table_address(settings.ledger), settings.concurrency
            opening = open_ledger(place_of(settings), address, connections=many, **given)
            return await stack.enter_async_context(opening)
        path: Path | None
        if settings.ledger is not None:
            path = Path(settings.ledger)
        elif settings.simulate:
            path = None
        else:
            path = default_ledger(world.region, settings.client_id, world.endpoint)
        _keep_apart(settings, path)
        return stack.enter_context(LedgerFile(path, **given))


def _keep_apart(settings: Settings, ledger: Path | None) -> None:
    """Refuse to write a report over the ledger or one of the files that belong to it."""
    if ledger is None:
        return
    own = {os.path.realpath(file) for file in files_of(ledger)}
    for option, path in settings.outputs():
        if path == "-" or s3_address.is_address(path):
            continue
        if os.path.realpath(path) in own:
            raise UsageError(
                f"{option} {path} belongs to the ledger {ledger}: give it a place of its own."
            )


class Interrupted(BatchResendError):
    """Stopped before the first message."""

    def __init__(self, stop: Stop) -> None:
        """Say so, with the exit code of what stopped it."""
        super().__init__(f"{stop.sentence} Nobody was written to.")
        self.exit_code = stop.exit_code


@contextlib.asynccontextmanager
async def open_run(
    settings: Settings, *, observer: Observer | None = None
) -> AsyncIterator[RunningJob]:
    """Run a job from Python, with its results as they come.

    ::

        async with open_run(Settings(users="users.csv", client_id="...")) as running:
            async for result in running:
                print(result.row, result.outcome, result.reason)
        print(running.summary.exit_code)

    Leaving the block early stops the run gently. Raises a `BatchResendError` where
    nobody could be written to.
    """
    send, receive = anyio.create_memory_object_stream[Result](0)
    run = Run(settings, observer=observer, results=send)
    running = RunningJob(run, receive)
    raised: Exception | None = None
    early = False

    async def execute() -> None:
        async with send:
            try:
                await run.execute()
            except BatchResendError as error:
                running.error = error

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(execute)
        try:
            yield running
        except Exception as error:  # what leaves a task group is a group of errors
            raised = error
        finally:
            early = run.summary is None and running.error is None
            run.stop()
            receive.close()
    if raised is not None:
        raise raised
    if running.error is not None and not (early and isinstance(running.error, Interrupted)):
        raise running.error


class RunningJob:
    """A run under way: iterate over it for the results."""

    def __init__(
        self, run: Run, results: anyio.streams.memory.MemoryObjectReceiveStream[Result]
    ) -> None:
        """Made by `open_run`."""
        self._run = run
        self._results = results
        self.error: BatchResendError | None = None

    @property
    def summary(self) -> Summary:
        """What the run came to; known once the block is left."""
        if self._run.summary is None:
            raise RuntimeError("the run has not ended yet")
        return self._run.summary

    def stop(self) -> None:
        """End the run gently."""
        self._run.stop()

    def __aiter__(self) -> AsyncIterator[Result]:
        """Iterate over the results, in order of completion."""
        return self._results.__aiter__()


def default_ledger(region: str, client_id: str, endpoint: str) -> Path:
    """Name the ledger of a Region and client (and endpoint, where it is not AWS's)."""
    name = f"{region}-{client_id}"
    if not is_aws(endpoint):
        name += "-" + hashlib.sha256(same_endpoint(endpoint).encode()).hexdigest()[:12]
    return state_folder() / f"{name}.sqlite3"


def _client(settings: Settings, world: _World) -> str:
    """Say for whom a ledger is."""
    told = f"client {settings.client_id or SIMULATED_CLIENT} in {world.region}"
    if settings.simulate or is_aws(world.endpoint):
        return told
    return f"{told} at {same_endpoint(world.endpoint)}"


def _csv_source(settings: Settings, users: str, opener: Opener | None = None) -> CsvSource:
    return CsvSource(
        users,
        username_column=settings.username_column,
        header=settings.header,
        delimiter=settings.delimiter,
        encoding=settings.encoding,
        keep=settings.names,
        opener=opener,
    )


async def count_rows(settings: Settings) -> int | None:
    """Count the users who are named, None for a listing; raises `InputError`."""
    if settings.user:
        return len(settings.user)
    if settings.users is None:
        return None
    async with contextlib.AsyncExitStack() as stack:
        store = None
        if s3_address.is_address(settings.users):
            store = await stack.enter_async_context(s3.open_store(place_of(settings)))
        opener = await _opener(stack, store, "USERS", settings.users)
        source = _csv_source(settings, settings.users, opener)
        stack.push_async_callback(source.aclose)
        await source.open()
        return sum([len(batch) async for batch in source.batches()])


async def _opener(
    stack: contextlib.AsyncExitStack, store: s3.Store | None, option: str, path: str | None
) -> Opener | None:
    """Fetch an input that lies in S3; None for any other."""
    if store is None or path is None or not s3_address.is_address(path):
        return None
    file = stack.enter_context(await store.fetch(option, path))
    return lambda _path, _flags: os.dup(file.fileno())


def place_of(settings: Settings | LedgerTarget) -> AwsTarget:
    """Where Cognito is, and who asks."""
    return AwsTarget(settings.pool_region, settings.profile, settings.endpoint_url)


def wish_of(settings: Settings, region: str, endpoint: str, users: int | None) -> ProposedRun:
    """Say to the check what the operator is about to do."""
    return ProposedRun(
        user_pool_id=settings.user_pool_id,
        client_id=settings.client_id,
        region=region,
        endpoint=endpoint,
        endpoint_is_aws=is_aws(endpoint),
        now=time.time(),
        listed=settings.is_listing,
        users=users,
        rate=settings.rate,
        share=settings.share,
        default_quota=DEFAULT_QUOTA,
    )


async def client_secret(settings: Settings) -> str | None:
    """Get the app client's secret from where the settings say, if it has one."""
    place = place_of(settings)
    if settings.client_secret_file is not None:
        text = await secret_from_file(settings.client_secret_file)
        return _checked(text, f"--client-secret-file {settings.client_secret_file}")
    if settings.client_secret_id is not None:
        text = await secrets.stored_secret(place, settings.client_secret_id)
        with contextlib.suppress(ValueError):
            stored = json.loads(text)
            if isinstance(stored, dict):
                text = str(stored.get("client_secret") or stored.get("ClientSecret") or "")
        return _checked(text, f"--client-secret-id {settings.client_secret_id}")
    if settings.fetch_client_secret:
        return await secrets.client_secret(place, settings.user_pool_id, settings.client_id)
    given = os.environ.get("BATCH_RESEND_CLIENT_SECRET")
    return None if given is None else _checked(given, "BATCH_RESEND_CLIENT_SECRET")


async def secret_from_file(path: str) -> str:
    """Read a secret from a file that not everybody can read, or a pipe."""
    try:
        with io.FileIO(path, opener=without_waiting) as file:
            mode = os.fstat(file.fileno()).st_mode
            text = (await _beginning(file)).decode("utf-8-sig")
    except OSError as error:
        raise InputError(
            f"--client-secret-file {path} cannot be read ({error.strerror}): name a file that"
            " holds the secret and nothing else."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"--client-secret-file {path} is not text.") from error
    if stat.S_ISREG(mode) and mode & stat.S_IROTH:
        raise InputError(
            f"--client-secret-file {path} can be read by everybody on this machine: chmod 600 it."
        )
    return text


async def _beginning(file: io.FileIO) -> bytes:
    """Read as much as a secret may have; whoever writes to a pipe may take their time."""
    data = b""
    while len(data) < _LONGEST_SECRET:
        piece = file.read(_LONGEST_SECRET - len(data))
        if piece is None:
            await anyio.wait_readable(file)
        elif not piece:
            break
        else:
            data += piece
    return data


def _checked(secret: str, origin: str) -> str:
    secret = secret.strip()
    if not secret or not secret.isprintable() or " " in secret or secret[0] in "{[\"'":
        raise InputError(
            f"{origin} holds no client secret: one word, and nothing else (no JSON, no quotes)."
        )
    return secret


def _check_columns(settings: Settings, name: str, columns: frozenset[str] | None) -> None:
    if columns is None:
        return
    for missing in sorted(settings.names - columns):
        raise InputError(
            f"{name} has no column {printable(missing)!r}, which --match or an @NAME asks for;"
            f" it has {', '.join(printable(column) for column in sorted(columns)[:10])}."
        )


@contextlib.asynccontextmanager
async def _world(
    settings: Settings, now: float, note: Callable[[str], None]
) -> AsyncIterator[_World]:
    if settings.simulate:
        async with _simulated_world(settings, now) as world:
            yield world
        return
    check_key_log()  # before the libraries are imported that trip over it
    from batch_resend.aws.sender import AwsSender

    place = place_of(settings)
    async with contextlib.AsyncExitStack() as stack:
        client, region, endpoint = await stack.enter_async_context(
            clients.resend_client(
                place, timeout=settings.timeout, concurrency=settings.concurrency, note=note
            )
        )
        listing = None
        if settings.is_listing:
            listing = await stack.enter_async_context(clients.signed_client(place, clients.COGNITO))
        yield _World(AwsSender(client), listing, region, endpoint)


@contextlib.asynccontextmanager
async def _simulated_world(settings: Settings, now: float) -> AsyncIterator[_World]:
    from batch_resend.simulator.pool import Pool, make_users
    from batch_resend.simulator.quota import Quota
    from batch_resend.simulator.rules import Cognito
    from batch_resend.simulator.sender import SimulatedListing, SimulatedSender
    from batch_resend.simulator.setup import Client, PoolSettings

    listed = None if not settings.is_listing else make_users(SIMULATED_USERS, now=now)
    cognito = Cognito(
        Pool(open_to_all=True) if listed is None else Pool(listed),
        client=Client(settings.client_id or SIMULATED_CLIENT),
        settings=PoolSettings(pool_id=settings.user_pool_id or SIMULATED_POOL),
        quota=Quota(DEFAULT_QUOTA),
        keep_record=False,  # nobody looks at it, and it would grow with the rows
    )
    async with SimulatedSender(
        cognito, epoch=now, latency=_SIMULATED_LATENCY, timeout=settings.timeout
    ) as sender:
        listing = SimulatedListing(cognito, sender.now)
        yield _World(sender, listing, "simulated", "the simulator")
