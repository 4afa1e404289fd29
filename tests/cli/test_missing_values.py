"""Every option of every command: a missing, needless or wrong value is one sentence and exit 2."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
import typer.main

from batch_resend import cli
from batch_resend.cli.option import Option
from tests.support.program import without_times


def commands(group: Any = None, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Return all commands by the words that call them."""
    group = typer.main.get_command(cli.app) if group is None else group
    result: dict[tuple[str, ...], Any] = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            result |= commands(command, (*path, name))
        else:
            result[(*path, name)] = command
    return result


def options_of(command: Any) -> list[Option]:
    return [row for row in command.rows.values() if not row.is_argument]


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one sentence that a command ends with, its exit code being 2."""
    code = cli.program(arguments)
    out, err = capsys.readouterr()
    assert (code, out) == (2, ""), arguments
    (line,) = without_times(err).splitlines()
    assert line.startswith("Error: "), line
    assert line.endswith((".", "?")), line
    return line.removeprefix("Error: ")


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_option_without_its_value_is_named(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Given last without a value, or before another option, whatever the command."""
    rows = options_of(commands()[path])
    for row in rows:
        names = [row.option, row.short] if row.short else [row.option]
        for name in names if not row.is_switch else ():
            expected = f"{name} needs a value: {name} {row.metavar}"
            assert complaint(capsys, *path, name) == f"{expected}."
            assert complaint(capsys, *path, name, "--help") == f"{expected}, but --help follows."
    assert rows


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_switch_with_a_value_is_named(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    for row in options_of(commands()[path]):
        for name in row.flag.split("/") if row.is_switch else ():
            said = complaint(capsys, *path, f"{name}=true")
            assert said == f"{name} takes no value, but 'true' was given."


#: A text that is not a valid value of any option that reads one.
WRONG = "wrong"


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_wrong_value_is_named_with_its_option(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    if path == ("config", "show"):
        return  # which shows values as they are
    needed = {"run": ("--simulate",), "check": ("--user-pool-id", "eu-west-1_AbC")}.get(path[0], ())
    for row in options_of(commands()[path]):
        if row.parse is not None:
            said = complaint(capsys, *path, *needed, row.option, WRONG)
            assert said.startswith(f"{row.option} '{WRONG}'"), said


def test_value_that_looks_like_an_option_can_be_tied(capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "run", "--simulate", "--limit=--yes")
    assert said.startswith("--limit '--yes' is not a valid whole number")


@pytest.mark.parametrize(
    ("option", "typed", "near"),
    [
        ("--log-format", "JSN", "json"), ("--format", "xls", "xlsx"),
        ("--resend-unknown", "not-record", "not-recorded"),
    ],
)  # fmt: skip
def test_value_near_a_choice_is_suggested(
    option: str, typed: str, near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert complaint(capsys, "run", "--simulate", option, typed).endswith(f"Did you mean {near}?")


@pytest.mark.parametrize("value", ["maybe", "2", "tru"])
def test_switch_of_a_variable_is_true_or_false(
    value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BATCH_RESEND_DRY_RUN", value)
    assert complaint(capsys, "run", "--simulate") == (
        f"--dry-run '{value}' is not a valid choice. Use true or false."
        " --dry-run is set by BATCH_RESEND_DRY_RUN."
    )


def test_rate_says_its_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "run", "--simulate", "--rate", "100001")
    assert said == (
        "--rate '100001' is not a valid rate. Use auto, or requests per second: above 0, up to"
        " 100,000."
    )
