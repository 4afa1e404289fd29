"""One contract for every way to ask Cognito: the same user, the same answer, the same verdict.

Each case runs through each skin in `SKINS`. A skin is a function that takes a Cognito and
returns an asynchronous context manager of something with `send`; adding one adds a line.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import aiohttp
import anyio
import pytest
from aiobotocore.config import AioConfig
from botocore import UNSIGNED

from batch_resend.aws import clients
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.aws.sender import AwsSender
from batch_resend.job.outcome import Signal, Stop, judge
from batch_resend.model import Delivery, Outcome, Reason, Reply, Request, Wire
from batch_resend.simulator.pool import Kind
from batch_resend.simulator.quota import Quota
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.sender import SimulatedSender
from batch_resend.simulator.server import running
from batch_resend.simulator.setup import Client, Outage, PoolSettings
from tests.support.by_sdk import ask, at_endpoint

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Sender(Protocol):
    async def send(self, request: Request) -> Reply: ...


Skin = Callable[[Cognito], AbstractAsyncContextManager[Sender]]

#: How long a skin waits for a response: short, because no response is merely slow here.
TIMEOUT = 0.3
#: The maximum size of a response from Cognito.
LONGEST = 1 << 20


@asynccontextmanager
async def in_process(cognito: Cognito) -> AsyncIterator[Sender]:
    async with SimulatedSender(cognito, timeout=TIMEOUT) as sender:
        yield sender


class RawSender:
    """A careful client of few lines, that believes nothing but the bytes."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def send(self, request: Request) -> Reply:
        headers = {
            "X-Amz-Target": "AWSCognitoIdentityProviderService.ResendConfirmationCode",
            "Content-Type": "application/x-amz-json-1.1",
        }
        try:
            async with self._session.post(
                self._url,
                data=json.dumps(dict(request.parameters)),
                headers=headers,
                allow_redirects=False,
            ) as answer:
                body = bytearray()
                async for chunk in answer.content.iter_any():
                    body += chunk
                    if len(body) > LONGEST:
                        answer.close()
                        return Reply(Wire.UNREADABLE)
                return self._read(answer, bytes(body))
        except aiohttp.ClientConnectorError:
            return Reply(Wire.NOT_SENT)
        except aiohttp.ClientPayloadError:
            return Reply(Wire.UNREADABLE)
        except (aiohttp.ClientError, TimeoutError):
            return Reply(Wire.NO_ANSWER)

    @staticmethod
    def _read(answer: aiohttp.ClientResponse, body: bytes) -> Reply:
        try:
            content = json.loads(body)
        except ValueError:
            content = {}
        details = content.get("CodeDeliveryDetails")
        milliseconds = float(answer.headers.get("x-amz-retry-after", 0))
        return Reply(
            Wire.ANSWERED,
            answer.status,
            code=content.get("__type", ""),
            message=content.get("message", ""),
            delivery=details
            and Delivery(
                details["DeliveryMedium"], details["Destination"], details["AttributeName"]
            ),
            request_id=answer.headers.get("x-amzn-RequestId", ""),
            retry_after=float(answer.headers.get("Retry-After", milliseconds / 1000)),
        )


@asynccontextmanager
async def over_http(cognito: Cognito) -> AsyncIterator[Sender]:
    timeout = aiohttp.ClientTimeout(total=None, sock_read=TIMEOUT)
    async with running(cognito) as url, aiohttp.ClientSession(timeout=timeout) as session:
        yield RawSender(session, url)


@asynccontextmanager
async def by_sdk(cognito: Cognito) -> AsyncIterator[Sender]:
    async with running(cognito) as url, at_endpoint(url) as sender:
        yield sender


SKINS: dict[str, Skin] = {"in process": in_process, "over HTTP": over_http, "by the SDK": by_sdk}


@pytest.fixture(params=SKINS)
def skin(request: pytest.FixtureRequest) -> Skin:
    return SKINS[request.param]


MAIL = Delivery("EMAIL", "a***@e***", "email")


@dataclass(frozen=True)
class Case:
    """A request, its response, its meaning, and the number of codes sent."""

    username: str
    reply: Reply
    reason: Reason
    delivered: int = 0


def sent(username: str, delivery: Delivery = MAIL) -> Case:
    return Case(username, Reply(Wire.ANSWERED, 200, delivery=delivery), Reason.ACCEPTED, 1)


def refused(username: str, reason: Reason, code: str, message: str) -> Case:
    return Case(username, Reply(Wire.ANSWERED, 400, code, message), reason)


def silent(username: str, *, delivered: int) -> Case:
    return Case(username, Reply(Wire.NO_ANSWER), Reason.NO_ANSWER, delivered)


def unread(username: str, reply: Reply, *, delivered: int = 0) -> Case:
    return Case(username, reply, Reason.UNREADABLE_ANSWER, delivered)


CASES = [
    sent("ada@example.com"),
    sent("ada"),
    sent("ada+news@example.com"),
    sent("José", Delivery("EMAIL", "J***@e***", "email")),
    sent("ada+email@example.com"),
    sent("ada+sms@example.com", Delivery("SMS", "+*******0100", "phone_number")),
    sent("ada+optout@example.com", Delivery("SMS", "+*******0100", "phone_number")),
    sent("ada+bounce@example.com"),
    sent("ada+complaint@example.com"),
    refused(
        "ada+confirmed@example.com",
        Reason.ALREADY_CONFIRMED,
        "InvalidParameterException",
        "User is already confirmed.",
    ),
    refused(
        "ada+missing@example.com",
        Reason.USER_NOT_FOUND,
        "UserNotFoundException",
        "Username/client id combination not found.",
    ),
    refused(
        "ada+disabled@example.com",
        Reason.USER_DISABLED,
        "NotAuthorizedException",
        "User is disabled.",
    ),
    refused(
        "ada+tired@example.com",
        Reason.ATTEMPT_LIMIT,
        "LimitExceededException",
        "Attempt limit exceeded, please try after some time.",
    ),
    refused(
        "ada+undeliverable@example.com",
        Reason.DELIVERY_FAILED,
        "CodeDeliveryFailureException",
        "Cognito received the following error from Amazon SES when attempting to send email:"
        " Address is on the suppression list for your account",
    ),
    refused(
        "ada+trigger@example.com",
        Reason.REJECTED_BY_TRIGGER,
        "UserLambdaValidationException",
        "CustomMessage failed with error This domain is not allowed.",
    ),
    refused(
        "ada+lambda@example.com",
        Reason.TRIGGER_ERROR,
        "UnexpectedLambdaException",
        "CustomMessage invocation failed due to error TooManyRequestsException.",
    ),
    refused(
        "ada+waf@example.com",
        Reason.BLOCKED,
        "ForbiddenException",
        "Request not allowed due to WAF block.",
    ),
    refused(
        "two words",
        Reason.REJECTED,
        "InvalidParameterException",
        "1 validation error detected: Value at 'username' failed to satisfy constraint: Member"
        r" must have 1 to 128 characters of [\p{L}\p{M}\p{S}\p{N}\p{P}]+",
    ),
    Case(
        "ada+busy@example.com",
        Reply(Wire.ANSWERED, 429, retry_after=1.0),
        Reason.STOPPED,  # throttled: not a failure, and tried again
    ),
    Case(
        "ada+error@example.com",
        Reply(Wire.ANSWERED, 500, "InternalErrorException", "Something went wrong."),
        Reason.SERVER_ERROR,
    ),
    Case("ada+unavailable@example.com", Reply(Wire.ANSWERED, 503), Reason.SERVER_ERROR),
    Case("ada+gateway@example.com", Reply(Wire.ANSWERED, 504), Reason.SERVER_ERROR, 1),
    unread("ada+html@example.com", Reply(Wire.ANSWERED, 200)),
    unread("ada+empty@example.com", Reply(Wire.ANSWERED, 200)),
    unread("ada+nodetails@example.com", Reply(Wire.ANSWERED, 200), delivered=1),
    unread("ada+proxy@example.com", Reply(Wire.ANSWERED, 403), delivered=1),
    unread("ada+redirect@example.com", Reply(Wire.ANSWERED, 307)),
    unread("ada+endless@example.com", Reply(Wire.UNREADABLE)),
    unread("ada+half@example.com", Reply(Wire.UNREADABLE), delivered=1),
    silent("ada+silent@example.com", delivered=0),
    silent("ada+lost@example.com", delivered=1),
    silent("ada+fin@example.com", delivered=1),
    silent("ada+rst@example.com", delivered=1),
]


def parts(reply: Reply) -> tuple[object, ...]:
    """Return the parts of a reply that count.

    Without a response nothing was read. A text without a code does not count: a client may
    set any.
    """
    if reply.wire is not Wire.ANSWERED:
        return (reply.wire,)
    message = reply.message if reply.code else ""
    return (reply.status, reply.code, message, reply.delivery, reply.retry_after)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.username)
async def test_a_user_gets_the_same_answer_by_every_way(skin: Skin, case: Case) -> None:
    cognito = Cognito()
    async with skin(cognito) as sender:
        reply = await sender.send(ask(case.username))
    assert parts(reply) == parts(case.reply)
    assert judge(reply).reason is case.reason
    assert dict(cognito.deliveries) == ({case.username: 1} if case.delivered else {})
    # One call is one request: no layer tried again or followed a redirect.
    assert (cognito.requests, cognito.misdirected) == (1, 0)


def test_every_kind_of_user_has_a_case() -> None:
    assert {Kind.of(case.username) for case in CASES} == set(Kind)


async def test_an_answer_of_cognito_has_a_request_id_by_every_way(skin: Skin) -> None:
    async with skin(Cognito()) as sender:
        replies = [await sender.send(ask(f"ada+{kind}")) for kind in ("email", "missing", "error")]
    assert [len(reply.request_id) for reply in replies] == [36, 36, 36]
    assert len({reply.request_id for reply in replies}) == 3


async def test_the_quota_is_felt_by_every_way(skin: Skin) -> None:
    # So slow a quota that no second request fits, however long the test takes.
    cognito = Cognito(quota=Quota(rate=0.001, retry_after=1.5))
    async with skin(cognito) as sender:
        first, second = [await sender.send(ask(name)) for name in ("ada", "bob")]
    assert first.delivery
    assert parts(second) == parts(
        Reply(Wire.ANSWERED, 400, "TooManyRequestsException", "Rate exceeded", retry_after=1.5)
    )
    assert judge(second).signal is Signal.THROTTLED
    assert (cognito.requests, cognito.throttled) == (2, 1)


async def test_an_outage_is_felt_by_every_way_until_it_ends(skin: Skin) -> None:
    cognito = Cognito(outages=[Outage(Kind.ERROR)])
    async with skin(cognito) as sender:
        during = await sender.send(ask("ada"))
        cognito.outages.clear()
        after = await sender.send(ask("ada"))
    assert (judge(during).reason, judge(after).reason) == (Reason.SERVER_ERROR, Reason.ACCEPTED)


async def test_a_lost_answer_leaves_the_way_open_for_the_next_request(skin: Skin) -> None:
    cognito = Cognito()
    names = ["ada+rst", "ada", "bob+half", "bob", "cy+fin", "cy", "dan+lost", "dan"]
    async with skin(cognito) as sender:
        reasons = [judge(await sender.send(ask(name))).reason for name in names]
    assert reasons[1::2] == [Reason.ACCEPTED] * 4
    assert {reason.outcome for reason in reasons[::2]} == {Outcome.UNKNOWN}
    assert cognito.deliveries == dict.fromkeys(names, 1)


@pytest.mark.parametrize(
    ("cognito", "code", "message"),
    [
        pytest.param(
            Cognito(client=Client("other")),
            "ResourceNotFoundException",
            f"User pool client {Client().client_id} does not exist.",
            id="another client",
        ),
        pytest.param(
            Cognito(client=Client(secret="s3cret")),
            "NotAuthorizedException",
            f"Unable to verify secret hash for client {Client().client_id}",
            id="no secret hash",
        ),
        pytest.param(
            Cognito(settings=PoolSettings(auto_verified=())),
            "NotAuthorizedException",
            "Cannot resend codes. Auto verification not turned on.",
            id="nothing to verify",
        ),
        pytest.param(
            Cognito(settings=PoolSettings(mail_quota=0)),
            "LimitExceededException",
            "Exceeded daily email limit for the operation or the account. If a higher limit is"
            " required, please configure your user pool to use your own Amazon SES"
            " configuration for sending email.",
            id="no mail left",
        ),
    ],
)
async def test_settings_that_cannot_work_stop_a_run_by_every_way(
    skin: Skin, cognito: Cognito, code: str, message: str
) -> None:
    async with skin(cognito) as sender:
        reply = await sender.send(ask("ada"))
    assert (reply.status, reply.code, reply.message) == (400, code, message)
    assert judge(reply).stop
    assert not cognito.deliveries


async def test_a_server_that_is_not_there_proves_that_nothing_was_sent() -> None:
    async with running(Cognito()) as url:
        pass
    async with aiohttp.ClientSession() as session:
        reply = await RawSender(session, url).send(ask("ada"))
    assert judge(reply).reason is Reason.CONNECTION


# What the AWS SDK must not do: send again, or say "no connection" of a request that arrived.

#: Everything that can go wrong on the wire: the marker, the reason, and the codes that went out.
FAULTS = [
    (Kind.SILENT, Reason.NO_ANSWER, 0),
    (Kind.LOST, Reason.NO_ANSWER, 1),
    (Kind.FIN, Reason.NO_ANSWER, 1),
    (Kind.RST, Reason.NO_ANSWER, 1),
    (Kind.HALF, Reason.UNREADABLE_ANSWER, 1),
    (Kind.ENDLESS, Reason.UNREADABLE_ANSWER, 0),
    (Kind.HTML, Reason.UNREADABLE_ANSWER, 0),
    (Kind.EMPTY, Reason.UNREADABLE_ANSWER, 0),
    (Kind.NODETAILS, Reason.UNREADABLE_ANSWER, 1),
    (Kind.ERROR, Reason.SERVER_ERROR, 0),
    (Kind.UNAVAILABLE, Reason.SERVER_ERROR, 0),
    (Kind.GATEWAY, Reason.SERVER_ERROR, 1),
    (Kind.REDIRECT, Reason.UNREADABLE_ANSWER, 0),
]

#: Everything by which a machine can tell the SDK to try again.
ENVIRONMENTS = {
    "many attempts": {"AWS_MAX_ATTEMPTS": "5"},
    "legacy": {"AWS_MAX_ATTEMPTS": "5", "AWS_RETRY_MODE": "legacy"},
    "standard": {"AWS_MAX_ATTEMPTS": "5", "AWS_RETRY_MODE": "standard"},
    "adaptive": {"AWS_MAX_ATTEMPTS": "5", "AWS_RETRY_MODE": "adaptive"},
    "config file": {"AWS_CONFIG_FILE": "[default]\nmax_attempts = 5\nretry_mode = standard\n"},
    "legacy config file": {"AWS_CONFIG_FILE": "[default]\nmax_attempts = 5\nretry_mode = legacy\n"},
}


def hostile(name: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    for variable, value in ENVIRONMENTS[name].items():
        if variable == "AWS_CONFIG_FILE":
            file = folder / "config"
            file.write_text(value)
            monkeypatch.setenv(variable, str(file))
        else:
            monkeypatch.setenv(variable, value)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
async def test_one_call_is_one_request_whatever_breaks(
    environment: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hostile(environment, monkeypatch, tmp_path)
    cognito = Cognito()
    result = []
    async with by_sdk(cognito) as sender:
        for kind, *_ in FAULTS:
            before = cognito.requests, cognito.deliveries.total()
            verdict = judge(await sender.send(ask(f"ada+{kind}@example.com")))
            with anyio.fail_after(300):
                while cognito.requests == before[0]:  # a busy machine hears of it late
                    await anyio.sleep(0.01)
            requests, delivered = (
                cognito.requests - before[0],
                cognito.deliveries.total() - before[1],
            )
            result.append((kind, requests, delivered, verdict.reason, verdict.stop))
    assert result == [
        (kind, 1, delivered, reason, Stop.REDIRECTED if kind is Kind.REDIRECT else None)
        for kind, reason, delivered in FAULTS
    ]
    assert cognito.requests == len(FAULTS)
    assert {reason.outcome for _, _, _, reason, _ in result} == {Outcome.UNKNOWN}
    assert cognito.misdirected == 0


async def test_a_machine_can_make_the_sdk_send_again(monkeypatch: pytest.MonkeyPatch) -> None:
    # The control of the test above: an ordinary client, made in such an environment.
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    cognito = Cognito()
    async with running(cognito) as url:
        sdk_session = clients.session(AwsTarget(region="us-east-1")).sdk
        config = AioConfig(signature_version=UNSIGNED)
        async with sdk_session.client("cognito-idp", endpoint_url=url, config=config) as client:
            await AwsSender(client).send(ask("ada+fin@example.com"))
    assert cognito.deliveries == {"ada+fin@example.com": 2}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
async def test_a_throttle_is_one_request_too(
    environment: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hostile(environment, monkeypatch, tmp_path)
    cognito = Cognito(quota=Quota(rate=0.001))
    async with by_sdk(cognito) as sender:
        await sender.send(ask("ada"))
        verdict = judge(await sender.send(ask("bob")))
    assert verdict.signal is Signal.THROTTLED
    assert (cognito.requests, cognito.throttled) == (2, 1)
