"""What is lost or changed between two runs: no user is forgotten in silence."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from batch_resend.errors import Exit, LedgerError, LedgerHeld
from batch_resend.ledger import Identity, Intend, Settle
from batch_resend.ledger.sqlite.checksums import PageSums, sums_of
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.ledger.sqlite.lockfile import files_of, is_held
from batch_resend.ledger.sqlite.wal import wal_of
from batch_resend.model import Reason
from tests.support.ledgers import NOW, apply, opened_file, remember

USERS = 60


def names(number: int) -> Identity:
    """Return the names of a user: every second one was listed, with one more name."""
    others = (f"sub-{number}",) if number % 2 else ()
    return Identity(f"user{number}@example.com", others, listed=bool(others))


def sent_to_all(path: Path, *, killed: Path | None = None) -> None:
    """Send to all in a run; copy the files as a kill would leave them, if `killed`."""
    with LedgerFile(path) as ledger:
        ledger.begin(NOW)
        for start in range(0, USERS, 10):
            users = range(start, start + 10)
            intents = apply(ledger, [Intend(names(n), NOW + n) for n in users])
            apply(ledger, [Settle(intent, Reason.ACCEPTED, NOW + 1) for intent in intents])
        if killed is not None:
            killed.mkdir()
            for file in files_of(path):
                if file.exists():
                    shutil.copy(file, killed / file.name)
        ledger.finish("{}", NOW + 99)


def forgotten(path: Path) -> int:
    """Return how many users with a code are missing in the ledger."""
    with LedgerFile(path) as ledger:
        times = [ledger.history(Identity(names(n).username)).sent for n in range(USERS)]
        times += [ledger.history(Identity(f"sub-{n}")).sent for n in range(1, USERS, 2)]
    return sum(not sent for sent in times)


# -- a lost `-wal` ---------------------------------------------------------------------


def test_a_lost_wal_of_a_killed_run_is_refused(path: Path, tmp_path: Path) -> None:
    sent_to_all(path, killed=tmp_path / "killed")
    left = tmp_path / "killed" / path.name
    whole = wal_of(left).read_bytes()
    assert len(whole) > 100_000
    wal_of(left).unlink()
    for _ in range(2):
        with pytest.raises(LedgerError, match=r"newest part of the ledger .* is missing") as caught:
            forgotten(left)
    assert f"touch {wal_of(left)}" in str(caught.value)
    with pytest.raises(LedgerError, match="is missing"), opened_file(left, read_only=True):
        pytest.fail("opened")
    wal_of(left).write_bytes(whole)
    assert forgotten(left) == 0


def test_the_way_out_of_a_lost_wal_is_the_one_that_is_said(path: Path, tmp_path: Path) -> None:
    sent_to_all(path, killed=tmp_path / "killed")
    left = tmp_path / "killed" / path.name
    wal_of(left).unlink()
    wal_of(left).touch()
    assert forgotten(left) > 0


@pytest.mark.parametrize("read_only", [False, True])
def test_closed_run_without_an_end_counts_as_no_loss(path: Path, read_only: bool) -> None:
    remember(path, "ada")  # it has no end, and its file was closed in order
    for _ in range(2):
        with LedgerFile(path, read_only=read_only) as ledger:
            assert ledger.history(Identity("ada")).sent
        assert wal_of(path).stat().st_size == 0
    with LedgerFile(path) as ledger:
        ledger.begin(NOW)
        ledger.finish("{}", NOW)
    assert not wal_of(path).exists()


# -- flipped bits ----------------------------------------------------------------------


def flipped(source: Path, target: Path, file: Path, bit: int) -> Path:
    """Copy a ledger with one bit of one of its files flipped."""
    target.mkdir()
    for one in files_of(source):
        if one.exists():
            shutil.copy(one, target / one.name)
    data = bytearray((target / file.name).read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    (target / file.name).write_bytes(data)
    return target / source.name


def flip(source: Path, folder: Path, which: Callable[[Path], Path], count: int) -> list[int | None]:
    """Flip a number of bits of a file, each in a copy of its own; None is a refusal."""
    file, rng = which(source), random.Random(1)
    results: list[int | None] = []
    for bit in rng.sample(range(8 * file.stat().st_size), count):
        ledger = flipped(source, folder / "flipped", file, bit)
        try:
            results.append(forgotten(ledger))
        except LedgerError:
            results.append(None)
        shutil.rmtree(ledger.parent)
    return results


FILES = {"ledger": Path, "wal": wal_of, "sums": sums_of}


def flip_everywhere(tmp_path: Path, count: int) -> dict[str, list[int | None]]:
    """Flip bits of each file of a ledger at rest, and of one whose run was killed."""
    rest = tmp_path / "rest" / "ledger.sqlite3"
    sent_to_all(rest, killed=tmp_path / "killed")
    results = {}
    for source in (rest, tmp_path / "killed" / rest.name):
        for name, which in FILES.items():
            if which(source).exists():
                key = f"{source.parent.name} {name}"
                results[key] = flip(source, tmp_path, which, count)
    return results


def test_flipped_bit_loses_no_user(tmp_path: Path) -> None:
    results = flip_everywhere(tmp_path, 12)
    assert set(results) == {
        "rest ledger",
        "rest sums",
        "killed ledger",
        "killed wal",
        "killed sums",
    }
    assert {outcome for each in results.values() for outcome in each} == {None, 0}
    # The checksums see it; and what they do not hold any more, SQLite's own check has seen.
    assert results["rest ledger"].count(None) >= 11
    assert results["killed wal"].count(None) >= 11


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_hundreds_of_flipped_bits_lose_no_user(tmp_path: Path) -> None:
    results = flip_everywhere(tmp_path, 700)
    assert {outcome for each in results.values() for outcome in each} == {None, 0}


def test_flips_would_be_accepted_without_the_checksums(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = tmp_path / "rest" / "ledger.sqlite3"
    sent_to_all(rest)
    monkeypatch.setattr(PageSums, "read", lambda _: None)
    monkeypatch.setattr(LedgerFile, "_check", lambda *_: None)
    results = flip(rest, tmp_path, Path, 40)
    assert sum(bool(outcome) for outcome in results) > 0


def test_a_backup_that_is_restored_is_taken_after_a_full_check(path: Path, tmp_path: Path) -> None:
    remember(path, "ada")
    shutil.copy(path, tmp_path / "backup")
    remember(path, "bob")
    shutil.copy(tmp_path / "backup", path)
    with opened_file(path) as ledger:
        assert ledger.history(Identity("ada")).sent
        assert not ledger.history(Identity("bob")).sent
    with LedgerFile(path) as ledger:  # and has checksums of its own again
        assert ledger.history(Identity("ada")).sent


def test_a_ledger_without_checksums_gets_them(path: Path) -> None:
    remember(path, "ada")
    sums_of(path).unlink()
    remember(path, "bob")
    assert sums_of(path).exists()
    with LedgerFile(path) as ledger:
        assert ledger.history(Identity("ada")).sent


def test_checksums_follow_a_long_run(path: Path) -> None:
    """The `-wal` is copied into the file many times, and at any moment all fits together."""
    with LedgerFile(path) as ledger:
        ledger.begin(NOW)
        before, emptied = 0, 0
        for start in range(0, 8000, 200):
            users = [Identity(f"user{n}-{'x' * 60}@example.com") for n in range(start, start + 200)]
            intents = apply(ledger, [Intend(user, NOW) for user in users])
            apply(ledger, [Settle(intent, Reason.ACCEPTED, NOW) for intent in intents])
            size = wal_of(path).stat().st_size
            emptied += size < before
            before = size
        assert emptied >= 1
    with LedgerFile(path) as ledger:
        assert all(ledger.history(Identity(user.username)).sent for user in users)
        assert ledger.records.unknown().messages == 0


# -- held by another name --------------------------------------------------------------


def test_a_hard_linked_ledger_is_held_as_any_other(path: Path, tmp_path: Path) -> None:
    remember(path, "ada")
    other = tmp_path / "another-name.sqlite3"
    os.link(path, other)
    with opened_file(path) as ledger:
        apply(ledger, [Intend(Identity("bob"), NOW)])
        with pytest.raises(LedgerHeld, match="under another name of the file") as caught:
            LedgerFile(other).__enter__()
        assert caught.value.exit_code is Exit.LEDGER_HELD
        apply(ledger, [Intend(Identity("cid"), NOW)])


def test_fifo_in_place_of_the_lock_does_not_block(path: Path) -> None:
    remember(path, "ada")
    lock = path.with_name(f"{path.name}.lock")
    lock.unlink()
    os.mkfifo(lock)
    with pytest.raises(OSError, match="Invalid argument"):
        is_held(path)
    with pytest.raises(LedgerError, match="is not a regular file"), opened_file(path):
        pytest.fail("opened")
