"""An open ledger file: its identity, its transactions, and how a user is found in it.

`SqliteLedger` writes through it and `LedgerRecords` reads and erases through it, so each
sees the other's changes. A ledger that does not exist yet is an empty database without a
name; the file is created with the first write.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from batch_resend.errors import LedgerError
from batch_resend.ledger import Identity, Unknowns
from batch_resend.ledger.hashing import hashes
from batch_resend.ledger.sqlite import migration, schema
from batch_resend.ledger.sqlite.checksums import PageSums, drop
from batch_resend.ledger.sqlite.wal import pages_in, wal_of
from batch_resend.marks import make_mark

_TO = {  #: by version
    1: "SELECT id, exact, run, state, reason, intended_at, settled_at, NULL, NULL"
    " FROM messages WHERE key = ?",
    2: "SELECT id, exact, run, state, reason, intended_at, settled_at, evidence, reconciled_at"
    " FROM messages WHERE key = ?",
}
_TO_NO_ACCOUNT = " AND id NOT IN (SELECT message FROM aliases)"
_OWNERS = """
SELECT m.key, m.exact, a.exact FROM aliases a JOIN messages m ON m.id = a.message WHERE a.key = ?
"""
_OTHERS = """
SELECT a.key, a.exact, m.exact FROM messages m JOIN aliases a ON a.message = m.id WHERE m.key = ?
"""

_UNKNOWN = """
SELECT count(*), count(CASE WHEN reason = 'not-recorded' THEN 1 END) FROM messages
WHERE state IN ('open', 'unknown')
"""

_LONGEST_WAL = 4 << 20  #: bytes, after which it is copied into the file

#: Run, state, reason, intended and settled at, evidence and when it was found.
Row = tuple[int, str, str | None, float, float, str | None, float | None]
Hashes = tuple[bytes, bytes]  #: of a name: case folded, and as it is


@dataclass(slots=True, eq=False, kw_only=True)
class LedgerConnection:
    """An open database that holds a ledger.

    `path` is the file; None for a throwaway one, a copy, or one that does not exist yet.
    `inode` is set only for a file that nothing but this connection may replace. `file` is
    another descriptor of the file, for the checksums, closed after the database: closing it
    earlier would free SQLite's own lock. `make` creates a ledger that does not exist yet.
    """

    db: sqlite3.Connection
    name: str
    client: str
    case_sensitive: bool
    address: Path | None = None  #: the ledger's path, also before the file exists
    path: Path | None = None
    secret: bytes = b""  #: the key of the hashes of names
    mark_key: bytes = b""  #: the key of the marks of requests
    first_marked_run: int = 0
    version: int = schema.SCHEMA
    simulated: bool = False
    is_new: bool = False
    inode: int | None = None
    file: int = -1
    sums: PageSums | None = None
    make: Callable[[LedgerConnection], None] | None = None
    broken: bool = field(default=False, init=False)  #: whether something has failed
    empty: bool = field(default=True, init=False)
    all_settled: bool = field(default=True, init=False)
    no_aliases: bool = field(default=True, init=False)

    def look(self) -> None:
        """Find out which look-ups can be skipped: most ledgers have no open message."""
        anything = "SELECT 1 FROM messages LIMIT 1"
        anything_open = "SELECT 1 FROM messages WHERE state = 'open' LIMIT 1"
        any_alias = "SELECT 1 FROM aliases LIMIT 1"
        self.empty = self.db.execute(anything).fetchone() is None
        self.all_settled = self.db.execute(anything_open).fetchone() is None
        self.no_aliases = self.db.execute(any_alias).fetchone() is None

    def make_ready(self) -> None:
        """Create a new ledger, or migrate an old one; raises errors."""
        if self.make is not None:
            self.make(self)
            self.make = None
        if self.version != schema.SCHEMA:
            if self.path is not None:
                self.checkpoint()
                migration.keep_copy(self.path, self.file, self.version)
            with self.transaction():
                migration.to_version_2(self.db)
            self.read_meta()

    def read_meta(self) -> dict[str, Any]:
        """Read the ledger's version and metadata."""
        (self.version,) = self.db.execute("PRAGMA user_version").fetchone()
        meta = dict(self.db.execute("SELECT key, value FROM meta").fetchall())
        self.secret, self.mark_key = meta["secret"], meta.get("mark_key", b"")
        self.first_marked_run = meta.get("first_marked_run", 0)
        return meta

    def checkpoint(self) -> None:
        """Copy the `-wal` into the file, write the pages' checksums, empty the `-wal`.

        In this order: see `checksums`.
        """
        if self.path is None:
            return
        with self.or_rolled_back():
            (busy, _, _) = self.db.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
            if busy:
                raise sqlite3.OperationalError("the file could not be written in full")
            self._write_sums(self.path)
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _write_sums(self, path: Path) -> None:
        (run,) = self.db.execute("SELECT coalesce(max(id), 0) FROM runs").fetchone()
        pages: set[int] = set()
        with contextlib.suppress(FileNotFoundError):
            pages = pages_in(wal_of(path).read_bytes())
        if self.sums is None:
            self.sums = PageSums.taken(self.file, run)
        elif pages:
            self.sums.update(self.file, pages, run)
        else:
            return
        self.sums.write(path)

    def checkpoint_if_long(self) -> None:
        """Checkpoint once the `-wal` is long."""
        if self.path is not None and wal_of(self.path).stat().st_size > _LONGEST_WAL:
            self.checkpoint()

    def close(self) -> None:
        """Close the database; what the file holds and its checksums go together.

        If the ledger's last run has no end, an empty `-wal` is created, because SQLite removes
        it: if it is missing later it was lost, and with it the record of codes that were sent.
        """
        unfinished = False
        try:
            if self.path is not None and not self.broken:
                unfinished = has_unfinished_run(self.db)
                self.checkpoint()
        finally:
            if self.path is not None and self.broken:
                drop(self.path)  # SQLite may still copy the `-wal` into the file
                unfinished = True
            self.db.close()
            if self.file >= 0:
                os.close(self.file)
                self.file = -1
            if self.path is not None and unfinished and self.path.exists():
                with contextlib.suppress(OSError):
                    wal_of(self.path).touch(0o600)

    def count_unknown(self) -> Unknowns:
        """Return how many messages are unknown, over all runs."""
        with self.errors("cannot be read"):
            return Unknowns(*self.db.execute(_UNKNOWN).fetchone())

    def find(self, user: Identity) -> dict[int, Row]:
        """Find the messages to a user, each once, as `Identity` has it."""
        own = self.hashes(user.username)
        rows = self._sent_to(own)
        others = [self.hashes(alias) for alias in user.aliases] if user.listed else []
        if not self.no_aliases:
            owners = [] if user.listed else self._linked(_OWNERS, own)
            for owner in [own, *owners] if rows else owners:
                others += self._linked(_OTHERS, owner)
            for owner in dict.fromkeys(owners):
                rows |= self._sent_to(owner)
        for other in dict.fromkeys(others):
            rows |= self._sent_to(other, "" if self.no_aliases else _TO_NO_ACCOUNT)
        return rows

    def hashes(self, name: str) -> Hashes:
        """Hash a name under this ledger's key."""
        return hashes(self.secret, name)

    def mark(self, message: int, intended_at: float) -> str:
        """Return the mark of a message's request; it includes the time, as numbers are reused."""
        return make_mark(self.mark_key, f"{message} {intended_at!r}".encode())

    def _sent_to(self, name: Hashes, more: str = "") -> dict[int, Row]:
        key, exact = name
        return {
            message: tuple(row)
            for message, sent_to, *row in self.db.execute(_TO[self.version] + more, (key,))
            if not self.case_sensitive or sent_to == exact
        }

    def _linked(self, query: str, name: Hashes) -> list[Hashes]:
        """Return the names that were noted together with this one."""
        key, exact = name
        return [
            (other, other_exact)
            for other, other_exact, as_noted in self.db.execute(query, (key,))
            if not self.case_sensitive or as_noted == exact
        ]

    def check_place(self) -> None:
        """Raise `LedgerError` if the file was removed or replaced while it is open."""
        if self.inode is None or self.path is None:
            return
        with contextlib.suppress(FileNotFoundError):
            if self.path.stat().st_ino == self.inode:
                return
        raise LedgerError(
            f"The {self.name} was removed or replaced while this run had it open. Restore it"
            " before the next run."
        )

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what the block writes durable, all or none."""
        self.db.execute("BEGIN IMMEDIATE")
        with self.or_rolled_back():
            yield
            self.db.execute("COMMIT")

    @contextlib.contextmanager
    def or_rolled_back(self) -> Iterator[None]:
        """Roll back if the block fails."""
        try:
            yield
        except BaseException as error:
            # What a failed commit has written is unknown: never repeat it, only roll back.
            self.broken = self.broken or isinstance(error, (sqlite3.Error, OSError))
            with contextlib.suppress(sqlite3.Error):
                self.db.execute("ROLLBACK")
            raise

    def errors(self, what: str) -> contextlib.AbstractContextManager[None]:
        """Turn errors in the block into a `LedgerError`."""
        return ledger_errors(self.name, what)


@contextlib.contextmanager
def ledger_errors(name: str, what: str) -> Iterator[None]:
    """Turn errors of SQLite and the operating system into a `LedgerError`."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_CORRUPT:
            refuse_damaged(name)
        text = str(error) if isinstance(error, sqlite3.Error) else error.strerror
        raise LedgerError(
            f"The {name} {what} ({text}). No messages are sent without it. Make it"
            " writable, free disk space or restore it, then run again."
        ) from error


def has_unfinished_run(db: sqlite3.Connection) -> bool:
    """Whether the last run has no end."""
    last = db.execute("SELECT finished_at FROM runs ORDER BY id DESC LIMIT 1").fetchone()
    return last is not None and last[0] is None


def refuse_damaged(name: str, sums: Path | None = None) -> NoReturn:
    """Raise `LedgerError`: the file is damaged, or does not match its checksums."""
    restored = "" if sums is None else f" If it is a backup already, remove {sums}."
    raise LedgerError(
        f"The {name} is damaged. Restore it from a backup: a new one would not know who"
        f" was sent a code.{restored}"
    )
