"""A table at moto's server, and a bad line to it.

The line passes requests on, or does what a network or DynamoDB does on a bad day. What it
does to a request is its fate:

  pass     handed on, and the answer back
  before   lost on its way there
  after    handed on; the answer is lost
  late     lost for the client, and handed on a little later all the same
  twice    handed on twice; the second answer is given
  500      refused by DynamoDB with an internal error
  broken   handed on, and answered with an internal error
  slow     refused because the table's capacity is used up
  page     answered by a proxy's page
"""

from __future__ import annotations

import contextlib
import functools
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp
import anyio
import boto3
import pytest
from aiohttp import web

from batch_resend.aws import clients
from batch_resend.aws.endpoints import AwsTarget

KEYS = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
REGION = "eu-west-1"
FATES = ("pass", "before", "after", "late", "twice", "500", "broken", "slow", "page")
#: What a run must be allowed on the table; a test holds it against what one asks for.
ACTIONS = frozenset(
    f"dynamodb:{name}" for name in ("GetItem", "BatchGetItem", "PutItem", "UpdateItem", "Scan")
)
_LATE = 0.15  #: seconds


def use(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point this process to the DynamoDB there, through one session that has read its model."""
    for name, value in (ENVIRONMENT | {"AWS_ENDPOINT_URL_DYNAMODB": url}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(clients, "session", _session)


made_anew = clients.session


@functools.cache
def _session(place: AwsTarget) -> Any:
    return made_anew(place)


def client(url: str, region: str = REGION) -> Any:
    return boto3.client("dynamodb", region_name=region, endpoint_url=url, **KEYS)


def create(url: str, name: str, key: str = "id", region: str = REGION) -> None:
    client(url, region).create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )


@contextlib.contextmanager
def made_table(url: str, region: str = REGION) -> Iterator[str]:
    """Create a table with the README's command; yield its name."""
    name = f"ledger-{secrets.token_hex(6)}"
    create(url, name, region=region)
    yield name
    with contextlib.suppress(Exception):
        client(url, region).delete_table(TableName=name)


class Line:
    """The line between a ledger and DynamoDB. `fate` gets the name of each operation."""

    def __init__(self, to: str) -> None:
        self.to = to
        self.fate: Callable[[str], str] = lambda _: "pass"
        self.met: Counter[tuple[str, str]] = Counter()
        self._one = anyio.Lock()  # DynamoDB does one thing at a time to an item; moto has threads
        self.url = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Line]:
        app = web.Application(client_max_size=32 << 20)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        async with (
            aiohttp.ClientSession() as self._session,
            anyio.create_task_group() as self._late,
        ):
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            assert runner.addresses
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            try:
                yield self
            finally:
                await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        operation = request.headers.get("X-Amz-Target", "").partition(".")[2]
        fate = self.fate(operation)
        self.met[operation, fate] += 1
        body = await request.read()
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in {"host", "content-length"}
        }
        match fate:
            case "before":
                return self._hang_up(request)
            case "500":
                return _error(500, "InternalServerError")
            case "slow":
                return _error(400, "ProvisionedThroughputExceededException")
            case "page":
                return web.Response(text="<html>Please log in</html>", content_type="text/html")
            case "late":
                self._late.start_soon(self._hand_on_later, headers, body)
                return self._hang_up(request)
        if fate == "twice":
            await self._hand_on(headers, body)
        answer = await self._hand_on(headers, body)
        match fate:
            case "after":
                return self._hang_up(request)
            case "broken":
                return _error(500, "InternalServerError")
        return answer

    async def _hand_on_later(self, headers: dict[str, str], body: bytes) -> None:
        await anyio.sleep(_LATE)
        await self._hand_on(headers, body)

    async def _hand_on(self, headers: dict[str, str], body: bytes) -> web.Response:
        async with self._one, self._session.post(self.to, headers=headers, data=body) as answer:
            return web.Response(
                status=answer.status,
                body=await answer.read(),
                headers={"Content-Type": answer.headers.get("Content-Type", "")},
            )

    def _hang_up(self, request: web.Request) -> web.Response:
        if request.transport is not None:  # else the client has gone
            request.transport.abort()
        return web.Response()


def _error(status: int, code: str) -> web.Response:
    return web.Response(
        status=status,
        text=json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "no"}),
        content_type="application/x-amz-json-1.0",
    )
