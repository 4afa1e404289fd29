"""Signed requests stay with their endpoint."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from botocore.exceptions import ClientError

from batch_resend.aws import clients
from batch_resend.aws.endpoints import AwsTarget

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
