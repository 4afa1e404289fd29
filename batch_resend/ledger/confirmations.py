"""Which users have confirmed: the pool's listing compared with the ledger.

The whole pool is listed, not only its unconfirmed users: only then can a deleted user be
distinguished from a confirmed one. The listing is stored in a temporary database without a
name, so memory stays flat however large the pool is.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import aclosing

from batch_resend.ledger import Identity
from batch_resend.ledger.sqlite.records import LedgerRecords
from batch_resend.sources.cognito import Client, whole_pool

_EVERY = 10.0  #: seconds between two progress messages


class Listed:
    """The status that the pool has for the users of a ledger. Use as a context manager."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(
            "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF;"
            "CREATE TABLE listed (user BLOB PRIMARY KEY, status TEXT) WITHOUT ROWID;"
        )
        self._db.execute("BEGIN")  # never committed: nothing to keep

    def __enter__(self) -> Listed:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the temporary database, which deletes it."""
        self._db.close()

    async def read(
        self,
        client: Client,
        user_pool_id: str,
        ledger: LedgerRecords,
        report: Callable[[str], None],
    ) -> None:
        """List the pool; `report` is called with a progress message now and then.

        If two accounts have the name that was sent to, one confirmed account is enough.
        Raises what the listing raises.
        """
        last = time.monotonic()
        async with aclosing(whole_pool(client, user_pool_id)) as batches:
            async for batch in batches:
                for listed in batch:
                    names = Identity(listed.username, listed.aliases, listed=True)
                    self._db.executemany(
                        "INSERT INTO listed VALUES (?, ?) ON CONFLICT (user) DO UPDATE"
                        " SET status = excluded.status WHERE status != 'CONFIRMED'",
                        [(user, listed.status or "") for user in ledger.find(names)],
                    )
                if time.monotonic() - last >= _EVERY:
                    last = time.monotonic()
                    report(f"{batch[-1].row:,} users of {user_pool_id} listed so far")

    def status(self, user: bytes) -> str | None:
        """Return the pool's status of a `Message.user`; None if no such user is listed."""
        row = self._db.execute("SELECT status FROM listed WHERE user = ?", (user,)).fetchone()
        return None if row is None else str(row[0])
