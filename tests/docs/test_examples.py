"""Every file in `examples/` is really run, against the simulator."""

import json
import re
import sys
import tomllib
from collections import Counter
from pathlib import Path

from batch_resend.masking import mask_destination
from batch_resend.model import Outcome, Reason
from batch_resend.simulator.pool import Kind
from tests.support.examples import EXAMPLES, USERS, reasons, rows, run

# What a simulated run makes of users.csv, counted by hand.
EXPECTED = {
    "sent/accepted": 36,
    "skipped/duplicate": 2,
    "skipped/already-confirmed": 2,
    "failed/invalid-username": 1,
    "failed/user-not-found": 1,
    "failed/user-disabled": 1,
    "failed/attempt-limit": 1,
    "failed/delivery-failed": 1,
    "failed/rejected-by-trigger": 1,
    "unknown/no-answer": 1,
    "unknown/server-error": 1,
    "unknown/trigger-error": 1,
    "unknown/unreadable-answer": 1,
}


def test_the_users_show_every_outcome_that_one_run_can_have(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    done = run(
        *("batch-resend", "run", str(USERS), "--metadata", "locale=@locale"),
        *("--timeout", "1s", "--report", "report.csv", "--summary", "summary.json"),
        cwd=tmp_path,
        environment=environment,
    )
    assert done.returncode == 1, done.stderr
    assert reasons(tmp_path / "report.csv") == EXPECTED
    summary = json.loads((tmp_path / "summary.json").read_text("utf-8"))
    assert summary["reasons"] == EXPECTED
    assert summary["throttled"] == 1
    # All that can happen to a user of a file without a ledger, a filter or a limit.
    of_file = {Outcome.FAILED, Outcome.UNKNOWN}
    missing = {
        str(reason)
        for reason in Reason
        if reason.outcome in of_file and f"{reason.outcome}/{reason}" not in EXPECTED
    }
    assert missing == {"rejected", "blocked", "connection", "interrupted", "not-recorded"}


def test_the_users_are_fifty_and_most_of_them_are_plain() -> None:
    users = rows(USERS)
    names = [user["username"] for user in users]
    assert len(users) == 50
    assert list(users[0])[:3] == ["username", "email", "locale"]
    assert Counter(map(Kind.of, names))[Kind.EMAIL] >= 35
    assert sum(not name.isascii() for name in names) >= 4
    assert sum(re.fullmatch(r"\+155501\d\d", name) is not None for name in names) == 3
    assert len(set(names)) == 49
    assert len({name.casefold() for name in names}) == 48


def test_clean_up_sends_to_every_user_once(tmp_path: Path, environment: dict[str, str]) -> None:
    settings = {"USERS": str(USERS), "OUT": "out", "AGAIN_AFTER": "0", "BATCH_RESEND_TIMEOUT": "1s"}
    script = str(EXAMPLES / "clean-up.sh")
    done = run("bash", script, cwd=tmp_path, environment=environment | settings)
    assert done.returncode == 1, done.stderr
    out = tmp_path / "out"
    assert re.findall(r"^== (.+)$", done.stderr, re.MULTILINE) == [
        "dry-run",
        "canary",
        "rest",
        "again",
    ]
    assert reasons(out / "dry-run.csv") == {
        "planned/eligible": 47,
        "skipped/duplicate": 2,
        "failed/invalid-username": 1,
    }
    assert reasons(out / "canary.csv")["skipped/over-limit"] == 37
    assert reasons(out / "canary.csv")["sent/accepted"] == 9
    assert reasons(out / "rest.csv")["sent/accepted"] == 27
    assert reasons(out / "again.csv") == {
        **{reason: n for reason, n in EXPECTED.items() if reason.startswith("failed/")},
        "skipped/outcome-unknown": 4,
    }
    sent = [
        row["username"].casefold()
        for name in ("canary", "rest", "again")
        for row in rows(out / f"{name}.csv")
        if row["outcome"] == "sent"
    ]
    assert len(sent) == len(set(sent)) == EXPECTED["sent/accepted"]


def test_clean_up_started_again_sends_no_second_message(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    settings = {"USERS": str(USERS), "OUT": "out", "AGAIN_AFTER": "0", "BATCH_RESEND_TIMEOUT": "1s"}
    script = str(EXAMPLES / "clean-up.sh")
    run("bash", script, cwd=tmp_path, environment=environment | settings)
    settings["CANARY_FAILS"] = "10"  # those who fail are what is left
    again = run("bash", script, cwd=tmp_path, environment=environment | settings)
    assert again.returncode == 1, again.stderr
    for name in ("canary", "rest", "again"):
        assert "sent/accepted" not in reasons(tmp_path / "out" / f"{name}.csv")


def test_clean_up_retries_the_failed_user_of_a_bare_list(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "names").write_text("ada@example.com\ngone+missing@example.com\n", "utf-8")
    settings = {"USERS": "names", "OUT": "out", "AGAIN_AFTER": "0", "BATCH_RESEND_NO_HEADER": "1"}
    script = str(EXAMPLES / "clean-up.sh")
    done = run("bash", script, cwd=tmp_path, environment=environment | settings)
    assert done.returncode == 1, done.stderr
    assert reasons(tmp_path / "out" / "again.csv") == {"failed/user-not-found": 1}


def test_the_clean_up_ends_with_the_step_that_fails(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    settings = {"USERS": str(USERS), "OUT": "out", "CANARY": "40", "BATCH_RESEND_TIMEOUT": "1s"}
    script = str(EXAMPLES / "clean-up.sh")
    done = run("bash", script, cwd=tmp_path, environment=environment | settings)
    assert done.returncode == 3, done.stderr  # more than three of the canary failed
    assert done.stderr.endswith('Stopped at step "canary" with exit code 3.\n')
    assert not (tmp_path / "out" / "rest.csv").exists()


def test_the_clean_up_lists_the_pool_where_no_file_is_named(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    settings = {"OUT": "out", "CANARY": "2", "BATCH_RESEND_NEWER_THAN": "5h"}
    script = str(EXAMPLES / "clean-up.sh")
    done = run("bash", script, cwd=tmp_path, environment=environment | settings)
    assert done.returncode == 0, done.stderr
    decisions = reasons(tmp_path / "out" / "canary.csv")
    assert decisions["sent/accepted"] == 2
    rest = reasons(tmp_path / "out" / "rest.csv")
    assert rest["sent/accepted"] == decisions["skipped/over-limit"]
    assert rest["skipped/cooling-down"] == 2


def test_the_embedding_program_prints_its_results(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    del environment["BATCH_RESEND_SIMULATE"]  # it asks for the simulation itself
    done = run(sys.executable, str(EXAMPLES / "embed.py"), cwd=tmp_path, environment=environment)
    assert done.returncode == 1, done.stderr
    *unknown, sent, failed, skipped, lost, total = done.stdout.splitlines()
    assert sorted(unknown) == [
        "row 16: a code may have been sent, no-answer",
        "row 29: a code may have been sent, server-error",
        "row 40: a code may have been sent, unreadable-answer",
        "row 45: a code may have been sent, trigger-error",
    ]
    assert sent == "   36 sent"
    assert sorted([failed, skipped, lost]) == ["    4 skipped", "    4 unknown", "    6 failed"]
    assert total == "50 rows, 48 requests, 4 unknown"
    assert list(tmp_path.glob("*.csv")) == []


def test_the_embedding_program_says_in_a_sentence_what_is_wrong(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    done = run(
        *(sys.executable, str(EXAMPLES / "embed.py"), "nowhere.csv"),
        cwd=tmp_path,
        environment=environment,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: nowhere.csv cannot be read")
    assert len(done.stderr.splitlines()) == 1


def test_no_example_shows_a_name_on_standard_error(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    settings = {"USERS": str(USERS), "OUT": "out", "CANARY_FAILS": "0"}
    script = str(EXAMPLES / "clean-up.sh")
    done = run("bash", script, cwd=tmp_path, environment=environment | settings)
    assert done.returncode == 3, done.stderr
    names = [user["username"] for user in rows(USERS)]
    assert mask_destination(names[0]) in done.stderr
    assert [name for name in names if name in done.stderr] == []


def test_the_commands_of_the_configurationrun(tmp_path: Path, environment: dict[str, str]) -> None:
    text = (EXAMPLES / "batch-resend.toml").read_text("utf-8")
    commands = re.findall(r"^#   (batch-resend .+)$", text, re.MULTILINE)
    assert [command.split()[1] for command in commands] == ["run", "config", "run"]
    (tmp_path / "examples").symlink_to(EXAMPLES)
    chosen = run("/bin/sh", "-c", commands[0], cwd=tmp_path, environment=environment)
    assert chosen.returncode == 1, chosen.stderr
    (report,) = tmp_path.glob("resend-report-*.csv")
    assert reasons(report) == EXPECTED
    shown = run("/bin/sh", "-c", commands[1], cwd=tmp_path, environment=environment)
    assert shown.returncode == 0, shown.stderr
    lines = [line.split() for line in shown.stdout.splitlines()]
    place = ["file", "examples/batch-resend.toml"]
    assert ["share", "0.3", *place] in lines
    assert ["client-id", "1example23456789", *place, "[pools.shop]"] in lines
    report.unlink()
    both = run("/bin/sh", "-c", commands[2], cwd=tmp_path, environment=environment)
    assert both.returncode == 1, both.stderr
    assert "15/s for shop and blog together (one quota)" in both.stderr
    reports = sorted(tmp_path.glob("resend-report-*.csv"))
    assert [path.stem.split("Z-")[1] for path in reports] == ["blog", "shop"]
    assert [reasons(path) for path in reports] == [EXPECTED, EXPECTED]


def test_every_pool_of_the_configuration_can_be_chosen(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    for pool in tomllib.loads((EXAMPLES / "batch-resend.toml").read_text("utf-8"))["pools"]:
        done = run(
            *("batch-resend", "run", str(USERS), "--config", str(EXAMPLES / "batch-resend.toml")),
            *("--pool", pool, "--report", f"{pool}.csv", "--dry-run"),
            cwd=tmp_path,
            environment=environment,
        )
        assert done.returncode == 1, done.stderr
        planned = Counter(row["outcome"] for row in rows(tmp_path / f"{pool}.csv"))["planned"]
        assert f"Dry run complete: {planned} would be sent a code" in done.stderr
