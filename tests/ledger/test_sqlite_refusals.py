"""Files that are refused as a ledger, and left as they are."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from batch_resend.errors import LedgerError
from batch_resend.ledger import (
    Identity,
)
from batch_resend.ledger.sqlite.file import LedgerFile
from tests.support.ledgers import (
    NOW,
    opened_file,
    remember,
)


def test_a_new_ledger_can_be_forbidden(path: Path) -> None:
    with pytest.raises(LedgerError, match="--create-ledger"), opened_file(path, must_exist=True):
        pytest.fail("opened")
    assert not path.parent.exists()
    with LedgerFile(path):
        pass  # planned, and nothing written
    assert not path.exists()
    with pytest.raises(LedgerError, match="--create-ledger"), opened_file(path, must_exist=True):
        pytest.fail("opened")
    remember(path, "ada")
    with opened_file(path, must_exist=True) as opened:
        assert opened.history(Identity("ada")).sent


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 * 2 + 100 : 4096 * 4] = b"\xff" * (4096 * 2 - 100)
    path.write_bytes(data)


def newer(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()


def another(path: Path) -> None:
    path.unlink()
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE t (x)")
    db.close()


def linked(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def foldered(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (damaged, "damaged"),
        (newer, "schema 99"),
        (another, "not a ledger"),
        (linked, "not a regular file"),
        (foldered, "not a regular file"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(b"username\nada\n" * 99), "file is not a database"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "damaged|malformed"),
    ],
)
def test_untrusted_ledger_is_refused_and_left_unchanged(
    path: Path, harm: Any, sentence: str
) -> None:
    remember(path, *(f"user{n}" for n in range(300)))
    harm(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(LedgerError, match=sentence), opened_file(path):
        pytest.fail("opened")
    assert before == (path.read_bytes() if path.is_file() else b"")


def test_a_ledger_of_another_user_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remember(path, "ada")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(LedgerError, match="another user"), opened_file(path):
        pytest.fail("opened")


def test_simulations_and_real_runs_never_share_a_ledger(path: Path) -> None:
    remember(path, "ada")
    with pytest.raises(LedgerError, match="real runs"), opened_file(path, simulated=True):
        pytest.fail("opened")
    other = path.with_name("simulated")
    with opened_file(other, simulated=True):
        pass
    with pytest.raises(LedgerError, match="a simulation"), opened_file(other):
        pytest.fail("opened")


@pytest.mark.parametrize("folder", ["home", "b\u00fccher", "two words"])
def test_a_network_file_system_is_refused(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = (
        b"22 1 0:21 / / rw - ext4 /dev/sda rw\n"
        b"23 22 0:22 / /mnt/\xff\\040 rw - ext4 /dev/sdb rw\n"  # no UTF-8, and a blank
        + f"24 22 0:22 / {tmp_path}/{folder} rw shared:1 - nfs4 server:/home rw\n".encode()
        .replace(b"two words", b"two\\040words")
    )  # fmt: skip
    path = tmp_path / folder / "deep" / "ledger"
    real = Path.read_bytes

    def read(self: Path) -> bytes:
        return mounts if str(self) == "/proc/self/mountinfo" else real(self)

    monkeypatch.setattr(Path, "read_bytes", read)
    with pytest.raises(LedgerError, match="network file system \\(nfs4\\)"), opened_file(path):
        pytest.fail("opened")


def test_ledger_opens_where_the_system_lists_no_mounts(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.read_bytes

    def read(self: Path) -> bytes:
        if str(self) == "/proc/self/mountinfo":  # macOS has none
            raise FileNotFoundError(2, "No such file or directory", str(self))
        return real(self)

    monkeypatch.setattr(Path, "read_bytes", read)
    remember(path, "ada")
    with opened_file(path) as opened:
        assert opened.history(Identity("ada")).sent == [NOW]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot be opened"), opened_file(tmp_path / "file" / "l"):
        pytest.fail("opened")


def test_ledger_with_only_its_wal_left_is_not_replaced(path: Path) -> None:
    path.parent.mkdir()
    path.with_name(path.name + "-wal").write_bytes(b"the newest part")
    with pytest.raises(LedgerError, match="only its newest part is left"), opened_file(path):
        pytest.fail("opened")


def test_a_lock_that_is_a_link_is_refused(path: Path) -> None:
    path.parent.mkdir()
    target = path.with_name("precious")
    target.write_text("precious")
    path.with_name(path.name + ".lock").symlink_to(target)
    with pytest.raises(LedgerError, match="cannot be opened"), opened_file(path):
        pytest.fail("opened")
    assert target.read_text() == "precious"
