"""Reading a ledger while a run writes to it: a whole copy, and no run is blocked."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import batch_resend
from batch_resend.errors import InputError, LedgerError, LedgerHeld
from batch_resend.ledger import Identity, Intend, Settle
from batch_resend.ledger.sqlite import snapshot as module
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.ledger.sqlite.snapshot import looking_at
from batch_resend.model import Reason
from tests.support.ledgers import apply

# A run in a process of its own: writes so many groups of five, when it is asked to. The
# `-wal` is begun anew after every few of them.
WRITER = """
import sys
from pathlib import Path
from batch_resend.ledger import Intend, Identity, Settle
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.model import Reason
from tests.support.ledgers import apply

with LedgerFile(Path(sys.argv[1])) as ledger:
    ledger.begin(1.0)
    ledger._db.execute("PRAGMA wal_autocheckpoint = 8")
    at = 0
    for line in sys.stdin:
        for _ in range(int(line)):
            names = [Identity(f"user{n}@example.com", (f"id-{n}",)) for n in range(at, at + 5)]
            at += 5
            intents = apply(ledger, [Intend(name, float(at)) for name in names])
            apply(ledger, [Settle(intent, Reason.ACCEPTED, float(at)) for intent in intents])
        print("written", flush=True)
"""


class Writer:
    """The process that writes."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(batch_resend.__file__).parents[1])},
        )
        self.written = 0

    def write(self, groups: int) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{groups}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "written\n"
        self.written += groups * 5

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


@pytest.fixture
def writer(path: Path) -> Iterator[Writer]:
    instance = Writer(path)
    instance.write(3)
    yield instance
    instance.end()


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def whole(path: Path, at_least: int) -> int:
    """Return how many messages a look finds, all of them as they were written."""
    with looking_at(path) as ledger:
        assert ledger._db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = list(ledger.messages())
        assert [m.name for m in rows] == [f"user{n}@example.com" for n in range(len(rows))]
        assert {m.state for m in rows} == {"sent"}
        (aliases,) = ledger._db.execute("SELECT count(*) FROM aliases").fetchone()
        assert aliases == len(rows) >= at_least
        assert len(rows) % 5 == 0
        return len(rows)


def test_snapshot_shows_a_running_job_without_disturbing_it(
    path: Path, writer: Writer, temporary: Path
) -> None:
    for _ in range(30):
        writer.write(4)
        assert whole(path, 0) == writer.written
        with pytest.raises(LedgerHeld):
            LedgerFile(path).__enter__()
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("between", ["the ledger and its log", "the log and the end"])
def test_a_copy_that_the_writer_overtakes_is_made_again(
    path: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch, between: str
) -> None:
    real, copies = shutil.copyfile, 0

    def overtaken(source: Path, target: Path) -> Any:
        nonlocal copies
        done = real(source, target)
        if str(source).endswith("-wal") is (between == "the log and the end"):
            copies += 1
            if copies % 3:
                writer.write(30)  # enough for the log to be begun anew, several times
        return done

    monkeypatch.setattr(shutil, "copyfile", overtaken)
    for n in range(1, 11):
        assert whole(path, writer.written) == writer.written
        assert copies == 3 * n


def test_writer_that_is_always_faster_is_reported_as_the_holder(
    path: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.copyfile

    def overtaken(source: Path, target: Path) -> Any:
        writer.write(20)
        return real(source, target)

    monkeypatch.setattr(shutil, "copyfile", overtaken)
    monkeypatch.setattr(module, "_TRIES", 3)
    with pytest.raises(LedgerHeld, match="too fast to read it"), looking_at(path):
        pytest.fail("opened")


def test_snapshot_shows_the_log_of_a_killed_run_unchanged(path: Path, writer: Writer) -> None:
    writer.write(1)
    writer.end()
    log = path.with_name(path.name + "-wal")
    before = (path.read_bytes(), log.read_bytes(), path.stat(), log.stat())
    assert whole(path, writer.written) == writer.written
    after = (path.read_bytes(), log.read_bytes(), path.stat(), log.stat())
    assert after[:2] == before[:2]
    assert [entry.st_mtime_ns for entry in after[2:]] == [entry.st_mtime_ns for entry in before[2:]]


def test_run_can_begin_and_write_during_a_look(path: Path) -> None:
    with LedgerFile(path) as ledger:
        ledger.begin(1.0)
        apply(ledger, [Intend(Identity("ada"), 1.0)])
    with looking_at(path) as seen:
        with LedgerFile(path) as ledger:
            ledger.begin(2.0)
            (intent,) = apply(ledger, [Intend(Identity("bob"), 2.0)])
            apply(ledger, [Settle(intent, Reason.ACCEPTED, 2.0)])
        assert [m.name for m in seen.messages()] == ["ada"]
        assert seen.name == f"ledger {path}"


def test_a_ledger_that_began_while_it_was_copied_is_copied_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LedgerFile(path) as ledger:
        ledger.begin(1.0)
    real = shutil.copyfile
    runs: list[int] = []

    def overtaken(source: Path, target: Path) -> Any:
        done = real(source, target)
        if not runs:  # a whole run, begun and ended
            runs.append(1)
            with LedgerFile(path) as ledger:
                ledger.begin(2.0)
        return done

    monkeypatch.setattr(shutil, "copyfile", overtaken)
    with looking_at(path) as seen:
        assert len(seen.runs()) == 2


def test_a_ledger_that_is_not_there_is_said_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no ledger"), looking_at(tmp_path / "none"):
        pytest.fail("opened")
    assert {file.name for file in tmp_path.iterdir()} == {"temporary"}


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_text("username\nada\n" * 500), "not a database"),
        (lambda path: path.mkdir(), "cannot be copied to read it"),
        (os.mkfifo, "cannot be copied to read it"),
    ],
)
def test_file_that_is_not_a_ledger_is_named_as_given(path: Path, make: Any, sentence: str) -> None:
    make(path)
    with pytest.raises(LedgerError, match=f"{path}.*{sentence}"), looking_at(path):
        pytest.fail("opened")


def test_no_room_for_the_copy_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LedgerFile(path) as ledger:
        ledger.begin(1_800_000_000.0)

    def full(source: Path, target: Path) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(LedgerError, match=r"No space left.*TMPDIR"), looking_at(path):
        pytest.fail("opened")


def test_copy_is_private_from_its_creation(
    path: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had the mode of the umask: all that kept others out was the directory."""
    writer.write(4)
    modes: dict[str, int] = {}
    real = shutil.copyfile

    def noting(source: Path, target: Path) -> Any:
        modes[target.name] = stat.S_IMODE(target.stat().st_mode)
        return real(source, target)

    monkeypatch.setattr(shutil, "copyfile", noting)
    old = os.umask(0)
    try:
        assert whole(path, 0) == writer.written
    finally:
        os.umask(old)
    assert modes == {"ledger": 0o600, "ledger-wal": 0o600}
