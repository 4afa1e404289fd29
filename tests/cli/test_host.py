"""Odd hosts get a sentence: no home, no room for temporary files."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from batch_resend.cli import program


@pytest.fixture
def without_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Be a user of whom the machine knows no home, as in many a container."""

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
def test_user_without_home_is_told_to_name_the_ledger(
    arguments: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    assert program(list(arguments)) == 4
    assert capfd.readouterr().err == (
        "Error: This user has no home directory to keep a ledger in. Name the ledger with"
        " --ledger, or set HOME or XDG_STATE_HOME.\n"
    )


@pytest.mark.usefixtures("without_home")
def test_user_without_home_can_simulate_and_name_a_ledger(tmp_path: Path) -> None:
    assert program(["run", "--user", "ada", "--simulate"]) == 0
    assert program(["status", "--ledger", str(tmp_path / "none.sqlite3")]) == 2
