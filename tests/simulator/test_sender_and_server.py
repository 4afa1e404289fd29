"""The simulator in process and over HTTP: latency, wire format, broken connections."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import aiohttp
import anyio
import pytest
import trio.testing
from botocore.exceptions import ClientError

from batch_resend.model import Request
from batch_resend.simulator.pool import Pool
from batch_resend.simulator.quota import Quota
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.sender import SimulatedListing, SimulatedSender
from batch_resend.simulator.server import running, serve_forever
from batch_resend.simulator.setup import Client
from tests.support.simulated import ADA, NOON, POOL_ID, UNCONFIRMED, ask


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])


@pytest.mark.anyio
async def test_time_passes_for_a_simulated_sender_as_its_settings_say() -> None:
    cognito = Cognito(keep_times=True)
    latencies = iter([2.0, 4.0, 0.0])
    async with SimulatedSender(
        cognito, epoch=NOON, latency=lambda: next(latencies), timeout=30
    ) as sender:
        for name, until in (("ada", 2), ("bob", 6), ("cy+lost", 36)):
            await sender.send(Request(name, ask(name)))
            assert sender.now() == NOON + until
    assert cognito.request_times == [NOON + 1, NOON + 4, NOON + 6]


@pytest.mark.anyio
@pytest.mark.parametrize(("patience", "delivered"), [(0.9, 0), (1.1, 1)])
async def test_who_stops_listening_halfway_has_been_sent_a_code(
    patience: float, delivered: int
) -> None:
    cognito = Cognito()
    async with SimulatedSender(cognito, latency=2) as sender:
        with anyio.move_on_after(patience) as scope:
            await sender.send(Request("ada", ask("ada")))
    assert scope.cancelled_caught
    assert cognito.deliveries["ada"] == delivered


@pytest.mark.anyio
async def test_the_simulated_listing_looks_like_a_client_of_botocore() -> None:
    listing = SimulatedListing(Cognito(Pool([ADA])), now=lambda: NOON)
    page = await listing.list_users(UserPoolId=POOL_ID, Filter=UNCONFIRMED, Limit=60)
    assert page == {
        "Users": [
            {
                "Username": "ada",
                "Attributes": [
                    {"Name": "email", "Value": 'a"da@example.com'},
                    {"Name": "name", "Value": "Ada"},
                ],
                "UserCreateDate": datetime(2026, 11, 23, 12, tzinfo=UTC),
                "UserLastModifiedDate": datetime(2026, 11, 23, 12, tzinfo=UTC),
                "Enabled": True,
                "UserStatus": "UNCONFIRMED",
            }
        ]
    }
    assert (await listing.describe_user_pool(UserPoolId=POOL_ID))["UserPool"]["Id"] == POOL_ID
    asked = {"UserPoolId": POOL_ID, "ClientId": Client().client_id}
    assert (await listing.describe_user_pool_client(**asked))["UserPoolClient"]["ClientId"]


@pytest.mark.anyio
@pytest.mark.parametrize("call", ["list_users", "describe_user_pool", "describe_user_pool_client"])
async def test_the_simulated_listing_fails_like_a_client_of_botocore(call: str) -> None:
    listing = SimulatedListing(Cognito(), now=lambda: NOON)
    with pytest.raises(ClientError) as failed:
        await getattr(listing, call)(UserPoolId="us-east-1_Other")
    assert failed.value.response["Error"] == {
        "Code": "ResourceNotFoundException",
        "Message": "User pool us-east-1_Other does not exist.",
    }


def headers(operation: str) -> dict[str, str]:
    return {
        "X-Amz-Target": f"AWSCognitoIdentityProviderService.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
    }


async def post(url: str, operation: str, body: object) -> tuple[int, dict[str, Any], Any]:
    async with (
        aiohttp.ClientSession(headers=headers(operation)) as session,
        session.post(url, data=body if isinstance(body, str) else json.dumps(body)) as answer,
    ):
        return answer.status, dict(answer.headers), json.loads(await answer.read())


@ON_ASYNCIO
@pytest.mark.anyio
async def test_an_answer_and_an_error_look_as_on_the_wire_of_aws() -> None:
    async with running(Cognito(quota=Quota(rate=1, burst=1, retry_after=0.5))) as url:
        status, sent, body = await post(url, "ResendConfirmationCode", ask("ada@example.com"))
        assert (status, body) == (
            200,
            {
                "CodeDeliveryDetails": {
                    "AttributeName": "email",
                    "DeliveryMedium": "EMAIL",
                    "Destination": "a***@e***",
                }
            },
        )
        assert sent["Content-Type"] == "application/x-amz-json-1.1"
        assert len(sent["x-amzn-RequestId"]) == 36
        status, sent, body = await post(url, "ResendConfirmationCode", ask("ada"))
        assert (status, body) == (
            400,
            {"__type": "TooManyRequestsException", "message": "Rate exceeded"},
        )
        assert sent["x-amzn-ErrorType"] == "TooManyRequestsException:"
        assert sent["x-amz-retry-after"] == "500"


@ON_ASYNCIO
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("operation", "body", "code"),
    [
        ("SignUp", {}, "UnknownOperationException"),
        ("ResendConfirmationCode", "{", "SerializationException"),
        ("ResendConfirmationCode", "[]", "SerializationException"),
        ("ListUsers", {"UserPoolId": "us-east-1_Other"}, "ResourceNotFoundException"),
    ],
)
async def test_what_the_server_does_not_understand_is_a_400(
    operation: str, body: object, code: str
) -> None:
    cognito = Cognito()
    async with running(cognito) as url:
        status, _, answer = await post(url, operation, body)
    assert (status, answer["__type"]) == (400, code)
    assert cognito.requests == 0


@ON_ASYNCIO
@pytest.mark.anyio
async def test_users_and_settings_can_be_asked_for_over_http() -> None:
    async with running(Cognito(Pool([ADA]))) as url:
        asked = {"UserPoolId": POOL_ID, "ClientId": Client().client_id}
        _, _, page = await post(url, "ListUsers", {"UserPoolId": POOL_ID})
        assert [(user["Username"], user["UserCreateDate"]) for user in page["Users"]] == [
            ("ada", NOON)
        ]
        _, _, pool = await post(url, "DescribeUserPool", {"UserPoolId": POOL_ID})
        assert pool["UserPool"]["Id"] == POOL_ID
        _, _, client = await post(url, "DescribeUserPoolClient", asked)
        assert client["UserPoolClient"]["ClientId"] == Client().client_id


@ON_ASYNCIO
@pytest.mark.anyio
async def test_record_lists_deliveries_and_followed_redirects() -> None:
    async with running(Cognito()) as url:
        await post(url, "ResendConfirmationCode", ask("ada"))
        # aiohttp follows redirects, which a careful client does not.
        status, _, body = await post(url, "ResendConfirmationCode", ask("bob+redirect"))
        assert (status, body) == (200, {})
        async with aiohttp.ClientSession() as session, session.get(f"{url}/_simulator") as answer:
            assert await answer.json() == {
                "requests": 2,
                "throttled": 0,
                "misdirected": 1,
                "deliveries": {"ada": 1},
            }


async def raw_post(stream: anyio.abc.ByteStream, name: str) -> None:
    body = json.dumps(ask(name)).encode()
    head = "".join(
        f"{key}: {value}\r\n" for key, value in headers("ResendConfirmationCode").items()
    )
    await stream.send(
        f"POST / HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    )


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


@ON_ASYNCIO
@pytest.mark.anyio
async def test_a_connection_is_kept_for_the_next_request() -> None:
    cognito = Cognito()
    async with (
        running(cognito) as url,
        await anyio.connect_tcp("127.0.0.1", port_of(url)) as stream,
    ):
        for name in ("ada", "bob"):
            await raw_post(stream, name)
            heard = b""
            while not heard.endswith(b"}}"):
                heard += await stream.receive()
            assert heard.startswith(b"HTTP/1.1 200 OK\r\n")
    assert cognito.deliveries == {"ada": 1, "bob": 1}


@ON_ASYNCIO
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "end"), [("ada+fin", anyio.EndOfStream), ("ada+rst", anyio.BrokenResourceError)]
)
async def test_a_connection_is_closed_or_reset_for_real(name: str, end: type[Exception]) -> None:
    async with (
        running(Cognito()) as url,
        await anyio.connect_tcp("127.0.0.1", port_of(url)) as stream,
    ):
        await raw_post(stream, name)
        with pytest.raises(end):
            await stream.receive()


@ON_ASYNCIO
@pytest.mark.anyio
async def test_clients_that_die_leave_the_server_and_its_record_intact(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cognito = Cognito()
    async with running(cognito) as url:
        for name in ("ada", "bob+lost", "cy+silent", "dan+endless"):
            stream = await anyio.connect_tcp("127.0.0.1", port_of(url))
            await raw_post(stream, name)
            await anyio.aclose_forcefully(stream)
        stream = await anyio.connect_tcp("127.0.0.1", port_of(url))
        await stream.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        await anyio.aclose_forcefully(stream)
        while cognito.requests < 4:
            await anyio.sleep(0.01)
        await post(url, "ResendConfirmationCode", ask("eve"))
    assert cognito.requests == 5
    assert cognito.deliveries == {"ada": 1, "bob+lost": 1, "eve": 1}
    assert not caplog.records


@ON_ASYNCIO
@pytest.mark.anyio
async def test_endless_serving_ends_when_cancelled() -> None:
    cognito = Cognito()
    announced: list[str] = []
    with anyio.CancelScope() as scope:

        def announce(url: str) -> None:
            announced.append(url)
            scope.cancel()

        await serve_forever(cognito, "127.0.0.1", 0, announce)
    assert scope.cancelled_caught
    assert announced[0].startswith("http://127.0.0.1:")
    with pytest.raises(OSError, match="connect"):
        await anyio.connect_tcp("127.0.0.1", port_of(announced[0]))
