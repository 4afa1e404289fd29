"""Every file in `examples/` is really run, against the simulator."""

import csv
import json
import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from batch_resend.masking import mask_destination
from batch_resend.model import Outcome, Reason
from batch_resend.simulator.pool import Kind
from tests.support.program import without_times

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
USERS = EXAMPLES / "users.csv"

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


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which `batch-resend` is this one, and AWS is out of reach."""
    program = tmp_path / "bin" / "batch-resend"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m batch_resend "$@"\n', "utf-8")
    program.chmod(0o700)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BATCH_RESEND_", "AWS_"))}
    return kept | {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "HOME": str(tmp_path),
        "BATCH_RESEND_SIMULATE": "1",
    }


def _run(
    *arguments: str, cwd: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=600,
    )


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _reasons(path: Path) -> Counter[str]:
    return Counter(f"{row['outcome']}/{row['reason']}" for row in _read(path))


def test_the_users_show_every_outcome_that_one_run_can_have(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    done = _run(
        *("batch-resend", "run", str(USERS), "--metadata", "locale=@locale"),
        *("--timeout", "1s", "--report", "report.csv", "--summary", "summary.json"),
        cwd=tmp_path,
        environment=environment,
    )
    assert done.returncode == 1, done.stderr
    assert _reasons(tmp_path / "report.csv") == EXPECTED
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
    users = _read(USERS)
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
    done = _run("bash", script, cwd=tmp_path, environment=environment | settings)
    assert done.returncode == 1, done.stderr
    out = tmp_path / "out"
    assert re.findall(r"^== (.+)$", done.stderr, re.MULTILINE) == [
        "dry-run",
        "canary",
        "rest",
        "again",
    ]
    assert _reasons(out / "dry-run.csv") == {
        "planned/eligible": 47,
        "skipped/duplicate": 2,
        "failed/invalid-username": 1,
    }
    assert _reasons(out / "canary.csv")["skipped/over-limit"] == 37
    assert _reasons(out / "canary.csv")["sent/accepted"] == 9
    assert _reasons(out / "rest.csv")["sent/accepted"] == 27
    assert _reasons(out / "again.csv") == {
        **{reason: n for reason, n in EXPECTED.items() if reason.startswith("failed/")},
        "skipped/outcome-unknown": 4,
    }
    sent = [
        row["username"].casefold()
        for name in ("canary", "rest", "again")
        for row in _read(out / f"{name}.csv")
        if row["outcome"] == "sent"
    ]
    assert len(sent) == len(set(sent)) == EXPECTED["sent/accepted"]


def test_clean_up_started_again_sends_no_second_message(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    settings = {"USERS": str(USERS), "OUT": "out", "AGAIN_AFTER": "0", "BATCH_RESEND_TIMEOUT": "1s"}
    script = str(EXAMPLES / "clean-up.sh")
    _run("bash", script, cwd=tmp_path, environment=environment | settings)
    settings["CANARY_FAILS"] = "10"  # those who fail are what is left
    again = _run("bash", script, cwd=tmp_path, environment=environment | settings)
    assert again.returncode == 1, again.stderr
    for name in ("canary", "rest", "again"):
        assert "sent/accepted" not in _reasons(tmp_path / "out" / f"{name}.csv")


def test_clean_up_retries_the_failed_user_of_a_bare_list(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "names").write_text("ada@example.com\ngone+missing@example.com\n", "utf-8")
    settings = {"USERS": "names", "OUT": "out", "AGAIN_AFTER": "0", "BATCH_RESEND_NO_HEADER": "1"}
    script = str(EXAMPLES / "clean-up.sh")
    done = _run("bash", script, cwd=tmp_path, environment=environment | settings)
    assert done.returncode == 1, done.stderr
    assert _reasons(tmp_path / "out" / "again.csv") == {"failed/user-not-found": 1}


def test_the_clean_up_ends_with_the_step_that_fails(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    settings = {"USERS": str(USERS), "OUT": "out", "CANARY": "40", "BATCH_RESEND_TIMEOUT": "1s"}
    script = str(EXAMPLES / "clean-up.sh")
    done = _run("bash", script, cwd=tmp_path, environment=environment | settings)
    assert done.returncode == 3, done.stderr  # more than three of the canary failed
    assert done.stderr.endswith('Stopped at step "canary" with exit code 3.\n')
    assert not (tmp_path / "out" / "rest.csv").exists()


def test_the_clean_up_lists_the_pool_where_no_file_is_named(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    settings = {"OUT": "out", "CANARY": "2", "BATCH_RESEND_NEWER_THAN": "5h"}
    script = str(EXAMPLES / "clean-up.sh")
    done = _run("bash", script, cwd=tmp_path, environment=environment | settings)
    assert done.returncode == 0, done.stderr
    found = _reasons(tmp_path / "out" / "canary.csv")
    assert found["sent/accepted"] == 2
    rest = _reasons(tmp_path / "out" / "rest.csv")
    assert rest["sent/accepted"] == found["skipped/over-limit"]
    assert rest["skipped/cooling-down"] == 2


def _cron_lines() -> list[tuple[list[str], str]]:
    """The five fields and the command of each line of the crontab, as cron reads it.

    The first is in use, the others are commented out.
    """
    lines = (EXAMPLES / "crontab").read_text("utf-8").splitlines()
    jobs = [line for line in lines if re.match(r"#?\d+ ", line)]
    assert [line.startswith("#") for line in jobs] == [False, True, True]
    assert {line for line in lines if line and not line.startswith("#")} - set(jobs) == {
        line for line in lines if re.match(r"\w+=", line)
    }
    found = []
    for line in jobs:
        *fields, command = line.lstrip("#").split(None, 5)
        # To cron a bare % ends the command, and \% is one.
        assert re.findall(r"(?<!\\)%", command) == []
        found.append((fields, command.replace("\\%", "%")))
    return found


def test_every_line_of_the_crontab_has_five_fields_and_a_command() -> None:
    for fields, command in _cron_lines():
        for field, (least, most) in zip(
            fields, ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7)), strict=True
        ):
            assert field == "*" or least <= int(field) <= most
        assert " --yes " in command or "batch-resend run " not in command


@pytest.mark.parametrize(("line", "name"), [(0, "????-??-??T??"), (1, "????-??-??")])
def test_the_commands_of_the_crontab_run(
    line: int, name: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    command = _cron_lines()[line][1]
    for _ in range(2):  # the second start of an hour replaces the first one's files
        done = _run("/bin/sh", "-c", command, cwd=tmp_path, environment=environment)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
    folder = tmp_path / "resend"
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    assert summary["exit_code"] == 0
    assert summary["counts"]["sent"] > 0
    assert {"skipped/too-young", "skipped/too-old"} <= set(summary["reasons"])
    reports = list(folder.glob(f"report-{name}.csv"))
    assert len(_read(reports[-1])) == summary["rows"]
    assert (folder / "batch_resend.prom").exists() is (line == 0)
    for log in folder.glob("log-????-??-??T????.txt"):
        text = log.read_text("utf-8")
        assert text.count("Simulation only: no real messages were sent.") == 1, "one run each"
        assert log.stat().st_mode & 0o077 == 0
    assert text
    assert folder.stat().st_mode & 0o077 == 0


def test_the_line_of_the_crontab_that_erases_meets_no_hourly_run() -> None:
    (hourly, command), _, (weekly, _) = _cron_lines()
    found = re.search(r"--deadline (\d+)m", command)
    assert found is not None
    ended = int(hourly[0]) + int(found[1]) + 2 - 60  # --timeout, and then some
    assert ended < int(weekly[0]) < int(hourly[0])


def test_the_line_of_the_crontab_that_erases_leaves_what_is_new(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    names = ["--client-id", "1example23456789", "--region", "eu-west-1"]
    ledger = tmp_path / "state" / "batch-resend" / "eu-west-1-1example23456789.sqlite3"
    (tmp_path / "resend").mkdir()
    for name, age in (("report-old.csv", 31), ("report-new.csv", 29), ("other.csv", 31),
                      ("log-old.txt", 31), ("log-new.txt", 29)):  # fmt: skip
        path = tmp_path / "resend" / name
        path.touch()
        at = path.stat().st_mtime - age * 86400
        os.utime(path, (at, at))
    done = _run(
        *("batch-resend", "run", str(USERS), *names, "--ledger", str(ledger)),
        *("--timeout", "1s", "--report", "r.csv"),
        cwd=tmp_path,
        environment=environment,
    )
    assert done.returncode == 1, done.stderr
    before = _run("batch-resend", "ledger", "export", *names, cwd=tmp_path, environment=environment)
    erasing = _run("/bin/sh", "-c", _cron_lines()[2][1], cwd=tmp_path, environment=environment)
    assert erasing.returncode == 0, erasing.stderr
    after = _run("batch-resend", "ledger", "export", *names, cwd=tmp_path, environment=environment)
    assert after.stdout == before.stdout
    assert after.stdout.count("\n") > 40
    assert sorted(path.name for path in (tmp_path / "resend").iterdir()) == [
        "log-new.txt",
        "other.csv",
        "report-new.csv",
    ]


def test_crontab_command_prints_why_it_failed(tmp_path: Path, environment: dict[str, str]) -> None:
    """Of that run alone: an earlier one has another log."""
    command = _cron_lines()[0][1]
    assert _run("/bin/sh", "-c", command, cwd=tmp_path, environment=environment).returncode == 0
    wrong = environment | {"BATCH_RESEND_SHARE": "7"}
    done = _run("/bin/sh", "-c", command, cwd=tmp_path, environment=wrong)
    assert done.returncode == 2, done.stderr
    assert without_times(done.stdout).startswith("Error: --share 7")
    assert "Simulation only" not in done.stdout


def test_the_embedding_program_prints_its_results(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    del environment["BATCH_RESEND_SIMULATE"]  # it asks for the simulation itself
    done = _run(sys.executable, str(EXAMPLES / "embed.py"), cwd=tmp_path, environment=environment)
    assert done.returncode == 1, done.stderr
    *unknown, sent, failed, skipped, lost, total = done.stdout.splitlines()
    assert sorted(unknown) == [
        "row 16: nobody knows, no-answer",
        "row 29: nobody knows, server-error",
        "row 40: nobody knows, unreadable-answer",
        "row 45: nobody knows, trigger-error",
    ]
    assert sent == "   36 sent"
    assert sorted([failed, skipped, lost]) == ["    4 skipped", "    4 unknown", "    6 failed"]
    assert total == "50 rows, 48 requests, 4 unknown"
    assert list(tmp_path.glob("*.csv")) == []


def test_the_embedding_program_says_in_a_sentence_what_is_wrong(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    done = _run(
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
    done = _run("bash", script, cwd=tmp_path, environment=environment | settings)
    assert done.returncode == 3, done.stderr
    names = [user["username"] for user in _read(USERS)]
    assert mask_destination(names[0]) in done.stderr
    assert [name for name in names if name in done.stderr] == []


def test_the_commands_of_the_configuration_run(tmp_path: Path, environment: dict[str, str]) -> None:
    text = (EXAMPLES / "batch-resend.toml").read_text("utf-8")
    commands = re.findall(r"^#   (batch-resend .+)$", text, re.MULTILINE)
    assert [command.split()[1] for command in commands] == ["run", "config", "run"]
    (tmp_path / "examples").symlink_to(EXAMPLES)
    run = _run("/bin/sh", "-c", commands[0], cwd=tmp_path, environment=environment)
    assert run.returncode == 1, run.stderr
    (report,) = tmp_path.glob("resend-report-*.csv")
    assert _reasons(report) == EXPECTED
    shown = _run("/bin/sh", "-c", commands[1], cwd=tmp_path, environment=environment)
    assert shown.returncode == 0, shown.stderr
    lines = [line.split() for line in shown.stdout.splitlines()]
    place = ["file", "examples/batch-resend.toml"]
    assert ["share", "0.3", *place] in lines
    assert ["client-id", "1example23456789", *place, "[pools.shop]"] in lines
    report.unlink()
    both = _run("/bin/sh", "-c", commands[2], cwd=tmp_path, environment=environment)
    assert both.returncode == 1, both.stderr
    assert "15/s for shop and blog together (one quota)" in both.stderr
    reports = sorted(tmp_path.glob("resend-report-*.csv"))
    assert [path.stem.split("Z-")[1] for path in reports] == ["blog", "shop"]
    assert [_reasons(path) for path in reports] == [EXPECTED, EXPECTED]


def test_every_pool_of_the_configuration_can_be_chosen(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    for pool in tomllib.loads((EXAMPLES / "batch-resend.toml").read_text("utf-8"))["pools"]:
        done = _run(
            *("batch-resend", "run", str(USERS), "--config", str(EXAMPLES / "batch-resend.toml")),
            *("--pool", pool, "--report", f"{pool}.csv", "--dry-run"),
            cwd=tmp_path,
            environment=environment,
        )
        assert done.returncode == 1, done.stderr
        planned = Counter(row["outcome"] for row in _read(tmp_path / f"{pool}.csv"))["planned"]
        assert f"Dry run complete: {planned} would be sent a code" in done.stderr
