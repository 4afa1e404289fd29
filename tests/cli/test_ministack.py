"""A second CloudTrail, which is not ours: ministack's, whose records have no results.

Its Cognito answers resends, and its event history keeps the User-Agent; but `errorCode` and
`responseElements` are always missing. So a record proves that a request arrived, and never what
came of it: nothing may become `sent`. ministack pins another botocore than this program, so it
is a tool beside it::

    uv tool install ministack==1.5.33
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import boto3
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from anyio.from_thread import BlockingPortal

from batch_resend.aws.cloudtrail import open_history
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.model import Outcome
from batch_resend.reconcile.findings import DAY, HISTORY, Rules, Why
from batch_resend.reconcile.ledger_books import LedgerBooks
from batch_resend.reconcile.settle import Looked, Reconciliation, reconcile
from batch_resend.run.open_ledger import ledger_of, reconciling
from batch_resend.settings import LedgerTarget
from tests.support.program import REPORT, Program, tallied, until

KEYS = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
REGION = "us-east-1"
ANSWERED = [f"user{n}@example.com" for n in range(24)]
LOST_AFTER = [f"after{n}@example.com" for n in range(6)]
LOST_BEFORE = [f"before{n}@example.com" for n in range(4)]
COMMAND = shutil.which("ministack")

pytestmark = pytest.mark.skipif(
    COMMAND is None, reason="ministack is not installed: uv tool install ministack==1.5.33"
)


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[str]:
    """Yield the URL of ministack."""
    port = unused_port()
    url = f"http://127.0.0.1:{port}"
    with (tmp_path / "ministack.log").open("wb") as log:
        process = subprocess.Popen(
            [str(COMMAND)],
            env=os.environ | {
                "CLOUDTRAIL_RECORDING": "1", "GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1",
                "SFTP_ENABLED": "0", "TMPDIR": str(tmp_path), "HOME": str(tmp_path),
            },
            cwd=tmp_path, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            until(lambda: b"Running on" in (tmp_path / "ministack.log").read_bytes(), process)
            yield url
        finally:
            process.terminate()
            process.wait()


def client(service: str, url: str) -> Any:
    return boto3.client(service, region_name=REGION, endpoint_url=url, **KEYS)


@pytest.fixture
def app(aws: str) -> str:
    """An app client of a pool in which all users are unconfirmed."""
    cognito = client("cognito-idp", aws)
    pool = cognito.create_user_pool(PoolName="shop", AutoVerifiedAttributes=["email"])
    instance = cognito.create_user_pool_client(UserPoolId=pool["UserPool"]["Id"], ClientName="web")
    app_id = str(instance["UserPoolClient"]["ClientId"])
    for name in ANSWERED + LOST_AFTER + LOST_BEFORE:
        cognito.sign_up(
            ClientId=app_id, Username=name, Password="Passw0rd!x",
            UserAttributes=[{"Name": "email", "Value": name}],
        )  # fmt: skip
    return app_id


@pytest.fixture
def line(aws: str, elsewhere: BlockingPortal) -> Iterator[str]:
    """A line to ministack that loses some requests, and some answers."""

    async def hand_on(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        name = json.loads(body)["Username"]
        answer = web.Response()
        if name not in LOST_BEFORE:
            headers = {
                k: v for k, v in request.headers.items() if k not in {"Host", "Content-Length"}
            }
            async with (
                aiohttp.ClientSession() as session,
                session.post(aws, data=body, headers=headers) as response,
            ):
                answer = web.Response(
                    status=response.status, body=await response.read(),
                    headers={"Content-Type": response.headers.get("Content-Type", "")},
                )  # fmt: skip
        if name not in ANSWERED and request.transport is not None:
            request.transport.abort()
        return answer

    async def start() -> TestServer:
        served = web.Application()
        served.router.add_post("/", hand_on)
        server = TestServer(served)
        await server.start_server()
        return server

    server = elsewhere.call(start)
    yield str(server.make_url("/")).rstrip("/")
    elsewhere.call(server.close)


async def a_day_later(place: AwsTarget, ledger: Path) -> Reconciliation:
    now = time.time() + DAY
    target = LedgerTarget(region=REGION, ledger=str(ledger), endpoint_url=place.endpoint_url)
    async with (
        open_history(place, rate=100) as history,
        reconciling(target, await ledger_of(target)) as opened,
    ):
        books = LedgerBooks(opened, now=now)
        return await reconcile(books, Looked(history, HISTORY), Rules(now))


def test_records_without_results_settle_nothing(
    program: Program, app: str, aws: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They tell who was reached from who was not, and no `sent` comes of it."""
    users = program.users(ANSWERED + LOST_AFTER + LOST_BEFORE)
    ledger = program.folder / "l.sqlite3"
    done = program(
        "run", users, "--client-id", app, "--region", REGION, "--endpoint-url", line, "--yes",
        "--ledger", str(ledger), *REPORT,
    )  # fmt: skip
    assert tallied(program.report()) == {"sent/accepted": 24, "unknown/no-answer": 10}, done.err
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    env = keys | {"AWS_ENDPOINT_URL_CLOUDTRAIL": aws}
    asked = ("--ledger", str(ledger), "--region", REGION, "--endpoint-url", line)
    content = json.loads(program("reconcile", *asked, "--json", "--no-mask", env=env).out)
    assert {finding["outcome"] for finding in content["findings"]} == {"unknown"}
    causes = {finding["username"]: finding["cause"] for finding in content["findings"]}
    assert causes == dict.fromkeys(LOST_AFTER, "no-result") | dict.fromkeys(
        LOST_BEFORE, "too-early"
    )
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    later = anyio.run(a_day_later, AwsTarget(REGION, "", line), ledger)
    assert {finding.outcome for finding in later.findings} == {Outcome.UNKNOWN}
    assert {str(one.doubt.name): one.why for one in later.findings} == dict.fromkeys(
        LOST_AFTER, Why.NO_RESULT
    ) | dict.fromkeys(LOST_BEFORE, Why.NOT_RECORDED)
    assert (later.controls, later.missing_controls) == (24, 0)
