"""The account's usage metric, requested once a minute during a run.

`watch` reports the accepted calls of every whole minute that CloudWatch has: those of all users
of the account, this run included. It works in the background and never raises. A request that
fails is made again a minute later; where the permission is missing it ends, and so it does where
a person would have to enter an MFA code.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
from botocore.exceptions import ClientError

from batch_resend.aws import clients, credentials
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.aws.refusals import FORBIDDEN, code_of

MINUTE = 60  #: seconds: the period of the metric
EVERY = 60.0  #: seconds between two requests
BACK = 10  #: minutes that are requested: older ones say nothing about now
SETTLED = 60.0  #: seconds after its end from which on a minute's value is taken for whole
WITHIN = 20.0  #: seconds for one request

Report = Callable[[float, float], None]  #: when a minute began (`time.time`), its accepted calls


async def watch(
    target: AwsTarget,
    dimensions: Mapping[str, str],
    report: Report,
    *,
    wall: Callable[[], float] = time.time,
) -> None:
    """Report all minutes that are known, at first and then once a minute; never raises."""
    reported: dict[float, float] = {}
    aws_session: clients.Session | None = None
    while True:
        try:
            with anyio.move_on_after(WITHIN):
                aws_session = aws_session or clients.session(target)
                minutes = await _minutes(target, aws_session, dimensions, wall())
                for since, calls in minutes.items():
                    if reported.get(since) != calls:
                        reported[since] = calls
                        report(since, calls)
        except ClientError as error:
            if code_of(error) in FORBIDDEN:
                return
        except _NeedsAPerson:
            return
        except Exception:  # noqa: S110 - whatever it is: the metric must not harm the run
            pass
        await anyio.sleep(EVERY)


class _NeedsAPerson(Exception):
    """The credentials need an MFA code."""


async def _minutes(
    target: AwsTarget, aws_session: clients.Session, dimensions: Mapping[str, str], now: float
) -> dict[float, float]:
    """Request the last minutes; the calls that were accepted in each, by its beginning."""
    if credentials.needs_code(aws_session.core):
        raise _NeedsAPerson
    end = datetime.fromtimestamp(now - now % MINUTE, UTC)
    async with clients.signed_client(
        target, clients.CLOUDWATCH, aws_session=aws_session, attempts=1
    ) as client:
        answer: Any = await client.get_metric_data(
            MetricDataQueries=queries(dimensions, MINUTE),
            StartTime=end - timedelta(minutes=BACK),
            EndTime=end,
        )
    series = {
        result["Id"]: {
            at.timestamp(): float(value)
            for at, value in zip(result["Timestamps"], result["Values"], strict=True)
        }
        for result in answer["MetricDataResults"]
    }
    throttled = series.get("throttlecount", {})
    return {
        since: max(0.0, calls - throttled.get(since, 0.0))
        for since, calls in sorted(series.get("callcount", {}).items())
        if since + MINUTE + SETTLED <= now
    }


def queries(dimensions: Mapping[str, str], period: int) -> list[Any]:
    """Return the queries for all calls and for the throttled ones among them.

    Their results have the IDs `callcount` and `throttlecount`; `period` is in seconds.
    """
    return [
        {
            "Id": metric.lower(),
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/Usage",
                    "MetricName": metric,
                    "Dimensions": [
                        {"Name": name, "Value": text} for name, text in dimensions.items()
                    ],
                },
                "Period": period,
                "Stat": "Sum",
            },
        }
        for metric in ("CallCount", "ThrottleCount")
    ]
