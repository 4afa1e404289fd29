"""Opening a ledger file: locked, checked, and durable from the first byte.

Durable means: WAL with `synchronous=FULL`, read back and compared, since a switch that
failed unnoticed would cost people a second message; a new ledger is built aside, synced,
renamed into place, and its folder synced. One connection with `locking_mode=EXCLUSIVE`,
set before WAL is (SQLite before 3.51.3 can lose a WAL reset between two connections).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from batch_resend.errors import LedgerError
from batch_resend.ledger.sqlite import lockfile, schema
from batch_resend.ledger.sqlite.connection import LedgerConnection, ledger_errors, refuse_damaged
from batch_resend.ledger.sqlite.ledger import SqliteLedger

_THROWAWAY = ""  #: SQLite's name for a temporary file that vanishes with the connection


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
        """Name the ledger; None is a throwaway one in a temporary file.

        `simulated` None takes either kind. `client` says for which client a new one is
        begun. `must_exist` refuses to begin a new ledger; `read_only` is for looking only:
        a ledger that does not exist is not created. `copy_of` is the ledger that this is a
        copy of, for messages.
        """
        self._path = path
        called = copy_of or path
        self._name = f"ledger {called}" if called else "throwaway ledger"
        self._client = client
        self._case_sensitive = case_sensitive
        self._simulated = simulated
        self._must_exist = must_exist
        self._read_only = read_only
        self._is_new = False
        self._lock: int | None = None
        self._inode: int | None = None

    def __enter__(self) -> SqliteLedger:
        """Lock and open; raises `LedgerHeld` where another run holds it."""
        with ledger_errors(self._name, "cannot be opened"), contextlib.ExitStack() as undo:
            undo.callback(self._unlock)
            target: str | Path = _THROWAWAY
            if self._path is not None and (self._must_exist or not self._read_only):
                self._prepare(self._path)
                target = self._path
            elif self._path is not None and self._path.exists():
                self._lock = lockfile.hold(self._path, self._name)
                self._inode = lockfile.inspect(self._path, self._name)
                target = self._path
            self._db = sqlite3.connect(target, isolation_level=None, check_same_thread=False)
            undo.callback(self._db.close)
            if target == _THROWAWAY:
                self._is_new = True
                schema.create(self._db, self._client, simulated=bool(self._simulated))
            else:
                # Whose file it is comes first: nothing of anybody else's is changed.
                self._db.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
                schema.check_format(self._db, self._name)
                schema.make_durable(self._db)
            ledger = SqliteLedger(self._connection())
            undo.pop_all()
        return ledger

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close and unlock."""
        with ledger_errors(self._name, "cannot be closed"):
            try:
                self._db.close()
            finally:
                self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)  # frees the lock; the file stays, for ever
            self._lock = None

    def _prepare(self, path: Path) -> None:
        lockfile.refuse_network(path)
        if not os.path.lexists(path):
            if self._must_exist:
                self._refuse_new()
            if os.path.lexists(f"{path}-wal"):
                raise LedgerError(
                    f"The {self._name} is gone and only its newest part is left ({path}-wal):"
                    " restore both, or remove that too if you are sure that nobody was written to."
                )
        lockfile.make_durably(path.parent)
        self._lock = lockfile.hold(path, self._name)
        if not os.path.lexists(path):
            self._begin_new(path)
        self._inode = lockfile.inspect(path, self._name)

    def _begin_new(self, path: Path) -> None:
        aside = path.with_name(f"{path.name}.new")
        with contextlib.suppress(FileNotFoundError):
            aside.unlink()  # left by a run that died before it had a ledger
        os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        db = sqlite3.connect(aside, isolation_level=None)
        try:
            schema.pragma(db, "synchronous", "FULL", 2)
            schema.create(db, self._client, simulated=bool(self._simulated))
        finally:
            db.close()
        aside.rename(path)
        lockfile.sync(path.parent)
        self._is_new = True

    def _connection(self) -> LedgerConnection:
        (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            refuse_damaged(self._name)
        meta = dict(self._db.execute("SELECT key, value FROM meta").fetchall())
        simulated = bool(meta["simulated"])
        if self._simulated not in {None, simulated}:
            other = "a simulation" if simulated else "real runs"
            raise LedgerError(
                f"The {self._name} belongs to {other}: name another file with --ledger."
            )
        if self._must_exist and not self._db.execute("SELECT 1 FROM runs LIMIT 1").fetchone():
            self._refuse_new()
        return LedgerConnection(
            db=self._db,
            name=self._name,
            path=self._path,
            secret=meta["secret"],
            simulated=simulated,
            client=meta.get("client", self._client),  # ledgers did not always say
            case_sensitive=self._case_sensitive,
            is_new=self._is_new,
            inode=self._inode,
        )

    def _refuse_new(self) -> NoReturn:
        raise LedgerError(
            f"The {self._name} is not there or knows of no run, and --require-ledger forbids to"
            " begin with a new one: without the old one people may be written to again. Restore"
            " it, or leave the option out once."
        )
