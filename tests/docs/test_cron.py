"""The crontab: its lines are run as cron runs them, and its log is rotated by logrotate."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

import pytest

from batch_resend.cli import parse_run
from tests.support.examples import EXAMPLES, POLICY, USERS, printed, rows, run, tool
from tests.support.program import without_times

CRONTAB = (EXAMPLES / "crontab").read_text("utf-8")
LOGROTATE = EXAMPLES / "logrotate"
VARIABLE = re.compile(r"(#?)(\w+)=(.*)")


def jobs() -> list[tuple[list[str], str]]:
    """The five fields and the command of each line of the crontab, as cron reads it.

    The first is in use, the others are commented out.
    """
    lines = [line for line in CRONTAB.splitlines() if re.match(r"#?\d+ ", line)]
    assert [line.startswith("#") for line in lines] == [False, True, True]
    result = []
    for line in lines:
        *fields, command = line.lstrip("#").split(None, 5)
        assert "%" not in command, "to cron, % ends the command"
        result.append((fields, command))
    return result


def variables(*, with_comments: bool = False) -> dict[str, str]:
    """The variables that the crontab sets; cron takes each value as it stands."""
    matches = [match for line in CRONTAB.splitlines() if (match := VARIABLE.fullmatch(line))]
    return {match[2]: match[3] for match in matches if with_comments or not match[1]}


@pytest.fixture
def cron(tmp_path: Path, environment: dict[str, str]) -> dict[str, str]:
    """The environment that cron gives to a line, with this program on its PATH."""
    folder = tmp_path / "resend"
    folder.mkdir(mode=0o700)
    (folder / "reminders.toml").write_bytes(POLICY.read_bytes())
    ours = {k: v for k, v in variables().items() if k.startswith("BATCH_RESEND_")}
    return environment | ours


def test_crontab_has_only_variables_and_jobs() -> None:
    used = [line for line in CRONTAB.splitlines() if line and not line.startswith("#")]
    assert [line for line in used if not VARIABLE.fullmatch(line)] == used[-1:]
    assert not [value for value in variables(with_comments=True).values() if "$" in value]


def test_jobs_have_five_fields_and_a_command() -> None:
    for fields, command in jobs():
        for field, (least, most) in zip(
            fields, ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7)), strict=True
        ):
            assert field == "*" or least <= int(field) <= most
        assert len(command) < 200
        assert "batch-resend " in command


@pytest.mark.parametrize("job", [0, 1], ids=["hourly", "each-morning"])
def test_job_sends_and_leaves_its_files(job: int, tmp_path: Path, cron: dict[str, str]) -> None:
    command = jobs()[job][1]
    for _ in range(2):  # the second start replaces the summary and the metrics
        done = run("/bin/sh", "-c", command, cwd=tmp_path, environment=cron)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
    folder = tmp_path / "resend"
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    assert summary["exit_code"] == 0
    assert summary["counts"]["sent"] > 0
    assert {"skipped/too-young", "skipped/too-old"} <= set(summary["reasons"])
    reports = sorted(folder.glob("resend-report-*.csv"))
    assert len(rows(reports[-1])) == summary["rows"]
    assert (folder / "batch_resend.prom").exists()
    log = (folder / "resend.log").read_text("utf-8")
    assert "Simulation only: no real messages were sent." in log
    for private in (folder / "resend.log", *reports):
        assert stat.S_IMODE(private.stat().st_mode) == 0o600


def test_weekly_job_starts_when_no_run_is_going() -> None:
    (hourly, _), _, (weekly, _) = jobs()
    settings = parse_run(["--config", str(POLICY)])
    assert settings.deadline is not None
    ended = int(hourly[0]) + (settings.deadline + settings.timeout) / 60 - 60
    assert ended < int(weekly[0]) < int(hourly[0])


def test_weekly_job_erases_what_is_old_only(tmp_path: Path, cron: dict[str, str]) -> None:
    folder = tmp_path / "resend"
    names = ["--client-id", "1example23456789", "--region", "eu-west-1"]
    ledger = tmp_path / "state" / "batch-resend" / "eu-west-1-1example23456789.sqlite3"
    old, new = "resend-report-20261001T000000Z.csv", "resend-report-20261101T000000Z.csv"
    for name, age in ((old, 31), (new, 29), ("other.csv", 31)):
        (folder / name).touch()
        at = (folder / name).stat().st_mtime - age * 86400
        os.utime(folder / name, (at, at))
    apart = {k: v for k, v in cron.items() if k != "BATCH_RESEND_CONFIG"}
    done = run(
        *("batch-resend", "run", str(USERS), *names, "--ledger", str(ledger)),
        *("--timeout", "1s", "--report", "r.csv"),
        cwd=tmp_path,
        environment=apart,
    )
    assert done.returncode == 1, done.stderr
    export = ["batch-resend", "ledger", "export", *names]
    before = run(*export, cwd=tmp_path, environment=apart)
    erasing = run("/bin/sh", "-c", jobs()[2][1], cwd=tmp_path, environment=cron)
    assert erasing.returncode == 0, erasing.stderr
    after = run(*export, cwd=tmp_path, environment=apart)
    assert after.stdout == before.stdout
    assert after.stdout.count("\n") > 40
    assert {path.name for path in folder.glob("*.csv")} == {"other.csv", new}


def test_failed_job_prints_why_for_the_mail(tmp_path: Path, cron: dict[str, str]) -> None:
    wrong = cron | {"BATCH_RESEND_SHARE": "7"}
    done = run("/bin/sh", "-c", jobs()[0][1], cwd=tmp_path, environment=wrong)
    assert done.returncode == 2, done.stderr
    assert without_times(done.stdout).startswith("Error: --share 7")


def test_logrotate_loses_no_line_of_a_run_that_continues(tmp_path: Path) -> None:
    """A run keeps its file open: what it writes during the rotation is not lost."""
    program = tool("logrotate")
    log = tmp_path / "resend.log"
    text = LOGROTATE.read_text("utf-8").replace("/home/resend/resend/resend.log", str(log))
    settings = tmp_path / "logrotate.conf"
    settings.write_text(text.replace("    su resend resend\n", ""), "utf-8")
    settings.chmod(0o600)
    state = tmp_path / "state"
    with log.open("a", encoding="utf-8") as of_a_run:
        of_a_run.write("one\n")
        of_a_run.flush()
        assert printed(program, "--force", "--state", state, settings) == (0, "")
        assert log.read_bytes() == b""
        assert stat.S_IMODE(log.stat().st_mode) == 0o600
        of_a_run.write("two\n")
    assert (tmp_path / "resend.log.1").read_text("utf-8") == "one\ntwo\n"
    log.write_text("of the next run\n", "utf-8")
    assert printed(program, "--force", "--state", state, settings) == (0, "")
    assert {path.name for path in tmp_path.glob("resend.log*")} == {
        "resend.log",
        "resend.log.1",
        "resend.log.2.gz",
    }
