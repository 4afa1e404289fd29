"""Signed requests stay with their endpoint, and their responses are bounded."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from botocore.exceptions import ClientError

from batch_resend.aws import clients
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.aws.guarded import LONGEST_RESPONSE
from batch_resend.errors import SettingsError
from batch_resend.sources.cognito import CognitoSource
from tests.support.sentences import is_one_sentence

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirected_listing_is_not_followed(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    paths: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        paths.append(request.path)
        if request.path == "/elsewhere":
            return web.json_response({"Users": [{"Username": "mallory"}]})
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    server = TestServer(app)
    await server.start_server()
    try:
        target = AwsTarget("eu-west-1", endpoint_url=str(server.make_url("/")).rstrip("/"))
        async with clients.signed_client(target, clients.COGNITO, attempts=1) as client:
            with pytest.raises(ClientError):
                await client.list_users(UserPoolId="eu-west-1_A")
    finally:
        await server.close()
    assert paths == ["/"]


@pytest.mark.parametrize("status", [200, 400])
async def test_endless_response_is_given_up_and_not_retried(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of 700 MB took 1.4 GB of memory; and each attempt would read it again."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    requests = 0
    sent = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal requests, sent
        requests += 1
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        while True:  # until the client has closed
            await response.write(b" " * 1_000_000)
            sent += 1_000_000

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        target = AwsTarget("eu-west-1", endpoint_url=str(server.make_url("/")).rstrip("/"))
        async with clients.signed_client(target, clients.COGNITO, attempts=8) as client:
            source = CognitoSource(client, "eu-west-1_A", filter="", keep=frozenset())
            with pytest.raises(SettingsError, match="longer than 16 MB") as refused:
                await source.open()
    assert is_one_sentence(refused.value)
    assert requests == 1
    assert sent < 2 * LONGEST_RESPONSE
