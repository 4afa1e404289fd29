"""A small AWS over HTTP: answers for the services that preflight asks, kept in tables.

CloudWatch is spoken in each of its protocols, for the SDK chooses by its version: query, JSON
and CBOR.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from batch_resend.aws.endpoints import AwsTarget
from batch_resend.preflight.probe import CATEGORY
from tests.support import cbor

POOL = "eu-west-1_AbCdEf123"


CLIENT = "abc"


SECRET = "9example87654321"


@dataclass
class Asked:
    operation: str
    region: str  #: in the signature's scope
    service: str
    body: Any


Handler = Callable[[str, web.Request], Awaitable[web.StreamResponse | None]]


@dataclass
class SmallAws:
    """A server with responses for all services; `instead` may replace them."""

    instead: Handler | None = None
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        target = request.headers.get("X-Amz-Target", "")
        if is_cbor(request):
            operation, parameters = request.path.rpartition("/")[2], flat(cbor.loads(body))
        elif target:
            operation, parameters = target.rpartition(".")[2], json.loads(body)
            parameters = flat(parameters) if operation in METRICS else parameters
        elif operation := REST.get(request.path, ""):
            parameters = {name: request.query.getall(name) for name in request.query}
        else:
            parameters = parse_qs(body.decode())
            operation = parameters["Action"][0]
        scope = re.search(
            r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/", request.headers["Authorization"]
        )
        assert scope
        self.asked.append(Asked(operation, scope[1], scope[2], parameters))
        response = await self.instead(operation, request) if self.instead else None
        if response is not None:  # to older aiohttp an answer is an empty mapping
            return response
        if is_cbor(request):
            return in_cbor(METRICS[operation])
        if operation in XML and not target:
            return web.Response(text=XML[operation], content_type="text/xml")
        answer = (JSON | METRICS | self.answers)[operation]
        if isinstance(answer, str):
            return refuse(request, answer)
        return web.json_response(answer)

    def of(self, operation: str) -> Asked:
        (request,) = [asked for asked in self.asked if asked.operation == operation]
        return request


REST = {
    "/v2/email/account": "GetAccount",
    "/v2/email/suppression/addresses": "ListSuppressedDestinations",
    "/v2/email/configuration-sets/news": "GetConfigurationSet",
}


XML = {
    "ListPhoneNumbersOptedOut": '<ListPhoneNumbersOptedOutResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">'
    "<ListPhoneNumbersOptedOutResult><phoneNumbers><member>+15550001</member></phoneNumbers>"
    "</ListPhoneNumbersOptedOutResult></ListPhoneNumbersOptedOutResponse>",
    "GetCallerIdentity": '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
    "<GetCallerIdentityResult><Account>123456789012</Account></GetCallerIdentityResult>"
    "</GetCallerIdentityResponse>",
    "GetMetricData": '<GetMetricDataResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/">'
    "<GetMetricDataResult><MetricDataResults>"
    "<member><Id>callcount</Id><Values><member>3000</member><member>900</member></Values></member>"
    "<member><Id>throttlecount</Id><Values/></member>"
    "</MetricDataResults></GetMetricDataResult></GetMetricDataResponse>",
}  # fmt: skip


METRICS = {
    "GetMetricData": {
        "MetricDataResults": [
            {"Id": "callcount", "Values": [3000.0, 900.0]},
            {"Id": "throttlecount", "Values": []},
        ]
    }
}


def is_cbor(request: web.Request) -> bool:
    return request.headers.get("smithy-protocol") == "rpc-v2-cbor"


def in_cbor(answer: Any, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        body=cbor.dumps(answer),
        headers={"smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"},
    )


def flat(value: Any, name: str = "") -> dict[str, list[str]]:
    """Return a request in the query protocol's form: `Queries.member.1.Id` for the first Id."""
    if isinstance(value, dict):
        items = [(f"{name}.{key}".lstrip("."), one) for key, one in value.items()]
    elif isinstance(value, list):
        items = [(f"{name}.member.{n}", one) for n, one in enumerate(value, 1)]
    else:
        return {name: [str(value)]}
    return {key: text for part, one in items for key, text in flat(one, part).items()}


def refuse(request: web.Request, code: str) -> web.Response:
    if is_cbor(request):
        return in_cbor({"__type": code, "message": "no"}, status=400)
    if "X-Amz-Target" not in request.headers and request.path == "/":
        error = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
        text = f"<ErrorResponse>{error}</ErrorResponse>"
        return web.Response(status=400, text=text, content_type="text/xml")
    return web.json_response({"__type": code, "message": "no"}, status=400)


@asynccontextmanager
async def serving_small_aws(aws: SmallAws) -> AsyncIterator[str]:
    """Serve it on this machine; yield its URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", aws.answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/")).rstrip("/")


@asynccontextmanager
async def small_aws(monkeypatch: pytest.MonkeyPatch, aws: SmallAws) -> AsyncIterator[AwsTarget]:
    """Serve it in place of all of AWS."""
    async with serving_small_aws(aws) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        yield AwsTarget("eu-west-1", "", url)


async def hang(operation: str, request: web.Request) -> None:
    await asyncio.sleep(60)


JSON: dict[str, Any] = {
    "DescribeUserPool": {
        "UserPool": {
            "Id": POOL,
            "Arn": f"arn:aws:cognito-idp:eu-west-1:123456789012:userpool/{POOL}",
            "AutoVerifiedAttributes": ["email"],
            "EmailConfiguration": {
                "EmailSendingAccount": "DEVELOPER",
                "SourceArn": "arn:aws:ses:us-east-1:123456789012:identity/example.com",
            },
            "LambdaConfig": {"CustomMessage": ""},
            "SmsConfigurationFailure": "SNSSandbox",
            "EstimatedNumberOfUsers": 5000,
            "UserPoolTier": "PLUS",
        }
    },
    "DescribeUserPoolClient": {"UserPoolClient": {"ClientId": CLIENT, "ClientSecret": SECRET}},
    "GetProvisionedLimit": {"Limit": {"ProvisionedLimitValue": 120, "FreeLimitValue": 50}},
    "GetServiceQuota": {
        "Quota": {
            "Value": 200.0,
            "UsageMetric": {
                "MetricNamespace": "AWS/Usage",
                "MetricDimensions": {"Service": "Cognito", "Resource": CATEGORY},
            },
        }
    },
    "ListSuppressedDestinations": {
        "SuppressedDestinationSummaries": [
            {"EmailAddress": "a@x.example", "Reason": "BOUNCE", "LastUpdateTime": 1.0}
        ]
    },
    "GetConfigurationSet": {"ConfigurationSetName": "news"},
    "GetLogDeliveryConfiguration": {
        "LogDeliveryConfiguration": {
            "UserPoolId": POOL,
            "LogConfigurations": [{"LogLevel": "ERROR", "EventSource": "userNotification"}],
        }
    },
    "LookupEvents": {"Events": []},
    "GetAccount": {
        "ProductionAccessEnabled": False,
        "SendingEnabled": True,
        "EnforcementStatus": "PROBATION",
        "SendQuota": {"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": 20.0},
    },
}
