"""What a ledger file holds, and the settings under which SQLite keeps it durably."""

from __future__ import annotations

import secrets
import sqlite3

from batch_resend.errors import LedgerError

SCHEMA = 2
READABLE = (1, 2)  #: version 1 is migrated by the next run that writes
APPLICATION_ID = 0x42525344  # "BRSD": distinguishes a ledger from other SQLite files

_META = "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
_RUNS = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    started_at REAL NOT NULL,    -- seconds since the epoch, like every time here
    process INTEGER NOT NULL,
    finished_at REAL,            -- NULL: it is running, or it died
    summary TEXT                 -- JSON
);
"""
MESSAGES = (
    """
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    key BLOB NOT NULL CHECK (length(key) = 16),      -- keyed hash of the name, case folded
    exact BLOB NOT NULL CHECK (length(exact) = 16),  -- keyed hash of the name as it was sent
    name TEXT,                   -- NULL once the person has been erased
    state TEXT NOT NULL CHECK (state IN ('open', 'sent', 'unknown', 'failed', 'skipped')),
    reason TEXT CHECK ((reason IS NULL) = (state = 'open')),
    intended_at REAL NOT NULL,
    settled_at REAL CHECK ((settled_at IS NULL) = (state = 'open')),
    request_id TEXT,             -- Cognito's, of an unknown one whose response had it
    evidence TEXT,               -- what settled it later; NULL: the response
    reconciled_at REAL           -- when it did
);
""",
    "CREATE INDEX messages_by_key ON messages (key);",
    "CREATE UNIQUE INDEX one_open_intent_a_user ON messages (exact) WHERE state = 'open';",
    "CREATE INDEX messages_unknown ON messages (state) WHERE state IN ('open', 'unknown');",
)
_ALIASES = """
CREATE TABLE aliases (           -- other names of the user of a message
    key BLOB NOT NULL,
    message INTEGER NOT NULL,
    exact BLOB NOT NULL,
    PRIMARY KEY (key, message)
) WITHOUT ROWID;
CREATE INDEX aliases_by_message ON aliases (message);
"""


def create(db: sqlite3.Connection, client: str, *, simulated: bool) -> None:
    """Make an empty ledger in an empty file, in one transaction.

    `secret` is the key of the hashes of names, `mark_key` that of the marks of requests;
    requests of runs before `first_marked_run` do not carry marks.
    """
    db.executescript(
        f"BEGIN; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA};"
        f"{_META}{_RUNS}{''.join(MESSAGES)}{_ALIASES}"
    )
    db.executemany(
        "INSERT INTO meta VALUES (?, ?)",
        [
            ("client", client),
            ("first_marked_run", 1),
            ("mark_key", secrets.token_bytes(32)),
            ("secret", secrets.token_bytes(32)),
            ("simulated", int(simulated)),
        ],
    )
    db.execute("COMMIT")


def check_format(db: sqlite3.Connection, name: str) -> int:
    """Return the version of a ledger; raise `LedgerError` if it is not a readable ledger."""
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    (schema,) = db.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID:
        raise LedgerError(
            f"The {name} is not a ledger of batch-resend. Choose another file with --ledger."
        )
    if schema not in READABLE:
        raise LedgerError(
            f"The {name} was written by another version of batch-resend (schema {schema},"
            f" this one supports {SCHEMA}). Use that version."
        )
    return int(schema)


def make_durable(db: sqlite3.Connection) -> None:
    """Make the settings that durability needs, and verify them; raises `OperationalError`."""
    for name, value, wanted in (
        ("locking_mode", "EXCLUSIVE", "exclusive"),
        ("journal_mode", "WAL", "wal"),
        ("synchronous", "FULL", 2),
        ("secure_delete", "ON", 1),
        ("wal_autocheckpoint", "0", 0),  # the checksums of the pages go with each checkpoint
    ):
        pragma(db, name, value, wanted)
    for name in ("fullfsync", "checkpoint_fullfsync"):  # macOS: through the drive's cache
        pragma(db, name, "ON", 1)


def pragma(db: sqlite3.Connection, name: str, value: str, wanted: str | int) -> None:
    """Set one pragma; raises `sqlite3.OperationalError` if it does not hold."""
    db.execute(f"PRAGMA {name} = {value}").fetchall()
    (actual,) = db.execute(f"PRAGMA {name}").fetchone()
    if actual != wanted:
        raise sqlite3.OperationalError(f"{name} is {actual}, and must be {wanted}")
