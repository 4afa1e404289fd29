"""What is said and what is not: masks, logs, secrets, variables, help."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

import batch_resend
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.setup import Client
from tests.support.program import (
    AGAIN,
    CLIENT,
    REPORT,
    SECRET,
    SUMMARY,
    Ended,
    Program,
    became,
    numbered,
    once,
    secret_hash,
    tallied,
)


def test_names_are_masked_unless_asked_otherwise(program: Program, at: tuple[str, ...]) -> None:
    names = ["ada.lovelace@example.com", "bob+missing@example.com", "ada.lovelace@example.com"]
    users = program.users(names)
    masked = program("run", users, *at, *REPORT, *SUMMARY, "-v")
    assert masked.code == 1
    assert "a***@example.com, b***@example.com" in masked.err
    assert "row 2 b***@e***: failed, user-not-found" in masked.err
    assert not any(name in masked.err for name in names)
    assert "lovelace" not in masked.err + (program.folder / "summary.json").read_text()
    shown = program(
        "run", users, *at, *AGAIN, "-v", "--no-mask", "--max-sends", "0", "--cooldown", "0s"
    )
    assert "ada.lovelace@example.com, bob+missing@example.com" in shown.err
    assert "row 2 bob+missing@example.com: failed, user-not-found" in shown.err


def test_a_json_log_is_one_object_a_line(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    def log(ended: Ended) -> list[dict[str, Any]]:
        return [json.loads(line) for line in ended.err.splitlines()]

    users = program.users([*numbered(2), "bob+busy@example.com"])
    events = log(program("run", users, *at, *REPORT, *SUMMARY, "--log-format", "json"))
    assert {"note", "plan", "waiting", "summary"} == {event["event"] for event in events}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}Z", event["time"]) for event in events)
    last = events[-1]
    assert (last["event"], last["exit_code"], last["counts"]["sent"]) == ("summary", 0, 3)
    assert {key: last[key] for key in program.summary()} == program.summary()
    assert "user1@example.com" not in json.dumps(events)
    (event,) = log(program("run", "missing.csv", *at, "-q", "--log-format", "json"))
    assert event["event"] == "error"
    assert event["text"].startswith("Error: missing.csv ")


def test_quiet_says_no_more_than_what_the_run_came_to(
    program: Program, at: tuple[str, ...]
) -> None:
    ended = program("run", program.users(["ada"]), *at, *REPORT, "-q")
    lines = ended.err.splitlines()
    assert re.fullmatch(r"1 rows? in [\d.]+ s: 1 sent \(1 requests?\)\.", lines[0])
    assert lines[-1] == "Report: report.csv"
    assert not any(word in ended.err for word in ("Plan", "ledger was begun", "to be sent"))


@pytest.mark.parametrize(
    ("talk", "right"),
    [
        ((), True),
        (("-v", "--no-mask"), True),
        (("-v", "--no-mask"), False),
        (("--log-format", "json", "-v"), False),
    ],
)
def test_a_secret_is_used_and_never_shown(
    talk: tuple[str, ...],
    right: bool,
    program: Program,
    cognito: Cognito,
    at: tuple[str, ...],
) -> None:
    cognito.client = Client(secret=SECRET if right else "another")
    users = program.users(["ada"])
    options: tuple[str, ...] = (*talk, *REPORT, *SUMMARY, "--failed", "failed.csv")
    env = {}
    if talk:
        (program.folder / "secret").write_text(SECRET + "\n")
        (program.folder / "secret").chmod(0o600)
        options += ("--client-secret-file", "secret")
    else:
        env = {"BATCH_RESEND_CLIENT_SECRET": SECRET}
    ended = program("run", users, *at, *options, env=env)
    assert ended.code == (0 if right else 4)
    assert cognito.deliveries == (once(["ada"]) if right else {})
    hashed = secret_hash(SECRET, "ada", CLIENT)
    written = [ended.out.encode(), ended.err.encode()]
    written += [
        file.read_bytes()
        for file in program.folder.rglob("*")
        if file.is_file() and file.name != "secret"
    ]
    assert len(written) >= 7
    for text in written:
        assert SECRET.encode() not in text
        assert hashed.encode() not in text


def test_options_come_from_the_environment_and_a_flag_beats_it(
    program: Program, cognito: Cognito, url: str
) -> None:
    env = {
        "BATCH_RESEND_CLIENT_ID": CLIENT,
        "BATCH_RESEND_REGION": "us-east-1",
        "BATCH_RESEND_ENDPOINT_URL": url,
        "BATCH_RESEND_YES": "true",
        "BATCH_RESEND_REPORT": "from-environment.csv",
        "BATCH_RESEND_LIMIT": "2",
        "BATCH_RESEND_USERNAME_COLUMN": "who",
        "BATCH_RESEND_LEDGER": "ledger",
    }
    (program.folder / "users.csv").write_text(
        "username,who\n" + "".join(f"x{n},{name}\n" for n, name in enumerate(numbered(5)))
    )
    first = program("run", "users.csv", env=env)
    assert first.code == 0
    assert tallied(program.report("from-environment.csv")) == {
        "sent/accepted": 2, "skipped/over-limit": 3,
    }  # fmt: skip
    assert cognito.deliveries == once(numbered(2))
    second = program("run", "users.csv", "--limit", "1", "--report", "flag.csv", env=env)
    assert second.code == 0
    assert cognito.deliveries == once(numbered(3))
    assert len(program.report("flag.csv")) == 5
    wrong = program("run", "users.csv", env=env | {"BATCH_RESEND_LIMIT": "many"})
    assert wrong.code == 2
    assert "--limit" in wrong.errors[0]


def test_the_embedded_simulator_needs_nothing(program: Program) -> None:
    ended = program("run", program.users(["ada", "bob+missing"]), "--simulate", *REPORT)
    assert ended.code == 1
    assert became(program.report()) == {
        "ada": "sent/accepted", "bob+missing": "failed/user-not-found",
    }  # fmt: skip
    assert "Simulation only: no real messages were sent." in ended.err
    assert not program.state.exists()


def test_help_and_version_go_to_standard_output(program: Program) -> None:
    version = program("--version")
    assert (version.code, version.out, version.err) == (
        0, f"batch-resend {batch_resend.__version__}\n", "",
    )  # fmt: skip
    done = program("run", "-h", env={"COLUMNS": "200"})
    assert (done.code, done.err) == (0, "")
    assert all(option in done.out for option in ("--client-id", "--max-sent", "--ledger"))
    nothing = program()
    assert nothing.code in {0, 2}
    assert "simulate" in nothing.out + nothing.err
