"""The whole plan on disk before the first message: any number of rows, flat memory.

A private temporary SQLite database, which SQLite unlinks as soon as it has opened it:
names and addresses vanish with the process, however it dies. It finds duplicates, holds
the decisions in the order of the rows, and answers what needs the whole input to be
known: counts, the first N, a sample, the newest account of an address. Where there is no room for
it on the disk, every method raises `SettingsError`.
"""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from batch_resend.errors import SettingsError
from batch_resend.model import REASONS, Planned, Reason

_READ_AT_ONCE = 256
_TABLES = """
PRAGMA synchronous = OFF;     -- nothing here outlives the process
PRAGMA journal_mode = OFF;
PRAGMA temp_store = FILE;
PRAGMA cache_size = -16000;   -- 16 MB, the rest on disk
CREATE TABLE seen (key BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE excluded (key BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE planned (
    row INTEGER PRIMARY KEY, username TEXT, reason TEXT, attributes TEXT, raw TEXT, aliases TEXT,
    address BLOB, created REAL
);
"""


class Spool:
    """The planned rows. Use as a context manager."""

    def __init__(self, *, case_sensitive: bool = False) -> None:
        """Make an empty spool."""
        self._case_sensitive = case_sensitive
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.executescript(_TABLES)
        self._db.execute("BEGIN")  # never committed: one transaction, nothing to keep
        self._excludes = False

    def __enter__(self) -> Spool:
        """Use it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Forget everything."""
        self._db.close()

    def clear(self) -> None:
        """Throw the rows away, because the source begins again."""
        self._execute("DELETE FROM seen")
        self._execute("DELETE FROM planned")

    def exclude(self, names: Iterable[str]) -> None:
        """Take a list of names that are never to be written to."""
        self._excludes = True
        self._execute_many(
            "INSERT OR IGNORE INTO excluded VALUES (?)", ((self._key(name),) for name in names)
        )

    def is_excluded(self, names: Iterable[str]) -> bool:
        """Whether one of a user's names is on that list."""
        return self._excludes and any(
            self._execute("SELECT 1 FROM excluded WHERE key = ?", (self._key(name),)).fetchone()
            for name in names
        )

    def is_repeated(self, name: str) -> bool:
        """Whether the name was seen before; from now on it was. Nobody's name is empty."""
        if not name:
            return False
        cursor = self._execute("INSERT OR IGNORE INTO seen VALUES (?)", (self._key(name),))
        return cursor.rowcount == 0

    def add(self, batch: Iterable[tuple[Planned, str, float | None]]) -> None:
        """Add planned rows, each with its address (or "") and time of sign-up if known."""
        self._execute_many(
            "INSERT INTO planned VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    planned.row,
                    planned.username.encode("utf-8", "surrogatepass"),
                    str(planned.reason),
                    json.dumps(dict(planned.attributes)) if planned.attributes else None,
                    planned.raw.encode("utf-8", "surrogatepass"),
                    json.dumps(planned.aliases) if planned.aliases else None,
                    self._key(address) if address else None,
                    created,
                )
                for planned, address, created in batch
            ),
        )

    def keep_newest_of_each_address(self) -> None:
        """Skip all but the newest account of an address, whatever else was decided."""
        self._execute(
            "UPDATE planned SET reason = ? WHERE address IS NOT NULL AND reason != ? AND row IN ("
            " SELECT row FROM (SELECT row, row_number() OVER ("
            "  PARTITION BY address ORDER BY created DESC, row DESC) AS place FROM planned"
            "  WHERE address IS NOT NULL AND reason != ?) WHERE place > 1)",
            (str(Reason.SAME_ADDRESS), str(Reason.DUPLICATE), str(Reason.DUPLICATE)),
        )

    def keep_first(self, count: int) -> None:
        """Skip all but the first `count` of the eligible."""
        self._execute(
            "UPDATE planned SET reason = ? WHERE reason = ? AND row NOT IN ("
            " SELECT row FROM planned WHERE reason = ? ORDER BY row LIMIT ?)",
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
        """How many rows have which reason."""
        rows = self._execute("SELECT reason, count(*) FROM planned GROUP BY reason")
        return {REASONS[reason]: count for reason, count in rows}

    def first_eligible(self, count: int) -> list[str]:
        """Give the first few names that would be sent a code."""
        rows = self._execute(
            "SELECT username FROM planned WHERE reason = ? ORDER BY row LIMIT ?",
            (str(Reason.ELIGIBLE), count),
        )
        return [_text(name) for (name,) in rows]

    def telephones(self) -> int:
        """How many of the eligible have a telephone number among their names (listing only)."""
        (count,) = self._execute(
            "SELECT count(*) FROM planned WHERE reason = ? AND EXISTS ("
            " SELECT 1 FROM json_each(planned.aliases)"
            "  WHERE value GLOB '+[0-9]*' AND value NOT GLOB '*[^+0-9]*')",
            (str(Reason.ELIGIBLE),),
        ).fetchone()
        return int(count)

    def __iter__(self) -> Iterator[Planned]:
        """Yield the rows in their order."""
        last = -1
        while True:
            rows = self._execute(
                "SELECT row, username, reason, attributes, raw, aliases FROM planned"
                " WHERE row > ? ORDER BY row LIMIT ?",
                (last, _READ_AT_ONCE),
            ).fetchall()
            if not rows:
                return
            for row, username, reason, attributes, raw, aliases in rows:
                yield Planned(
                    row=row,
                    username=_text(username),
                    reason=REASONS[reason],
                    attributes=json.loads(attributes) if attributes else {},
                    raw=_text(raw),
                    aliases=tuple(json.loads(aliases)) if aliases else (),
                )
            last = rows[-1][0]

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

    def _key(self, name: str) -> bytes:
        if not self._case_sensitive:
            name = name.casefold()
        return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogatepass")


def _no_room(error: sqlite3.Error) -> SettingsError:
    return SettingsError(
        f"The plan does not fit into the directory for temporary files ({error}). Set TMPDIR to"
        " one that has room."
    )
