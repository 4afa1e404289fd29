"""The simulator over HTTP: the wire protocol of Cognito, and its faults for real.

It speaks JSON 1.1 at `POST /` with the operation in `X-Amz-Target`, as the SDKs do; where
the Cognito has an event history, CloudTrail's LookupEvents is answered there too. SES and
SNS answer who gets nothing (`lists`).
Connections are kept alive, broken on purpose where a user's kind says so, and may be
broken by the client at any time: a request counts once it has arrived, whether or not the
response can still be read. `GET /_simulator` returns the record as JSON.
Nothing of a request is ever logged.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
from aiohttp import web

from batch_resend.model import Reply
from batch_resend.simulator import lists
from batch_resend.simulator.cloudtrail import LookupRefused
from batch_resend.simulator.pool import Kind
from batch_resend.simulator.rules import Answer, ApiError, Cognito

_TARGET = "AWSCognitoIdentityProviderService."
_CLOUDTRAIL_TARGET = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101."
_JSON = "application/x-amz-json-1.1"
_ELSEWHERE = "/elsewhere"
_PAGE = "<!DOCTYPE html><title>Welcome</title><p>Please sign in to use this network.</p>\n"


@asynccontextmanager
async def running(
    cognito: Cognito, *, host: str = "127.0.0.1", port: int = 0, latency: float = 0.0
) -> AsyncIterator[str]:
    """Serve until the block is left; yields the URL. Port 0 is any free one.

    A request is judged after half of `latency` (seconds) and answered after the rest.
    """
    skin = _Skin(cognito, latency)
    app = web.Application(middlewares=[_let_go])
    app.router.add_post("/", skin.post)
    app.router.add_get("/_simulator", skin.record)
    app.router.add_get("/v2/email/account", lists.account)
    app.router.add_get("/v2/email/suppression/addresses", skin.suppressed)
    app.router.add_route("*", _ELSEWHERE, skin.elsewhere)
    # Silent requests never finish by themselves: do not wait for them at the end.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        address, bound = runner.addresses[0][:2]
        yield f"http://[{address}]:{bound}" if ":" in address else f"http://{address}:{bound}"
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()


async def serve_forever(
    cognito: Cognito, host: str, port: int, announce: Callable[[str], None]
) -> None:
    """Serve until cancelled; `announce` gets the URL once connections are accepted."""
    async with running(cognito, host=host, port=port) as url:
        announce(url)
        await anyio.sleep_forever()


@web.middleware
async def _let_go(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Ignore errors of clients that disconnect: aiohttp would log a traceback for each."""
    try:
        return await handler(request)
    except ConnectionError:
        return web.Response()


class _Skin:
    """The handlers of the paths."""

    def __init__(self, cognito: Cognito, latency: float) -> None:
        self._cognito = cognito
        self._latency = latency
        self._asked: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "ListUsers": lambda parameters: cognito.list_users(parameters, now=time.time()),
            "DescribeUserPool": cognito.describe_user_pool,
            "DescribeUserPoolClient": cognito.describe_user_pool_client,
            "GetLogDeliveryConfiguration": cognito.get_log_delivery_configuration,
        }

    async def post(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        await asyncio.sleep(self._latency / 2)
        target = request.headers.get("X-Amz-Target", "")
        operation = target.removeprefix(_TARGET)
        if not target and body.startswith(b"Action="):
            return lists.opted_out(self._cognito.undelivered, body)
        try:
            parameters = json.loads(body)
        except ValueError:
            parameters = None
        if not isinstance(parameters, dict):
            return _error("SerializationException", "The body is not a JSON object.")
        if operation == "ResendConfirmationCode":
            agent = request.headers.get("User-Agent", "")
            answer = self._cognito.answer(parameters, now=time.time(), agent=agent)
            await asyncio.sleep(self._latency / 2)
            return await _enact(request, answer)
        history = self._cognito.history
        if history is not None and target == f"{_CLOUDTRAIL_TARGET}LookupEvents":
            try:
                return _json(200, history.lookup(parameters, now=time.time()))
            except LookupRefused as error:
                return _error(error.code, error.message)
        if operation not in self._asked:
            return _error("UnknownOperationException", "")
        try:
            return _json(200, self._asked[operation](parameters))
        except ApiError as error:
            return _error(error.code, error.message)

    async def record(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "requests": self._cognito.requests,
                "throttled": self._cognito.throttled,
                "misdirected": self._cognito.misdirected,
                "deliveries": self._cognito.deliveries,
            }
        )

    async def suppressed(self, request: web.Request) -> web.Response:
        return lists.suppressed(self._cognito.undelivered, request)

    async def elsewhere(self, _: web.Request) -> web.Response:
        self._cognito.misdirected += 1
        return _json(200, {})


async def _enact(request: web.Request, answer: Answer) -> web.StreamResponse:
    """Send the response, or what its fault makes of it."""
    fault, reply = answer.fault, answer.reply
    if fault in _BROKEN:
        return await _BROKEN[fault](request)
    if fault in (Kind.HTML, Kind.UNAVAILABLE, Kind.GATEWAY, Kind.PROXY):
        return web.Response(status=reply.status, text=_PAGE, content_type="text/html")
    if fault is Kind.EMPTY:
        return web.Response(status=reply.status)
    if fault is Kind.BUSY:
        marks = {"x-amzn-RequestId": reply.request_id, **_wait(reply)}
        return web.Response(status=reply.status, headers=marks)
    if fault is Kind.REDIRECT:
        return web.Response(status=reply.status, headers={"Location": _ELSEWHERE})
    if reply.code:
        return _error(reply.code, reply.message, reply)
    return _json(reply.status, _details(reply), {"x-amzn-RequestId": reply.request_id})


def _details(reply: Reply) -> dict[str, Any]:
    if reply.delivery is None:
        return {}
    return {
        "CodeDeliveryDetails": {
            "AttributeName": reply.delivery.attribute_name,
            "DeliveryMedium": reply.delivery.medium,
            "Destination": reply.delivery.destination,
        }
    }


def _error(code: str, message: str, reply: Reply | None = None) -> web.Response:
    # The colon at the end is what captured answers of Cognito show.
    headers = {"x-amzn-ErrorType": f"{code}:"}
    if reply:
        headers |= {"x-amzn-RequestId": reply.request_id, **_wait(reply)}
    return _json(reply.status if reply else 400, {"__type": code, "message": message}, headers)


def _wait(reply: Reply) -> dict[str, str]:
    if not reply.retry_after:
        return {}
    if reply.code:  # AWS's own header is in milliseconds
        return {"x-amz-retry-after": str(round(reply.retry_after * 1000))}
    return {"Retry-After": str(round(reply.retry_after))}


def _json(status: int, body: object, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status, body=json.dumps(body).encode(), content_type=_JSON, headers=headers
    )


async def _say_nothing(request: web.Request) -> web.StreamResponse:
    # aiohttp does not report that the client has closed, so this checks.
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    return web.Response()


async def _close(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.close()
    return web.Response()


async def _reset(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        # A socket that must not linger is closed with a reset.
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response()


async def _break_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": _JSON, "Content-Length": "100"})
    await response.prepare(request)
    await response.write(b'{"CodeDeliveryDetails": {"AttributeName": "email", ')
    await _close(request)
    return response


async def _never_end(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": _JSON})
    await response.prepare(request)
    while True:
        await response.write(b" " * 65536)
        await asyncio.sleep(0.001)  # a reader who keeps up must not take the whole core


_BROKEN: Mapping[Kind | None, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
    Kind.LOST: _say_nothing,
    Kind.SILENT: _say_nothing,
    Kind.FIN: _close,
    Kind.RST: _reset,
    Kind.HALF: _break_off,
    Kind.ENDLESS: _never_end,
}
