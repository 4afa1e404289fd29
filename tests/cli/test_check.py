"""`batch-resend check`, and the same check at the beginning of a run, as real processes."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from anyio.from_thread import BlockingPortal

from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.setup import Client, PoolSettings
from tests.support.program import (
    CLIENT,
    REPORT,
    SUMMARY,
    Program,
    at_a_terminal,
    ended,
    numbered,
    once,
    serving,
    until,
)
from tests.support.small_aws import CLIENT as SMALL_CLIENT
from tests.support.small_aws import POOL as SMALL_POOL
from tests.support.small_aws import SmallAws, hang

POOL = "us-east-1_Simulated"
KEYS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}


def simulated(**changes: Any) -> Cognito:
    client = changes.pop("client", Client(CLIENT))
    return Cognito(client=client, settings=PoolSettings(POOL, **changes))


def options(url: str) -> tuple[str, ...]:
    return ("--user-pool-id", POOL, "--client-id", CLIENT, "--endpoint-url", url)


def as_run(url: str) -> tuple[str, ...]:
    return (*options(url), "--yes", "--rate", "1000", *REPORT, *SUMMARY)


@contextmanager
def serving_aws(portal: BlockingPortal, aws: SmallAws) -> Iterator[str]:
    async def start() -> TestServer:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", aws.answer)
        server = TestServer(app)
        await server.start_server(shutdown_timeout=0.1)
        return server

    server = portal.call(start)
    yield str(server.make_url("/")).rstrip("/")
    portal.call(server.close)


# -- check ---------------------------------------------------------------------------


def test_check_lists_findings_and_requests_no_code(
    program: Program, elsewhere: BlockingPortal
) -> None:
    cognito = simulated()
    with serving(elsewhere, cognito) as url:
        done = program("check", *options(url), "--strict", env=KEYS)
        lenient = program("check", *options(url), env=KEYS)
    assert (done.code, done.err) == (1, "")
    assert (lenient.code, lenient.out) == (0, done.out)
    first, *_, last = done.out.splitlines()
    assert first == f"ok       Pool {POOL} exists, with about 0 users."
    assert last == "Ready to run, with 2 warnings."
    assert "ok       App client simulatedclient belongs to the pool." in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines())
    assert cognito.requests == 0
    assert list(program.folder.glob("state/**/*")) == []


def test_check_json_is_one_object_with_the_row_count(
    program: Program, elsewhere: BlockingPortal
) -> None:
    users = program.users(numbered(12))
    with serving(elsewhere, simulated(mail_quota=50)) as url:
        done = program("check", users, *options(url), "--json", "--rate", "10", env=KEYS)
    assert done.code == 0
    content = json.loads(done.out)
    assert (content["users"], content["users_are_counted"]) == (12, True)
    assert (content["rate"], content["seconds"]) == (10.0, 1.1)
    assert (content["region"], content["endpoint"]) == ("us-east-1", url)
    assert content["exit_code"] == 0
    assert [f["level"] for f in content["findings"] if f["about"] == "mail quota"] == ["ok"]


def small(**answers: Any) -> SmallAws:
    return SmallAws(answers=answers)


AT_SMALL = ("--user-pool-id", SMALL_POOL, "--client-id", SMALL_CLIENT)


def test_a_check_of_all_services_finds_quota_account_and_sandbox(
    program: Program, elsewhere: BlockingPortal
) -> None:
    secret = program.folder / "secret"
    secret.write_text("9example87654321\n")
    secret.chmod(0o600)
    with serving_aws(elsewhere, small()) as url:
        done = program(
            "check", *AT_SMALL, "--endpoint-url", url, "--client-secret-file", "secret",
            env=KEYS | {"AWS_ENDPOINT_URL": url},
        )  # fmt: skip
    assert done.code == 0, done.err
    said = " ".join(done.out.split())
    for sentence in (
        "ok The credentials belong to account 123456789012.",
        "ok The client secret matches.",
        "warning Amazon SES is in its sandbox",
        "warning Amazon SES accepts 1 mail per second, less than the rate of 60: use --rate 1.",
        "warning Amazon SES sends 200 mails per day",
        "ok The quota is 120 per second (enforced now), the rate limit 60.",
        "ok Other traffic peaked at 10 per second in the last hour.",
    ):
        assert sentence in said
    assert "9example87654321" not in done.out + done.err


def test_a_stop_exits_4(program: Program, elsewhere: BlockingPortal) -> None:
    with serving(elsewhere, simulated(auto_verified=())) as url:
        done = program("check", *options(url), env=KEYS)
        other = program("check", *options(url), "--client-id", "nosuchclient", env=KEYS)
    assert (done.code, other.code) == (4, 4)
    assert "stop     Automatic verification is off" in done.out
    assert done.out.splitlines()[-1] == "The run cannot start: 1 blocking problem."
    assert "stop     The pool has no app client nosuchclient" in other.out


def test_check_without_credentials_warns_and_exits_0(
    program: Program, elsewhere: BlockingPortal
) -> None:
    with serving(elsewhere, simulated()) as url:
        done = program("check", *options(url))
        strict = program("check", *options(url), "--strict")
    assert (done.code, strict.code) == (0, 1)
    assert "no valid AWS credentials" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--client-id", "abc"), 2, "--user-pool-id is missing"),
        (("--user-pool-id", POOL), 2, "--client-id is missing"),
        (("--user-pool-id", POOL, "--client-id", "abc", "nowhere.csv"), 2, "nowhere.csv"),
        (("--user-pool-id", "cn-north-1_Abc", "--client-id", "abc"), 4, "no user pools in China"),
        (("--user-pool-id", POOL, "--client-id", "abc", "--share", "2"), 2, "--share 2"),
    ],
)
def test_a_check_that_makes_no_sense_is_refused_in_one_sentence(
    program: Program, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    done = program("check", *arguments)
    assert (done.code, done.out, len(done.err.splitlines())) == (code, "", 1)
    assert sentence in done.errors[0]


# -- the same inside a run -----------------------------------------------------------


def test_stop_finding_ends_a_run_before_any_request(
    program: Program, elsewhere: BlockingPortal
) -> None:
    users = program.users(numbered(5))
    secret = Client(CLIENT, "9example87654321")
    for cognito, more, sentence in (
        (simulated(auto_verified=()), [], "Automatic verification is off"),
        (simulated(auto_verified=()), ["--dry-run"], "Automatic verification is off"),
        (simulated(client=secret), [], "The app client has a secret, and none was passed"),
    ):
        with serving(elsewhere, cognito) as url:
            done = program("run", users, *as_run(url), *more, env=KEYS)
        assert (done.code, len(done.errors)) == (4, 1)
        assert sentence in done.errors[0]
        assert done.errors[0].endswith("No messages were sent.")
        assert cognito.requests == 0
        assert not (program.folder / "report.csv").exists()
        summary = program.summary()
        assert (summary["exit_code"], sentence in summary["error"]) == (4, True)
        (program.folder / "summary.json").unlink()


def test_run_shows_warnings_and_weaknesses_at_the_end(
    program: Program, elsewhere: BlockingPortal
) -> None:
    users = program.users(numbered(60))
    cognito = simulated(client=Client(CLIENT, prevent_user_existence_errors=True), mail_quota=50)
    with serving(elsewhere, cognito) as url:
        done = program("run", users, *as_run(url), "--max-sent", "3", env=KEYS)
    assert done.code == 3
    assert "Check: The app client hides unknown users" in done.err
    assert "Check: Cognito's own sender sends 50 mails per day" in done.err
    assert "  Will send       60 codes by mail\n" in done.err
    assert "(limited by the mail quota of 50 per day). This" in " ".join(done.err.split())
    assert "so `sent` may include names that do not exist" in done.err
    assert program.summary()["existence_hidden"] is True
    assert sum(cognito.deliveries.values()) == 3


def test_the_pace_is_the_share_of_the_quota_that_is_found(
    program: Program, elsewhere: BlockingPortal
) -> None:
    users = program.users(numbered(60))
    dry = ("run", users, *AT_SMALL, "--dry-run", "--report", "/dev/null", *SUMMARY)
    client = {"UserPoolClient": {"ClientId": SMALL_CLIENT}}
    with serving_aws(elsewhere, small(DescribeUserPoolClient=client)) as url:
        env = KEYS | {"AWS_ENDPOINT_URL": url}
        done = program(*dry, "--endpoint-url", url, "--share", "0.25", env=env)
        fixed = program(*dry, "--endpoint-url", url, "--rate", "7", "--overwrite", env=env)
    assert done.code == fixed.code == 0, done.err
    assert "At 30/s alone it would take 2.0 s." in done.err
    assert "At 7/s alone it would take 8.4 s." in fixed.err
    assert (program.summary()["quota"], program.summary()["account"]) == (120.0, "123456789012")
    assert "account 123456789012, eu-west-1, http://127.0.0.1" in " ".join(done.err.split())
    assert "up to $1.20 in monthly active users (Plus, $0.02 each" in " ".join(done.err.split())


def test_services_that_are_silent_or_refuse_do_not_harm_a_run(
    program: Program, elsewhere: BlockingPortal
) -> None:
    users = program.users(numbered(20))

    cognito = simulated()
    with (
        serving(elsewhere, cognito) as url,
        serving_aws(elsewhere, SmallAws(instead=hang)) as silent,
    ):
        env = {f"AWS_ENDPOINT_URL_{name}": silent for name in ("STS", "SESV2", "CLOUDWATCH")}
        done = program(
            "run", users, *as_run(url), env=KEYS | env | {
                "AWS_ENDPOINT_URL_SERVICE_QUOTAS": "http://127.0.0.1:1"
            },
        )  # fmt: skip
    assert done.code == 0, done.err
    assert cognito.deliveries == once(numbered(20))
    assert "Check: Could not determine the account; no answer in time." in done.err
    assert "Check: Could not determine the quota (cannot be reached)" in done.err


def test_a_check_of_an_endpoint_that_is_not_there_is_a_stop(program: Program) -> None:
    done = program("check", *AT_SMALL, "--endpoint-url", "http://127.0.0.1:1", env=KEYS)
    assert done.code == 4
    assert "stop     Cognito cannot be reached at http://127.0.0.1:1" in done.out
    assert "the pool's settings" not in done.out


def test_ctrl_c_while_aws_is_silent_ends_at_once(
    program: Program, elsewhere: BlockingPortal
) -> None:
    users = program.users(numbered(20))
    silent = SmallAws(instead=hang)
    with serving_aws(elsewhere, silent) as url:
        process = program.start(
            "run", users, *AT_SMALL, "--endpoint-url", url, "--yes", *REPORT,
            env=KEYS | {"AWS_ENDPOINT_URL": url},
        )  # fmt: skip
        until(lambda: len(silent.asked) >= 5, process)
        process.send_signal(signal.SIGINT)
        done = ended(process)
    assert done.code == 130
    assert "No messages were sent." in done.err
    assert not (program.folder / "report.csv").exists()


def test_a_csv_run_without_credentials_goes_on_unchecked(
    program: Program, elsewhere: BlockingPortal
) -> None:
    users = program.users(numbered(3))
    cognito = simulated()
    with serving(elsewhere, cognito) as url:
        done = program("run", users, *as_run(url))
    assert done.code == 0, done.err
    assert cognito.deliveries == once(numbered(3))
    assert done.err.count("Check: ") == 2  # no credentials, and another endpoint


def test_unreadable_input_is_reported_instead_of_the_check(
    program: Program, elsewhere: BlockingPortal
) -> None:
    (program.folder / "users.csv").write_text("username,locale\nada,de\nbob,en,\x00\n")
    with serving(elsewhere, simulated(auto_verified=())) as url:
        done = program("run", "users.csv", *as_run(url), env=KEYS)
    assert (done.code, len(done.errors)) == (2, 1)
    assert "users.csv" in done.errors[0]


def test_above_a_thousand_users_the_number_is_typed(
    program: Program, elsewhere: BlockingPortal
) -> None:
    users = program.users(numbered(1001))
    cognito = simulated()
    with serving(elsewhere, cognito) as url:
        asking = [
            "run", users, "--client-id", CLIENT, "--region", "us-east-1", "--endpoint-url", url,
            "--rate", "1000", "--max-sent", "5", *REPORT,
        ]  # fmt: skip
        careless = at_a_terminal(program, "y", *asking)
        careful = at_a_terminal(program, "1001", *asking)
    assert careless.code == 2
    assert "Send 1,001 codes? Type 1001 to confirm: y\n" in careless.err
    assert "That is not 1001." in careless.err
    assert careful.code == 3
    assert sum(cognito.deliveries.values()) == 5
