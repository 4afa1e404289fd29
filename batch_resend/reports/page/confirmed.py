"""Who of the users of reports has confirmed since: the pool's listing beside their names.

Names are compared whatever their case, and under each name that the pool has for a user. They
are in a temporary database without a name, as hashes, so memory stays flat.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from batch_resend.masking import without_guard
from batch_resend.model import Candidate, Outcome
from batch_resend.reports.page.reading import chunks


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The number of users who were sent a code, and their present status in the pool."""

    user_pool_id: str
    sent: int
    confirmed: int
    not_listed: int = 0

    @property
    def sentence(self) -> str:
        """It in words, without the pool."""
        if not self.sent:
            return "No user was sent a code."
        have = "has" if self.confirmed == 1 else "have"
        text = f"{self.confirmed:,} of {self.sent:,} users who were sent a code {have} confirmed"
        text += f" since ({100 * self.confirmed / self.sent:.0f} %)."
        return text + (f" {self.not_listed:,} are not in the pool." if self.not_listed else "")


class SentUsers:
    """The users who were sent a code, by reports. Use as a context manager."""

    def __init__(self, reports: Sequence[str]) -> None:
        """Read them; raises `InputError`."""
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(
            "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF;"
            "CREATE TABLE sent (name BLOB PRIMARY KEY, status TEXT) WITHOUT ROWID;"
        )
        self._db.execute("BEGIN")  # never committed: nothing to keep
        for path in reports:
            for chunk in chunks(path):
                names = chunk["username"][chunk["outcome"] == Outcome.SENT]
                self._db.executemany(
                    "INSERT OR IGNORE INTO sent VALUES (?, NULL)",
                    ((_digest(without_guard(name)),) for name in names),
                )

    def __enter__(self) -> SentUsers:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the temporary database, which deletes it."""
        self._db.close()

    def listed(self, users: Iterable[Candidate]) -> None:
        """Note the status of listed users; of two with one name a confirmed one is enough."""
        self._db.executemany(
            "UPDATE sent SET status = ? WHERE name = ? AND status IS NOT 'CONFIRMED'",
            (
                (user.status or "", _digest(name))
                for user in users
                for name in (user.username, *user.aliases)
            ),
        )

    def counted(self, user_pool_id: str) -> Confirmed:
        """Return the sums."""
        return Confirmed(
            user_pool_id,
            *self._db.execute(
                "SELECT count(*), count(CASE status WHEN 'CONFIRMED' THEN 1 END),"
                " count(*) - count(status) FROM sent"
            ).fetchone(),
        )


def _digest(name: str) -> bytes:
    return hashlib.blake2b(
        name.casefold().encode("utf-8", "surrogatepass"), digest_size=16
    ).digest()
