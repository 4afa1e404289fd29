"""Several pools in one run: planned together, confirmed once, sent side by side.

Each pool is a `Run` of its own, with its own ledger, report and guards. What they have in
common are three things. Nobody is written to in any of them before all are planned and
approved: whatever can be found wrong in one ends all. Those that draw from the same quota
go by one pace. And there is one summary, whose exit code is that of the worst.

Once messages go out the pools are on their own: what ends one lets the others go on.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

import anyio

from batch_resend.aws import s3
from batch_resend.errors import BatchResendError, Refused, UsageError
from batch_resend.job.engine import Job
from batch_resend.job.outcome import Stop
from batch_resend.job.pacing import Pace, SharedPace
from batch_resend.job.summary import Summary
from batch_resend.model import Planned, Result
from batch_resend.observer import Observer
from batch_resend.pools.preview import PoolsPreview
from batch_resend.pools.summary import PoolsSummary
from batch_resend.preflight.preview import Preview
from batch_resend.reports.delivery import Deliveries
from batch_resend.run.prepare import Interrupted, Run, place_of
from batch_resend.settings import Settings

_SUMMARY = "--summary"
_SECRET = "BATCH_RESEND_CLIENT_SECRET"  # noqa: S105 - its name


class PoolsFailed(BatchResendError):
    """Some of the pools cannot be run, so nobody was written to in any."""

    def __init__(self, errors: Mapping[str, BatchResendError]) -> None:
        """Say what is wrong with each; the exit code is that of the worst."""
        super().__init__(" ".join(f"Pool {name}: {error}" for name, error in errors.items()))
        self.exit_code = max(error.exit_code for error in errors.values())


class Pools:
    """Runs side by side, from settings to one summary."""

    def __init__(
        self,
        settings: Mapping[str, Settings],
        *,
        observers: Mapping[str, Observer],
        ask: Callable[[PoolsPreview], Awaitable[bool]],
        note: Callable[[str], None] = lambda _text: None,
        summary: str | None = None,
    ) -> None:
        """Nothing is opened yet; raises `UsageError` where pools get into each other's way.

        `observers` watch a pool each; in place of their own questions `ask` is asked once.
        `summary` is where the one summary goes.
        """
        check_apart(settings, summary)
        self._settings = settings
        self._ask = ask
        self._note = note
        self._path = summary
        self._runs = {
            name: Run(each, observer=_Member(observers[name], name, self._confirm))
            for name, each in settings.items()
        }
        self._previews: dict[str, Preview] = {}
        self._answered = anyio.Event()
        self._approved = False
        self._ends: dict[str, Summary | BatchResendError] = {}
        self._deliveries: Deliveries | None = None

    @property
    def sending(self) -> bool:
        """Whether anybody may have been written to."""
        return any(run.sending for run in self._runs.values())

    def stop(self, stop: Stop = Stop.CALLER) -> None:
        """End all runs gently."""
        if self._deliveries is not None:
            self._deliveries.hurry()
        for run in self._runs.values():
            run.stop(stop)

    async def execute(self) -> PoolsSummary:
        """Do it all; raises a `BatchResendError` where nobody could be written to."""
        async with contextlib.AsyncExitStack() as stack:
            self._deliveries = deliveries = await self._open_place(stack)
            try:
                if self._path is not None:
                    await deliveries.open(_SUMMARY, self._path)
                async with anyio.create_task_group() as tasks:
                    for name in self._runs:
                        tasks.start_soon(self._execute, name)
                ends = {name: self._ends[name] for name in self._runs if name in self._ends}
                _check_begun(ends)
            except BaseException:
                deliveries.discard()
                raise
            return await deliveries.finish(PoolsSummary(ends))

    async def _open_place(self, stack: contextlib.AsyncExitStack) -> Deliveries:
        first = next(iter(self._settings.values()))
        store = None
        if s3.is_address(self._path):
            store = await stack.enter_async_context(s3.open_store(place_of(first)))
        return Deliveries(
            stack,
            store=store,
            folder=Path(tempfile.gettempdir()),
            overwrite=first.overwrite,
            note=self._note,
        )

    async def _execute(self, name: str) -> None:
        try:
            self._ends[name] = await self._runs[name].execute()
        except BatchResendError as error:
            if not self._approved and self._ends and isinstance(error, Interrupted | Refused):
                return  # because of another, which has said why
            self._ends[name] = error
            if not self._approved:
                self.stop()

    async def _confirm(self, name: str, preview: Preview) -> bool:
        """Wait until all are planned; whoever comes last asks for all."""
        self._previews[name] = preview
        if len(self._previews) < len(self._runs):
            await self._answered.wait()
            return self._approved
        together = PoolsPreview({each: self._previews[each] for each in self._runs})
        approved = await self._ask(together)
        if approved:
            self._take_places()
            for quota in together.quotas:
                if len(quota.pools) > 1:
                    pace = SharedPace(Pace(quota.ceiling))
                    for each in quota.pools:
                        self._runs[each].share(pace)
        self._approved = approved
        self._answered.set()
        return approved

    def _take_places(self) -> None:
        """Let all files replace what is there; one that cannot ends all. Raises `ReportError`."""
        assert self._deliveries is not None  # noqa: S101 - for the type checker
        self._deliveries.take_places()
        for run in self._runs.values():
            run.take_places()


class _Member(Observer):
    """Watches one pool's run; the question waits for the others."""

    def __init__(
        self, own: Observer, name: str, confirm: Callable[[str, Preview], Awaitable[bool]]
    ) -> None:
        self._own = own
        self._name = name
        self._confirm = confirm

    def note(self, text: str) -> None:
        self._own.note(text)

    def planned(self, rows: Iterable[Planned], heading: str, encoding: str) -> None:
        self._own.planned(rows, heading, encoding)

    async def confirm(self, preview: Preview) -> bool:
        return await self._confirm(self._name, preview)

    def waiting(self, why: str, seconds: float) -> None:
        self._own.waiting(why, seconds)

    def settled(self, result: Result) -> None:
        self._own.settled(result)

    def began(self, job: Job) -> None:
        self._own.began(job)


def _check_begun(ends: Mapping[str, Summary | BatchResendError]) -> None:
    """Raise why nobody could be written to, where no pool has a summary."""
    errors = {name: end for name, end in ends.items() if isinstance(end, BatchResendError)}
    if len(errors) == len(ends):
        first = next(iter(errors.values()))
        raise first if isinstance(first, Interrupted | Refused) else PoolsFailed(errors)


def check_apart(settings: Mapping[str, Settings], summary: str | None = None) -> None:
    """Refuse pools that would share a ledger, a file or an input; raises `UsageError`."""
    _check_clients(settings)
    written: dict[str, tuple[str, str]] = {}
    if summary is not None:
        written[_place(summary)] = ("all pools", _SUMMARY)
    for name, each in settings.items():
        ledger = [] if each.ledger is None else [("--ledger", each.ledger)]
        for option, path in (*ledger, *each.outputs()):
            if path == "/dev/null":
                continue
            other = written.setdefault(_place(path), (f"pool {name}", option))
            if other != (f"pool {name}", option):
                raise UsageError(
                    f"{option} {path} of pool {name} is {other[1]} of {other[0]} too: give each"
                    " a place of its own; {pool} in a path stands for the pool's name."
                )
    for name, each in settings.items():
        for _, path in each.inputs():
            if path != "-" and _place(path) in written:
                whose, option = written[_place(path)]
                raise UsageError(f"{option} {path} of {whose} would replace an input of {name}.")
    _only_one(
        (name for name, each in settings.items() if each.users == "-"),
        "read their users from standard input, which one of them can: give each a file.",
    )
    if _SECRET in os.environ:
        _only_one(
            (name for name, each in settings.items() if not _has_secret(each)),
            f"would take the secret in {_SECRET}, which is that of one client: give each its own,"
            " by client-secret-file in its table.",
        )


def _check_clients(settings: Mapping[str, Settings]) -> None:
    clients: dict[tuple[str, ...], list[str]] = {}
    for name, each in settings.items():
        if each.client_id:
            where = each.pool_region or f"profile {each.profile}"
            clients.setdefault((where, each.client_id, each.endpoint_url), []).append(name)
    for names in clients.values():
        _only_one(names, "have the same client and Region, so the same people: take one out.")


def _only_one(names: Iterable[str], sentence: str) -> None:
    if len(several := list(names)) > 1:
        raise UsageError(f"Pools {' and '.join(several)} {sentence}")


def _place(path: str) -> str:
    scheme, mark, rest = path.partition("://")
    if mark:
        return f"{scheme.lower()}://{rest}"  # dynamodb:// and s3:// are known in any case
    return path if path == "-" else os.path.realpath(path)


def _has_secret(settings: Settings) -> bool:
    return bool(
        settings.client_secret_file or settings.client_secret_id or settings.fetch_client_secret
    )
