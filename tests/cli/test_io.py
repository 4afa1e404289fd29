"""What goes into a run and what comes out: streams, files, dry runs, the question."""

from __future__ import annotations

import json
import re
import signal

import pytest

from batch_resend.simulator.rules import Cognito
from tests.support.program import (
    AGAIN,
    CLIENT,
    REPORT,
    SUMMARY,
    Program,
    at_a_terminal,
    became,
    numbered,
    once,
    read_report,
    tallied,
)

LEDGER = ("--ledger", "ledger")


def test_users_from_stdin_and_report_to_stdout(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    names = numbered(3)
    text = "email\n" + "\n".join(names)
    first = program("run", "-", *at, "--report", "-", stdin=text)
    assert first.code == 0
    assert became(read_report(first.out)) == dict.fromkeys(names, "sent/accepted")
    assert cognito.deliveries == once(names)
    # Without a header, with the summary in the report's place, and from the environment's report.
    second = program(
        "run", "-", "--no-header", *at, "--summary", "-", stdin="\n".join(names) + "\n",
        env={"BATCH_RESEND_REPORT": "report.csv"},
    )  # fmt: skip
    assert second.code == 0
    assert json.loads(second.out)["reasons"] == {"skipped/cooling-down": 3}
    assert second.out.count("\n") == 1
    assert tallied(program.report()) == {"skipped/cooling-down": 3}


def test_without_a_name_the_report_is_named_after_the_time(
    program: Program, at: tuple[str, ...]
) -> None:
    assert program("run", program.users(["ada"]), *at).code == 0
    (report,) = {file.name for file in program.folder.glob("*.csv")} - {"users.csv"}
    assert re.fullmatch(r"resend-report-\d{8}T\d{6}Z\.csv", report)


def test_ledger_of_another_client_is_named_before_sending(
    program: Program, cognito: Cognito, at: tuple[str, ...], url: str
) -> None:
    users = program.users(numbered(3))
    program("run", users, *at, *AGAIN, *LEDGER)
    dry = program("run", users, *at, *AGAIN, *LEDGER, "--dry-run", "--client-id", "another")
    here = f"in us-east-1 at {url}"
    assert (
        f"The ledger ledger belongs to client {CLIENT} {here}, and this run is for client"
        f" another {here}. Users with the same name in both are treated as one person."
    ) in dry.err
    assert tallied(program.report()) == {"skipped/cooling-down": 3}


def test_dry_run_sends_and_remembers_nothing(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    users = program.users([*numbered(3), "user1@example.com", "two words"])
    without_yes = [option for option in at if option != "--yes"]
    ended = program("run", users, *without_yes, *REPORT, *SUMMARY, "--dry-run")
    assert ended.code == 1
    assert [f"{row['outcome']}/{row['reason']}" for row in program.report()] == [
        "planned/eligible", "planned/eligible", "planned/eligible",
        "skipped/duplicate", "failed/invalid-username",
    ]  # fmt: skip
    assert program.summary()["dry_run"] is True
    assert cognito.requests == 0
    assert not program.state.exists()
    # What was planned is done, by a run that is not dry; a dry run then knows of it.
    program("run", users, *at, *AGAIN)
    assert cognito.deliveries == once(numbered(3))
    program("run", users, *at, *AGAIN, "--dry-run")
    assert tallied(program.report()) == {
        "skipped/cooling-down": 3, "skipped/duplicate": 1, "failed/invalid-username": 1,
    }  # fmt: skip
    assert cognito.requests == 3


@pytest.mark.parametrize("stdin", ["", "username\nada\n"])
def test_no_message_is_sent_without_yes_or_a_terminal(
    stdin: str, program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    before = {"home", "tmp", "users.csv"}
    users = "-" if stdin else program.users(["ada"])
    program.users(["ada"])
    without_yes = [option for option in at if option != "--yes"]
    ended = program("run", users, *without_yes, stdin=stdin)
    assert ended.code == 2
    assert len(ended.errors) == 1
    assert "--yes" in ended.errors[0]
    assert cognito.requests == 0
    assert {file.name for file in program.folder.iterdir()} == before


def test_at_a_terminal_a_person_is_asked_and_sees_how_it_goes(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    users = program.users(numbered(12))
    asking = ["run", users, *(option for option in at if option != "--yes"), *REPORT]
    no = at_a_terminal(program, "n", *asking)
    assert no.code == 2
    assert f"client {CLIENT}\n  Where           us-east-1, http://127.0.0.1" in no.err
    assert "  Will send       12 codes\n" in no.err
    assert "  For example     u***@example.com, u***@example.com, u***@example.com, ...\n" in no.err
    assert "Send 12 codes? [y/N] n\n" in no.err
    assert "\nCancelled; nothing was sent.\n" in no.err
    hasty = at_a_terminal(program, "n", *asking, before="y\n")
    assert hasty.code == 2
    assert "Send 12 codes? [y/N] n\n" in hasty.err
    assert cognito.requests == 0
    left = at_a_terminal(program, signal.SIGINT, *asking)
    assert left.code == 130
    assert "\nStopped by Ctrl-C. No messages were sent.\n" in left.err
    assert cognito.requests == 0
    assert not (program.folder / "report.csv").exists()
    # 12 users at 10 per second: time enough for the display to be drawn.
    yes = at_a_terminal(program, "y", *asking, "--rate", "10")
    assert yes.code == 0
    assert cognito.deliveries == once(numbered(12))
    assert re.search(r"\d+ of 12", yes.err)
    assert "10/s (limit 10/s)" in yes.err
    # No user is left to be requested.
    assert at_a_terminal(program, "", *asking, "--overwrite").code == 0
