"""What a new user gets wrong, by real processes: one sentence each, and nothing sent."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.program import (
    AT_MOST,
    REPORT,
    SUMMARY,
    Program,
    numbered,
    tallied,
    without_times,
)


@contextmanager
def answering(status: int, body: bytes, kind: str) -> Iterator[tuple[str, list[bytes]]]:
    """A server that is none of AWS's; what it heard."""
    heard: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_CONNECT(self) -> None:
            heard.append(self.path.encode())
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass  # the client has gone

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("status", [404, 403, 429, 999_999], ids=str)
def test_foreign_endpoint_ends_the_run_after_five_users(program: Program, status: int) -> None:
    """Also with a 403 or 429 that AWS did not make, and with a status line that is not HTTP."""
    users = program.users(numbered(50))
    with answering(status, b"<title>Not here</title>", "text/html") as (url, heard):
        wrong = program(
            "run", users, "--client-id", "web", "--region", "us-east-1", "--yes",
            "--endpoint-url", f"{url}/wrong/path", *REPORT, *SUMMARY,
        )  # fmt: skip
    assert wrong.code == 4
    assert "The endpoint does not respond like Amazon Cognito." in wrong.err
    assert program.summary()["stopped_by"] == "endpoint"
    assert tallied(program.report()) == {
        "unknown/unreadable-answer": 5, "not-attempted/stopped": 45,
    }  # fmt: skip
    assert len(heard) == len(set(heard)) == 5


@pytest.mark.parametrize("body", [b"null", b'"sent"', b"[1]"])
def test_json_other_than_an_object_loses_no_row(program: Program, body: bytes) -> None:
    """It ended the whole run with an internal error, and 8 of 30 rows reported."""
    users = program.users(numbered(30))
    with answering(200, body, "application/x-amz-json-1.1") as (url, _):
        wrong = program(
            "run", users, "--client-id", "web", "--region", "us-east-1", "--yes",
            "--endpoint-url", url, *REPORT, *SUMMARY,
        )  # fmt: skip
    assert wrong.code == 4
    assert "The endpoint does not respond like Amazon Cognito." in wrong.err
    assert tallied(program.report()) == {
        "unknown/unreadable-answer": 5, "not-attempted/stopped": 25,
    }  # fmt: skip


def test_half_a_character_in_an_answer_reaches_the_report(program: Program) -> None:
    """JSON can say `\\ud800`, half of a pair, which no UTF-8 file can hold."""
    users = program.users(numbered(3))
    body = rb'{"CodeDeliveryDetails": {"DeliveryMedium": "EMAIL", "Destination": "\ud800***"}}'
    with answering(200, body, "application/x-amz-json-1.1") as (url, _):
        done = program(
            "run", users, "--client-id", "web", "--region", "us-east-1", "--yes",
            "--endpoint-url", url, *REPORT, *SUMMARY,
        )  # fmt: skip
    assert done.code == 0, done.err
    assert tallied(program.report()) == {"sent/accepted": 3}


def test_a_proxy_that_wants_a_password_ends_the_run_at_once(program: Program) -> None:
    users = program.users(numbered(30))
    with answering(407, b"", "text/html") as (url, heard):
        wrong = program(
            "run", users, "--client-id", "web", "--region", "us-east-1", "--yes",
            *REPORT, *SUMMARY, env={"HTTPS_PROXY": url.replace("://", "://user:hunter2@")},
        )  # fmt: skip
    assert wrong.code == 4
    assert "wants a user name and password (407): put them into HTTPS_PROXY" in wrong.err
    assert "hunter2" not in wrong.err
    assert len(heard) == 1, "waiting cannot heal it"
    assert tallied(program.report()) == {"not-attempted/stopped": 30}
    assert program.summary()["stopped_by"] == "unreachable"


def test_a_listing_with_a_date_that_is_none_exits_4(program: Program) -> None:
    body = b'{"Users": [{"Username": "ada", "UserCreateDate": 1e300}]}'
    with answering(200, body, "application/x-amz-json-1.1") as (url, heard):
        wrong = program(
            "run", "--user-pool-id", "us-east-1_Pool", "--client-id", "web", "--yes",
            "--endpoint-url", url, *REPORT,
            env={"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"},
        )  # fmt: skip
    assert wrong.code == 4
    assert wrong.errors == [
        "Error: The endpoint that should list user pool us-east-1_Pool does not respond as Amazon"
        " Cognito does. Check --endpoint-url, the Region and any proxy."
    ]
    assert all(b"Username" not in body for body in heard), "no code was requested"


def test_odd_region_is_reported_before_it_looks_like_an_outage(program: Program) -> None:
    users = program.users(["ada"])
    dry = ("run", users, "--client-id", "web", "--dry-run", "--report", "/dev/null")
    odd = program(*dry, "--region", "eu-wset-1")
    assert odd.code == 4
    assert "There is no Region 'eu-wset-1'. Did you mean eu-west-1, " in odd.errors[0]
    away = program(*dry, "--region", "eu-west-1", "--user-pool-id", "us-east-1_Pool")
    assert away.code == 0
    assert (
        "us-east-1_Pool was created in us-east-1, but requests go to eu-west-1. This is right only"
        " for a replica of the pool." in away.err
    )
    home = program(*dry, "--region", "us-east-1", "--user-pool-id", "us-east-1_Pool")
    assert "replica" not in home.err


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--port", "99999", "--port 99999: use a port up to 65535"),
        ("--port", "-1", "--port -1: use a port"),
        ("--users", "-1", "--users -1: the minimum is 0."),
        ("--mail-quota", "-1", "--mail-quota -1: the minimum is 0."),
        ("--rate", "0", "--rate 0: requests per second must be above 0."),
        ("--rate", "nan", "--rate nan: requests per second must be above 0."),
    ],
)
def test_a_number_that_the_simulator_cannot_use_is_refused(
    program: Program, option: str, value: str, sentence: str
) -> None:
    refused = program("simulate", option, value)
    assert (refused.code, len(refused.errors)) == (2, 1)
    assert sentence in refused.errors[0]


def test_unwritable_summary_hides_nothing_of_the_run(program: Program) -> None:
    users = program.users(numbered(3))
    full = program("run", users, "--simulate", *REPORT, "--summary", "/dev/full")
    assert full.code == 1
    assert "3 rows in" in full.err
    assert "Not delivered: --summary /dev/full cannot be written" in full.err


def test_runs_that_begin_in_one_second_have_a_report_each(program: Program) -> None:
    users = program.users(numbered(3))
    now = time.time()
    for second in range(30):
        name = time.strftime("resend-report-%Y%m%dT%H%M%SZ.csv", time.gmtime(now + second))
        (program.folder / name).touch()
    assert program("run", users, "--simulate").code == 0
    (report,) = program.folder.glob("resend-report-*Z-2.csv")
    assert report.read_text("utf-8").count("\n") == 4


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_stream_that_was_closed_changes_nothing(
    closed: tuple[int, ...], program: Program
) -> None:
    users = program.users(numbered(3))
    for name in ("run", "bad"):  # and where there is something to be said
        path = {"run": users, "bad": "missing.csv"}[name]
        done = subprocess.run(
            [
                *("/bin/sh", "-c", 'exec "$@" ' + " ".join(f"{n}>&-" for n in closed), "sh"),
                *(sys.executable, "-m", "batch_resend", "run", path, "--simulate"),
                *("--report", f"{name}.csv"),
            ],
            env=program.env,
            cwd=program.folder,
            capture_output=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == {"run": 0, "bad": 2}[name], done.stderr
    assert [row["outcome"] for row in program.report("run.csv")] == ["sent"] * 3


def test_a_role_that_cannot_be_reached_is_named_in_one_sentence(program: Program) -> None:
    (program.folder / "config").write_text(
        "[profile shop]\nrole_arn = arn:aws:iam::123456789012:role/mail\nsource_profile = own\n"
        "[profile own]\naws_access_key_id = x\naws_secret_access_key = y\n"
    )
    done = program(
        *("run", "--user-pool-id", "eu-west-1_AbC", "--client-id", "web", "--yes"),
        *("--profile", "shop", "--endpoint-url", "http://127.0.0.1:2"),
        env={
            "AWS_CONFIG_FILE": str(program.folder / "config"),
            "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1",
        },
    )
    assert (done.code, len(done.errors)) == (4, 1)
    assert "cannot be reached (http://127.0.0.1:1/, EndpointConnectionError)" in done.err
    assert len(done.err.splitlines()) < 6


@pytest.mark.parametrize("allowed", [9, 12, 20, 31, 32, 48])
def test_few_descriptors_make_a_run_slower_or_refuse_it(
    program: Program, at: tuple[str, ...], allowed: int
) -> None:
    """Users failed for want of a socket, or ended in an internal error."""
    users = program.users(numbered(40))
    few = subprocess.run(
        [
            *("/bin/sh", "-c", f'ulimit -n {allowed} && exec "$@"', "sh"),
            *(sys.executable, "-m", "batch_resend", "run", users, *at, *REPORT, *SUMMARY),
        ],
        env=program.env,
        cwd=program.folder,
        capture_output=True,
        check=False,
        text=True,
        timeout=AT_MOST,
    )
    if allowed < 32:
        assert few.returncode == 4
        assert without_times(few.stderr) == (
            f"Error: Only {allowed} files may be open here (ulimit -n), and at least 32 are needed:"
            " raise the limit.\n"
        )
    else:
        assert few.returncode == 0, few.stderr
        assert "The limit of open files (ulimit -n) is too low for " in few.stderr
        assert tallied(program.report()) == {"sent/accepted": 40}


def test_a_key_log_that_cannot_be_written_is_said_in_a_sentence(program: Program) -> None:
    users = program.users(numbered(3))
    environment = {"SSLKEYLOGFILE": "/nonexistent/keys"}
    for command in (
        ("run", users, "--client-id", "web", "--region", "us-east-1", "--yes", *REPORT),
        ("simulate",),
    ):
        refused = program(*command, env=environment)
        assert (refused.code, len(refused.errors)) == (4, 1), refused.err
        assert "SSLKEYLOGFILE /nonexistent/keys cannot be written (No such file" in refused.err
