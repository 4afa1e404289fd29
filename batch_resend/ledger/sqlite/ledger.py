"""The ledger in one SQLite file, held by one run at a time.

Synchronous: every method returns when the file has it. `write` takes in any number of
steps, and `commit` makes them durable with one sync, all or none of them.

Durable means: WAL with `synchronous=FULL`, read back and compared, since a switch that
failed unnoticed would cost people a second message; a new ledger is built aside, synced,
renamed into place, and its folder synced. One connection with `locking_mode=EXCLUSIVE`,
set before WAL is (SQLite before 3.51.3 can lose a WAL reset between two connections).

Names are looked up by a keyed hash (the key lies in the ledger), so that a person can
be erased and the promise kept. What is erased is gone from the file, not only from its
rows: the file is written anew, and the `-wal` emptied.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import re
import secrets
import sqlite3
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from batch_resend.errors import LedgerError, LedgerHeld
from batch_resend.ledger import (
    Barred,
    Forgotten,
    Intend,
    Interrupted,
    Message,
    Names,
    PastRun,
    Step,
)
from batch_resend.ledger.hashing import hashes
from batch_resend.ledger.policy import NOBODY, History, judge_history
from batch_resend.model import Reason

SCHEMA = 1
_APPLICATION_ID = 0x42525344  # "BRSD": tells a ledger from any other SQLite file
_GLANCES, _GLANCE = 5, 0.02  #: times, seconds apart: `is_held` has the lock for a moment
_THROWAWAY = ""  #: SQLite's name for a temporary file that vanishes with the connection
_NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs"}

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    started_at REAL NOT NULL,    -- seconds since the epoch, like every time here
    process INTEGER NOT NULL,
    finished_at REAL,            -- NULL: it runs, or it died
    summary TEXT                 -- JSON
);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    key BLOB NOT NULL,           -- keyed hash of the name, case folded
    exact BLOB NOT NULL,         -- keyed hash of the name as it was sent
    name TEXT,                   -- NULL once the person has been erased
    state TEXT NOT NULL,         -- open, sent, unknown, failed, skipped
    reason TEXT,
    intended_at REAL NOT NULL,
    settled_at REAL
);
CREATE INDEX messages_by_key ON messages (key);
CREATE UNIQUE INDEX one_open_intent_a_user ON messages (exact) WHERE state = 'open';
CREATE INDEX unsettled ON messages (state) WHERE state IN ('open', 'unknown');
CREATE TABLE aliases (           -- other names of the user of a message
    key BLOB NOT NULL,
    message INTEGER NOT NULL,
    exact BLOB NOT NULL,
    PRIMARY KEY (key, message)
) WITHOUT ROWID;
CREATE INDEX aliases_by_message ON aliases (message);
"""

_TO = "SELECT id, exact, run, state, intended_at, settled_at FROM messages WHERE key = ?"
_OWNERS = """
SELECT m.key, m.exact, a.exact FROM aliases a JOIN messages m ON m.id = a.message WHERE a.key = ?
"""
_OTHERS = """
SELECT a.key, a.exact, m.exact FROM messages m JOIN aliases a ON a.message = m.id WHERE m.key = ?
"""

_MESSAGES = "SELECT run, key, exact, name, state, reason, intended_at, settled_at FROM messages "
_COUNT_OLDER = """
SELECT count(*), count(CASE WHEN state IN ('open', 'unknown') THEN 1 END) FROM messages
WHERE coalesce(settled_at, intended_at) < ? AND (name IS NOT NULL OR ?)
"""
_ERASE_OLDER = "UPDATE messages SET name = NULL WHERE coalesce(settled_at, intended_at) < ?"
_REMOVE_OLDER = (
    "DELETE FROM aliases WHERE message IN"
    " (SELECT id FROM messages WHERE coalesce(settled_at, intended_at) < ?)",
    "DELETE FROM messages WHERE coalesce(settled_at, intended_at) < ?",
)

_CHOSEN = "CREATE TEMP TABLE chosen (message INTEGER PRIMARY KEY)"
_CHOOSE = "INSERT OR IGNORE INTO chosen VALUES (?)"

_ARRIVED = (
    "CREATE TEMP TABLE IF NOT EXISTS arrived"
    " (run, key, exact, name, state, reason, intended_at, settled_at)"
)
_OTHERS_ARRIVED = "CREATE TEMP TABLE IF NOT EXISTS others (key, message, exact)"
_ARRANGE = (
    "DROP INDEX one_open_intent_a_user",  # a copy tells what is there, whatever it is
    _ARRIVED,
    _OTHERS_ARRIVED,
    "CREATE TEMP TABLE place AS SELECT rowid AS message,"
    " row_number() OVER (ORDER BY intended_at, rowid) AS id FROM arrived",
    "CREATE UNIQUE INDEX temp.by_message ON place (message)",
    "INSERT INTO messages SELECT p.id, a.* FROM place p JOIN arrived a ON a.rowid = p.message"
    " ORDER BY p.id",
    "INSERT INTO aliases SELECT o.key, p.id, o.exact"
    " FROM others o JOIN place p ON p.message = o.message WHERE true"
    " ON CONFLICT DO NOTHING",
    *(f"DROP TABLE temp.{table}" for table in ("arrived", "others", "place")),
)


_Row = tuple[int, str, float, float]  #: run, state, intended and settled at


class SqliteLedger:
    """An open ledger, locked for this run. Use as a context manager.

    Every method raises `LedgerError` where the file cannot be trusted or written; after
    a failed commit nothing is tried again.
    """

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

        `simulated` None takes either kind. `client` says for which client a new one is begun;
        of an old one it says so once it is open. `must_exist` refuses to begin a new ledger;
        `read_only` is for looking only: a ledger that does not exist is not created.
        `copy_of` is the ledger that this is a copy of, for messages.
        """
        self.path = path
        self._called = copy_of or path
        self.is_new = False
        self.client = client
        self._case_sensitive = case_sensitive
        self._simulated = simulated
        self._must_exist = must_exist
        self._read_only = read_only
        self._run = 0
        self._secret = b""
        self._empty = self._all_settled = self._no_aliases = True
        self._lock: int | None = None
        self._inode: int | None = None

    @property
    def address(self) -> Path | None:
        """Where it lies; None for a throwaway one."""
        return self.path

    @property
    def name(self) -> str:
        """How messages call the ledger."""
        return f"ledger {self._called}" if self._called else "throwaway ledger"

    @property
    def is_simulated(self) -> bool:
        """Whether it belongs to simulations."""
        return bool(self._simulated)

    def __enter__(self) -> SqliteLedger:
        """Lock and open; raises `LedgerHeld` where another run holds it."""
        with self._errors("cannot be opened"), contextlib.ExitStack() as undo:
            undo.callback(self._unlock)
            target: str | Path = _THROWAWAY
            if self.path is not None and (self._must_exist or not self._read_only):
                self._prepare(self.path)
                target = self.path
            elif self.path is not None and self.path.exists():
                self._hold(self.path)
                self._inspect(self.path)
                target = self.path
            self._db = sqlite3.connect(target, isolation_level=None, check_same_thread=False)
            undo.callback(self._db.close)
            if target == _THROWAWAY:
                self.is_new = True
                _create(self._db, self.client, simulated=self.is_simulated)
            else:
                self._configure()
            self._read_meta()
            undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close and unlock."""
        with self._errors("cannot be closed"):
            try:
                self._db.close()
            finally:
                self._unlock()

    # -- what a run needs ----------------------------------------------------------

    def latest(self) -> float:
        """The newest time in the ledger, in seconds since the epoch (0 if empty).

        A clock that was set back since must not shorten a cooldown, so a run's time
        never begins before this.
        """
        with self._errors("cannot be read"):
            (latest,) = self._db.execute(
                "SELECT max(coalesce(max(intended_at), 0), coalesce(max(settled_at), 0))"
                " FROM messages"
            ).fetchone()
        return float(latest)

    def begin(self, at: float) -> int:
        """Write down that a run begins; return its number."""
        with self._errors("cannot be written"), self._transaction():
            cursor = self._db.execute(
                "INSERT INTO runs (started_at, process) VALUES (?, ?)", (at, os.getpid())
            )
            self._run = cursor.lastrowid or 0
            self._look()
        if self.path is not None:
            with self._errors("cannot be written"):
                _sync(self.path.parent)  # SQLite overlooks it where this fails for the new log
        return self._run

    def finish(self, summary: str, at: float) -> None:
        """Write down how the run ended; `summary` is JSON."""
        with self._errors("cannot be written"), self._transaction():
            self._db.execute(
                "UPDATE runs SET finished_at = ?, summary = ? WHERE id = ?",
                (at, summary, self._run),
            )

    def history(self, names: Names) -> History:
        """What is known of a user, under each of their names."""
        if self._empty:
            return NOBODY
        with self._errors("cannot be read"):
            return _history(self._find(names))

    def unknown(self) -> int:
        """How many messages nobody can prove or disprove, over all runs."""
        with self._errors("cannot be read"):
            (count,) = self._db.execute(
                "SELECT count(*) FROM messages WHERE state IN ('open', 'unknown')"
            ).fetchone()
        return int(count)

    def write(self, steps: Sequence[Step]) -> list[int | Barred]:
        """Take the steps in; nothing is durable before `commit`, and then all or none.

        The answer to an `Intend` is the number of the intent, or `Barred` where it is not
        allowed any more and was left out; to the others it is 0.
        """
        self._check_place()
        with self._errors("cannot be written"):
            self._db.execute("BEGIN IMMEDIATE")
            with self._or_let_go():
                return [self._apply(step) for step in steps]

    def commit(self) -> None:
        """Make durable what was written; all that waits for the disk waits here."""
        with self._errors("cannot be written"), self._or_let_go():
            self._db.execute("COMMIT")

    def _check_place(self) -> None:
        """Notice where the file was removed or replaced while it is open."""
        if self._inode is None or self.path is None:
            return
        with contextlib.suppress(FileNotFoundError):
            if self.path.stat().st_ino == self._inode:
                return
        raise LedgerError(
            f"The {self.name} was removed or replaced while this run had it open: restore it"
            " before anybody else is written to."
        )

    # -- looking back --------------------------------------------------------------

    def runs(self) -> list[PastRun]:
        """All runs so far, the oldest first."""
        with self._errors("cannot be read"):
            return [
                PastRun(number, started_at, finished_at, json.loads(summary or "{}"))
                for number, started_at, finished_at, summary in self._db.execute(
                    "SELECT id, started_at, finished_at, summary FROM runs ORDER BY id"
                )
            ]

    def messages(self, *, unknown: bool = False) -> Iterator[Message]:
        """Yield all messages, or the unknown ones, the oldest first."""
        where = "WHERE state IN ('open', 'unknown')" if unknown else ""
        return self._messages(f"{where} ORDER BY id")

    def users(self) -> Iterator[list[Message]]:
        """Yield the messages to each user, the oldest first."""
        order = "key, exact, id" if self._case_sensitive else "key, id"
        found = self._messages(f"ORDER BY {order}")
        for _, messages in itertools.groupby(found, key=lambda message: message.user):
            yield list(messages)

    def find(self, names: Names) -> set[bytes]:
        """The `Message.user` of everything that `history` knows of a user."""
        if self._empty:
            return set()
        with self._errors("cannot be read"):
            found = self._find(names)
        return {message.user for n in found for message in self._messages("WHERE id = ?", (n,))}

    def person(self, name: str) -> list[Message]:
        """All messages to whoever bears the name, under any of their names, oldest first."""
        with self._errors("cannot be read"), self._chosen([name]):
            return list(self._messages("WHERE id IN (SELECT message FROM chosen) ORDER BY id"))

    # -- as a copy of a ledger that is no file -------------------------------------

    def gather(
        self, messages: Iterable[tuple[Message, bytes, Iterable[tuple[bytes, bytes]]]]
    ) -> None:
        """Take messages in any order, each with its exact hash and its other names' hashes."""
        with self._errors("cannot be filled"), self._transaction():
            self._db.execute(_ARRIVED)
            self._db.execute(_OTHERS_ARRIVED)
            for message, exact, others in messages:
                cursor = self._db.execute(
                    "INSERT INTO arrived VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        message.run, message.user, exact, message.name, message.state,
                        message.reason, message.intended_at, message.settled_at,
                    ),
                )  # fmt: skip
                self._db.executemany(
                    "INSERT INTO others VALUES (?, ?, ?)",
                    [(key, cursor.lastrowid, other) for key, other in others],
                )

    def arrange(self, secret: bytes, runs: Iterable[PastRun], *, simulated: bool) -> None:
        """Put what was gathered in order: from now on this is the copy."""
        with self._errors("cannot be filled"), self._transaction():
            for statement in _ARRANGE:
                self._db.execute(statement)
            self._db.executemany(
                "INSERT INTO runs VALUES (?, ?, 0, ?, ?)",
                [(run.number, run.started_at, run.finished_at, json.dumps(dict(run.summary)))
                 for run in runs],
            )  # fmt: skip
        self._secret, self._simulated = secret, simulated
        self._look()

    # -- erasing -------------------------------------------------------------------

    def forget(self, names: Sequence[str]) -> Forgotten:
        """Erase people, under any of their names; what they were sent still counts."""
        self._check_place()
        with (
            self._errors("cannot be written"),
            self._transaction(),
            self._chosen(names) as unknown,
        ):
            erased = self._db.execute(
                "UPDATE messages SET name = NULL"
                " WHERE name IS NOT NULL AND id IN (SELECT message FROM chosen)"
            ).rowcount
        self._scrub()
        return Forgotten(erased, tuple(unknown))

    def older(self, before: float, *, entirely: bool = False) -> tuple[int, int]:
        """How many messages `purge` would erase, and how many of these are unknown."""
        with self._errors("cannot be read"):
            count, unknown = self._db.execute(_COUNT_OLDER, (before, entirely)).fetchone()
        return int(count), int(unknown)

    def purge(self, before: float, *, entirely: bool = False) -> None:
        """Erase the names in messages settled before then, or intended if never settled.

        `entirely` forgets that they were sent, too: they count no more.
        """
        self._check_place()
        with self._errors("cannot be written"), self._transaction():
            for statement in _REMOVE_OLDER if entirely else (_ERASE_OLDER,):
                self._db.execute(statement, (before,))
            self._look()
        self._scrub()

    @contextlib.contextmanager
    def _chosen(self, names: Sequence[str]) -> Iterator[list[str]]:
        """Put the messages of some people into the table `chosen`; yield unknown names."""
        unknown = []
        self._db.execute(_CHOSEN)
        for name in names:
            found = self._find(Names(name))
            self._db.executemany(_CHOOSE, [(message,) for message in found])
            if not found:
                unknown.append(name)
        yield unknown
        self._db.execute("DROP TABLE chosen")

    def _messages(self, rest: str, given: tuple[int, ...] = ()) -> Iterator[Message]:
        with self._errors("cannot be read"):
            for run, key, exact, *others in self._db.execute(_MESSAGES + rest, given):
                yield Message(run, exact if self._case_sensitive else key, *others)

    def _scrub(self) -> None:
        """Write the file anew, for erased names may be left between its rows."""
        with self._errors("has forgotten them, but its file may still hold the names"):
            self._db.execute("VACUUM")
            (busy, _, _) = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise sqlite3.OperationalError("it could not be written in full")

    # -- the file ------------------------------------------------------------------

    def _prepare(self, path: Path) -> None:
        _refuse_network(path)
        if not os.path.lexists(path):
            if self._must_exist:
                self._refuse_new()
            if os.path.lexists(f"{path}-wal"):
                raise LedgerError(
                    f"The {self.name} is gone and only its newest part is left ({path}-wal):"
                    " restore both, or remove that too if you are sure that nobody was written to."
                )
        _make_durably(path.parent)
        self._hold(path)
        if not os.path.lexists(path):
            self._begin_new(path)
        self._inspect(path)

    def _refuse_new(self) -> NoReturn:
        raise LedgerError(
            f"The {self.name} is not there or knows of no run, and --require-ledger forbids to"
            " begin with a new one: without the old one people may be written to again. Restore"
            " it, or leave the option out once."
        )

    def _hold(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._lock = os.open(_lock_of(path), flags, 0o600)
        for _ in range(_GLANCES):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(_GLANCE)
        else:
            holder = os.read(self._lock, 200).decode("ascii", "replace").strip()
            raise LedgerHeld(
                f"Another run holds the {self.name} ({holder or 'it has just started'}): this"
                " run made no request. Wait for it to end, then run again."
            )
        started = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"process {os.getpid()}, since {started}\n".encode(), 0)

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)  # frees the lock; the file stays, for ever
            self._lock = None

    def _inspect(self, path: Path) -> None:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise LedgerError(
                f"The {self.name} is not a regular file (a link, folder or device): name the"
                " file itself with --ledger."
            )
        if found.st_uid != os.geteuid():
            raise LedgerError(
                f"The {self.name} belongs to another user of this machine: run as that user, or"
                " name another file with --ledger."
            )
        if found.st_size == 0:
            raise LedgerError(
                f"The {self.name} is empty, which no ledger ever is: restore it, or remove the"
                " file if you are sure that nobody was written to."
            )
        if found.st_mode & 0o077:
            path.chmod(0o600)
        self._inode = found.st_ino

    def _begin_new(self, path: Path) -> None:
        aside = path.with_name(f"{path.name}.new")
        with contextlib.suppress(FileNotFoundError):
            aside.unlink()  # left by a run that died before it had a ledger
        os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        db = sqlite3.connect(aside, isolation_level=None)
        try:
            _pragma(db, "synchronous", "FULL", 2)
            _create(db, self.client, simulated=self.is_simulated)
        finally:
            db.close()
        aside.rename(path)
        _sync(path.parent)
        self.is_new = True

    def _configure(self) -> None:
        # Whose file it is comes first: nothing of anybody else's is changed.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        (application_id,) = self._db.execute("PRAGMA application_id").fetchone()
        (schema,) = self._db.execute("PRAGMA user_version").fetchone()
        if application_id != _APPLICATION_ID:
            raise LedgerError(
                f"The {self.name} is not a ledger of batch-resend: name another file with --ledger."
            )
        if schema != SCHEMA:
            raise LedgerError(
                f"The {self.name} was written by another version of batch-resend (schema {schema},"
                f" this one knows {SCHEMA}): use that version."
            )
        for name, value, wanted in (
            ("locking_mode", "EXCLUSIVE", "exclusive"),
            ("journal_mode", "WAL", "wal"),
            ("synchronous", "FULL", 2),
            ("secure_delete", "ON", 1),
        ):
            _pragma(self._db, name, value, wanted)
        for name in ("fullfsync", "checkpoint_fullfsync"):  # macOS: through the drive's cache
            _pragma(self._db, name, "ON", 1)

    def _read_meta(self) -> None:
        (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            self._refuse_damaged()
        meta = dict(self._db.execute("SELECT key, value FROM meta").fetchall())
        if self._simulated is None:
            self._simulated = bool(meta["simulated"])
        if bool(meta["simulated"]) != self._simulated:
            other = "a simulation" if meta["simulated"] else "real runs"
            raise LedgerError(
                f"The {self.name} belongs to {other}: name another file with --ledger."
            )
        self.client = meta.get("client", self.client)  # ledgers did not always say
        self._secret = meta["secret"]
        if self._must_exist and not self._db.execute("SELECT 1 FROM runs LIMIT 1").fetchone():
            self._refuse_new()
        self._look()

    def _refuse_damaged(self) -> NoReturn:
        raise LedgerError(
            f"The {self.name} is damaged: restore it from a backup. A new one would not know who"
            " has been written to."
        )

    def _look(self) -> None:
        """See what can be left out: most runs find nothing open, many find nothing at all."""
        anything = "SELECT 1 FROM messages LIMIT 1"
        anything_open = "SELECT 1 FROM messages WHERE state = 'open' LIMIT 1"
        any_alias = "SELECT 1 FROM aliases LIMIT 1"
        self._empty = self._db.execute(anything).fetchone() is None
        self._all_settled = self._db.execute(anything_open).fetchone() is None
        self._no_aliases = self._db.execute(any_alias).fetchone() is None

    # -- the rows ------------------------------------------------------------------

    def _apply(self, step: Step) -> int | Barred:
        if isinstance(step, Intend):
            return self._intend(step)
        if isinstance(step, Interrupted):
            self._interrupted(step.names, step.at)
        elif step.reason is None:
            self._db.execute("DELETE FROM aliases WHERE message = ?", (step.intent,))
            self._db.execute("DELETE FROM messages WHERE id = ?", (step.intent,))
        else:
            self._settle(step.intent, step.reason, step.at)
        return 0

    def _intend(self, step: Intend) -> int | Barred:
        # Two rows of one input may name one person, to whom the plan saw neither sent.
        if not self._no_aliases:
            known = _history(self._find(step.names), self._run)
            if reason := judge_history(known, step.policy, step.at):
                return Barred(reason)
        self._interrupted(step.names, step.at)
        self._empty = False
        key, exact = self._hashes(step.names.username)
        cursor = self._db.execute(
            "INSERT INTO messages (run, key, exact, name, state, intended_at)"
            " VALUES (?, ?, ?, ?, 'open', ?)",
            (self._run, key, exact, step.names.username, step.at),
        )
        intent = cursor.lastrowid or 0
        if step.names.aliases:
            self._no_aliases = False
            self._db.executemany(
                "INSERT OR IGNORE INTO aliases (key, exact, message) VALUES (?, ?, ?)",
                [(*self._hashes(alias), intent) for alias in step.names.aliases],
            )
        return intent

    def _settle(self, intent: int, reason: Reason, at: float) -> None:
        self._db.execute(
            "UPDATE messages SET state = ?, reason = ?, settled_at = ? WHERE id = ?",
            (str(reason.outcome), str(reason), at, intent),
        )

    def _interrupted(self, names: Names, at: float) -> None:
        if self._all_settled:
            return
        for message, (run, state, _, _) in self._find(names).items():
            if state == "open" and run != self._run:
                self._settle(message, Reason.INTERRUPTED, at)

    def _find(self, names: Names) -> dict[int, _Row]:
        """Find the messages to a user, each once, as `Names` has it."""
        own = self._hashes(names.username)
        found = self._sent_to(own)
        others = [self._hashes(alias) for alias in names.aliases] if names.listed else []
        if not self._no_aliases:
            owners = self._linked(_OWNERS, own)
            others += owners
            for owner in [own, *owners] if found else owners:
                others += self._linked(_OTHERS, owner)
        for other in dict.fromkeys(others):
            found |= self._sent_to(other)
        return found

    def _sent_to(self, name: tuple[bytes, bytes]) -> dict[int, _Row]:
        key, exact = name
        return {
            message: (run, state, intended_at, settled_at)
            for message, sent_to, run, state, intended_at, settled_at in self._db.execute(
                _TO, (key,)
            )
            if not self._case_sensitive or sent_to == exact
        }

    def _linked(self, query: str, name: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
        """The names that were noted together with this one."""
        key, exact = name
        return [
            (other, other_exact)
            for other, other_exact, as_noted in self._db.execute(query, (key,))
            if not self._case_sensitive or as_noted == exact
        ]

    def _hashes(self, name: str) -> tuple[bytes, bytes]:
        return hashes(self._secret, name)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        with self._or_let_go():
            yield
            self._db.execute("COMMIT")

    @contextlib.contextmanager
    def _or_let_go(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            # What a failed commit left behind is unknown: never repeat it, only let go.
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_CORRUPT:
                self._refuse_damaged()
            text = str(error) if isinstance(error, sqlite3.Error) else error.strerror
            raise LedgerError(
                f"The {self.name} {what} ({text}): nobody is written to without it. Make it"
                " writable, free disk space or restore it, then run again."
            ) from error


def is_held(ledger: Path) -> bool:
    """Whether a run holds the ledger now; raises `OSError` where that cannot be seen."""
    try:
        lock = os.open(_lock_of(ledger), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _lock_of(ledger: Path) -> Path:
    return ledger.with_name(f"{ledger.name}.lock")


def files_of(ledger: Path) -> list[Path]:
    """Name the files that a ledger consists of, or may."""
    return [ledger.with_name(ledger.name + end) for end in ("", "-wal", "-shm", ".lock", ".new")]


def _history(found: Mapping[int, _Row], this_run: int | None = None) -> History:
    """Say what these messages mean; what this run has open is in flight, not interrupted."""
    sent, unknown, interrupted, in_flight = [], [], False, False
    for run, state, intended_at, settled_at in found.values():
        if state == "sent":
            sent.append(settled_at)
        elif state == "unknown":
            unknown.append(settled_at)
        elif state == "open":
            unknown.append(intended_at)
            in_flight |= run == this_run
            interrupted |= run != this_run
    return History(sent, unknown, interrupted, in_flight) if sent or unknown else NOBODY


def _make_durably(folder: Path) -> None:
    """Make a folder, and those above it, so that a power cut does not take them back."""
    if folder.is_dir():
        return
    _make_durably(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _create(db: sqlite3.Connection, client: str, *, simulated: bool) -> None:
    db.executescript(
        f"BEGIN; PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {SCHEMA};"
        f"{_TABLES}"
    )
    db.executemany(
        "INSERT INTO meta VALUES (?, ?)",
        [("client", client), ("secret", secrets.token_bytes(32)), ("simulated", int(simulated))],
    )
    db.execute("COMMIT")


def _pragma(db: sqlite3.Connection, name: str, value: str, wanted: str | int) -> None:
    db.execute(f"PRAGMA {name} = {value}").fetchall()
    (found,) = db.execute(f"PRAGMA {name}").fetchone()
    if found != wanted:
        raise sqlite3.OperationalError(f"{name} is {found}, and must be {wanted}")


def _refuse_network(path: Path) -> None:
    """Refuse file systems whose locks and syncs cannot be trusted (Linux only)."""
    try:
        mounts = os.fsdecode(Path("/proc/self/mountinfo").read_bytes()).split("\n")[:-1]
    except OSError:
        return
    where = os.path.realpath(path.parent)
    best, kind = "", ""
    for line in mounts:
        left, _, right = line.partition(" - ")
        # Blanks and backslashes are written as three octal digits.
        mount = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), left.split(" ")[4])
        if len(mount) >= len(best) and os.path.commonpath([mount, where]) == mount:
            best, kind = mount, right.split(" ")[0]
    if kind in _NETWORK_FILE_SYSTEMS:
        raise LedgerError(
            f"The ledger {path} would lie on a network file system ({kind}), whose locks and syncs"
            " cannot be trusted: name a file on a local disk with --ledger."
        )
