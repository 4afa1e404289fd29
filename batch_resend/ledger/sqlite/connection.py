"""An open ledger file: its identity, its transactions, and how a user is found in it.

`SqliteLedger` writes through it and `LedgerRecords` reads and erases through it, so what
one of them changes the other knows.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from batch_resend.errors import LedgerError
from batch_resend.ledger import Identity
from batch_resend.ledger.hashing import hashes

_TO = "SELECT id, exact, run, state, intended_at, settled_at FROM messages WHERE key = ?"
_OWNERS = """
SELECT m.key, m.exact, a.exact FROM aliases a JOIN messages m ON m.id = a.message WHERE a.key = ?
"""
_OTHERS = """
SELECT a.key, a.exact, m.exact FROM messages m JOIN aliases a ON a.message = m.id WHERE m.key = ?
"""

Row = tuple[int, str, float, float]  #: run, state, intended and settled at
Hashes = tuple[bytes, bytes]  #: of a name: case folded, and as it is


@dataclass(slots=True, eq=False, kw_only=True)
class LedgerConnection:
    """An open database that has been found to be a ledger.

    `path` None is a throwaway one; `inode` is known only of a file that nothing but this
    connection may replace.
    """

    db: sqlite3.Connection
    name: str
    path: Path | None
    secret: bytes
    simulated: bool
    client: str
    case_sensitive: bool = False
    is_new: bool = False
    inode: int | None = None
    empty: bool = field(default=True, init=False)
    all_settled: bool = field(default=True, init=False)
    no_aliases: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        """See what there is."""
        self.look()

    def look(self) -> None:
        """See what can be left out: most runs find nothing open, many find nothing at all."""
        anything = "SELECT 1 FROM messages LIMIT 1"
        anything_open = "SELECT 1 FROM messages WHERE state = 'open' LIMIT 1"
        any_alias = "SELECT 1 FROM aliases LIMIT 1"
        self.empty = self.db.execute(anything).fetchone() is None
        self.all_settled = self.db.execute(anything_open).fetchone() is None
        self.no_aliases = self.db.execute(any_alias).fetchone() is None

    def count_unknown(self) -> int:
        """How many messages are unknown, over all runs."""
        with self.errors("cannot be read"):
            (count,) = self.db.execute(
                "SELECT count(*) FROM messages WHERE state IN ('open', 'unknown')"
            ).fetchone()
        return int(count)

    def find(self, user: Identity) -> dict[int, Row]:
        """Find the messages to a user, each once, as `Identity` has it."""
        own = self.hashes(user.username)
        found = self._sent_to(own)
        others = [self.hashes(alias) for alias in user.aliases] if user.listed else []
        if not self.no_aliases:
            owners = self._linked(_OWNERS, own)
            others += owners
            for owner in [own, *owners] if found else owners:
                others += self._linked(_OTHERS, owner)
        for other in dict.fromkeys(others):
            found |= self._sent_to(other)
        return found

    def hashes(self, name: str) -> Hashes:
        """Hash a name under this ledger's key."""
        return hashes(self.secret, name)

    def _sent_to(self, name: Hashes) -> dict[int, Row]:
        key, exact = name
        return {
            message: (run, state, intended_at, settled_at)
            for message, sent_to, run, state, intended_at, settled_at in self.db.execute(
                _TO, (key,)
            )
            if not self.case_sensitive or sent_to == exact
        }

    def _linked(self, query: str, name: Hashes) -> list[Hashes]:
        """The names that were noted together with this one."""
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
            f"The {self.name} was removed or replaced while this run had it open: restore it"
            " before anybody else is written to."
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
        except BaseException:
            # What a failed commit left behind is unknown: never repeat it, only let go.
            with contextlib.suppress(sqlite3.Error):
                self.db.execute("ROLLBACK")
            raise

    def errors(self, what: str) -> contextlib.AbstractContextManager[None]:
        """Say what goes wrong in the block as a `LedgerError`."""
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
            f"The {name} {what} ({text}): nobody is written to without it. Make it"
            " writable, free disk space or restore it, then run again."
        ) from error


def refuse_damaged(name: str) -> NoReturn:
    """Raise `LedgerError`: the file is damaged."""
    raise LedgerError(
        f"The {name} is damaged: restore it from a backup. A new one would not know who"
        " has been written to."
    )
