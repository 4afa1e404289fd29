"""What a server or proxy can do wrong, by real connections: what is proved of the request."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest

from batch_resend.aws import clients, connector
from batch_resend.aws.connector import has_bytes_waiting
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.aws.sender import LONGEST_CODE, AwsSender
from batch_resend.job.outcome import IN_A_ROW, Again, Judge, Stop, judge
from batch_resend.model import Reason, Reply, Request, Wire
from tests.support.certificates import NOW, authority
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
    """Return the reply from a server that responds in this way."""

    async def serve(peer: Peer) -> None:
        await peer.heard()
        await peer.say(data)

    async with serving(serve) as port, sending(f"http://127.0.0.1:{port}") as sender:
        return await ask(sender, "ada")


# -- answers ---------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"null", b"[]", b"[{}]", b"1", b'"sent"', b"true", b"1e999", b""])
@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request"])
async def test_json_other_than_an_object_is_unreadable(body: bytes, status: str) -> None:
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


@pytest.mark.parametrize("said", ["ada.lovelace@example.com", "x" * 65, "a b", "1\t2"])
async def test_what_is_not_a_request_id_is_dropped(said: str) -> None:
    """A server may put anything there, and the ledger and the report would keep it."""
    reply = await reply_to(answer({"__type": "y" * 5000}, "400 No", f"x-amzn-RequestId: {said}"))
    assert reply.request_id == ""
    assert reply.code == "y" * LONGEST_CODE


# -- what is not HTTP --------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
NOT_HTTP = {
    "garbage": b"\x00\xff" * 50,
    "banner": b"SSH-2.0-OpenSSH_9.2\r\n",
    "status line": b"HTTP/1.1 999999 OK\r\n\r\n",
    "header": HEAD + b"no colon\r\n\r\n",
    "headers without an end": HEAD + b"a: b\r\n" * 500,
    "length": HEAD + b"Content-Length: x\r\n\r\n",
    "chunk": CHUNKED + b"ZZ\r\nabc\r\n",
    "half a chunk": CHUNKED + b"5\r\nabc",
    "half a body": HEAD + b"Content-Length: 5\r\n\r\nab",
    "half a status line": b"HTTP/1.1 2",
    "half the headers": HEAD + b"Content-Length: 5\r\n",
    "interim responses": b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
}


@pytest.mark.parametrize("data", NOT_HTTP.values(), ids=NOT_HTTP)
async def test_response_that_is_not_http_is_unreadable(data: bytes) -> None:
    """It was `no-answer`, so an endpoint that sends nothing else did not end the run."""
    reply = await reply_to(data)
    assert judge(reply).reason is Reason.UNREADABLE_ANSWER
    assert " " in reply.message
    assert "Error" not in reply.message
    judging = Judge()
    heard = [judging.heard(judge(reply)) for _ in range(IN_A_ROW)]
    assert heard == [None] * (IN_A_ROW - 1) + [Stop.NOT_COGNITO]


async def test_interim_responses_without_end_are_given_up() -> None:
    """They held a place of the run for the whole time of a request, at full load."""

    async def serve(peer: Peer) -> None:
        await peer.heard()
        while True:
            await peer.say(b"HTTP/1.1 100 Continue\r\n\r\n")

    async with serving(serve) as port, sending(f"http://127.0.0.1:{port}", 3600) as sender:
        reply = await ask(sender, "ada")
    assert reply.wire is Wire.UNREADABLE
    assert "100 Continue" in reply.message


async def test_a_few_interim_responses_do_no_harm() -> None:
    reply = await reply_to(
        b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + answer({"CodeDeliveryDetails": DETAILS})
    )
    assert reply.delivery


# -- a response before the request -------------------------------------------------


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
async def test_response_before_the_request_is_not_used(
    tls: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was taken for the user's: `sent`, though the request had not been read."""
    monkeypatch.setattr(connector, "SHORTEST_WATCH", 600)
    monkeypatch.setattr(connector, "LONGEST_WATCH", 600)
    signer = authority(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(signer.bundle))
    requests = []

    async def serve(peer: Peer) -> None:
        await peer.say(answer({"CodeDeliveryDetails": DETAILS}))
        requests.append(await peer.heard())

    context = signer.context("127.0.0.1", until=NOW + timedelta(days=1)) if tls else None
    scheme = "https" if tls else "http"
    async with (
        serving(serve, context) as port,
        sending(f"{scheme}://127.0.0.1:{port}", 3600) as sender,
    ):
        reply = await ask(sender, "ada")
    assert reply.wire is Wire.NOT_SENT
    assert "sent data before the request" in reply.message
    assert requests == []


async def test_watch_of_a_new_connection_leaves_time_for_the_response() -> None:
    """Otherwise a request that was never sent might time out and count as `unknown`."""
    for seconds in (0.1, 1, 10, 120):
        timeout = aiohttp.ClientTimeout(total=seconds, connect=seconds / 2)
        assert seconds / 2 + connector.watch_for(seconds / 2, timeout) < seconds


# -- a second answer -------------------------------------------------------------


async def test_an_answer_on_an_idle_connection_is_not_used() -> None:
    """The next user counted as answered, although no request had been made for them."""
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

        assert has_bytes_waiting(Transport()) is (event != "silence")


def idle_connection(sender: AwsSender) -> Any:
    """The one connection that aiohttp keeps for the next request."""
    kept_by: Any = sender._client._endpoint.http_session._session.connector
    (((protocol, _),),) = (list(connections) for connections in kept_by._conns.values())
    return protocol
