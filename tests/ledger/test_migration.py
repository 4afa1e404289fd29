"""A ledger of version 1: looked at as it is, and brought up to date by a run that writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from batch_resend.errors import LedgerError
from batch_resend.ledger import Identity, Message
from batch_resend.ledger.hashing import hashes
from batch_resend.ledger.sqlite import migration, schema
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.ledger.sqlite.snapshot import looking_at
from tests.support.ledgers import NOW, opened_file, remember

SECRET = b"k" * 32
VERSION_1 = """
PRAGMA application_id = 0x42525344; PRAGMA user_version = 1; PRAGMA journal_mode = WAL;
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE runs (id INTEGER PRIMARY KEY, started_at REAL NOT NULL, process INTEGER NOT NULL,
    finished_at REAL, summary TEXT);
CREATE TABLE messages (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, key BLOB NOT NULL,
    exact BLOB NOT NULL, name TEXT, state TEXT NOT NULL, reason TEXT, intended_at REAL NOT NULL,
    settled_at REAL);
CREATE INDEX messages_by_key ON messages (key);
CREATE UNIQUE INDEX one_open_intent_a_user ON messages (exact) WHERE state = 'open';
CREATE INDEX unsettled ON messages (state) WHERE state IN ('open', 'unknown');
CREATE TABLE aliases (key BLOB NOT NULL, message INTEGER NOT NULL, exact BLOB NOT NULL,
    PRIMARY KEY (key, message)) WITHOUT ROWID;
CREATE INDEX aliases_by_message ON aliases (message);
INSERT INTO runs VALUES (1, 1800000000.0, 7, NULL, NULL);
"""
MESSAGES: list[tuple[str, str, str | None, float | None]] = [
    ("ada", "sent", "accepted", NOW + 1),
    ("bob", "unknown", "no-answer", NOW + 2),
    ("cid", "failed", "user-not-found", NOW + 3),
    ("dan", "open", None, None),
]


@pytest.fixture
def old(path: Path) -> Path:
    """A ledger of version 1, whose one run was killed and closed in order."""
    path.parent.mkdir()
    db = sqlite3.connect(path)
    db.executescript(VERSION_1)
    meta = [("client", "client abc"), ("secret", SECRET), ("simulated", 0)]
    db.executemany("INSERT INTO meta VALUES (?, ?)", meta)
    for name, state, reason, settled_at in MESSAGES:
        db.execute(
            "INSERT INTO messages VALUES (NULL, 1, ?, ?, ?, ?, ?, ?, ?)",
            (*hashes(SECRET, name), name, state, reason, NOW, settled_at),
        )
    db.execute("INSERT INTO aliases VALUES (?, 1, ?)", hashes(SECRET, "ada@example.com"))
    db.commit()
    db.close()
    path.chmod(0o600)
    return path


def columns(messages: Iterator[Message]) -> list[tuple[str | None, str, str | None, float | None]]:
    return [(m.name, m.state, m.reason, m.settled_at) for m in messages]


def version(path: Path) -> int:
    return int.from_bytes(path.read_bytes()[60:64], "big")  # SQLite itself would take the -wal


def test_a_look_reads_the_old_ledger_and_leaves_it(old: Path) -> None:
    before = old.read_bytes()
    with looking_at(old) as records:
        assert columns(records.messages()) == MESSAGES
        assert records.unknown().messages == 2
        assert list(records.marked()) == []
    with LedgerFile(old, read_only=True) as ledger:
        assert ledger.history(Identity("ada@example.com")).sent == [NOW + 1]
    with LedgerFile(old) as ledger:  # planned, and not approved
        assert ledger.history(Identity("dan")).interrupted
    assert old.read_bytes() == before
    assert not migration.copy_of(old, 1).exists()


def test_a_run_that_writes_brings_it_up_to_date_and_keeps_a_copy(old: Path) -> None:
    before = old.read_bytes()
    with opened_file(old) as ledger:
        assert columns(ledger.records.messages()) == MESSAGES
        assert ledger.history(Identity("ADA@example.com")).sent == [NOW + 1]
        assert list(ledger.records.marked()) == []  # the old requests bore no marks
    assert version(old) == schema.SCHEMA
    copy = migration.copy_of(old, 1)
    assert copy.read_bytes() == before
    assert copy.stat().st_mode & 0o777 == 0o600
    with looking_at(copy) as records:
        assert columns(records.messages()) == MESSAGES
    remember(old, "eve")
    with LedgerFile(old) as ledger:
        assert [m.message.name for m in ledger.records.marked()] == ["eve"]
        assert ledger.client == "client abc"


def test_an_old_and_a_new_ledger_have_the_same_tables(old: Path, tmp_path: Path) -> None:
    remember(old, "eve")
    remember(tmp_path / "new", "eve")

    def tables(path: Path) -> dict[str, str]:
        db = sqlite3.connect(path)
        rows = db.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
        db.close()
        return {name: " ".join(sql.split()) for name, sql in rows}

    ours, theirs = tables(old), tables(tmp_path / "new")
    assert ours.keys() == theirs.keys()
    changed = {name for name in ours if name.startswith("messages") or "open" in name}
    assert {name: ours[name] for name in changed} == {name: theirs[name] for name in changed}


def test_a_migration_that_dies_leaves_the_old_ledger(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = old.read_bytes()
    real = migration.to_version_2

    def die(db: sqlite3.Connection) -> None:
        real(db)
        raise sqlite3.OperationalError("no space left")

    monkeypatch.setattr(migration, "to_version_2", die)
    with pytest.raises(LedgerError, match="no space left"), opened_file(old):
        pytest.fail("began")
    assert old.read_bytes() == before
    monkeypatch.undo()
    with opened_file(old) as ledger:
        assert columns(ledger.records.messages()) == MESSAGES


def test_erasing_in_an_old_ledger_works(old: Path) -> None:
    with LedgerFile(old) as ledger:
        assert ledger.records.forget(["ada"]).messages == 1
    with LedgerFile(old) as ledger:
        assert ledger.history(Identity("ada")).sent == [NOW + 1]
        assert next(ledger.records.messages()).name is None
