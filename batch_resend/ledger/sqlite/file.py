"""Opening a ledger file: locked, checked, and durable from the first byte.

Durable means: WAL with `synchronous=FULL`, read back and compared, since a setting that
failed unnoticed would cost people a second message; a new ledger is built aside, synced,
renamed into place, and its directory synced. One connection with `locking_mode=EXCLUSIVE`,
set before WAL is (SQLite before 3.51.3 can lose a WAL reset between two connections).

A ledger that does not exist is created by the first run that writes to it, not by a dry
run. At the start it is checked for what could have been lost or changed: see `checksums`
and `wal`, and the `-wal` of a run that has no end.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from batch_resend.errors import LedgerError, LedgerHeld
from batch_resend.ledger.sqlite import lockfile, schema
from batch_resend.ledger.sqlite.checksums import PageSums, sums_of
from batch_resend.ledger.sqlite.connection import (
    LedgerConnection,
    has_unfinished_run,
    ledger_errors,
    refuse_damaged,
)
from batch_resend.ledger.sqlite.ledger import SqliteLedger
from batch_resend.ledger.sqlite.wal import DamagedWal, Wal, read_wal, wal_of

_THROWAWAY = ""  #: SQLite's name for a temporary file that vanishes with the connection
_BUSY = 0.2  #: seconds to wait for SQLite's own lock, which a run holds to its end


class LedgerFile:
    """A ledger that is locked and open inside the `with` block, which gets a `SqliteLedger`."""

    def __init__(
        self,
        path: Path | None,
        *,
        case_sensitive: bool = False,
        simulated: bool | None = False,
        client: str = "",
        must_exist: bool = False,
        read_only: bool = False,
        copy_of: Path | None = None,
    ) -> None:
        """Prepare to open a ledger; path None is a throwaway one in a temporary file.

        `simulated` None accepts either kind. `client` is the client for which a new one is
        created. `must_exist` refuses to create a new ledger; `read_only` only reads.
        `copy_of` is the ledger that this is a copy of, for messages.
        """
        self._path = path
        called = copy_of or path
        self._name = f"ledger {called}" if called else "throwaway ledger"
        self._client = client
        self._case_sensitive = case_sensitive
        self._simulated = simulated
        self._must_exist = must_exist
        self._read_only = read_only
        self._is_copy = copy_of is not None
        self._lock: int | None = None
        self._connection: LedgerConnection

    def __enter__(self) -> SqliteLedger:
        """Lock and open; raises `LedgerHeld` where another run holds it."""
        with ledger_errors(self._name, "cannot be opened"), contextlib.ExitStack() as undo:
            undo.callback(self._unlock)
            if self._path is not None and (self._must_exist or not self._read_only):
                self._prepare(self._path)
            elif self._path is not None and os.path.lexists(self._path):
                self._lock = lockfile.hold(self._path, self._name)
            if self._path is not None and os.path.lexists(self._path):
                self._connection = self._opened(self._path)
            else:
                self._connection = self._throwaway()
            undo.pop_all()
        return SqliteLedger(self._connection)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close and unlock."""
        with ledger_errors(self._name, "cannot be closed"):
            try:
                self._connection.close()
            finally:
                self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)  # frees the lock; the file is never removed
            self._lock = None

    # -- a ledger that does not exist ----------------------------------------------

    def _prepare(self, path: Path) -> None:
        lockfile.refuse_network(path)
        if not os.path.lexists(path):
            if self._must_exist:
                self._refuse_new()
            if os.path.lexists(wal_of(path)):
                raise LedgerError(
                    f"The {self._name} is missing; only its newest part is left ({wal_of(path)})."
                    " Restore both, or remove that too if you are sure that no messages were sent."
                )
        lockfile.make_durably(path.parent)
        self._lock = lockfile.hold(path, self._name)

    def _throwaway(self) -> LedgerConnection:
        """Return an empty ledger without a file; a writable one gets its file later."""
        db = sqlite3.connect(_THROWAWAY, isolation_level=None, check_same_thread=False)
        schema.create(db, self._client, simulated=bool(self._simulated))
        connection = self._described(db)
        connection.is_new = True
        if self._path is not None and not self._read_only:
            connection.make = self._make
        return connection

    def _make(self, connection: LedgerConnection) -> None:
        """Create the file of a new ledger, and switch the connection to it."""
        assert self._path is not None  # noqa: S101 - for the type checker: it is what is made
        path = self._path
        aside = path.with_name(f"{path.name}.new")
        with contextlib.suppress(FileNotFoundError):
            sums_of(path).unlink()  # left by a run that died before it had a ledger
        os.close(lockfile.create_private(aside))
        db = sqlite3.connect(aside, isolation_level=None)
        try:
            schema.pragma(db, "synchronous", "FULL", 2)
            schema.create(db, self._client, simulated=bool(self._simulated))
        finally:
            db.close()
        aside.rename(path)
        lockfile.sync(path.parent)
        opened = self._opened(path)
        connection.db.close()
        connection.db, connection.path, connection.file = opened.db, path, opened.file
        connection.inode, connection.sums = opened.inode, opened.sums
        connection.read_meta()

    # -- a ledger that exists ------------------------------------------------------

    def _opened(self, path: Path) -> LedgerConnection:
        inode = lockfile.inspect(path, self._name)
        with contextlib.ExitStack() as undo:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            undo.callback(os.close, file)
            has_wal = os.path.lexists(wal_of(path))
            wal = self._read_wal(path)
            db = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
            undo.callback(db.close)
            self._configure(db)
            sums = self._verify(db, path, file, wal)
            connection = self._described(db)
            if not self._is_copy:
                if connection.version > 1 and not has_wal and has_unfinished_run(db):
                    self._refuse_lost_wal(path)
                connection.path, connection.inode = path, inode
                connection.file, connection.sums = file, sums
            undo.pop_all()
            if self._is_copy:
                os.close(file)
        return connection

    def _configure(self, db: sqlite3.Connection) -> None:
        try:
            # The format is checked first: no file of another program is changed.
            db.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
            schema.check_format(db, self._name)
            schema.make_durable(db)
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            # The same file under another name, which has another lock.
            raise LedgerHeld(
                f"Another run holds the {self._name} under another name of the file (a hard"
                " link): this run made no request. Wait for it to end, then run again, and give"
                " all runs the same name."
            ) from error

    def _read_wal(self, path: Path) -> Wal:
        try:
            return read_wal(wal_of(path).read_bytes())
        except FileNotFoundError:
            return Wal()
        except DamagedWal:
            refuse_damaged(self._name)

    def _verify(self, db: sqlite3.Connection, path: Path, file: int, wal: Wal) -> PageSums | None:
        """Detect changes that no run has made; return the checksums that match."""
        if self._is_copy:
            self._check(db, "quick_check")
            return None
        sums = PageSums.read(path)
        if sums is not None and sums.fit(file, wal):
            return sums
        self._check(db, "integrity_check")
        if sums is not None:
            (run,) = db.execute("SELECT coalesce(max(id), 0) FROM runs").fetchone()
            if run == sums.run:
                refuse_damaged(self._name, sums_of(path))
        return None

    def _check(self, db: sqlite3.Connection, how: str) -> None:
        (verdict,) = db.execute(f"PRAGMA {how}(1)").fetchone()
        if verdict != "ok":
            refuse_damaged(self._name)

    def _described(self, db: sqlite3.Connection) -> LedgerConnection:
        connection = LedgerConnection(
            db=db,
            name=self._name,
            client=self._client,
            case_sensitive=self._case_sensitive,
            address=self._path,
        )
        meta = connection.read_meta()
        simulated = bool(meta["simulated"])
        if self._simulated not in {None, simulated}:
            other = "a simulation" if simulated else "real runs"
            raise LedgerError(
                f"The {self._name} belongs to {other}. Choose another file with --ledger."
            )
        if self._must_exist and not db.execute("SELECT 1 FROM runs LIMIT 1").fetchone():
            self._refuse_new()
        connection.simulated = simulated
        connection.client = meta.get("client", self._client)  # not stored by early versions
        connection.look()
        return connection

    def _refuse_lost_wal(self, path: Path) -> NoReturn:
        raise LedgerError(
            f"The newest part of the {self._name} is missing ({wal_of(path)}), and its last run has"
            " no end: codes that this run has sent would be sent again. Restore both files. If the"
            " part is lost and you accept second messages, create an empty file in its"
            f" place: touch {shlex.quote(str(wal_of(path)))}"
        )

    def _refuse_new(self) -> NoReturn:
        raise LedgerError(
            f"The {self._name} does not exist or has no runs. Without the old one, users may be"
            " sent a second message. Restore it, or allow a new one with --create-ledger."
        )
