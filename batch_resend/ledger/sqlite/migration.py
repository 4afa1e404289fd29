"""A ledger of an older version becomes one of this version, in place and durably.

It happens when a run starts to write, never when a ledger is only read. First a copy of the
old file is made beside it, durable before anything is changed; the change itself is one
transaction, so a crash leaves the old ledger or the new one. Older programs refuse the new
one by its version.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from pathlib import Path

from batch_resend.ledger.sqlite import lockfile, schema

_COPY = """
INSERT INTO messages (id, run, key, exact, name, state, reason, intended_at, settled_at)
SELECT id, run, key, exact, name, state, reason, intended_at, settled_at FROM messages_1
"""


def copy_of(ledger: Path, version: int) -> Path:
    """Return the path of the copy of a ledger of an older version."""
    return ledger.with_name(f"{ledger.name}.schema-{version}")


def keep_copy(ledger: Path, file: int, version: int) -> None:
    """Copy a ledger, which is open and whose `-wal` is empty, durably, all or nothing."""
    copy = copy_of(ledger, version)
    aside = copy.with_name(f"{copy.name}.new")
    with os.fdopen(lockfile.create_private(aside), "wb") as target:
        start = 0
        while piece := os.pread(file, 1 << 20, start):
            target.write(piece)
            start += len(piece)
        target.flush()
        os.fsync(target.fileno())
    aside.rename(copy)
    lockfile.sync(ledger.parent)


def to_version_2(db: sqlite3.Connection) -> None:
    """Change the tables inside the caller's transaction."""
    for index in ("messages_by_key", "one_open_intent_a_user", "unsettled"):
        db.execute(f"DROP INDEX {index}")
    db.execute("ALTER TABLE messages RENAME TO messages_1")
    for statement in schema.MESSAGES:
        db.execute(statement)
    db.execute(_COPY)
    db.execute("DROP TABLE messages_1")
    db.execute("INSERT INTO meta VALUES ('mark_key', ?)", (secrets.token_bytes(32),))
    db.execute("INSERT INTO meta SELECT 'first_marked_run', coalesce(max(id), 0) + 1 FROM runs")
    db.execute(f"PRAGMA user_version = {schema.SCHEMA}")
