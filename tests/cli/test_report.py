"""`report` and `run --html` as a person meets them: a real process, from arguments to page."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.program import Program

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "users.csv"
SIMULATED = ("--simulate", "--timeout", "1s", "--rate", "1000")


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    instance = Program(tmp_path)
    yield instance
    instance.end()


def page(program: Program, file: str) -> str:
    """A page's text, as it is on the disk."""
    path = program.folder / file
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text("utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert text.endswith("</html>\n")
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text.split("<body>")[1]))


def test_a_run_writes_its_page_with_the_next_command(program: Program) -> None:
    users = program.users(["ada@example.com", "bob+missing@example.com"])
    done = program("run", users, *SIMULATED, "--report", "r.csv", "--html", "r.html")
    assert done.code == 1
    assert done.err.splitlines()[-2:] == ["Report: r.csv", "Page: r.html"]
    text = page(program, "r.html")
    assert "Simulated No messages were sent to real users." in text
    assert "1 of 2 people was sent a new code" in text
    assert "the limit was 1,000 requests per second" in text
    command = (
        "batch-resend run users.csv --simulate --rate 1000 --timeout 1s --report r-2.csv"
        " --html r-2.html"
    )
    assert command in re.sub(r"\s+", " ", text)
    assert "ada@example.com" not in text
    again = program(*command.split()[1:])  # as it stands
    assert again.code == 1
    assert "r-3.html" in page(program, "r-2.html")


def test_names_are_shown_where_the_run_shows_them(program: Program) -> None:
    users = program.users(["ada@example.com"])
    done = program("run", users, *SIMULATED, "--report", "r.csv", "--html", "r.html", "--no-mask")
    assert done.code == 0
    assert "ada@example.com" in page(program, "r.html")


def test_a_dry_run_has_a_page_that_says_so(program: Program) -> None:
    users = program.users(["ada", "bob"])
    done = program(
        "run", users, *SIMULATED, "--dry-run", "--report", "r.csv", "--html", "-", "--quiet"
    )
    assert done.code == 0
    assert "<strong>Dry run</strong>" in done.out
    assert "All 2 people would be sent a new code" in done.out
    assert "This sends the codes as planned:" in done.out
    assert "--dry-run" not in done.out.split("What to do next")[1].split("</pre>")[0]
    assert "<dt>Duration</dt><dd><p>About" in done.out
    assert "Technical details" not in done.out


def test_a_run_that_is_stopped_has_its_page(program: Program) -> None:
    users = program.users([f"user{n}" for n in range(30)])
    done = program(
        *("run", users, *SIMULATED, "--max-sent", "3", "--report", "r.csv", "--html", "r.html")
    )
    assert done.code == 3
    text = page(program, "r.html")
    assert "27 were not attempted. The number of messages that --max-sent allows" in text
    assert "Continue with 27 users" in text


def test_page_that_cannot_be_made_harms_nothing_else(program: Program) -> None:
    users = program.users(["ada"])
    # A device takes the report and gives nothing back, so there is nothing to make a page of.
    done = program(
        *("run", users, *SIMULATED, "--report", "/dev/null", "--html", "r.html"),
        *("--summary", "s.json"),
    )
    assert done.code == 1
    assert "Not delivered: --html r.html was not created (/dev/null is empty" in done.err
    assert "Page:" not in done.err
    summary = program.summary("s.json")
    assert summary["counts"]["sent"] == 1
    assert [(left["to"], left["file"]) for left in summary["not_delivered"]] == [("r.html", "")]
    assert not (program.folder / "r.html").exists()


def test_a_page_that_does_not_fit_on_the_disk_harms_nothing_else(program: Program) -> None:
    users = program.users(["ada"])
    done = program("run", users, *SIMULATED, "--report", "r.csv", "--html", "/dev/full")
    assert done.code == 1
    assert done.err.count("--html /dev/full cannot be written") == 1
    assert "batch-resend report r.csv" in done.err
    assert program.report("r.csv")[0]["outcome"] == "sent"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--html", "missing/r.html"), "--html missing/r.html cannot be written"),
        (("--html", "old.html"), "--html old.html exists already"),
        (("--html", "r.csv"), "--html r.csv is --report too"),
        (("--html", "users.csv"), "--html users.csv is the input too"),
        (("--html", "r.html", "--report", "-"), "--html is made of the report"),
        (("--html", "l.sqlite3-wal", "--ledger", "l.sqlite3"), "belongs to the ledger"),
    ],
)
def test_page_without_a_place_is_refused_before_sending(
    program: Program, arguments: tuple[str, ...], sentence: str
) -> None:
    users = program.users(["ada"])
    (program.folder / "old.html").write_text("old")
    done = program("run", users, *SIMULATED, "--report", "r.csv", *arguments)
    assert (done.code, len(done.errors)) == (2, 1)
    assert sentence in done.errors[0]
    assert not (program.folder / "r.csv").exists()


def test_reports_become_one_page_beside_the_last(program: Program) -> None:
    users = str(EXAMPLE)
    first = program("run", users, *SIMULATED, "--limit", "10", "--ledger", "l", "--report", "1.csv")
    assert first.code == 1
    rest = (*SIMULATED, "--ledger", "l", "--report", "2.csv", "--summary", "s.json")
    assert program("run", users, *rest).code == 1
    done = program("report", "1.csv", "2.csv", "--summary", "s.json")
    assert (done.code, done.out) == (0, "")
    assert re.fullmatch(r"Page: 2\.html \(\d+ kB\)\n", done.err)
    text = page(program, "2.html")
    # 49 names in 50 rows; the one that differs in case only is skipped as a duplicate.
    assert "users in 100 rows of 2 reports" in text
    assert re.search(r"49 users in .* Sent 36 73\.5 % ", text)
    assert "batch-resend run" in text
    assert "Page:" not in program("report", "1.csv", "-o", "-").err


def test_a_page_is_replaced_only_where_that_is_asked_for(program: Program) -> None:
    users = program.users(["ada"])
    assert program("run", users, *SIMULATED, "--report", "r.csv").code == 0
    assert program("report", "r.csv").code == 0
    refused = program("report", "r.csv")
    assert (refused.code, refused.errors) == (
        2,
        [
            "Error: --html r.html exists already: name another file, or give --overwrite to"
            " replace it."
        ],
    )
    assert program("report", "r.csv", "--overwrite", "--no-mask").code == 0
    assert " ada " in page(program, "r.html")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("missing.csv",), "missing.csv cannot be read (No such file or directory)"),
        (("users.csv",), "users.csv is not a report"),
        (("r.csv", "./r.csv"), "A report is given twice"),
        (("r.csv", "-o", "r.csv", "--overwrite"), "--html r.csv is r.csv too"),
        (("r.csv", "--summary", "r.csv"), "--summary r.csv is not a valid summary"),
        (("r.csv", "--summary", "s.json", "-o", "s.json"), "--html s.json is --summary s.json too"),
        (("r.csv", "-o", "missing/r.html"), "--html missing/r.html cannot be written"),
        ((), "No reports given"),
    ],
)
def test_bad_input_gets_one_sentence_and_leaves_nothing_behind(
    program: Program, arguments: tuple[str, ...], sentence: str
) -> None:
    program.users(["ada"])
    run = ("run", "users.csv", *SIMULATED, "--report", "r.csv", "--summary", "s.json")
    assert program(*run).code == 0
    before = sorted(program.folder.iterdir())
    done = program("report", *arguments)
    assert (done.code, done.out, len(done.errors)) == (2, "", 1)
    assert sentence in done.errors[0]
    assert sorted(program.folder.iterdir()) == before
    assert json.loads((program.folder / "s.json").read_text())["schema"] == 1
