"""The event history, through the real client against the simulator's CloudTrail."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
import trio.testing
from aiohttp import web
from aiohttp.test_utils import TestServer

from batch_resend.aws import clients
from batch_resend.aws.cloudtrail import POLICY, EventHistory, NotPermitted, open_history
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.errors import Exit, SettingsError
from batch_resend.simulator import cloudtrail as simulated
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.sender import SimulatedEventHistory
from batch_resend.simulator.server import running

KEYS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


def recorded(count: int, first: float, **knobs: Any) -> Cognito:
    """A Cognito that was asked so many times, a second apart."""
    keeping = simulated.Recording(**{"delay": 0.0, "lookups_a_second": 1e9, **knobs})
    cognito = Cognito(history=simulated.EventHistory(keeping))
    for n in range(count):
        asked = {"ClientId": "simulatedclient", "Username": f"user{n}"}
        cognito.answer(asked, now=first + n, agent=f"agent/{n}")
    return cognito


@asynccontextmanager
async def history_of(
    cognito: Cognito, patch: pytest.MonkeyPatch, rate: float = 1e6
) -> AsyncIterator[EventHistory]:
    async with running(cognito) as url:
        patch.setenv("AWS_ENDPOINT_URL_CLOUDTRAIL", url)
        target = AwsTarget("us-east-1", endpoint_url=url)
        async with open_history(target, rate=rate) as history:
            yield history


async def agents(history: EventHistory, start: float, end: float) -> list[str]:
    return [
        json.loads(text)["userAgent"] async for page in history.pages(start, end) for text in page
    ]


@pytest.mark.anyio
@pytest.mark.usefixtures("credentials")
async def test_window_is_read_newest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    first = float(int(time.time())) - 1000
    async with history_of(recorded(120, first), monkeypatch) as history:
        result = await agents(history, first + 9.5, first + 110.5)
    assert result == [f"agent/{n}" for n in range(111, 8, -1)]
    assert history.calls == 3


@pytest.mark.anyio
@pytest.mark.usefixtures("credentials")
async def test_missing_permission_is_named_with_its_policy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with history_of(recorded(0, 0.0, denied=True), monkeypatch) as history:
        with pytest.raises(NotPermitted, match=r"AccessDeniedException.*cloudtrail:LookupEvents"):
            await agents(history, 0.0, 10.0)
    assert NotPermitted.exit_code is Exit.SETTINGS
    assert json.loads(POLICY) == {
        "Effect": "Allow",
        "Action": "cloudtrail:LookupEvents",
        "Resource": "*",
    }


@pytest.mark.anyio
async def test_missing_credentials_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    async with history_of(recorded(0, 0.0), monkeypatch) as history:
        with pytest.raises(SettingsError, match=r"no valid AWS credentials.*--events\.$"):
            await agents(history, 0.0, 10.0)


@asynccontextmanager
async def answering(
    patch: pytest.MonkeyPatch, *answers: tuple[int, Any]
) -> AsyncIterator[tuple[EventHistory, list[dict[str, Any]]]]:
    """A CloudTrail that gives these answers one after the other, and what it was asked."""
    asked: list[dict[str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        status, body = answers[min(len(asked), len(answers) - 1)]
        asked.append(await request.json())
        return web.Response(
            status=status, text=json.dumps(body), content_type="application/x-amz-json-1.1"
        )

    app = web.Application()
    app.router.add_post("/", answer)
    async with TestServer(app, host="127.0.0.1") as server:
        url = str(server.make_url("/"))
        patch.setenv("AWS_ENDPOINT_URL_CLOUDTRAIL", url)
        target = AwsTarget("us-east-1", endpoint_url=url)
        async with clients.signed_client(target, clients.CLOUDTRAIL, attempts=2) as client:
            yield EventHistory(client, rate=1e6), asked


def failed(code: str) -> tuple[int, dict[str, str]]:
    return 400, {"__type": code, "message": "no"}


def page(*agents: str, token: str | None = None) -> tuple[int, dict[str, Any]]:
    events = [{"CloudTrailEvent": json.dumps({"userAgent": agent})} for agent in agents]
    return 200, {"Events": events, **({"NextToken": token} if token else {})}


@pytest.mark.anyio
@pytest.mark.usefixtures("credentials")
async def test_times_stay_the_same_from_page_to_page(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = (page("a", token="t1"), page(token="t2"), page("b"))
    async with answering(monkeypatch, *pages) as (history, asked):
        assert await agents(history, 1000.9, 2000.1) == ["a", "b"]
    assert [one.pop("NextToken", None) for one in asked] == [None, "t1", "t2"]
    assert asked[0] == asked[1] == asked[2]
    assert asked[0] == {
        "LookupAttributes": [
            {"AttributeKey": "EventName", "AttributeValue": "ResendConfirmationCode"}
        ],
        "StartTime": 1000,
        "EndTime": 2001,
        "MaxResults": 50,
    }


@pytest.mark.anyio
@pytest.mark.usefixtures("credentials")
async def test_stale_token_begins_the_listing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    stale = failed("InvalidNextTokenException")
    pages = (page("a", token="t1"), stale, page("a", token="t2"), page("b"))
    async with answering(monkeypatch, *pages) as (history, _):
        assert await agents(history, 0.0, 1.0) == ["a", "a", "b"]


@pytest.mark.anyio
@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (failed("InvalidNextTokenException"), "which lists from the start"),
        (failed("ThrottlingException"), "throttled every attempt"),
        (failed("ExpiredTokenException"), "does not accept the AWS credentials"),
        (failed("InvalidTimeRangeException"), r"cannot be queried \(InvalidTimeRangeException\)"),
        (failed("OperationNotPermittedException"), "the credentials need cloudtrail"),
        ((200, [1]), r"cannot be queried \(unreadable response, "),
        ((200, {"Events": "x"}), r"cannot be queried \(unreadable response, "),
    ],
)
async def test_refusal_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, answer: tuple[int, Any], sentence: str
) -> None:
    async with answering(monkeypatch, answer) as (history, _):
        with pytest.raises(SettingsError, match=sentence) as refused:
            await agents(history, 0.0, 1.0)
    assert str(refused.value).endswith(".")


@pytest.mark.anyio
@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    "body", [{}, {"Events": None}, {"Events": [{"CloudTrailEvent": None}, {}]}]
)
async def test_page_without_events_is_empty(monkeypatch: pytest.MonkeyPatch, body: Any) -> None:
    async with answering(monkeypatch, (200, body)) as (history, _):
        assert await agents(history, 0.0, 1.0) == []


@pytest.mark.anyio
@pytest.mark.usefixtures("credentials")
async def test_aws_s_own_history_is_not_asked_of_a_simulator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where Cognito's endpoint is not AWS's, and CloudTrail's is not set."""
    monkeypatch.delenv("AWS_ENDPOINT_URL_CLOUDTRAIL", raising=False)
    target = AwsTarget("us-east-1", endpoint_url="http://127.0.0.1:1")
    with pytest.raises(clients.NotAsked, match="AWS_ENDPOINT_URL_CLOUDTRAIL"):
        async with open_history(target):
            pytest.fail("it was opened")


def test_lookups_are_apart_by_the_rate() -> None:
    """Ten pages at one per second, of a history that would throttle the third of a second."""
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
    cognito = recorded(500, noon, lookups_a_second=2.0)
    records = cognito.history
    assert records is not None

    async def read() -> float:
        client = SimulatedEventHistory(records, lambda: noon + 600 + anyio.current_time())
        begun = anyio.current_time()
        assert len(await agents(EventHistory(client), noon, noon + 600)) == 500
        return anyio.current_time() - begun

    clock = trio.testing.MockClock(autojump_threshold=0)
    took = anyio.run(read, backend="trio", backend_options={"clock": clock})
    assert took == pytest.approx(9.0)
