"""The whole plan on disk before the first message: any number of rows, flat memory.

A private temporary SQLite database, which SQLite unlinks as soon as it has opened it:
names and addresses vanish with the process, however it dies. It holds the decisions in
the order of the rows, and answers what needs the whole input to be known: duplicates,
counts, the first N, a sample, the newest account of an address.

Whether names that differ only in case are two users may be known only at the end, so
duplicates are marked then.

Where there is no room for the plan on the disk, every method raises `SettingsError`.
"""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from batch_resend.errors import SettingsError
from batch_resend.model import REASONS, Evidence, Planned, Reason

#: The reasons that come from the ledger, which is asked by name.
OF_THE_LEDGER = (
    Reason.COOLING_DOWN,
    Reason.SEND_CAP,
    Reason.OUTCOME_UNKNOWN,
    Reason.INTERRUPTED,
)

_READ_AT_ONCE = 256
_TABLES = """
PRAGMA synchronous = OFF;     -- nothing here outlives the process
PRAGMA journal_mode = OFF;
PRAGMA temp_store = FILE;
PRAGMA cache_size = -16000;   -- 16 MB, the rest on disk
CREATE TABLE excluded (key BLOB, entry INTEGER, PRIMARY KEY (key, entry)) WITHOUT ROWID;
CREATE TABLE met (entry INTEGER PRIMARY KEY);
CREATE TABLE suppressed (key BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE reached_at (row INTEGER PRIMARY KEY, mail BLOB, number BLOB);
CREATE TABLE planned (
    row INTEGER PRIMARY KEY, username TEXT, reason TEXT, attributes TEXT, raw TEXT, aliases TEXT,
    address BLOB, created REAL, folded BLOB, last INTEGER, evidence TEXT, found_at REAL
);
"""


class Spool:
    """The planned rows. Use as a context manager."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.executescript(_TABLES)
        self._db.execute("BEGIN")  # never committed: one transaction, nothing to keep
        self.excluded = 0  #: entries of the exclude list
        self.added = 0  #: rows that were read so far

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def clear(self) -> None:
        """Throw the rows away, because the source begins again."""
        self.added = 0
        self._execute("DELETE FROM planned")
        self._execute("DELETE FROM met")
        self._execute("DELETE FROM reached_at")

    def exclude(self, names: Iterable[str]) -> None:
        """Add an entry to the exclude list: the names of one user."""
        self.excluded += 1
        self._execute_many(
            "INSERT OR IGNORE INTO excluded VALUES (?, ?)",
            ((_any_form(name), self.excluded) for name in names),
        )

    def is_excluded(self, names: Iterable[str]) -> bool:
        """Whether one of a user's names is on that list, in any Unicode form and case."""
        if not self.excluded:
            return False
        entries = [
            entry
            for name in names
            for entry in self._execute(
                "SELECT entry FROM excluded WHERE key = ?", (_any_form(name),)
            )
        ]
        self._execute_many("INSERT OR IGNORE INTO met VALUES (?)", entries)
        return bool(entries)

    def excluded_without_match(self) -> int:
        """Return how many entries of the exclude list have matched no user."""
        (met,) = self._execute("SELECT count(*) FROM met").fetchone()
        return self.excluded - int(met)

    def suppress(self, addresses: Iterable[str]) -> None:
        """Add addresses and numbers that nothing is delivered to."""
        self._execute_many(
            "INSERT OR IGNORE INTO suppressed VALUES (?)",
            ((_digest(address.casefold()),) for address in addresses),
        )

    def note_addresses(self, batch: Iterable[tuple[int, str, str]]) -> None:
        """Note where rows would get their code: mail address and number, "" for neither."""
        self._execute_many(
            "INSERT INTO reached_at VALUES (?, ?, ?)",
            (
                (
                    row,
                    _digest(mail.casefold()) if mail else None,
                    _digest(number) if number else None,
                )
                for row, mail, number in batch
            ),
        )

    def skip_suppressed(self, column: str) -> None:
        """Skip the eligible users with a suppressed `column` of `reached_at`.

        An invalid name is skipped too: why a row is skipped comes before why it failed.
        """
        self._execute(
            "UPDATE planned SET reason = ? WHERE reason IN (?, ?) AND row IN ("  # noqa: S608
            f" SELECT row FROM reached_at WHERE {column} IN (SELECT key FROM suppressed))",
            (str(Reason.SUPPRESSED), str(Reason.ELIGIBLE), str(Reason.INVALID_USERNAME)),
        )

    def add(self, batch: Iterable[tuple[Planned, str, float | None]]) -> None:
        """Add planned rows, each with its address (or "") and time of sign-up if known."""
        batch = list(batch)
        self.added += len(batch)
        self._execute_many(
            f"INSERT INTO planned VALUES ({', '.join('?' * 12)})",  # noqa: S608
            (
                (
                    planned.row,
                    planned.username.encode("utf-8", "surrogatepass"),
                    str(planned.reason),
                    json.dumps(dict(planned.attributes)) if planned.attributes else None,
                    planned.raw.encode("utf-8", "surrogatepass"),
                    json.dumps(planned.aliases) if planned.aliases else None,
                    _digest(address.casefold()) if address else None,
                    created,
                    _digest(planned.username.casefold()) if planned.username else None,
                    planned.comes_last,
                    planned.evidence and planned.evidence.record,
                    planned.evidence and planned.evidence.at,
                )
                for planned, address, created in batch
            ),
        )

    def differing_in_case(self) -> int:
        """Return how many rows differ from an earlier row's user only in case."""
        (count,) = self._execute(
            "SELECT total(spellings - 1) FROM ("
            " SELECT count(DISTINCT username) AS spellings FROM planned"
            "  WHERE folded IS NOT NULL GROUP BY folded)"
        ).fetchone()
        return int(count)

    def rows_found(self, sql: str, **functions: Callable[[bytes], str]) -> Iterator[int]:
        """Yield the rows that a query finds, with these functions of a stored name."""
        for name, function in functions.items():
            self._db.create_function(name, 1, function, deterministic=True)
        yield from (row for (row,) in self._execute(sql))

    def exclude_all_rows_of_a_name(self, *, case_sensitive: bool) -> None:
        """Exclude all rows of a name one of whose rows is excluded, perhaps by its address."""
        if not self.excluded:
            return
        name = "username" if case_sensitive else "folded"
        self._execute(
            f"UPDATE planned SET reason = ? WHERE {name} IN ("  # noqa: S608
            f" SELECT {name} FROM planned WHERE reason = ? AND folded IS NOT NULL)",
            (str(Reason.EXCLUDED), str(Reason.EXCLUDED)),
        )

    def mark_duplicates(self, *, case_sensitive: bool) -> None:
        """Skip all rows but the first of each name, whatever else was decided.

        An empty name is that of no user and has no duplicates.
        """
        name = "username" if case_sensitive else "folded"
        self._execute(
            "UPDATE planned SET reason = ? WHERE folded IS NOT NULL AND row NOT IN ("  # noqa: S608
            f" SELECT min(row) FROM planned WHERE folded IS NOT NULL GROUP BY {name})",
            (str(Reason.DUPLICATE),),
        )

    def decided(self, reasons: Sequence[Reason]) -> Iterator[list[Planned]]:
        """Yield the rows with one of these reasons, in lists; they may be replaced while read."""
        yield from self._rows(f"AND reason IN ({', '.join('?' * len(reasons))})", *reasons)

    def replace(self, planned: Planned) -> None:
        """Replace the reason of a row."""
        self._execute(
            "UPDATE planned SET reason = ?, evidence = NULL, found_at = NULL WHERE row = ?",
            (str(planned.reason), planned.row),
        )

    def keep_newest_of_each_address(self) -> None:
        """Skip all but the newest account of an address that may be sent a code.

        An account that the ledger knows messages of comes before it: the address had its
        message. What is skipped for a reason of its own and is newer keeps that reason.
        """
        self._execute(
            "UPDATE planned SET reason = ? WHERE row IN ("  # noqa: S608
            " SELECT row FROM ("
            "  SELECT row, reason, created, first_value(row) OVER best AS kept,"
            "   first_value(created) OVER best AS newest FROM planned"
            "  WHERE address IS NOT NULL AND reason != ? WINDOW best AS ("
            "   PARTITION BY address ORDER BY CASE"
            f"   WHEN reason IN ({', '.join('?' * len(OF_THE_LEDGER))}) THEN 0"
            "    WHEN reason = ? THEN 1 ELSE 2 END, created DESC, row DESC))"
            " WHERE row != kept AND (reason = ? OR (created, row) < (newest, kept)))",
            (
                str(Reason.SAME_ADDRESS),
                str(Reason.DUPLICATE),
                *map(str, OF_THE_LEDGER),
                str(Reason.ELIGIBLE),
                str(Reason.ELIGIBLE),
            ),
        )

    def sharing_an_address(self) -> int:
        """Return how many eligible users have an address that another one has too."""
        (count,) = self._execute(
            "SELECT total(users) FROM (SELECT count(*) AS users FROM planned"
            " WHERE reason = ? AND address IS NOT NULL GROUP BY address HAVING users > 1)",
            (str(Reason.ELIGIBLE),),
        ).fetchone()
        return int(count)

    def keep_first(self, count: int) -> None:
        """Skip all but the first `count` of the eligible."""
        self._execute(
            "UPDATE planned SET reason = ? WHERE reason = ? AND row NOT IN ("
            " SELECT row FROM planned WHERE reason = ? ORDER BY last, row LIMIT ?)",
            (str(Reason.OVER_LIMIT), str(Reason.ELIGIBLE), str(Reason.ELIGIBLE), count),
        )

    def keep_sample(self, count: int, rng: random.Random) -> None:
        """Skip all but `count` of the eligible, drawn at random."""
        self._db.create_function("draw", 0, rng.random)
        self._execute(
            "UPDATE planned SET reason = ? WHERE reason = ? AND row NOT IN ("
            " SELECT row FROM planned WHERE reason = ? ORDER BY draw() LIMIT ?)",
            (str(Reason.OVER_LIMIT), str(Reason.ELIGIBLE), str(Reason.ELIGIBLE), count),
        )

    def counts(self) -> dict[Reason, int]:
        """Return the number of rows for each reason."""
        rows = self._execute("SELECT reason, count(*) FROM planned GROUP BY reason")
        return {REASONS[reason]: count for reason, count in rows}

    def examples(self, count: int) -> list[str]:
        """Return a few users who would be sent a code, spread over the rows.

        Each by an address or telephone number among their names, where there is one.
        """
        reason = str(Reason.ELIGIBLE)
        first, last = self._execute(
            "SELECT min(row), max(row) FROM planned WHERE reason = ?", (reason,)
        ).fetchone()
        if first is None:
            return []
        destinations: dict[int, str] = {}
        for step in range(count):
            start = first + (last - first) * step // max(1, count - 1)
            row, username, aliases = self._execute(
                "SELECT row, username, aliases FROM planned WHERE reason = ? AND row >= ?"
                " AND row NOT IN (SELECT value FROM json_each(?)) ORDER BY row LIMIT 1",
                (reason, start, json.dumps(list(destinations))),
            ).fetchone() or (None, b"", None)
            if row is not None:
                destinations[row] = _destination([_text(username), *json.loads(aliases or "[]")])
        return [destinations[row] for row in sorted(destinations)]

    def telephones(self) -> int:
        """Return how many eligible users have a telephone number (listing only)."""
        (count,) = self._execute(
            "SELECT count(*) FROM planned WHERE reason = ? AND EXISTS ("
            " SELECT 1 FROM json_each(planned.aliases)"
            "  WHERE value GLOB '+[0-9]*' AND value NOT GLOB '*[^+0-9]*')",
            (str(Reason.ELIGIBLE),),
        ).fetchone()
        return int(count)

    def __iter__(self) -> Iterator[Planned]:
        """Yield the rows in their order, those that come last after all others."""
        for last in range(2 if self._any_last() else 1):
            for rows in self._rows(f"AND last = {last}"):
                yield from rows

    def coming_last(self) -> int:
        """Return how many eligible users come last: their last request failed or is unknown."""
        (count,) = self._execute(
            "SELECT count(*) FROM planned WHERE last AND reason = ?", (str(Reason.ELIGIBLE),)
        ).fetchone()
        return int(count)

    def _any_last(self) -> bool:
        return bool(self._execute("SELECT 1 FROM planned WHERE last LIMIT 1").fetchone())

    def _rows(self, where: str, *values: str) -> Iterator[list[Planned]]:
        read = -1
        while True:
            rows = self._execute(
                "SELECT row, username, reason, attributes, raw, aliases, last,"  # noqa: S608
                f" evidence, found_at FROM planned WHERE row > ? {where} ORDER BY row LIMIT ?",
                (read, *values, _READ_AT_ONCE),
            ).fetchall()
            if not rows:
                return
            yield [
                Planned(
                    row=row,
                    username=_text(username),
                    reason=REASONS[reason],
                    attributes=json.loads(attributes) if attributes else {},
                    raw=_text(raw),
                    aliases=tuple(json.loads(aliases)) if aliases else (),
                    comes_last=bool(last),
                    evidence=None if at is None else Evidence(record, at),
                )
                for row, username, reason, attributes, raw, aliases, last, record, at in rows
            ]
            read = rows[-1][0]

    def _execute(self, sql: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        try:
            return self._db.execute(sql, values)
        except sqlite3.Error as error:
            raise _no_room(error) from error

    def _execute_many(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        try:
            self._db.executemany(sql, rows)
        except sqlite3.Error as error:
            raise _no_room(error) from error


def _any_form(name: str) -> bytes:
    """Return the key of a name whatever its Unicode form and case."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return _digest(plain)


def _digest(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _destination(names: Sequence[str]) -> str:
    """Return the name that best shows where a message goes."""
    addresses = [name for name in names if "@" in name]
    telephones = [name for name in names if name.startswith("+") and name[1:].isdigit()]
    return [*addresses, *telephones, *names][0]


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogatepass")


def _no_room(error: sqlite3.Error) -> SettingsError:
    return SettingsError(
        f"The plan does not fit into the directory for temporary files ({error}). Set TMPDIR to"
        " one that has room."
    )
