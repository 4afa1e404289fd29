"""A ledger file as one run writes it.

Synchronous: every method returns when the file has it. `write` writes any number of steps,
and `commit` makes them durable with one sync, all or none of them.

Names are looked up by a keyed hash (the key is in the ledger), so that a person can be
erased and the promise kept.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from batch_resend.ledger import Identity, Intend, IntentRejected, Interrupted, Step, Unknowns
from batch_resend.ledger.policy import NO_HISTORY, Earlier, History, history_of, judge_history
from batch_resend.ledger.sqlite import lockfile
from batch_resend.ledger.sqlite.connection import LedgerConnection, Row
from batch_resend.ledger.sqlite.records import LedgerRecords
from batch_resend.model import Evidence, Outcome, Reason


class SqliteLedger:
    """An open ledger, held by this run.

    Every method raises `LedgerError` if the file cannot be trusted or written; after a
    failed commit nothing is attempted again.
    """

    def __init__(self, connection: LedgerConnection) -> None:
        self._connection = connection
        self._run = 0
        self.records = LedgerRecords(connection)  #: to read and to erase messages

    @property
    def _db(self) -> sqlite3.Connection:
        return self._connection.db  # changes when a new ledger gets its file

    @property
    def path(self) -> Path | None:
        """The file's path, also before it exists; None for a throwaway one."""
        return self._connection.address

    @property
    def address(self) -> Path | None:
        """The ledger's path, also before it exists; None for a throwaway one."""
        return self._connection.address

    @property
    def name(self) -> str:
        """The ledger's name in messages."""
        return self._connection.name

    @property
    def is_new(self) -> bool:
        """Whether there was no ledger; it is created when the run starts."""
        return self._connection.is_new

    @property
    def client(self) -> str:
        """The client for which it was created."""
        return self._connection.client

    def distinguish_case(self) -> bool:
        """Distinguish names that differ only in case; return whether that changes anything."""
        changes = not self._connection.case_sensitive
        self._connection.case_sensitive = True
        return changes

    def latest(self) -> float:
        """Return the newest time in the ledger, in seconds since the epoch (0 if empty).

        A clock that was set back since must not shorten a cooldown, so a run never starts
        before this time.
        """
        with self._connection.errors("cannot be read"):
            (latest,) = self._db.execute(
                "SELECT max(coalesce(max(intended_at), 0), coalesce(max(settled_at), 0))"
                " FROM messages"
            ).fetchone()
        return float(latest)

    def begin(self, at: float) -> int:
        """Note the start of a run; return its number.

        The file itself has it then, not only its `-wal`: if that is lost, the next run
        detects that something is missing.
        """
        with self._connection.errors("cannot be written"):
            self._connection.make_ready()
            with self._connection.transaction():
                cursor = self._db.execute(
                    "INSERT INTO runs (started_at, process) VALUES (?, ?)", (at, os.getpid())
                )
                self._run = cursor.lastrowid or 0
                self._connection.look()
            if self._connection.path is not None:
                # SQLite ignores a failure of this for the new log.
                lockfile.sync(self._connection.path.parent)
            with self._connection.or_rolled_back():
                self._connection.checkpoint()
        return self._run

    def finish(self, summary: str, at: float) -> None:
        """Note how the run ended; `summary` is JSON."""
        with self._connection.errors("cannot be written"), self._connection.transaction():
            self._db.execute(
                "UPDATE runs SET finished_at = ?, summary = ? WHERE id = ?",
                (at, summary, self._run),
            )

    def history(self, user: Identity) -> History:
        """Return the history of a user, under each of their names."""
        if self._connection.empty:
            return NO_HISTORY
        with self._connection.errors("cannot be read"):
            return _history(self._connection.find(user))

    def unknown(self) -> Unknowns:
        """Return how many messages are unknown, over all runs."""
        return self._connection.count_unknown()

    def write(self, steps: Sequence[Step]) -> list[int | IntentRejected]:
        """Write the steps; nothing is durable before `commit`, and then all or none.

        The result of an `Intend` is the number of the intent, or `IntentRejected` if it is
        not allowed any more and was omitted; for other steps it is 0.
        """
        self._connection.check_place()
        with self._connection.errors("cannot be written"):
            self._db.execute("BEGIN IMMEDIATE")
            with self._connection.or_rolled_back():
                return [self._apply(step) for step in steps]

    def commit(self) -> None:
        """Make durable what was written; only this method waits for the disk."""
        with self._connection.errors("cannot be written"), self._connection.or_rolled_back():
            self._db.execute("COMMIT")
            self._connection.checkpoint_if_long()

    def mark(self, intent: int, at: float) -> str:
        """Return the mark of an intent's request; `at` is the time of the intent."""
        return self._connection.mark(intent, at)

    # -- steps ---------------------------------------------------------------------

    def _apply(self, step: Step) -> int | IntentRejected:
        if isinstance(step, Intend):
            return self._intend(step)
        if isinstance(step, Interrupted):
            self._interrupted(step.user, step.at)
        elif step.reason is None:
            self._db.execute("DELETE FROM aliases WHERE message = ?", (step.intent,))
            self._db.execute("DELETE FROM messages WHERE id = ?", (step.intent,))
        else:
            self._settle(step.intent, step.reason, step.at, step.request_id)
        return 0

    def _intend(self, step: Intend) -> int | IntentRejected:
        # Two rows of one input may be one person; when both were planned, neither was sent.
        if not self._connection.no_aliases:
            history = _history(self._connection.find(step.user), self._run)
            if reason := judge_history(history, step.policy, step.at):
                return IntentRejected(reason)
        self._interrupted(step.user, step.at)
        self._connection.empty = False
        key, exact = self._connection.hashes(step.user.username)
        cursor = self._db.execute(
            "INSERT INTO messages (run, key, exact, name, state, intended_at)"
            " VALUES (?, ?, ?, ?, 'open', ?)",
            (self._run, key, exact, step.user.username, step.at),
        )
        intent = cursor.lastrowid or 0
        if step.user.aliases:
            self._connection.no_aliases = False
            self._db.executemany(
                "INSERT OR IGNORE INTO aliases (key, exact, message) VALUES (?, ?, ?)",
                [(*self._connection.hashes(alias), intent) for alias in step.user.aliases],
            )
        return intent

    def _settle(self, intent: int, reason: Reason, at: float, request_id: str = "") -> None:
        stored_id = request_id if request_id and reason.outcome is Outcome.UNKNOWN else None
        self._db.execute(
            "UPDATE messages SET state = ?, reason = ?, settled_at = ?, request_id = ?"
            " WHERE id = ?",
            (str(reason.outcome), str(reason), at, stored_id, intent),
        )

    def _interrupted(self, user: Identity, at: float) -> None:
        if self._connection.all_settled:
            return
        for message, (run, state, *_) in self._connection.find(user).items():
            if state == "open" and run != self._run:
                self._settle(message, Reason.INTERRUPTED, at)


def _history(rows: Mapping[int, Row], this_run: int | None = None) -> History:
    """Return what these messages mean; an open one of this run is in flight."""
    return history_of(
        Earlier(
            state,
            reason,
            intended_at if state == "open" else settled_at,
            in_flight=state == "open" and run == this_run,
            interrupted=state == "open" and run != this_run,
            evidence=None if found_at is None else Evidence(record or "", found_at),
        )
        for run, state, reason, intended_at, settled_at, record, found_at in rows.values()
    )
