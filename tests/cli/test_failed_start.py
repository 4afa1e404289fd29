"""A run that ends before its plan: its summary, its line in the ledger, its log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.program import AT_MOST, Program, numbered

LEDGER = ("--ledger", "l.sqlite3")
SIMULATED = ("--simulate", *LEDGER, "--overwrite", "--report", "r.csv", "--summary", "s.json")


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    instance = Program(tmp_path)
    yield instance
    instance.end()


def test_failed_start_replaces_the_summary_and_is_in_status(program: Program) -> None:
    assert program("run", program.users(numbered(2)), *SIMULATED).code == 0
    assert program.summary("s.json")["exit_code"] == 0
    failed = program("run", "missing.csv", *SIMULATED)
    assert failed.code == 2
    summary = program.summary("s.json")
    assert (summary["schema"], summary["exit_code"]) == (1, 2)
    assert summary["error"].startswith("missing.csv cannot be read")
    shown = program("status", *LEDGER).out
    assert "did not start" in shown
    assert f"Run 2 did not start: {summary['error']}" in shown
    runs = json.loads(program("status", *LEDGER, "--json").out)["runs"]
    assert [run["error"] for run in runs] == [None, summary["error"]]
    refused = program("report", "r.csv", "--summary", "s.json", "--html", "p.html")
    assert refused.code == 2
    assert "is of a run that did not start" in refused.err


def test_failed_start_makes_no_ledger_and_keeps_other_files(program: Program) -> None:
    (program.folder / "s.json").write_text("mine")
    refused = [option for option in SIMULATED if option != "--overwrite"]
    assert program("run", "missing.csv", *refused).code == 2
    assert (program.folder / "s.json").read_text() == "mine"
    assert not (program.folder / "l.sqlite3").exists()


def test_failed_start_writes_json_to_standard_output(program: Program) -> None:
    failed = program("run", "missing.csv", "--simulate", "--json")
    assert failed.code == 2
    assert json.loads(failed.out)["exit_code"] == 2


def test_log_begins_with_version_and_ends_with_exit_code(program: Program) -> None:
    process = program.start("run", "missing.csv", *SIMULATED)
    _, log = process.communicate(timeout=AT_MOST)
    first, *_, error, last = log.splitlines()
    assert f"started, process {process.pid}, ledger l.sqlite3" in first
    assert "Z Error: missing.csv cannot be read" in error
    assert last.endswith("Z Ended with exit code 2.")
