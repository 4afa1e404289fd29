"""Odd hosts: an unread terminal, no home directory."""

from __future__ import annotations

import contextlib
import os
import pty
import pwd
import signal
import tempfile
from pathlib import Path

import pytest

from batch_resend.cli import program
from batch_resend.simulator.pool import Kind
from batch_resend.simulator.rules import Cognito
from tests.support.program import AT_MOST, REPORT, SUMMARY, Program, numbered, until, without_times


@pytest.fixture
def without_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Be a user without a home on this machine, as in many containers."""

    def unknown(_: int) -> None:
        raise KeyError

    for name in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.chdir(tmp_path)


RUN = ("run", "--user", "ada", "--client-id", "abc", "--region", "us-east-1", "--yes")


@pytest.mark.parametrize(
    "arguments", [(*RUN, "--endpoint-url", "http://127.0.0.1:9", "--create-ledger"), ("status",)]
)
@pytest.mark.usefixtures("without_home")
def test_user_without_home_must_name_the_ledger(
    arguments: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    assert program(list(arguments)) == 4
    assert without_times(capfd.readouterr().err) == (
        "Error: This user has no home directory to keep a ledger in. Name the ledger with"
        " --ledger, or set HOME or XDG_STATE_HOME.\n"
    )


@pytest.mark.usefixtures("without_home")
def test_user_without_home_can_simulate_and_name_a_ledger(tmp_path: Path) -> None:
    assert program(["run", "--user", "ada", "--simulate"]) == 0
    assert program(["status", "--ledger", str(tmp_path / "none.sqlite3")]) == 2


def test_no_temporary_directory_matters_only_where_one_is_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As in a container whose file systems cannot be written to."""

    def none() -> str:
        raise FileNotFoundError

    monkeypatch.chdir(tmp_path)
    run = ["run", "--user", "ada", "--simulate", "--dry-run", "--report"]
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "gettempdir", none)
        assert program([*run, "report.csv"]) == 0
        assert program([*run, "report.csv.gz"]) == 2
    assert without_times(capfd.readouterr().err).endswith(
        "Error: There is no directory for temporary files that can be written to. Set TMPDIR to"
        " one.\n"
    )


def read_to_end(terminal: int) -> str:
    said = b""
    with contextlib.suppress(OSError):  # the error of a terminal whose other end is closed
        while piece := os.read(terminal, 65536):
            said += piece
    os.close(terminal)
    return said.decode()


@pytest.mark.parametrize(
    "options", [(), ("--no-progress",), ("--log-format", "json")], ids=["live", "plain", "json"]
)
def test_stopped_terminal_does_not_hold_up_a_run(
    program: Program, cognito: Cognito, at: tuple[str, ...], options: tuple[str, ...]
) -> None:
    """As after Ctrl-S: far more output than an unread terminal holds."""
    users = program.users([*numbered(300), *numbered(300, Kind.MISSING)])
    ours, theirs = pty.openpty()
    process = program.start(
        *("run", users, *at, *options, "-v", *REPORT, *SUMMARY, "--max-failures", "100%"),
        stderr=theirs,
        env={"TERM": "xterm"},
    )
    os.close(theirs)
    until(lambda: cognito.requests == 600, process)
    said = read_to_end(ours)
    assert process.wait(AT_MOST) == 1
    assert program.summary()["counts"] | {"sent": 300, "failed": 300} == program.summary()["counts"]
    assert said.count("user-not-found") >= 300, "no line about a row is left out"
    assert "Report: report.csv" in said or options[-1:] == ("json",)


def test_second_signal_leaves_a_stopped_terminal(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    users = program.users(numbered(600, Kind.MISSING))
    ours, theirs = pty.openpty()
    process = program.start(
        "run", users, *at, "-v", *REPORT, "--max-failures", "100%", stderr=theirs
    )
    os.close(theirs)
    until(lambda: cognito.requests == 600, process)

    def left() -> bool:
        process.send_signal(signal.SIGINT)
        return process.poll() is not None

    until(left)
    assert process.returncode in {1, 130}
    os.close(ours)
