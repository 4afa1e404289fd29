"""Settings that cannot work end a run with exit code 4, after few requests or none."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal

from batch_resend.simulator.pool import Kind
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.setup import Client, Outage
from tests.support.program import (
    AGAIN,
    CLIENT,
    REPORT,
    SUMMARY,
    Program,
    ended,
    numbered,
    rows,
    serving,
    tallied,
)


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


@pytest.mark.parametrize("own_secret", ["", "wrong"])
def test_wrong_or_missing_secret_exits_4_after_few_requests(
    own_secret: str,
    program: Program,
    elsewhere: BlockingPortal,
    cognito: Cognito,
    at: tuple[str, ...],
) -> None:
    """However many workers there are: the first answers stop the rest."""
    cognito.client = Client(secret="s3cret")
    users = program.users(numbered(200))
    env = {"BATCH_RESEND_CLIENT_SECRET": own_secret} if own_secret else {}
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
    # The few who were asked failed, so the next run begins with others.
    again = program(
        *("run", users, *at, "--ledger", "ledger", *AGAIN, "--limit", "3"),
        env={"BATCH_RESEND_CLIENT_SECRET": "s3cret"},
    )
    assert again.code == 0
    assert cognito.deliveries.total() == 3
    assert set(cognito.deliveries) <= set(numbered(8)), "at most five were asked"


def test_redirecting_endpoint_exits_4_and_leaks_no_name(
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
    """A run against a port without a listener; it gives up by itself after half a minute."""
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
    """Start the one run that takes half a minute first, so that no test waits for it."""
    if any("unreachable" in item.name for item in request.session.items):
        request.getfixturevalue("unreachable")


def test_an_unreachable_endpoint_exits_4_by_itself(unreachable: tuple[Program, Any]) -> None:
    program, process = unreachable
    done = ended(process)
    assert done.code == 4
    assert "Could not connect to the endpoint." in done.err
    assert program.summary()["stopped_by"] == "unreachable"
    report = program.report()
    assert rows(report) == list(range(1, 31))
    assert set(tallied(report)) <= {"failed/connection", "not-attempted/stopped"}
    assert "not-attempted/stopped" in tallied(report)
