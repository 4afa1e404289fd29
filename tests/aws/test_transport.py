"""What a server or proxy can do wrong, by real connections: what is proved of the request."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from batch_resend.aws import clients
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.aws.sender import AwsSender
from batch_resend.aws.transport import _has_bytes_waiting
from batch_resend.job.outcome import Again, judge
from batch_resend.model import Reason, Reply, Request, Wire
from tests.support.raw_server import DETAILS, Peer, answer, serving

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def sending(url: str, timeout: float = 5) -> AsyncIterator[AwsSender]:
    target = AwsTarget("us-east-1", endpoint_url=url)
    async with clients.resend_client(target, timeout=timeout, concurrency=4) as (client, *_):
        yield AwsSender(client)


async def ask(sender: AwsSender, username: str) -> Reply:
    return await sender.send(Request(username, {"ClientId": "web", "Username": username}))


async def reply_to(data: bytes) -> Reply:
    """What comes of a server that answers so."""

    async def serve(peer: Peer) -> None:
        await peer.heard()
        await peer.say(data)

    async with serving(serve) as port, sending(f"http://127.0.0.1:{port}") as sender:
        return await ask(sender, "ada")


# -- answers ---------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"null", b"[]", b"[{}]", b"1", b'"sent"', b"true", b"1e999", b""])
@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request"])
async def test_json_that_is_no_object_is_unreadable(body: bytes, status: str) -> None:
    """A `200` with `null` ended the whole run: most of its rows were in no report."""
    reply = await reply_to(answer(body, status))
    assert judge(reply).reason is Reason.UNREADABLE_ANSWER


@pytest.mark.parametrize(
    "details",
    [
        None,
        [],
        "EMAIL",
        {"DeliveryMedium": 5, "Destination": None},
        {"DeliveryMedium": {"x": "y"}, "AttributeName": "email"},
    ],
)
async def test_delivery_details_of_a_wrong_type_prove_nothing(details: Any) -> None:
    reply = await reply_to(answer({"CodeDeliveryDetails": details}))
    assert judge(reply).reason is Reason.UNREADABLE_ANSWER


async def test_an_error_of_a_wrong_type_is_unreadable() -> None:
    reply = await reply_to(answer({"__type": {"x": 1}, "message": [2]}, "400 Bad Request"))
    assert judge(reply).reason is Reason.UNREADABLE_ANSWER


@pytest.mark.parametrize("status", ["403 Forbidden", "429 Too Many Requests"])
@pytest.mark.parametrize(
    "body", [b"", b"<html>Blocked</html>", {"message": "Forbidden"}, {"code": "ForbiddenException"}]
)
async def test_refusal_of_a_proxy_leaves_the_user_unknown(status: str, body: Any) -> None:
    """It came after the proxy had passed the request on: a retry would send a second code."""
    reply = await reply_to(answer(body, status, mark=""))
    verdict = judge(reply)
    assert (verdict.reason, verdict.again) == (Reason.UNREADABLE_ANSWER, Again.NEVER)
    assert reply.message.startswith(f"the response has none of AWS's marks (HTTP {status[:3]})")


@pytest.mark.parametrize(
    ("status", "mark", "body", "expected"),
    [
        ("403 Forbidden", "x-amzn-RequestId: 1-2-3", b"", Reason.BLOCKED),
        ("403 Forbidden", "x-amzn-ErrorType: ForbiddenException:", b"", Reason.BLOCKED),
        ("403 Forbidden", "", {"__type": "ForbiddenException"}, Reason.BLOCKED),
        ("429 Too Many", "X-Amzn-Requestid: 1-2-3", b"", Reason.STOPPED),
        (
            "429 Too Many",
            "x-amzn-errortype: a.b#TooManyRequestsException:http://",
            b"",
            Reason.STOPPED,
        ),
        ("400 Bad Request", "", {"__type": "TooManyRequestsException"}, Reason.STOPPED),
    ],
)
async def test_refusal_with_a_mark_of_aws_counts(
    status: str, mark: str, body: Any, expected: Reason
) -> None:
    verdict = judge(await reply_to(answer(body, status, mark)))
    assert verdict.reason is expected
    assert verdict.again is not Again.NEVER


# -- a second answer -------------------------------------------------------------


async def test_an_answer_on_an_idle_connection_is_not_used() -> None:
    """Whoever came next was taken for answered, though nothing had been asked for them."""
    connections = 0
    again = asyncio.Event()

    async def serve(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        await peer.heard()
        if connections > 1:
            await peer.heard()  # never comes: bob is never answered
        await peer.say(answer({"CodeDeliveryDetails": DETAILS}))
        await again.wait()
        await peer.say(answer({"CodeDeliveryDetails": DETAILS}))
        await peer.heard()

    async with serving(serve) as port, sending(f"http://127.0.0.1:{port}", timeout=1) as sender:
        assert (await ask(sender, "ada")).delivery
        idle = idle_connection(sender)
        again.set()
        while not idle.should_close:
            await anyio.sleep(0.001)
        bob = await ask(sender, "bob")
    assert bob.wire is Wire.NO_ANSWER
    assert connections == 2


async def test_two_answers_at_once_are_one_answer() -> None:
    connections = 0

    async def serve(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        await peer.heard()
        if connections == 1:
            await peer.say(2 * answer({"CodeDeliveryDetails": DETAILS}))
        await peer.heard()

    async with serving(serve) as port, sending(f"http://127.0.0.1:{port}", timeout=1) as sender:
        assert (await ask(sender, "ada")).delivery
        bob = await ask(sender, "bob")
    assert bob.wire is Wire.NO_ANSWER
    assert connections == 2


async def test_a_sound_connection_is_used_again() -> None:
    connections = 0

    async def serve(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        while True:
            await peer.heard()
            await peer.say(answer({"CodeDeliveryDetails": DETAILS}))

    async with serving(serve) as port, sending(f"http://127.0.0.1:{port}") as sender:
        for _ in range(5):
            assert (await ask(sender, "ada")).delivery
    assert connections == 1


@pytest.mark.parametrize("event", ["silence", "bytes", "end"])
def test_what_the_loop_has_not_read_is_seen(event: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        if event == "bytes":
            theirs.sendall(b"x")
        elif event == "end":
            theirs.close()

        class Transport(asyncio.BaseTransport):
            def get_extra_info(self, name: str, default: Any = None) -> Any:
                return ours if name == "socket" else default

        assert _has_bytes_waiting(Transport()) is (event != "silence")


def idle_connection(sender: AwsSender) -> Any:
    """The one connection that aiohttp keeps for the next request."""
    connector: Any = sender._client._endpoint.http_session._session.connector
    (((protocol, _),),) = (list(kept) for kept in connector._conns.values())
    return protocol
