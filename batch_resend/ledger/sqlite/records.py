"""Reading and erasing the records of a ledger file.

What is erased is removed from the file, not only from its rows: the file is rewritten, and
the `-wal` emptied.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from batch_resend.ledger import (
    Extent,
    Finding,
    Forgotten,
    Identity,
    Marked,
    Message,
    PastRun,
    Unknowns,
)
from batch_resend.ledger.sqlite.connection import LedgerConnection

_MESSAGES = {  #: by version
    1: "SELECT id, run, key, exact, name, state, reason, intended_at, settled_at,"
    " NULL, NULL, NULL FROM messages ",
    2: "SELECT id, run, key, exact, name, state, reason, intended_at, settled_at,"
    " request_id, evidence, reconciled_at FROM messages ",
}
_EXTENT = """
SELECT count(*), count(CASE WHEN state IN ('open', 'unknown') THEN 1 END),
min(coalesce(settled_at, intended_at)), max(coalesce(settled_at, intended_at)) FROM messages
"""
_OLDER = "WHERE coalesce(settled_at, intended_at) < ? AND (name IS NOT NULL OR ?)"
_CHOSEN_NAMES = "WHERE name IS NOT NULL AND id IN (SELECT message FROM chosen)"
_ERASE_OLDER = "UPDATE messages SET name = NULL WHERE coalesce(settled_at, intended_at) < ?"
_REMOVE_OLDER = (
    "DELETE FROM aliases WHERE message IN"
    " (SELECT id FROM messages WHERE coalesce(settled_at, intended_at) < ?)",
    "DELETE FROM messages WHERE coalesce(settled_at, intended_at) < ?",
)

_SETTLE_UNKNOWN = """
UPDATE messages SET state = ?, reason = ?, settled_at = coalesce(?, settled_at, intended_at),
evidence = ?, reconciled_at = ?
WHERE id = ? AND intended_at = ? AND state IN ('open', 'unknown')
AND (reason IS NOT ? OR evidence IS NOT ?)
"""
_REMOVE_UNKNOWN = """
DELETE FROM messages WHERE id = ? AND intended_at = ? AND state IN ('open', 'unknown')
"""

_CHOSEN = "CREATE TEMP TABLE chosen (message INTEGER PRIMARY KEY)"
_CHOOSE = "INSERT OR IGNORE INTO chosen VALUES (?)"

_ARRIVED = (
    "CREATE TEMP TABLE IF NOT EXISTS arrived"
    " (run, key, exact, name, state, reason, intended_at, settled_at,"
    " request_id, evidence, reconciled_at)"
)
_OTHERS_ARRIVED = "CREATE TEMP TABLE IF NOT EXISTS others (key, message, exact)"
_ARRANGE = (
    "DROP INDEX one_open_intent_a_user",  # a copy shows what is there, even if it is wrong
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


class LedgerRecords:
    """The records of an open ledger. Every method raises `LedgerError`."""

    def __init__(self, connection: LedgerConnection) -> None:
        self._connection = connection

    @property
    def _db(self) -> sqlite3.Connection:
        return self._connection.db

    @property
    def name(self) -> str:
        """The ledger's name in messages."""
        return self._connection.name

    @property
    def is_simulated(self) -> bool:
        """Whether it is a ledger of simulations."""
        return self._connection.simulated

    @property
    def client(self) -> str:
        """The client for which it was created; empty in a copy of a table."""
        return self._connection.client

    # -- looking back --------------------------------------------------------------

    def runs(self) -> list[PastRun]:
        """Return all runs so far, the oldest first."""
        with self._connection.errors("cannot be read"):
            return [
                PastRun(number, started_at, finished_at, json.loads(summary or "{}"))
                for number, started_at, finished_at, summary in self._db.execute(
                    "SELECT id, started_at, finished_at, summary FROM runs ORDER BY id"
                )
            ]

    def remembered(self) -> tuple[int, float | None]:
        """Return how many users count as sent, and the start of the last run, if any."""
        with self._connection.errors("cannot be read"):
            (people,) = self._db.execute(
                "SELECT count(DISTINCT key) FROM messages"
                " WHERE state IN ('sent', 'open', 'unknown')"
            ).fetchone()
            (last,) = self._db.execute("SELECT max(started_at) FROM runs").fetchone()
        return int(people), last

    def messages(self, *, unknown: bool = False) -> Iterator[Message]:
        """Yield all messages, or the unknown ones, the oldest first."""
        where = "WHERE state IN ('open', 'unknown')" if unknown else ""
        return self._messages(f"{where} ORDER BY id")

    def users(self) -> Iterator[list[Message]]:
        """Yield the messages to each user, the oldest first."""
        order = "key, exact, id" if self._connection.case_sensitive else "key, id"
        matches = self._messages(f"ORDER BY {order}")
        for _, messages in itertools.groupby(matches, key=lambda message: message.user):
            yield list(messages)

    def find(self, user: Identity) -> set[bytes]:
        """Return the `Message.user` of all messages in the history of a user."""
        if self._connection.empty:
            return set()
        with self._connection.errors("cannot be read"):
            matches = self._connection.find(user)
        return {message.user for n in matches for message in self._messages("WHERE id = ?", (n,))}

    def person(self, name: str) -> list[Message]:
        """Return all messages to users with this name, under any of their names, oldest first."""
        with self._connection.errors("cannot be read"), self._chosen([name]):
            return list(self._messages("WHERE id IN (SELECT message FROM chosen) ORDER BY id"))

    def unknown(self) -> Unknowns:
        """Return how many messages are unknown, over all runs."""
        return self._connection.count_unknown()

    def _messages(self, rest: str, arguments: tuple[float, ...] = ()) -> Iterator[Message]:
        return (message for _, _, message in self._rows(rest, arguments))

    def _rows(
        self, rest: str, arguments: tuple[float, ...] = ()
    ) -> Iterator[tuple[int, bytes, Message]]:
        exactly, query = self._connection.case_sensitive, _MESSAGES[self._connection.version]
        with self._connection.errors("cannot be read"):
            for id_, run, key, exact, *others in self._db.execute(query + rest, arguments):
                yield id_, key, Message(run, exact if exactly else key, *others)

    # -- settling by evidence ------------------------------------------------------

    def marked(
        self, *, since: float = 0.0, until: float = math.inf, unknown: bool = False
    ) -> Iterator[Marked]:
        """Yield the messages intended in a span of time that carry a mark, the oldest first.

        `unknown` leaves out those whose outcome is known.
        """
        connection = self._connection
        if not connection.mark_key:
            return
        where = "WHERE intended_at BETWEEN ? AND ? AND run >= ?"
        where += " AND state IN ('open', 'unknown')" if unknown else ""
        rows = self._rows(f"{where} ORDER BY id", (since, until, connection.first_marked_run))
        for id_, key, message in rows:
            with connection.errors("cannot be read"):
                others = self._db.execute("SELECT key FROM aliases WHERE message = ?", (id_,))
                keys = frozenset([key, *(other for (other,) in others)])
            at = message.intended_at
            yield Marked(f"{id_} {at!r}", connection.mark(id_, at), message, keys)

    def key_of(self, name: str) -> bytes:
        """Return the hash of a name, as in `Marked.keys`."""
        return self._connection.hashes(name)[0]

    def settle_unknown(self, findings: Sequence[Finding], now: float) -> int:
        """Note what evidence shows about unknown messages, all or none; return the changes.

        Messages with a known outcome are not changed, and the same finding changes nothing
        when it is repeated. This ledger must be held: an open message is then one that a dead
        run left.
        """
        self._connection.check_place()
        with self._connection.errors("cannot be written"):
            self._connection.make_ready()
            with self._connection.transaction():
                changed = sum(self._settle(finding, now) for finding in findings)
            self._connection.look()
        return changed

    def _settle(self, finding: Finding, now: float) -> int:
        id_, _, at = finding.handle.partition(" ")
        message = (int(id_), float(at))
        if finding.reason is None:
            removed = self._db.execute(_REMOVE_UNKNOWN, message).rowcount
            if removed:
                self._db.execute("DELETE FROM aliases WHERE message = ?", message[:1])
            return removed
        reason, evidence = str(finding.reason), finding.evidence or None
        values = (str(finding.reason.outcome), reason, finding.at, evidence, now)
        return self._db.execute(_SETTLE_UNKNOWN, (*values, *message, reason, evidence)).rowcount

    # -- as a copy of a ledger that is not a file ----------------------------------

    def gather(
        self, messages: Iterable[tuple[Message, bytes, Iterable[tuple[bytes, bytes]]]]
    ) -> None:
        """Add messages in any order, each with its exact hash and its other names' hashes."""
        with self._connection.errors("cannot be filled"), self._connection.transaction():
            self._db.execute(_ARRIVED)
            self._db.execute(_OTHERS_ARRIVED)
            for message, exact, others in messages:
                cursor = self._db.execute(
                    "INSERT INTO arrived VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        message.run, message.user, exact, message.name, message.state,
                        message.reason, message.intended_at, message.settled_at,
                        message.request_id, message.evidence, message.reconciled_at,
                    ),
                )  # fmt: skip
                self._db.executemany(
                    "INSERT INTO others VALUES (?, ?, ?)",
                    [(key, cursor.lastrowid, other) for key, other in others],
                )

    def arrange(self, secret: bytes, runs: Iterable[PastRun], *, simulated: bool) -> None:
        """Sort the gathered messages; then the copy is complete."""
        with self._connection.errors("cannot be filled"), self._connection.transaction():
            for statement in _ARRANGE:
                self._db.execute(statement)
            self._db.executemany(
                "INSERT INTO runs VALUES (?, ?, 0, ?, ?)",
                [(run.number, run.started_at, run.finished_at, json.dumps(dict(run.summary)))
                 for run in runs],
            )  # fmt: skip
        self._connection.secret, self._connection.simulated = secret, simulated
        self._connection.look()

    # -- erasing -------------------------------------------------------------------

    def forget(self, names: Sequence[str]) -> Forgotten:
        """Erase people, under any of their names; what they were sent still counts."""
        self._connection.check_place()
        with (
            self._connection.errors("cannot be written"),
            self._connection.transaction(),
            self._chosen(names) as unknown,
        ):
            erased = self._db.execute(
                "UPDATE messages SET name = NULL"
                " WHERE name IS NOT NULL AND id IN (SELECT message FROM chosen)"
            ).rowcount
        self._scrub()
        return Forgotten(erased, tuple(unknown))

    def reach(self, names: Sequence[str]) -> Extent:
        """Return what `forget` would erase."""
        with self._connection.errors("cannot be read"), self._chosen(names) as missing:
            return self._extent(_CHOSEN_NAMES, missing=missing)

    def older(self, before: float, *, entirely: bool = False) -> Extent:
        """Return what `purge` would erase."""
        with self._connection.errors("cannot be read"):
            return self._extent(_OLDER, before, entirely)

    def _extent(self, where: str, *arguments: float, missing: Sequence[str] = ()) -> Extent:
        count, unknown, oldest, newest = self._db.execute(_EXTENT + where, arguments).fetchone()
        return Extent(count, unknown, oldest, newest, tuple(missing))

    def purge(self, before: float, *, entirely: bool = False) -> None:
        """Erase the names in messages settled before then, or intended if never settled.

        `entirely` also removes the messages, which no longer count.
        """
        self._connection.check_place()
        with self._connection.errors("cannot be written"), self._connection.transaction():
            for statement in _REMOVE_OLDER if entirely else (_ERASE_OLDER,):
                self._db.execute(statement, (before,))
            self._connection.look()
        self._scrub()

    @contextlib.contextmanager
    def _chosen(self, names: Sequence[str]) -> Iterator[list[str]]:
        """Store the messages of some people in the table `chosen`; yield unknown names."""
        unknown = []
        self._db.execute(_CHOSEN)
        for name in names:
            matches = self._connection.find(Identity(name))
            self._db.executemany(_CHOOSE, [(message,) for message in matches])
            if not matches:
                unknown.append(name)
        try:
            yield unknown
        finally:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("DROP TABLE chosen")

    def _scrub(self) -> None:
        """Rewrite the file, because erased names may be left between its rows."""
        with self._connection.errors("has erased the names, but its file may still hold them"):
            self._db.execute("VACUUM")
            self._connection.checkpoint()
