"""The ledger of the settings, opened for writing, for reading a copy, or for erasing."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from batch_resend.aws import clients, s3_address
from batch_resend.aws.endpoints import is_aws, same_endpoint
from batch_resend.errors import (
    BatchResendError,
    InputError,
    LedgerError,
    SettingsError,
    UsageError,
)
from batch_resend.job.summary import error_as_json
from batch_resend.ledger import Extent, Finding, Forgotten, Marked
from batch_resend.ledger.dynamodb.address import TableAddress, is_table, table_address
from batch_resend.ledger.owner import describe
from batch_resend.ledger.sqlite import lockfile
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.ledger.sqlite.ledger import SqliteLedger
from batch_resend.ledger.sqlite.lockfile import files_of
from batch_resend.ledger.sqlite.records import LedgerRecords
from batch_resend.ledger.sqlite.snapshot import looking_at, must_exist
from batch_resend.masking import printable
from batch_resend.run.backends import SIMULATED_CLIENT, Backend, target_of
from batch_resend.settings import LedgerTarget, Settings

if TYPE_CHECKING:
    from batch_resend.ledger.dynamodb.ledger import DynamoLedger
    from batch_resend.ledger.dynamodb.records import DynamoRecords

Where = Path | TableAddress


class SeveralLedgers(UsageError):
    """More than one ledger could be meant."""

    def __init__(self, folder: Path, ledgers: Sequence[Path]) -> None:
        names = ", ".join(printable(file.name) for file in ledgers[:10])
        more = f" and {len(ledgers) - 10} more" if len(ledgers) > 10 else ""
        super().__init__(
            f"{len(ledgers)} ledgers are in {folder}: {names}{more}. Choose one with --ledger, or"
            " with --client-id and --region."
        )
        self.ledgers = tuple(ledgers)


class Erasable(Protocol):
    """A ledger, open for erasing; every method raises `LedgerError`."""

    @property
    def name(self) -> str:
        """How messages call it."""
        ...

    async def forget(self, names: Sequence[str]) -> Forgotten:
        """Erase people, under any of their names."""
        ...

    async def reach(self, names: Sequence[str]) -> Extent:
        """Return what `forget` would erase."""
        ...

    async def older(self, before: float, *, entirely: bool = False) -> Extent:
        """Return what `purge` would erase."""
        ...

    async def purge(self, before: float, *, entirely: bool = False) -> None:
        """Erase the names in old messages, or the messages themselves."""
        ...


class Reconcilable(Protocol):
    """A ledger, open for settling unknown messages; every method raises `LedgerError`."""

    @property
    def name(self) -> str:
        """How messages call it."""
        ...

    def marked(
        self, now: float, *, since: float = 0.0, until: float = math.inf, unknown: bool = False
    ) -> AsyncIterator[Marked]:
        """Yield the messages intended in a span of time with a mark, in any order.

        `unknown` leaves out those whose outcome is known, or that may be in flight now. Times
        are in seconds since the epoch.
        """
        ...

    def key_of(self, name: str) -> bytes:
        """Return the hash of a name, as in `Marked.keys`."""
        ...

    async def settle_unknown(self, findings: Sequence[Finding], now: float) -> int:
        """Store the evidence of unknown messages durably; return the number of changes.

        No message is changed whose outcome is known, and the same finding changes nothing a
        second time. `now` is in seconds since the epoch.
        """
        ...


async def ledger_of(target: LedgerTarget) -> Where:
    """Find the ledger that a run with these settings has, or the only one there is.

    The client is made as a run makes it, for its endpoint is part of the ledger's name;
    nothing is asked of it. Raises `UsageError` where several ledgers could be meant,
    `InputError` where there is none at all.
    """
    if target.ledger is not None:
        if is_table(target.ledger):
            return table_address(target.ledger)
        return Path(target.ledger)
    place = target_of(target)
    if target.client_id:
        async with clients.resend_client(place, timeout=1.0, concurrency=1) as client:
            _, region, endpoint = client
        return default_ledger(region, target.client_id, endpoint)
    folder = state_folder()
    begin = f"{target.pool_region}-" if target.pool_region else ""
    ledgers = sorted(file for file in folder.glob("*.sqlite3") if file.name.startswith(begin))
    if not ledgers:
        raise InputError(
            f"There is no ledger in {folder}"
            + (f" for the Region {target.pool_region}" if begin else "")
            + ". If you keep it elsewhere, use --ledger."
        )
    if len(ledgers) > 1:
        raise SeveralLedgers(folder, ledgers)
    return ledgers[0]


def default_ledger(region: str, client_id: str, endpoint: str) -> Path:
    """Name the ledger of a Region and client (and endpoint, where it is not AWS's)."""
    name = f"{region}-{client_id}"
    if not is_aws(endpoint):
        name += "-" + hashlib.sha256(same_endpoint(endpoint).encode()).hexdigest()[:12]
    return state_folder() / f"{name}.sqlite3"


def ledger_words(settings: Settings) -> str:
    """Return which ledger a run has, before its place is known."""
    if settings.ledger is not None:
        return printable(settings.ledger)
    return "kept for this simulation only" if settings.simulate else "of this Region and client"


def owner(settings: Settings, backend: Backend) -> str:
    """Return the description of the client that a ledger belongs to."""
    own = settings.simulate or is_aws(backend.endpoint)
    endpoint = "" if own else same_endpoint(backend.endpoint)
    return describe(settings.client_id or SIMULATED_CLIENT, backend.region, endpoint)


@contextlib.asynccontextmanager
async def writing(
    settings: Settings, backend: Backend
) -> AsyncIterator[SqliteLedger | DynamoLedger]:
    """Open the ledger of a run; a dry run only reads it. Raises `LedgerError`."""
    options: dict[str, Any] = {
        "client": owner(settings, backend),
        "case_sensitive": bool(settings.case_sensitive),
        "simulated": settings.simulate,
        "must_exist": settings.needs_a_ledger,
        "read_only": settings.dry_run,
    }
    if settings.ledger is not None and is_table(settings.ledger):
        from batch_resend.ledger.dynamodb.ledger import open_ledger

        address, many = table_address(settings.ledger), settings.concurrency
        async with open_ledger(target_of(settings), address, connections=many, **options) as ledger:
            yield ledger
        return
    path: Path | None
    if settings.ledger is not None:
        path = Path(settings.ledger)
    elif settings.simulate:
        path = None
    else:
        path = default_ledger(backend.region, settings.client_id, backend.endpoint)
    if path is not None:
        _keep_reports_apart(settings, path)
    with LedgerFile(path, **options) as opened:
        yield opened


async def note_failed_start(ledger: SqliteLedger | DynamoLedger, error: BatchResendError) -> None:
    """Write down a run that ended before its plan, in a ledger that exists; `status` shows it."""
    if ledger.is_new:
        return
    now, summary = time.time(), json.dumps(error_as_json(error))
    with contextlib.suppress(LedgerError):
        if isinstance(ledger, SqliteLedger):
            ledger.begin(now)
            ledger.finish(summary, now)
        else:
            await ledger.begin(now)
            await ledger.finish(summary, now)


def is_held(where: Where) -> bool | None:
    """Whether a run holds the ledger now; None of one that machines share, or cannot be seen."""
    if not isinstance(where, Path):
        return None
    try:
        return lockfile.is_held(where)
    except OSError:
        return None


@contextlib.asynccontextmanager
async def looking(
    target: LedgerTarget, where: Where, *, only: str | None = None
) -> AsyncIterator[LedgerRecords]:
    """Open a copy of a ledger, real or simulated, for looking only.

    Of a table that machines share only what is known of one person is copied, where it is
    enough. Raises what `looking_at` raises.
    """
    sensitive = bool(target.case_sensitive)
    if isinstance(where, Path):
        with looking_at(where, case_sensitive=sensitive) as copy:
            yield copy
        return
    from batch_resend.ledger.dynamodb import connection, records

    with LedgerFile(None, case_sensitive=sensitive, simulated=None) as copy:
        async with connection.connected(
            target_of(target), where, case_sensitive=sensitive, simulated=None, read_only=True
        ) as table:
            opened = records.DynamoRecords(connection.must_have_begun(table))
            await opened.copy_into(copy.records, only=only)
        yield copy.records


@contextlib.asynccontextmanager
async def erasing(target: LedgerTarget, where: Where) -> AsyncIterator[Erasable]:
    """Open a ledger, real or simulated, to erase in it; raises `InputError` if there is none.

    Raises `LedgerHeld` where a run holds it; one that machines share is never held.
    """
    async with _held(target, where) as ledger:
        yield ledger


@contextlib.asynccontextmanager
async def _held(target: LedgerTarget, where: Where) -> AsyncIterator[_OneFile | DynamoRecords]:
    sensitive = bool(target.case_sensitive)
    if isinstance(where, Path):
        with LedgerFile(must_exist(where), case_sensitive=sensitive, simulated=None) as ledger:
            yield _OneFile(ledger.records)
        return
    from batch_resend.ledger.dynamodb import connection, records

    async with connection.connected(
        target_of(target), where, case_sensitive=sensitive, simulated=None, read_only=True
    ) as table:
        yield records.DynamoRecords(connection.must_have_begun(table))


@contextlib.asynccontextmanager
async def reconciling(target: LedgerTarget, where: Where) -> AsyncIterator[Reconcilable]:
    """Open a ledger, real or simulated, to settle unknown messages by evidence.

    Raises what `erasing` raises.
    """
    async with _held(target, where) as ledger:
        yield ledger


class _OneFile:
    """A ledger in one file, with the methods that ledgers in tables have too."""

    def __init__(self, records: LedgerRecords) -> None:
        self._records = records
        self.name = records.name

    async def forget(self, names: Sequence[str]) -> Forgotten:
        return self._records.forget(names)

    async def reach(self, names: Sequence[str]) -> Extent:
        return self._records.reach(names)

    async def older(self, before: float, *, entirely: bool = False) -> Extent:
        return self._records.older(before, entirely=entirely)

    async def purge(self, before: float, *, entirely: bool = False) -> None:
        self._records.purge(before, entirely=entirely)

    async def marked(
        self, now: float, *, since: float = 0.0, until: float = math.inf, unknown: bool = False
    ) -> AsyncIterator[Marked]:
        del now  # nothing is in flight while this process holds the ledger
        for one in self._records.marked(since=since, until=until, unknown=unknown):
            yield one

    def key_of(self, name: str) -> bytes:
        return self._records.key_of(name)

    async def settle_unknown(self, findings: Sequence[Finding], now: float) -> int:
        return self._records.settle_unknown(findings, now)


def keep_apart(ledger: Where, output: str) -> None:
    """Refuse to write over the ledger or a file that belongs to it; raises `UsageError`."""
    if not isinstance(ledger, Path) or output == "-":
        return
    if os.path.realpath(output) in map(os.path.realpath, files_of(ledger)):
        raise UsageError(
            f"--output {output} belongs to the ledger {ledger}: give it a place of its own."
        )


def _keep_reports_apart(settings: Settings, ledger: Path) -> None:
    """Refuse to write a report over the ledger or one of the files that belong to it."""
    own = {os.path.realpath(file) for file in files_of(ledger)}
    for option, path in settings.outputs():
        if path == "-" or s3_address.is_address(path):
            continue
        if os.path.realpath(path) in own:
            raise UsageError(
                f"{option} {path} belongs to the ledger {ledger}: give it a place of its own."
            )


def state_folder() -> Path:
    """Return the folder of the user's state, with the ledgers; raises `SettingsError`."""
    home = os.environ.get("XDG_STATE_HOME", "")
    if home.startswith("/"):
        return Path(home, "batch-resend")
    try:
        return Path("~/.local/state/batch-resend").expanduser()
    except RuntimeError:
        raise SettingsError(
            "This user has no home directory to keep a ledger in. Name the ledger with --ledger,"
            " or set HOME or XDG_STATE_HOME."
        ) from None
