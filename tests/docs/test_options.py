"""The options in the manual are those of the code, row by row; the help has them too."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer.main

from batch_resend import cli
from batch_resend.cli import options
from batch_resend.cli.help import EXAMPLES, EXIT_CODES
from batch_resend.errors import Exit
from batch_resend.settings import UNCONFIRMED_FILTER
from tests.support.markdown import ALL, PAGES, ROOT
from tests.support.reference import pages

# Options of other programs, in the commands that the pages show.
FOREIGN = {"--check", "--cov", "--dist", "--draw", "--hypothesis-profile", "--real"} | {
    "--held-out",
    "--table-name", "--attribute-definitions", "--key-schema", "--billing-mode",
    "--deletion-protection-enabled", "--point-in-time-recovery-specification",
    "--lookup-attributes", "--start-time", "--end-time",
}  # fmt: skip


def commands(group: Any = None, path: str = "") -> dict[str, Any]:
    """Return all commands by their names, without groups."""
    group = typer.main.get_command(cli.app) if group is None else group
    result: dict[str, Any] = {}
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        own = f"{path} {name}".strip()
        result |= commands(command, own) if inner else {own: command}
    return result


@pytest.mark.parametrize("page", pages())
def test_options_page_is_what_the_rows_come_to(page: str) -> None:
    """If this fails: `python -m tests.support.reference`."""
    assert (ROOT / page).read_text("utf-8") == pages()[page]


def test_every_option_that_a_page_names_exists() -> None:
    history = ".github/CHANGELOG.md"  # names options that are gone
    ours = "\n".join(
        text for name, text in PAGES.items() if "step-functions" not in name and name != history
    )
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", ours))
    options = {
        name
        for command in commands().values()
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    assert named - FOREIGN <= options | {
        "--help",
        "--version",
        "--install-completion",
        "--show-completion",
    }


def test_every_variable_that_a_page_names_is_read() -> None:
    variables = {row.variable for command in commands().values() for row in command.rows.values()}
    named = set(re.findall(r"BATCH_RESEND_[A-Z_]+[A-Z]", ALL))
    by_tests = {
        name
        for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r'"(BATCH_RESEND_[A-Z]+)", "\d+"', path.read_text("utf-8"))
    }
    assert "BATCH_RESEND_KILLS" in by_tests
    assert named <= variables | by_tests | {"BATCH_RESEND_CLIENT_SECRET"}


def test_variables_are_named_after_their_options() -> None:
    for row in options.RUN[1:]:
        assert row.variable == "BATCH_RESEND_" + row.option[2:].upper().replace("-", "_")


def test_default_filter_is_the_one_in_the_help() -> None:
    assert options.FILTER.otherwise == UNCONFIRMED_FILTER


def test_every_typed_default_means_the_default_of_the_settings() -> None:
    """What the help shows as default can be typed, and changes nothing."""
    typed: dict[str, Any] = {
        row.name: row.default_text() for row in options.RUN if row.default_text()
    }
    assert len(typed) > 8
    base = {row.name: None for row in options.RUN} | {"simulate": True}
    assert options.read_settings(base | typed) == options.read_settings(base)


@pytest.mark.parametrize("path", [*commands(), ""])
@pytest.mark.parametrize("width", [80, 120])
def test_help_fits_and_shows_examples_and_exit_codes(
    path: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert cli.program([*path.split(), "--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "<bool>" not in out
    assert "\x1b" not in out
    examples = {f"    {command}" for _, command in EXAMPLES[path]}
    assert len(examples) == 3
    assert examples <= set(out.splitlines())
    assert all(len(line) <= width for line in out.splitlines() if line not in examples)
    if path:
        assert [str(code) for code, _ in EXIT_CODES[path]] == [
            line[2:17].strip() for line in out.partition("Exit codes\n")[2].splitlines()
            if line[2:17].strip()
        ]  # fmt: skip


def test_help_of_run_shows_every_exit_code() -> None:
    shown = {int(code) for codes, _ in EXIT_CODES["run"] for code in str(codes).split(", ")}
    assert shown == {int(code) for code in Exit}


def test_everyday_options_are_ten_and_come_first() -> None:
    assert [row.panel for row in options.RUN[1:11]] == [options.EVERYDAY] * 10
    assert options.EVERYDAY not in {row.panel for row in options.RUN[11:]}


@pytest.mark.parametrize("path", EXAMPLES)
def test_examples_of_the_help_can_be_parsed(path: str) -> None:
    for _, line in EXAMPLES[path]:
        words = line.rpartition("| ")[2].split(" ")[1:]
        name = " ".join(words[:2]) if " ".join(words[:2]) in commands() else words[0]
        command = commands()[name]
        options = {"--help", *(option for row in command.params for option in row.opts)}
        if name != "config show":
            named = {word for word in words if word.startswith("-")} - {"-"}
            assert named <= options
