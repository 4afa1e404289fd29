"""The program as a person or a scheduler meets it: a real process, from arguments to exit code.

It talks HTTP to the simulated Cognito or to moto, both in this process, so that a test
can count what really went out. Every process has a home of its own and next to nothing
in its environment.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import io
import json
import os
import pty
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import termios
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import boto3
import pytest
from anyio.from_thread import BlockingPortal
from moto.cognitoidp.responses import CognitoIdpResponse
from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult

import batch_resend
from batch_resend import cli
from batch_resend.simulator.pool import Kind
from batch_resend.simulator.rules import Client, Cognito, Outage, PoolSettings
from tests.support.program import (
    AGAIN,
    AT_MOST,
    CLIENT,
    REPORT,
    SUMMARY,
    Ended,
    Program,
    at_a_terminal,
    became,
    ended,
    has_ended,
    numbered,
    once,
    read_report,
    rows,
    serving,
    tallied,
    until,
)

# -- the program -------------------------------------------------------------------


# -- the simulated Cognito -----------------------------------------------------------


# -- one message per person ------------------------------------------------------------


def test_a_run_mails_each_user_exactly_once_and_never_again(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    names = numbered(12)
    users = program.users(names)

    first = program("run", users, *at, *REPORT, *SUMMARY, umask=0)
    assert (first.code, first.out) == (0, "")
    assert cognito.deliveries == once(names)
    report = program.report()
    assert became(report) == dict.fromkeys(names, "sent/accepted")
    assert rows(report) == list(range(1, 13))
    assert {row["delivery_medium"] for row in report} == {"EMAIL"}
    assert {row["destination"] for row in report} == {"u***@e***"}
    summary = program.summary()
    assert (summary["schema"], summary["exit_code"], summary["stopped_by"]) == (1, 0, None)
    assert summary["counts"] == {
        "sent": 12, "planned": 0, "skipped": 0, "failed": 0, "unknown": 0, "not-attempted": 0,
    }  # fmt: skip
    assert summary["reasons"] == {"sent/accepted": 12}
    assert summary["requests"] == 12

    # Whatever the umask, what names people is for nobody else.
    (ledger,) = program.state.rglob("*.sqlite3")
    for file in (program.folder / "report.csv", program.folder / "summary.json", ledger):
        assert file.stat().st_mode & 0o777 == 0o600

    again = program("run", users, *at, *AGAIN)
    assert again.code == 0
    assert tallied(program.report()) == {"skipped/cooling-down": 12}

    # The same people in another order, in other letters, with new ones among them, from elsewhere.
    late = numbered(2, first=13)
    mixed = program.users([*reversed(names[1:]), late[0], names[0].upper(), late[1], late[0]])
    (program.folder / "other").mkdir()
    third = program(
        "run", f"../{mixed}", *at, "--cooldown", "0s", *REPORT, cwd=program.folder / "other"
    )
    assert third.code == 0
    report = program.report("other/report.csv")
    assert tallied(report) == {
        "skipped/send-cap": 12, "sent/accepted": 2, "skipped/duplicate": 1,
    }  # fmt: skip
    assert cognito.deliveries == once([*names, *late])
    assert list(program.state.rglob("*.sqlite3")) == [ledger]


MIXED = {
    "ada@example.com": "sent/accepted",
    "bob+confirmed@example.com": "skipped/already-confirmed",
    "cy+missing@example.com": "failed/user-not-found",
    "dan+disabled@example.com": "failed/user-disabled",
    "eve+tired@example.com": "failed/attempt-limit",
    "fay+undeliverable@example.com": "failed/delivery-failed",
    "gus+trigger@example.com": "failed/rejected-by-trigger",
    "hal+lambda@example.com": "unknown/trigger-error",
    "two words": "failed/invalid-username",
    "ivy+error@example.com": "unknown/server-error",
    "joe+nodetails@example.com": "unknown/unreadable-answer",
    "kim+rst@example.com": "unknown/no-answer",
    "lea+sms@example.com": "sent/accepted",
    "max+busy@example.com": "sent/accepted",
    "ned+half@example.com": "unknown/unreadable-answer",
    "+15550100": "sent/accepted",
}
MAILED = [name for name, told in MIXED.items() if told == "sent/accepted"] + [
    "joe+nodetails@example.com", "kim+rst@example.com", "ned+half@example.com",
]  # fmt: skip


def test_a_run_in_which_some_fail_exits_1_and_tells_of_each_and_leaves_the_rows_to_try_again(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    # A CSV as people have them: a mark, blanks, quotes, line ends, columns of no concern.
    lines = {name: f'{n};"a ""note""; of {n}";{name}\r\n' for n, name in enumerate(MIXED, 1)}
    heading = "\ufeffNo;Note;User Name\r\n"
    (program.folder / "users.csv").write_text(
        heading + "\r\n" + "".join(lines.values()), encoding="utf-8", newline=""
    )
    column = ("--username-column", "user name")

    first = program("run", "users.csv", *column, *at, *REPORT, *SUMMARY, "--failed", "failed.csv")
    assert first.code == 1
    assert became(program.report()) == MIXED
    assert cognito.deliveries == once(MAILED)
    assert program.summary()["exit_code"] == 1
    assert program.summary()["unknown_in_ledger"] == 5

    left = (program.folder / "failed.csv").read_bytes().decode("utf-8")
    expected = [name for name, told in MIXED.items() if told.startswith(("failed", "unknown"))]
    assert left.startswith(heading)
    assert sorted(left.removeprefix(heading).splitlines(keepends=True)) == sorted(
        lines[name] for name in expected
    )

    # What is left is an input again. Whoever may have been sent a code is not asked for again.
    again = program("run", "failed.csv", *column, *at, *AGAIN)
    assert again.code == 1
    assert became(program.report()) == {
        name: "skipped/outcome-unknown" if MIXED[name].startswith("unknown") else MIXED[name]
        for name in expected
    }
    assert cognito.deliveries == once(MAILED)


def test_whoever_failed_is_asked_for_again_by_the_next_run(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    names = numbered(4)
    users = program.users(names)
    cognito.outages = [Outage(Kind.UNDELIVERABLE)]
    assert program("run", users, *at, *REPORT, "--failed", "failed.csv").code == 1
    assert tallied(program.report()) == {"failed/delivery-failed": 4}
    failed = program.folder / "failed.csv"
    assert sorted(failed.read_text().splitlines()) == sorted(["username", *names])
    assert failed.stat().st_mode & 0o777 == 0o600
    cognito.outages = []
    assert program("run", "failed.csv", *at, *AGAIN).code == 0
    assert cognito.deliveries == once(names)


# -- stopping early ----------------------------------------------------------------------


def test_max_sent_stops_after_so_many_messages_and_the_next_run_goes_on(
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
    # 200 users at 10 a second do not fit into half a second on any machine.
    users = program.users(numbered(200))
    stopped = program("run", users, *at, *REPORT, *SUMMARY, "--rate", "10", "--deadline", "0.5s")
    assert stopped.code == 3
    assert program.summary()["stopped_by"] == "deadline"
    found = tallied(program.report())
    assert set(found) == {"sent/accepted", "not-attempted/stopped"}
    assert sum(found.values()) == 200
    assert cognito.deliveries.total() == found["sent/accepted"]


def test_the_mail_quota_stops_a_run_and_the_next_day_goes_on(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    names = numbered(56)
    users = program.users(names)
    cognito.settings = PoolSettings(mail_quota=50)
    stopped = program("run", users, *at, *REPORT, *SUMMARY)
    assert stopped.code == 3
    assert "50 a day" in stopped.err
    assert program.summary()["stopped_by"] == "mail-quota"
    assert tallied(program.report()) == {"sent/accepted": 50, "not-attempted/stopped": 6}
    cognito.settings = PoolSettings(mail_quota=None)
    assert program("run", users, *at, *AGAIN).code == 0
    assert cognito.deliveries == once(names)


SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


@pytest.mark.parametrize(("number", "code"), SIGNALS, ids=str)
def test_a_signal_settles_what_is_in_flight_and_the_same_command_goes_on(
    number: signal.Signals, code: int, program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    names = numbered(40)
    users = program.users(names)
    process = program.start("run", users, *at, *REPORT, *SUMMARY, "--rate", "20")
    until(lambda: cognito.requests >= 6, process)
    process.send_signal(number)
    stopped = ended(process)
    assert stopped.code == code
    assert signal.Signals(number).name in stopped.err
    report = program.report()
    assert rows(report) == list(range(1, 41))
    found = tallied(report)
    assert set(found) == {"sent/accepted", "not-attempted/stopped"}
    assert found["sent/accepted"] == cognito.deliveries.total() < 40
    assert program.summary()["exit_code"] == code
    assert program.summary()["stopped_by"] == signal.Signals(number).name
    assert program("run", users, *at, *AGAIN).code == 0
    assert tallied(program.report()) == {
        "skipped/cooling-down": found["sent/accepted"],
        "sent/accepted": found["not-attempted/stopped"],
    }
    assert cognito.deliveries == once(names)


def test_a_second_signal_leaves_at_once_and_the_next_run_tells_once_who_is_in_doubt(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    # Two users whose answers never come: to settle them takes as long as --timeout says.
    names = ["ada@example.com", "bob+lost@example.com", "cy+lost@example.com"]
    users = program.users(names)
    process = program.start("run", users, *at, *REPORT, "--timeout", "1h")
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
    """The same command again serves whoever is left; nobody was written to twice."""
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


def test_a_mistyped_variable_is_refused_for_it_may_have_meant_a_dry_run(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
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


def test_a_run_that_is_stopped_for_longer_than_its_timeout_goes_on_afterwards(
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


def test_a_broken_pipe_on_standard_output_stops_the_run_and_loses_no_memory(
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


def test_a_run_that_is_killed_again_and_again_writes_to_nobody_twice(
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

    told = Counter((row["username"], f"{row['outcome']}/{row['reason']}") for row in reports)
    sent = {name for name, what in told if what == "sent/accepted"}
    in_doubt = {name for name, what in told if what == "unknown/interrupted"}
    assert {what for _, what in told} <= {
        "sent/accepted", "unknown/interrupted", "skipped/cooling-down", "skipped/outcome-unknown",
    }  # fmt: skip
    # Nobody is told of twice, and whoever was sent nothing is among those in doubt.
    assert {told[name, "sent/accepted"] for name in sent} == {1}
    assert {told[name, "unknown/interrupted"] for name in in_doubt} <= {1}
    assert not sent & in_doubt
    assert sent <= set(cognito.deliveries)
    assert set(names) - set(cognito.deliveries) <= in_doubt

    last = program("run", users, *at, *AGAIN)
    assert last.code == 0
    assert {row["outcome"] for row in program.report()} == {"skipped"}
    assert set(cognito.deliveries.values()) == {1}


def test_a_second_run_at_the_same_time_exits_5_and_asks_for_nobody(
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


# -- settings that cannot work -------------------------------------------------------------


def test_an_unknown_client_exits_4_after_one_request(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    users = program.users(numbered(30))
    ended = program("run", users, *at, *REPORT, *SUMMARY, "--client-id", "unknown")
    assert ended.code == 4
    assert "--client-id" in ended.err
    assert program.summary()["stopped_by"] == "unknown-client"
    assert tallied(program.report()) == {"not-attempted/stopped": 30}
    assert cognito.requests == 1


@pytest.mark.parametrize("given", ["", "wrong"])
def test_a_wrong_or_missing_secret_exits_4_after_few_requests_however_many_workers(
    given: str,
    program: Program,
    elsewhere: BlockingPortal,
    cognito: Cognito,
    at: tuple[str, ...],
) -> None:
    cognito.client = Client(secret="s3cret")
    users = program.users(numbered(200))
    env = {"BATCH_RESEND_CLIENT_SECRET": given} if given else {}
    # So far away that others could be asked for long before the first answer.
    with serving(elsewhere, cognito, latency=0.5) as far:
        ended = program(
            *("run", users, *at, "--endpoint-url", far, "--ledger", "ledger", *REPORT, *SUMMARY),
            *("--concurrency", "64"),
            env=env,
        )
    assert ended.code == 4
    assert "client secret" in ended.err
    assert program.summary()["stopped_by"] == "client-secret"
    assert 1 <= cognito.requests <= 5
    assert not cognito.deliveries
    # It was nobody's own fault, so the next run begins with the first.
    again = program(
        *("run", users, *at, "--ledger", "ledger", *AGAIN, "--limit", "3"),
        env={"BATCH_RESEND_CLIENT_SECRET": "s3cret"},
    )
    assert again.code == 0
    assert cognito.deliveries == once(numbered(3))


def test_an_endpoint_that_redirects_exits_4_and_hears_of_nobody_elsewhere(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    cognito.outages = [Outage(Kind.REDIRECT)]
    ended = program("run", program.users(numbered(30)), *at, *REPORT, *SUMMARY)
    assert ended.code == 4
    assert program.summary()["stopped_by"] == "redirected"
    assert (cognito.requests, cognito.misdirected) == (1, 0)


def test_a_pool_that_verifies_nothing_exits_4(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    cognito.settings = replace(cognito.settings, auto_verified=())
    ended = program("run", program.users(numbered(30)), *at, *REPORT, *SUMMARY)
    assert (ended.code, cognito.requests) == (4, 1)
    assert program.summary()["stopped_by"] == "cannot-verify"


@pytest.fixture(scope="module")
def unreachable(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A run against a port where nobody listens; it gives up by itself after half a minute."""
    program = Program(tmp_path_factory.mktemp("unreachable"))
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        port = nobody.getsockname()[1]
        users = program.users(numbered(30))
        process = program.start(
            "run", users, "--client-id", CLIENT, "--region", "us-east-1", "--yes",
            "--endpoint-url", f"http://127.0.0.1:{port}", *REPORT, *SUMMARY,
        )  # fmt: skip
        yield program, process
    program.end()


@pytest.fixture(scope="module", autouse=True)
def begin_what_takes_long(request: pytest.FixtureRequest) -> None:
    """Let the one run that takes half a minute begin first, so that nobody waits for it."""
    if any("unreachable" in item.name for item in request.session.items):
        request.getfixturevalue("unreachable")


# -- in and out ------------------------------------------------------------------------------


def test_standard_input_is_an_input_and_standard_output_takes_the_report(
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


def test_a_ledger_of_another_client_is_named_before_anybody_is_written_to(
    program: Program, cognito: Cognito, at: tuple[str, ...], url: str
) -> None:
    users = program.users(numbered(3))
    program("run", users, *at, *AGAIN, *LEDGER)
    dry = program("run", users, *at, *AGAIN, *LEDGER, "--dry-run", "--client-id", "another")
    here = f"in us-east-1 at {url}"
    assert (
        f"The ledger ledger was begun for client {CLIENT} {here}, and this run is for client"
        f" another {here}: whoever has the same name in both is taken for one person."
    ) in dry.err
    assert tallied(program.report()) == {"skipped/cooling-down": 3}


def test_a_dry_run_asks_for_nobody_and_remembers_nothing(
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
def test_without_yes_and_without_a_terminal_nobody_is_written_to(
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
    assert f"client {CLIENT}\n  where      us-east-1, http://127.0.0.1" in no.err
    names = "u***@e***, u***@e***, u***@e***, ..."
    assert f"  to send    12 codes ({names})\n" in no.err
    assert "Send 12 codes? [y/N] n\n" in no.err
    assert "Error: Nobody was written to" in no.err
    left = at_a_terminal(program, signal.SIGINT, *asking)
    assert left.code == 130
    assert "Error: Stopped from the keyboard (SIGINT). Nobody was written to.\n" in left.err
    assert cognito.requests == 0
    assert not (program.folder / "report.csv").exists()
    # 12 users at 10 a second: time enough for the display to be drawn.
    yes = at_a_terminal(program, "y", *asking, "--rate", "10")
    assert yes.code == 0
    assert cognito.deliveries == once(numbered(12))
    assert re.search(r"\d+ of 12", yes.err)
    assert "10.0 a second, ceiling 10" in yes.err
    # Nobody is left to be asked about.
    assert at_a_terminal(program, "", *asking, "--overwrite").code == 0


# -- what is said, and what is not ---------------------------------------------------------


def test_names_are_masked_unless_asked_otherwise(program: Program, at: tuple[str, ...]) -> None:
    names = ["ada.lovelace@example.com", "bob+missing@example.com", "ada.lovelace@example.com"]
    users = program.users(names)
    masked = program("run", users, *at, *REPORT, *SUMMARY, "-v")
    assert masked.code == 1
    assert "a***@e***, b***@e***" in masked.err
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


SECRET = "correct-horse-battery-staple"


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


def secret_hash(secret: str, username: str, client_id: str) -> str:
    digest = hmac.new(secret.encode(), (username + client_id).encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


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
    assert "Simulated: no real person was written to." in ended.err
    assert not program.state.exists()


def test_help_and_version_are_told_on_standard_output(program: Program) -> None:
    version = program("--version")
    assert (version.code, version.out, version.err) == (
        0, f"batch-resend {batch_resend.__version__}\n", "",
    )  # fmt: skip
    told = program("run", "-h", env={"COLUMNS": "200"})
    assert (told.code, told.err) == (0, "")
    assert all(option in told.out for option in ("--client-id", "--max-sent", "--ledger"))
    nothing = program()
    assert nothing.code in {0, 2}
    assert "simulate" in nothing.out + nothing.err


# -- what cannot be done is said in one sentence -------------------------------------------


@dataclass(frozen=True)
class Bad:
    """Something that cannot be done: what is prepared and given, and what must be named."""

    told: str
    given: tuple[str, ...] = ()
    code: int = 2
    users: tuple[str, ...] = ("users.csv",)
    files: dict[str, str | bytes] = field(default_factory=dict)
    prepare: Callable[[Path], None] = lambda _: None
    env: dict[str, str] = field(default_factory=dict)


def newer_ledger(folder: Path) -> None:
    db = sqlite3.connect(folder / "ledger")
    db.execute("PRAGMA application_id = 0x42525344")
    db.execute("PRAGMA user_version = 99")
    db.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID")
    db.close()


def other_database(folder: Path) -> None:
    db = sqlite3.connect(folder / "ledger")
    db.execute("CREATE TABLE songs (name)")
    db.close()


def linked_ledger(folder: Path) -> None:
    (folder / "ledger").symlink_to(folder / "elsewhere")


def shut_folder(folder: Path) -> None:
    (folder / "shut").mkdir(mode=0o500)


def shut_secret(folder: Path) -> None:
    (folder / "secret").chmod(0o000)


def private_secret(folder: Path) -> None:
    (folder / "secret").chmod(0o600)


def public_secret(folder: Path) -> None:
    (folder / "secret").chmod(0o644)


MANY = "username,locale\n" + "".join(f"user{n}@example.com,de\n" for n in range(3000))
LEDGER = ("--ledger", "ledger")
SECRET_FILE = ("--client-secret-file", "secret")

BAD = {
    # The input.
    "a missing file": Bad("missing.csv", users=("missing.csv",)),
    "a folder": Bad("home", users=("home",)),
    "an empty file": Bad("users.csv is empty", files={"users.csv": ""}),
    "a header only": Bad("users.csv has a header but no rows", files={"users.csv": "username\n"}),
    "no username column": Bad(
        "users.csv has no username column", files={"users.csv": "name,age\nada,36\n"}
    ),
    "a broken last row": Bad("row 3001 (line 3002)", files={"users.csv": f"{MANY}ada,de,x\n"}),
    "no UTF-8 in the last row": Bad(
        "not utf-8 near line 3002", files={"users.csv": MANY.encode() + b"jos\xe9,es\n"}
    ),
    "a missing list of whom not to write to": Bad("nobody.csv", ("--exclude", "nobody.csv")),
    # Options.
    "an unknown option": Bad("--colour", ("--colour", "red")),
    "a bad variable": Bad("--limit", env={"BATCH_RESEND_LIMIT": "ten"}),
    "a pattern for no column": Bad("'locale'", ("--match", "locale=de")),
    "metadata of no column": Bad("'locale'", ("--metadata", "lang=@locale")),
    # Secrets.
    "a missing secret file": Bad("secret", SECRET_FILE),
    "an unreadable secret file": Bad(
        "secret", SECRET_FILE, files={"secret": SECRET}, prepare=shut_secret
    ),
    "an empty secret file": Bad(
        "--client-secret-file", SECRET_FILE, files={"secret": "\n"}, prepare=private_secret
    ),
    "a secret for all to read": Bad(
        "secret can be read by everybody",
        SECRET_FILE,
        files={"secret": SECRET},
        prepare=public_secret,
    ),
    "an empty variable for a secret": Bad(
        "BATCH_RESEND_CLIENT_SECRET", env={"BATCH_RESEND_CLIENT_SECRET": ""}
    ),
    # Results.
    "a report in no folder": Bad("--report no/report.csv", ("--report", "no/report.csv")),
    "a report over the input": Bad(
        "--report ./users.csv is the input", ("--report", "./users.csv", "--overwrite")
    ),
    "a report that exists": Bad(
        "--report old.csv exists", ("--report", "old.csv"), files={"old.csv": "old\n"}
    ),
    # The ledger.
    "a ledger that is a link": Bad("ledger", LEDGER, 4, prepare=linked_ledger),
    "an empty ledger": Bad("ledger ledger is empty", LEDGER, 4, files={"ledger": ""}),
    "a text for a ledger": Bad("ledger ledger", LEDGER, 4, files={"ledger": "Dear diary,\n" * 99}),
    "another database for a ledger": Bad(
        "ledger ledger is not a ledger", LEDGER, 4, prepare=other_database
    ),
    "a newer ledger": Bad("schema 99", LEDGER, 4, prepare=newer_ledger),
    "a ledger in a shut folder": Bad(
        "shut/ledger", ("--ledger", "shut/ledger"), 4, prepare=shut_folder
    ),
    "a ledger that must be there": Bad(
        "--require-ledger", ("--ledger", "gone", "--require-ledger"), 4
    ),
    # AWS.
    "a plain address far away": Bad(
        "http://cognito.example.com", ("--endpoint-url", "http://cognito.example.com"), 4
    ),
    "no Region": Bad("--region", ("--region", ""), 4),
    "an unknown profile": Bad("nosuchprofile", ("--profile", "nosuchprofile"), 4),
    "a listing without credentials": Bad(
        "credentials", ("--user-pool-id", "us-east-1_Simulated"), 4, users=()
    ),
}


@dataclass(frozen=True)
class Complaint:
    """What came of it: the end of the process, and what is found in its folder."""

    ended: Ended
    before: dict[str, bytes | None]
    after: dict[str, bytes | None]


def complain(bad: Bad, program: Program, url: str) -> Complaint:
    files = {"users.csv": "username\nada@example.com\n"} | bad.files
    for file, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (program.folder / file).write_bytes(data)
    bad.prepare(program.folder)
    before = contents(program.folder)
    ended = program(
        *("run", *bad.users, "--client-id", CLIENT, "--region", "us-east-1"),
        *("--endpoint-url", url, "--yes", "-q", *bad.given),
        env=bad.env,
    )
    return Complaint(ended, before, contents(program.folder))


def contents(folder: Path) -> dict[str, bytes | None]:
    return {file.name: file.read_bytes() if file.is_file() else None for file in folder.iterdir()}


def wanted(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which of them the chosen tests ask for."""
    for item in request.session.items:
        if "complaints" in getattr(item, "fixturenames", ()):
            name = getattr(item, "callspec").params["name"]  # noqa: B009 - pytest does not type it
            if possible(BAD[name]):
                yield name


def possible(bad: Bad) -> bool:
    """Whether it can be tried here: for root nothing is shut."""
    return bad.prepare not in {shut_folder, shut_secret} or os.geteuid() != 0


@pytest.fixture(scope="module")
def complaints(
    elsewhere: BlockingPortal,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[tuple[Cognito, dict[str, Future[Complaint]]]]:
    """All of them, some at a time, for none of them hears of another."""
    cognito = Cognito()
    with serving(elsewhere, cognito) as url, ThreadPoolExecutor(3) as pool:
        yield (
            cognito,
            {
                name: pool.submit(complain, BAD[name], Program(tmp_path_factory.mktemp("bad")), url)
                for name in wanted(request)
            },
        )


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_done_is_said_in_one_sentence(
    name: str, complaints: tuple[Cognito, dict[str, Future[Complaint]]]
) -> None:
    bad = BAD[name]
    if not possible(bad):
        pytest.skip("for root nothing is shut")
    cognito, futures = complaints
    complaint = futures[name].result()
    assert (complaint.ended.code, complaint.ended.out) == (bad.code, "")
    (line,) = complaint.ended.err.splitlines()
    assert line.startswith("Error: ")
    assert line.endswith((".", "?"))
    assert bad.told in line
    assert "ada@example.com" not in line
    assert SECRET not in line
    assert (cognito.requests, cognito.deliveries) == (0, {})
    # Nothing is left behind but the memory of nobody, and nothing was overwritten.
    left = {file for file in complaint.after if file not in complaint.before}
    assert left <= {"state", "ledger.lock", "gone.lock"}
    kept = {file: complaint.after[file] for file in complaint.before}
    if bad.prepare in {newer_ledger, other_database}:
        del kept["ledger"], complaint.before["ledger"]
    assert kept == complaint.before


#: What is found wrong before the program does anything, so that no process is needed.
MISUSED = {
    "nobody": ("--user-pool-id", []),
    "a second argument": ("more.csv", ["users.csv", "more.csv"]),
    "no client id": ("--client-id is missing", ["users.csv", "--client-id", ""]),
    "a malformed client id": ("--client-id 'a b'", ["users.csv", "--client-id", "a b"]),
    "a malformed pool id": ("--user-pool-id 'pool'", ["--user-pool-id", "pool"]),
    "a bad duration": ("--timeout '5 minutes'", ["users.csv", "--timeout", "5 minutes"]),
    "a duration of nothing": ("--cooldown '24'", ["users.csv", "--cooldown", "24"]),
    "a bad pattern": ("--match locale", ["users.csv", "--match", "locale=["]),
    "no pattern": ("--match 'locale'", ["users.csv", "--match", "locale"]),
    "metadata without a value": ("--metadata 'a'", ["users.csv", "--metadata", "a"]),
    "metadata twice": ("--metadata a", ["users.csv", "--metadata", "a=1", "--metadata", "a=2"]),
    "a bad rate": ("--rate 'fast'", ["users.csv", "--rate", "fast"]),
    "no rate": ("--rate '0'", ["users.csv", "--rate", "0"]),
    "a rate that is no number": ("--rate 'nan'", ["users.csv", "--rate", "nan"]),
    "a share of nothing": ("--share 0 ", ["users.csv", "--share", "0"]),
    "a limit of nobody": ("--limit 0", ["users.csv", "--limit", "0"]),
    "a limit of letters": ("--limit", ["users.csv", "--limit", "ten"]),
    "no workers": ("--concurrency 0", ["users.csv", "--concurrency", "0"]),
    "a limit and a sample": ("--limit and --sample", ["x.csv", "--limit", "1", "--sample", "1"]),
    "too many failures": ("--max-failures '101%'", ["users.csv", "--max-failures", "101%"]),
    "a form of log": ("--log-format 'xml'", ["users.csv", "--log-format", "xml"]),
    "a filter for a CSV": ("--filter", ["users.csv", "--filter", 'username = "ada"']),
    "an age for a CSV": ("--older-than", ["users.csv", "--older-than", "7d"]),
    "two secrets": (
        "cannot be combined",
        ["users.csv", "--client-secret-id", "web", "--client-secret-file", "secret"],
    ),
    "a secret of no pool": ("--user-pool-id", ["users.csv", "--fetch-client-secret"]),
    "two results in one place": (
        "--summary - is --report too",
        ["users.csv", "--report", "-", "--summary", "-"],
    ),
    "no question and no answer": ("--yes", ["users.csv", "--no-yes"]),
}


@pytest.mark.parametrize("name", MISUSED)
def test_what_makes_no_sense_is_said_in_one_sentence(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    told, arguments = MISUSED[name]
    yes = [] if "--no-yes" in arguments else ["--yes"]
    given = [argument for argument in arguments if argument != "--no-yes"]
    code = cli.program(["run", "--client-id", CLIENT, *yes, *given])
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert (code, out) == (2, "")
    assert line.startswith("Error: ")
    assert line.endswith(".")
    assert told in line


# -- against moto: listing, secrets, resending in one pool ---------------------------------


class AskedOfMoto:
    """What moto lacks: ResendConfirmationCode. It notes whom it was asked for, and how."""

    def __init__(self) -> None:
        self.names: Counter[str] = Counter()
        self.metadata: dict[str, Any] = {}
        self.refused = 0
        self.secrets: dict[str, str] = {}  # by client

    def answer(self, response: Any) -> ActionResult:
        client, name, given = (
            response._get_param(key) for key in ("ClientId", "Username", "SecretHash")
        )
        if given != secret_hash(self.secrets[client], name, client):
            self.refused += 1
            return ActionResult({})  # without details, which is no success
        self.names[name] += 1
        self.metadata[name] = response._get_param("ClientMetadata")
        return ActionResult(
            {
                "CodeDeliveryDetails": {
                    "AttributeName": "email",
                    "DeliveryMedium": "EMAIL",
                    "Destination": "u***@e***",
                }
            }
        )


@dataclass
class Moto:
    """A pool at moto's server, with several hundred users."""

    url: str
    pool: str
    client: str
    asked: AskedOfMoto
    unconfirmed: dict[str, dict[str, str]]  #: attributes by Username

    @property
    def options(self) -> tuple[str, ...]:
        return ("--user-pool-id", self.pool, "--client-id", self.client, "--yes", "--rate", "1000",
                "--endpoint-url", self.url, "--metadata", "locale=@locale")  # fmt: skip

    @property
    def env(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.url,
        }


@pytest.fixture(scope="module")
def at_moto(moto_url: str) -> Iterator[Moto]:
    asked = AskedOfMoto()
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    cognito, vault = (
        boto3.client(service, region_name="us-east-1", endpoint_url=moto_url, **keys)
        for service in ("cognito-idp", "secretsmanager")
    )
    pool = cognito.create_user_pool(
        PoolName="shop", UsernameAttributes=["email"], AutoVerifiedAttributes=["email"]
    )["UserPool"]["Id"]
    client = cognito.create_user_pool_client(
        UserPoolId=pool, ClientName="web", GenerateSecret=True
    )["UserPoolClient"]
    asked.secrets[client["ClientId"]] = client["ClientSecret"]
    vault.create_secret(
        Name="shop/web", SecretString=json.dumps({"client_secret": client["ClientSecret"]})
    )
    unconfirmed = {}
    for n in range(300):
        # A tenth has no locale.
        attributes = {"email": f"user{n}@example.com"} | ({"locale": f"l{n}"} if n % 10 else {})
        answer = cognito.sign_up(
            ClientId=client["ClientId"],
            Username=attributes["email"],
            Password="Passw0rd!",
            UserAttributes=[{"Name": name, "Value": text} for name, text in attributes.items()],
        )
        if n % 5 == 2:
            cognito.admin_confirm_sign_up(UserPoolId=pool, Username=answer["UserSub"])
        else:
            unconfirmed[answer["UserSub"]] = attributes

    def resend_confirmation_code(response: Any) -> ActionResult:
        return asked.answer(response)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            CognitoIdpResponse, "resend_confirmation_code", resend_confirmation_code, raising=False
        )
        yield Moto(moto_url, pool, client["ClientId"], asked, unconfirmed)


def test_the_unconfirmed_users_of_a_pool_are_listed_and_mailed_once(
    program: Program, at_moto: Moto
) -> None:
    asked = at_moto.asked
    first = program(
        "run", *at_moto.options, "--fetch-client-secret", "--max-sent", "70", *REPORT,
        env=at_moto.env,
    )  # fmt: skip
    assert first.code == 3
    assert tallied(program.report()) == {"sent/accepted": 70, "not-attempted/stopped": 170}
    assert set(became(program.report())) == set(at_moto.unconfirmed)
    assert asked.names.total() == 70
    second = program(
        "run", *at_moto.options, "--client-secret-id", "shop/web", *AGAIN, *SUMMARY,
        env=at_moto.env,
    )  # fmt: skip
    assert second.code == 0
    assert tallied(program.report()) == {"skipped/cooling-down": 70, "sent/accepted": 170}
    assert rows(program.report()) == list(range(1, 241))
    assert program.summary()["user_pool_id"] == at_moto.pool
    assert asked.refused == 0
    assert asked.names == once(at_moto.unconfirmed)
    assert asked.metadata == {
        name: {"locale": attributes["locale"]} if "locale" in attributes else None
        for name, attributes in at_moto.unconfirmed.items()
    }
    # Whoever was found by listing is known under the address too, without credentials.
    emails = [attributes["email"] for attributes in at_moto.unconfirmed.values()][:5]
    third = program(
        "run", program.users(emails), "--client-id", at_moto.client, "--region", "us-east-1",
        "--endpoint-url", at_moto.url, "--yes", *AGAIN,
    )  # fmt: skip
    assert third.code == 0
    assert tallied(program.report()) == {"skipped/cooling-down": 5}
    assert asked.names.total() == 240


def test_a_listing_that_cannot_be_made_exits_4(
    tmp_path_factory: pytest.TempPathFactory, at_moto: Moto
) -> None:
    table: list[tuple[str, tuple[str, ...], dict[str, str]]] = [
        ("credentials", (), {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}),
        ("shop/nothing", ("--client-secret-id", "shop/nothing"), {}),
        ("nosuchclient", ("--fetch-client-secret", "--client-id", "nosuchclient"), {}),
        ("us-east-1_Nowhere", ("--user-pool-id", "us-east-1_Nowhere"), {}),
    ]
    before = at_moto.asked.names.total()
    begun = []
    for told, given, env in table:
        program = Program(tmp_path_factory.mktemp("listing"))
        options = ("run", *at_moto.options, *given, *REPORT, "-q")
        begun.append((told, program, program.start(*options, env=at_moto.env | env)))
    for told, program, process in begun:
        refused = ended(process)
        assert (refused.code, len(refused.err.splitlines())) == (4, 1)
        assert told in refused.errors[0]
        assert not (program.folder / "report.csv").exists()
    assert at_moto.asked.names.total() == before


def test_wrong_credentials_exit_4(
    program: Program, at_moto: Moto, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Any) -> NoReturn:  # in AWS's words, where moto has its own
        raise JsonRESTError(
            "UnrecognizedClientException", "The security token included in the request is invalid."
        )

    monkeypatch.setattr(CognitoIdpResponse, "list_users", refuse)
    refused = program("run", *at_moto.options, *REPORT, "-q", env=at_moto.env)
    assert (refused.code, len(refused.err.splitlines())) == (4, 1)
    assert "credentials" in refused.errors[0]
    assert "UnrecognizedClientException" in refused.errors[0]
    assert not (program.folder / "report.csv").exists()


# -- the one that takes half a minute ------------------------------------------------------


def test_an_unreachable_endpoint_exits_4_by_itself(unreachable: tuple[Program, Any]) -> None:
    program, process = unreachable
    told = ended(process)
    assert told.code == 4
    assert "No connection to the endpoint came about" in told.err
    assert program.summary()["stopped_by"] == "unreachable"
    report = program.report()
    assert rows(report) == list(range(1, 31))
    assert set(tallied(report)) <= {"failed/connection", "not-attempted/stopped"}
    assert "not-attempted/stopped" in tallied(report)
