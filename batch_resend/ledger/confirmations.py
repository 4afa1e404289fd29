"""Who has confirmed: the pool's listing laid beside the ledger.

The whole pool is listed, not only its unconfirmed users: only so is somebody who is not
listed told from somebody who has confirmed. What is found lies in a temporary database
that has no name, so memory stays flat however large the pool is.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import aclosing

from batch_resend.ledger import Identity
from batch_resend.ledger.sqlite.records import LedgerRecords
from batch_resend.sources.cognito import Client, CognitoSource

_EVERY = 10.0  #: seconds between two words about how far the listing is


class Listed:
    """The status that the pool has for the users of a ledger. Use as a context manager."""

    def __init__(self) -> None:
        """Know nobody yet."""
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(
            "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF;"
            "CREATE TABLE listed (user BLOB PRIMARY KEY, status TEXT) WITHOUT ROWID;"
        )
        self._db.execute("BEGIN")  # never committed: nothing to keep

    def __enter__(self) -> Listed:
        """Use it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Forget everything."""
        self._db.close()

    async def read(
        self,
        client: Client,
        user_pool_id: str,
        ledger: LedgerRecords,
        tell: Callable[[str], None],
    ) -> None:
        """List the pool; `tell` hears now and then how far it is.

        Where two accounts bear the name that was written to, one that has confirmed will
        do. Raises what the listing raises.
        """
        source = CognitoSource(client, user_pool_id, filter="", keep=frozenset())
        await source.open()
        last = time.monotonic()
        async with aclosing(source.batches()) as batches:
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
                    tell(f"{batch[-1].row} users of {user_pool_id} listed so far")
        await source.aclose()

    def status(self, user: bytes) -> str | None:
        """The pool's status of a `Message.user`; None where nobody like them is listed."""
        found = self._db.execute("SELECT status FROM listed WHERE user = ?", (user,)).fetchone()
        return None if found is None else str(found[0])
