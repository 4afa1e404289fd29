"""What ends a run early: limits, signals, kills, a second run; the same command resumes."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import termios
import time
from collections import Counter

import pytest

from batch_resend.simulator.pool import Kind
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.setup import PoolSettings
from tests.support.program import (
    AGAIN,
    AT_MOST,
    REPORT,
    SUMMARY,
    Program,
    became,
    ended,
    has_ended,
    numbered,
    once,
    rows,
    tallied,
    until,
)


def test_max_sent_stops_and_the_next_run_resumes(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    names = numbered(12)
    users = program.users(names)
    first = program("run", users, *at, *REPORT, *SUMMARY, "--max-sent", "5")
    assert first.code == 3
    assert "--max-sent" in first.err
    assert tallied(program.report()) == {"sent/accepted": 5, "not-attempted/stopped": 7}
    assert rows(program.report()) == list(range(1, 13))
    assert cognito.requests == 5
    assert (program.summary()["stopped_by"], program.summary()["exit_code"]) == ("max-sent", 3)
    second = program("run", users, *at, *AGAIN, "--max-sent", "7")
    assert second.code == 0
    assert cognito.deliveries == once(names)


def test_max_failures_stops_a_run_in_which_too_many_fail(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    users = program.users([*numbered(10, Kind.MISSING), *numbered(2, first=11)])
    stopped = program(
        "run", users, *at, *REPORT, *SUMMARY, "--max-failures", "3", "--concurrency", "1"
    )
    assert stopped.code == 3
    assert tallied(program.report()) == {"failed/user-not-found": 4, "not-attempted/stopped": 8}
    assert (cognito.requests, program.summary()["stopped_by"]) == (4, "max-failures")
    assert not cognito.deliveries


def test_the_deadline_stops_a_run(program: Program, cognito: Cognito, at: tuple[str, ...]) -> None:
    # 200 users at 10 per second do not fit into half a second on any machine.
    users = program.users(numbered(200))
    stopped = program("run", users, *at, *REPORT, *SUMMARY, "--rate", "10", "--deadline", "0.5s")
    assert stopped.code == 3
    assert program.summary()["stopped_by"] == "deadline"
    tally = tallied(program.report())
    assert set(tally) - {"sent/accepted"} == {"not-attempted/stopped"}
    assert sum(tally.values()) == 200
    assert cognito.deliveries.total() == tally["sent/accepted"]


def test_the_mail_quota_stops_a_run_and_the_next_day_goes_on(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    names = numbered(56)
    users = program.users(names)
    cognito.settings = PoolSettings(mail_quota=50)
    stopped = program("run", users, *at, *REPORT, *SUMMARY)
    assert stopped.code == 3
    assert "50 mails per day" in stopped.err
    assert program.summary()["stopped_by"] == "mail-quota"
    assert tallied(program.report()) == {"sent/accepted": 50, "not-attempted/stopped": 6}
    cognito.settings = PoolSettings(mail_quota=None)
    assert program("run", users, *at, *AGAIN).code == 0
    assert cognito.deliveries == once(names)


SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


@pytest.mark.parametrize(("number", "code"), SIGNALS, ids=str)
def test_signal_settles_requests_and_same_command_resumes(
    number: signal.Signals, code: int, program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    """Requests in flight are completed and reported before the process ends."""
    names = numbered(40)
    users = program.users(names)
    process = program.start("run", users, *at, *REPORT, *SUMMARY, "--rate", "20")
    until(lambda: cognito.requests >= 6, process)
    process.send_signal(number)
    stopped = ended(process)
    assert stopped.code == code
    name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
    assert name in stopped.err
    report = program.report()
    assert rows(report) == list(range(1, 41))
    tally = tallied(report)
    assert set(tally) == {"sent/accepted", "not-attempted/stopped"}
    assert tally["sent/accepted"] == cognito.deliveries.total() < 40
    assert program.summary()["exit_code"] == code
    assert program.summary()["stopped_by"] == signal.Signals(number).name
    assert program("run", users, *at, *AGAIN).code == 0
    assert tallied(program.report()) == {
        "skipped/cooling-down": tally["sent/accepted"],
        "sent/accepted": tally["not-attempted/stopped"],
    }
    assert cognito.deliveries == once(names)


def test_second_signal_quits_and_next_run_names_open_users(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    """The next run names each user whose request was open, once."""
    # Two users whose answers never come: to settle them takes as long as --timeout says.
    names = ["ada@example.com", "bob+lost@example.com", "cy+lost@example.com"]
    users = program.users(names)
    process = program.start("run", users, *at, *REPORT, "--timeout", "5m")
    until(lambda: cognito.requests == 3, process)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)  # at once: two signals, and one wish
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)  # by now another would be another wish
    until(lambda: process.send_signal(signal.SIGTERM) or has_ended(process, 0.2))
    assert ended(process).code == 143
    assert became(program.report()) == {"ada@example.com": "sent/accepted"}

    assert program("run", users, *at, *AGAIN).code == 1
    assert became(program.report()) == {
        "ada@example.com": "skipped/cooling-down",
        "bob+lost@example.com": "unknown/interrupted",
        "cy+lost@example.com": "unknown/interrupted",
    }
    assert program("run", users, *at, *AGAIN).code == 0
    assert became(program.report()) == {
        "ada@example.com": "skipped/cooling-down",
        "bob+lost@example.com": "skipped/outcome-unknown",
        "cy+lost@example.com": "skipped/outcome-unknown",
    }
    assert cognito.deliveries == once(names)


def still_finishes(
    program: Program, cognito: Cognito, at: tuple[str, ...], names: list[str]
) -> None:
    """The same command again serves the remaining users; no user gets two codes."""
    while program("run", "users.csv", *at, *AGAIN).code not in {0, 1}:
        pass
    assert rows(program.report()) == list(range(1, len(names) + 1))
    unsure = {
        row["username"]
        for row in program.report()
        if row["reason"] in {"outcome-unknown", "interrupted"}
    }
    assert set(names) - unsure <= set(cognito.deliveries)
    assert set(cognito.deliveries.values()) == {1}


def test_mistyped_variable_is_refused(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    """It may have meant a dry run."""
    users = program.users(["ada@example.com"])
    refused = program("run", users, *at, env={"BATCH_RESEND_DRYRUN": "1"})
    assert refused.code == 2
    assert "did you mean BATCH_RESEND_DRY_RUN?" in refused.err
    assert cognito.requests == 0


def test_a_storm_of_signals_is_one_wish_to_stop(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    names = numbered(60)
    process = program.start("run", program.users(names), *at, *REPORT, "--rate", "20")
    until(lambda: cognito.requests >= 6, process)
    for n in range(60):
        if process.poll() is None:
            process.send_signal(SIGNALS[n % 3][0])
    assert ended(process).code in {129, 130, 143}
    assert rows(program.report()) == list(range(1, 61))
    assert "unknown" not in {row["outcome"] for row in program.report()}
    still_finishes(program, cognito, at, names)


def test_run_suspended_beyond_its_timeout_resumes(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    names = numbered(60)
    users = program.users(names)
    process = program.start("run", users, *at, *REPORT, "--rate", "30", "--timeout", "1s")
    until(lambda: cognito.requests >= 10, process)
    process.send_signal(signal.SIGSTOP)
    time.sleep(1.5)
    process.send_signal(signal.SIGCONT)
    assert ended(process).code in {0, 1}
    assert rows(program.report()) == list(range(1, 61))
    still_finishes(program, cognito, at, names)


def test_a_closed_terminal_ends_a_run_gently(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    names = numbered(60)
    users = program.users(names)
    ours, theirs = pty.openpty()
    process = program.start(
        "run", users, *at, *REPORT, "--rate", "20",
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(theirs)
    until(lambda: cognito.requests >= 6, process)
    os.close(ours)
    assert process.wait(AT_MOST) == 129
    assert rows(program.report()) == list(range(1, 61))
    assert "unknown" not in {row["outcome"] for row in program.report()}
    still_finishes(program, cognito, at, names)


def test_broken_pipe_stops_the_run_and_keeps_the_ledger(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    names = numbered(60)
    users = program.users(names)
    process = program.start("run", users, *at, "--report", "-", "--rate", "20")
    until(lambda: cognito.requests >= 6, process)
    process.stdout.close()
    process.stdout = None
    stopped = ended(process)
    assert stopped.code == 4
    assert "The report could not be written" in stopped.err
    assert cognito.deliveries.total() < 60
    still_finishes(program, cognito, at, names)


def test_run_killed_repeatedly_sends_to_no_user_twice(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    names = numbered(90)
    users = program.users(names)
    reports: list[dict[str, str]] = []
    for death in range(3):
        file = f"report{death}.csv"
        enough = cognito.requests + 12
        process = program.start("run", users, *at, "--report", file)
        until(lambda enough=enough: cognito.requests >= enough, process)  # type: ignore[misc]
        process.kill()
        assert ended(process).code == -signal.SIGKILL
        reports += program.report(file)
    assert program("run", users, *at, *REPORT).code in {0, 1}
    reports += program.report()
    assert rows(program.report()) == list(range(1, 91))
    assert set(cognito.deliveries.values()) == {1}

    lines = Counter((row["username"], f"{row['outcome']}/{row['reason']}") for row in reports)
    sent = {name for name, what in lines if what == "sent/accepted"}
    in_doubt = {name for name, what in lines if what == "unknown/interrupted"}
    assert {what for _, what in lines} <= {
        "sent/accepted", "unknown/interrupted", "skipped/cooling-down", "skipped/outcome-unknown",
    }  # fmt: skip
    # No user is reported twice, and users who were sent nothing are among the unknown ones.
    assert {lines[name, "sent/accepted"] for name in sent} == {1}
    assert {lines[name, "unknown/interrupted"] for name in in_doubt} <= {1}
    assert not sent & in_doubt
    assert sent <= set(cognito.deliveries)
    assert set(names) - set(cognito.deliveries) <= in_doubt

    last = program("run", users, *at, *AGAIN)
    assert last.code == 0
    assert {row["outcome"] for row in program.report()} == {"skipped"}
    assert set(cognito.deliveries.values()) == {1}


def test_second_run_at_the_same_time_exits_5(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    users = program.users(numbered(2))
    with (program.folder / "ledger.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = program("run", users, *at, *REPORT, "--ledger", "ledger")
        assert refused.code == 5
        assert len(refused.errors) == 1
        assert "ledger" in refused.errors[0]
        assert cognito.requests == 0
        assert not (program.folder / "report.csv").exists()
    assert program("run", users, *at, *REPORT, "--ledger", "ledger").code == 0
    assert (program.folder / "ledger").stat().st_mode & 0o777 == 0o600
