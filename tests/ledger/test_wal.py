"""The newest part of a ledger: what a power cut has torn is dropped, what has flipped is not."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from batch_resend.ledger.sqlite.wal import DamagedWal, Wal, pages_in, read_wal

FRAME = 24 + 4096


@pytest.fixture
def written(tmp_path: Path) -> bytes:
    """A `-wal` of five commits."""
    path = tmp_path / "db"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL").fetchall()
    db.execute("CREATE TABLE t (x)")
    for n in range(4):
        db.execute("INSERT INTO t VALUES (?)", (f"{n}" * 3000,))
    data = path.with_name("db-wal").read_bytes()
    db.close()
    return data


def commits(data: bytes) -> list[int]:
    """The frames that end a commit."""
    frames = range(32, len(data), FRAME)
    return [n for n, at in enumerate(frames) if data[at + 4 : at + 8] != b"\0\0\0\0"]


def test_a_whole_wal_is_read_as_sqlite_reads_it(written: bytes) -> None:
    wal = read_wal(written)
    assert wal.pages == pages_in(written) == set(range(1, wal.size + 1))
    assert len(commits(written)) == 5


@pytest.mark.parametrize("data", [b"", b"x" * 31])
def test_a_wal_without_a_header_holds_nothing(data: bytes) -> None:
    assert read_wal(data) == Wal()
    assert pages_in(data) == set()


def test_a_header_that_was_never_written_whole_holds_nothing(written: bytes) -> None:
    assert read_wal(b"\0" * 32 + written[32:]) == Wal()


def test_a_torn_last_commit_is_dropped(written: bytes) -> None:
    """Any of its sectors may be missing, and the file may be cut off anywhere."""
    rng = random.Random(1)
    begin = 32 + FRAME * (commits(written)[-2] + 1)
    before = read_wal(written[:begin])
    for cut in rng.sample(range(begin, len(written)), 20):
        assert read_wal(written[:cut]) == before
    for sector in range(begin + 512, len(written) - 512, 512):
        torn = written[:sector] + b"\0" * 512 + written[sector + 512 :]
        if torn != written:
            assert read_wal(torn) == before


def test_what_is_left_of_an_earlier_wal_is_not_taken(written: bytes) -> None:
    begin = 32 + FRAME * (commits(written)[-2] + 1)
    older = bytearray(written)
    for at in range(begin, len(older), FRAME):
        older[at + 8 : at + 16] = b"\x12\x34\x56\x78\x9a\xbc\xde\xf0"
    assert read_wal(bytes(older)) == read_wal(written[:begin])


def test_a_flipped_bit_anywhere_is_refused(written: bytes) -> None:
    rng = random.Random(2)
    last = 8 * (32 + FRAME * (commits(written)[-2] + 1))
    bits = [*range(8 * 56), *rng.sample(range(8 * len(written)), 25)]
    bits += [*range(last, last + 8 * 24), *rng.sample(range(last, 8 * len(written)), 25)]
    for bit in bits:
        damaged = bytearray(written)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamagedWal):
            read_wal(bytes(damaged))


def test_a_torn_commit_before_the_last_is_refused(written: bytes) -> None:
    """It was synced before the next one began, so no power cut can have torn it."""
    at = 32 + FRAME * commits(written)[1] + 1024
    torn = written[:at] + b"\xff" * 512 + written[at + 512 :]
    with pytest.raises(DamagedWal):
        read_wal(torn)
