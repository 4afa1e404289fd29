"""The account's usage metric during a run: what is reported, and that nothing can harm the run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import anyio
import pytest
from aiohttp import web

from batch_resend.aws import credentials, usage_metric
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.aws.usage_metric import watch
from tests.support.small_aws import (
    Handler,
    SmallAws,
    in_cbor,
    is_cbor,
    refuse,
    serving_small_aws,
)

pytestmark = pytest.mark.anyio

NOON = 1_800_000_000.0 - 1_800_000_000.0 % 60
DIMENSIONS = {"Service": "Cognito user pool", "Resource": "UserResourceRead"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setattr(usage_metric, "EVERY", 0.01)


def counted(
    request: web.Request, calls: dict[float, float], throttles: dict[float, float]
) -> web.Response:
    """Return a response of GetMetricData by distances to NOON; in the SDK's protocol."""
    series = [
        (name, [datetime.fromtimestamp(NOON + at, UTC) for at in values], list(values.values()))
        for name, values in (("callcount", calls), ("throttlecount", throttles))
    ]
    if is_cbor(request):
        results = [{"Id": name, "Timestamps": at, "Values": many} for name, at, many in series]
        return in_cbor({"MetricDataResults": results})
    if "X-Amz-Target" in request.headers:
        results = [
            {"Id": name, "Timestamps": [one.timestamp() for one in at], "Values": many}
            for name, at, many in series
        ]
        return web.json_response({"MetricDataResults": results})
    members = "".join(
        f"<member><Id>{name}</Id>"
        f"<Timestamps>{''.join(f'<member>{one.isoformat()}</member>' for one in at)}</Timestamps>"
        f"<Values>{''.join(f'<member>{one}</member>' for one in many)}</Values></member>"
        for name, at, many in series
    )
    return web.Response(
        text='<GetMetricDataResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/">'
        f"<GetMetricDataResult><MetricDataResults>{members}</MetricDataResults>"
        "</GetMetricDataResult></GetMetricDataResponse>",
        content_type="text/xml",
    )


@asynccontextmanager
async def cloudwatch(monkeypatch: pytest.MonkeyPatch, instead: Handler) -> AsyncIterator[SmallAws]:
    aws = SmallAws(instead)
    async with serving_small_aws(aws) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", url)
        yield aws


async def reported(until: Callable[[list[tuple[float, float]]], bool]) -> list[tuple[float, float]]:
    """Watch until the condition holds for the reported values."""
    seen: list[tuple[float, float]] = []
    enough = anyio.Event()

    def report(since: float, calls: float) -> None:
        seen.append((since - NOON, calls))
        if until(seen):
            enough.set()

    async with anyio.create_task_group() as tasks:
        target = AwsTarget("eu-west-1", "", "")
        tasks.start_soon(lambda: watch(target, DIMENSIONS, report, wall=lambda: NOON + 30))
        with anyio.fail_after(300):
            await enough.wait()
        tasks.cancel_scope.cancel()
    return seen


async def test_usage_is_the_accepted_calls_of_whole_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Throttled calls are counted as calls too; a minute that ended just now may grow yet."""

    async def instead(operation: str, request: web.Request) -> web.Response:
        return counted(request, {-60: 900, -120: 3000, -240: 600}, {-120: 100})

    async with cloudwatch(monkeypatch, instead) as aws:
        seen = await reported(lambda seen: len(seen) == 2)
    assert seen == [(-240, 600), (-120, 2900)]
    body = aws.asked[0].body
    assert body["MetricDataQueries.member.1.MetricStat.Period"] == ["60"]
    assert "AWS/Usage" in body["MetricDataQueries.member.1.MetricStat.Metric.Namespace"]


async def test_usage_that_was_corrected_is_reported_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([600.0, 600.0])

    async def instead(operation: str, request: web.Request) -> web.Response:
        return counted(request, {-240: next(answers, 660.0)}, {})

    async with cloudwatch(monkeypatch, instead):
        assert await reported(lambda seen: len(seen) == 2) == [(-240, 600), (-240, 660)]


@pytest.mark.parametrize("code", ["Throttling", "InternalFailure", "ExpiredToken", "broken"])
async def test_usage_is_requested_again_after_an_error(
    monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    errors = iter([code, code])

    async def instead(operation: str, request: web.Request) -> web.Response:
        if (error := next(errors, None)) is None:
            return counted(request, {-240: 600}, {})
        return web.Response(text="<html>") if error == "broken" else refuse(request, error)

    async with cloudwatch(monkeypatch, instead) as aws:
        assert await reported(bool) == [(-240, 600)]
    assert len(aws.asked) >= 3


async def test_usage_without_permission_is_requested_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def instead(operation: str, request: web.Request) -> web.Response:
        return refuse(request, "AccessDenied")

    async with cloudwatch(monkeypatch, instead) as aws:
        with anyio.fail_after(300):
            await watch(AwsTarget("eu-west-1", "", ""), DIMENSIONS, lambda *_: None)
    assert len(aws.asked) == 1


async def test_usage_is_left_alone_where_a_person_must_enter_a_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(credentials, "needs_code", lambda _: True)

    async def instead(operation: str, request: web.Request) -> web.Response:
        raise AssertionError

    async with cloudwatch(monkeypatch, instead) as aws:
        with anyio.fail_after(300):
            await watch(AwsTarget("eu-west-1", "", ""), DIMENSIONS, lambda *_: None)
    assert not aws.asked
