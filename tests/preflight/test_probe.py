"""What is asked of AWS, and that whatever comes back is a fact or an `Unknown`, never more."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from aiohttp import web

from batch_resend.aws.endpoints import AwsTarget
from batch_resend.preflight.check import check
from batch_resend.preflight.facts import (
    ClientFacts,
    Facts,
    PoolFacts,
    ReachFacts,
    Secret,
    SesFacts,
    Unknown,
    Usage,
    Why,
)
from batch_resend.preflight.finding import ProposedRun
from batch_resend.preflight.probe import CATEGORY, QUOTA_CODE, probe
from tests.support.small_aws import (
    CLIENT,
    JSON,
    POOL,
    SECRET,
    Handler,
    SmallAws,
    hang,
    refuse,
    small_aws,
)

pytestmark = pytest.mark.anyio

KEYS = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")


# -- against moto ------------------------------------------------------------------


@dataclass(frozen=True)
class Moto:
    url: str
    pool: str
    confidential: str
    secret: str
    public: str


@pytest.fixture(scope="module")
def at_moto(moto_url: str) -> Moto:
    def client(service: str) -> Any:
        return boto3.client(service, region_name="us-east-1", endpoint_url=moto_url, **KEYS)

    cognito, watch = client("cognito-idp"), client("cloudwatch")
    pool = cognito.create_user_pool(
        PoolName="shop",
        AliasAttributes=["email"],
        AutoVerifiedAttributes=["email", "phone_number"],
        LambdaConfig={
            "CustomMessage": "arn:aws:lambda:us-east-1:123456789012:function:message",
            "PreSignUp": "arn:aws:lambda:us-east-1:123456789012:function:door",
        },
    )["UserPool"]["Id"]
    confidential = cognito.create_user_pool_client(
        UserPoolId=pool,
        ClientName="web",
        GenerateSecret=True,
        PreventUserExistenceErrors="ENABLED",
    )["UserPoolClient"]
    public = cognito.create_user_pool_client(UserPoolId=pool, ClientName="app")["UserPoolClient"]
    now = datetime.now(UTC)
    for metric, ago, value in (
        ("CallCount", 50, 600.0),
        ("CallCount", 20, 3000.0),
        ("ThrottleCount", 20, 7.0),
        ("CallCount", 90, 90000.0),  # longer ago than an hour
    ):
        watch.put_metric_data(
            Namespace="AWS/Usage",
            MetricData=[
                {
                    "MetricName": metric,
                    "Dimensions": [
                        {"Name": name, "Value": text}
                        for name, text in (
                            ("Service", "Cognito user pool"), ("Type", "API"),
                            ("Resource", CATEGORY), ("Class", "None"),
                        )
                    ],
                    "Timestamp": now - timedelta(minutes=ago),
                    "Value": value,
                }
            ],
        )  # fmt: skip
    return Moto(
        moto_url, pool, confidential["ClientId"], confidential["ClientSecret"], public["ClientId"]
    )


async def asked_of_moto(
    moto: Moto, client_id: str = "", secret: str | None = None, pool: str = ""
) -> Facts:
    return await probe(
        AwsTarget("us-east-1", "", moto.url),
        user_pool_id=pool or moto.pool,
        client_id=client_id or moto.confidential,
        secret=secret,
        within=300,
    )


@pytest.fixture
def services(keys: None, monkeypatch: pytest.MonkeyPatch, moto_url: str) -> None:
    for service in ("STS", "CLOUDWATCH"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", moto_url)


@pytest.mark.usefixtures("services")
async def test_pool_client_account_and_usage_are_read(at_moto: Moto) -> None:
    facts = await asked_of_moto(at_moto, secret=at_moto.secret)
    assert facts.pool == PoolFacts(
        account="123456789012",
        verifies=("email", "phone_number"),
        aliases=("email",),
        triggers=("CustomMessage", "PreSignUp"),
    )
    assert facts.client == ClientFacts(secret=Secret.MATCHES, hides_existence=True)
    assert facts.account == "123456789012"
    assert facts.usage == Usage(peak=10.0, throttled=7)
    assert facts.ses is None
    assert isinstance(facts.applied, Unknown)
    assert facts.applied.why is Why.NOT_ASKED  # its address is not set


@pytest.mark.usefixtures("services")
async def test_the_secret_is_compared_and_kept_out_of_the_facts(at_moto: Moto) -> None:
    for client, own_secret, secret in (
        (at_moto.confidential, None, Secret.MISSING),
        (at_moto.confidential, "another", Secret.DIFFERS),
        (at_moto.confidential, at_moto.secret, Secret.MATCHES),
        (at_moto.public, None, Secret.NOT_NEEDED),
        (at_moto.public, "another", Secret.SUPERFLUOUS),
    ):
        facts = await asked_of_moto(at_moto, client, own_secret)
        assert isinstance(facts.client, ClientFacts)
        assert facts.client.secret is secret
        assert at_moto.secret not in repr(facts)


@pytest.mark.usefixtures("services")
async def test_what_is_not_there_is_not_found(at_moto: Moto) -> None:
    facts = await asked_of_moto(at_moto, "nosuchclient", pool="us-east-1_Nowhere")
    for fact in (facts.pool, facts.client):
        assert isinstance(fact, Unknown)
        assert fact.why is Why.NOT_FOUND


def answers_of(facts: Facts) -> tuple[object, ...]:
    """Return what was asked of AWS whatever the pool is."""
    return (
        facts.pool, facts.client, facts.provisioned, facts.applied, facts.usage, facts.account,
    )  # fmt: skip


async def test_without_credentials_nothing_is_asked(at_moto: Moto) -> None:
    facts = await asked_of_moto(at_moto)
    answers = answers_of(facts)
    assert {unknown.why for unknown in answers if isinstance(unknown, Unknown)} == {Why.CREDENTIALS}
    assert all(isinstance(unknown, Unknown) for unknown in answers)


# -- against a small AWS of our own ------------------------------------------------


async def learn(place: AwsTarget, within: float = 300, secret: str | None = SECRET) -> Facts:
    return await probe(place, user_pool_id=POOL, client_id=CLIENT, secret=secret, within=within)


@pytest.mark.usefixtures("keys")
async def test_every_answer_becomes_a_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = SmallAws()
    async with small_aws(monkeypatch, aws) as place:
        facts = await learn(place)
    assert facts == Facts(
        pool=PoolFacts(
            account="123456789012",
            verifies=("email",),
            by_ses=True,
            source_arn="arn:aws:ses:us-east-1:123456789012:identity/example.com",
            sms_failure="SNSSandbox",
            users=5000,
            tier="PLUS",
        ),
        client=ClientFacts(secret=Secret.MATCHES),
        provisioned=120.0,
        applied=200.0,
        ses=SesFacts(sandbox=True, status="PROBATION", a_day=200.0, sent=20.0, a_second=1.0),
        usage=Usage(peak=10.0),
        account="123456789012",
        reach=ReachFacts(suppressed=1, suppresses=("BOUNCE", "COMPLAINT")),
    )
    assert facts.quota == 120.0
    assert facts.enforced == 120.0


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    ("configuration", "sensitive"),
    [
        ({}, True),
        ({"UsernameConfiguration": {"CaseSensitive": True}}, True),
        ({"UsernameConfiguration": {"CaseSensitive": False}}, False),
        ({"UsernameConfiguration": {}}, True),
    ],
)
async def test_case_counts_unless_the_pool_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, configuration: dict[str, Any], sensitive: bool
) -> None:
    """Pools made by API, CLI, CDK or Terraform, and all before 2020-02-12, do not say it."""
    pool = JSON["DescribeUserPool"]["UserPool"] | configuration
    async with small_aws(
        monkeypatch, SmallAws(answers={"DescribeUserPool": {"UserPool": pool}})
    ) as place:
        assert (await learn(place)).case_sensitive is sensitive
    refused = SmallAws(answers={"DescribeUserPool": "AccessDeniedException"})
    async with small_aws(monkeypatch, refused) as place:
        assert (await learn(place)).case_sensitive is None


@pytest.mark.usefixtures("keys")
async def test_the_questions_are_those_of_the_documentation_and_signed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aws = SmallAws()
    async with small_aws(monkeypatch, aws) as place:
        await learn(place)
    limit = aws.of("GetProvisionedLimit")
    assert limit.body == {
        "LimitDefinition": {"LimitClass": "API_CATEGORY", "Attributes": {"Category": CATEGORY}}
    }
    assert (limit.service, limit.region) == ("cognito-idp", "eu-west-1")
    assert aws.of("GetServiceQuota").body == {"ServiceCode": "cognito-idp", "QuotaCode": QUOTA_CODE}
    # SES is asked where the identity is, and CloudWatch under the names that Service Quotas gave.
    assert aws.of("GetAccount").region == "us-east-1"
    metric = aws.of("GetMetricData").body
    assert sorted(text for key, (text,) in metric.items() if key.endswith("1.MetricStat.Stat")) == [
        "Sum"
    ]
    dimensions = {text for key, (text,) in metric.items() if "Dimensions" in key}
    assert dimensions == {"Service", "Cognito", "Resource", CATEGORY}


@pytest.mark.usefixtures("keys")
async def test_where_nothing_was_applied_the_default_quota_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aws = SmallAws(
        answers={
            "GetProvisionedLimit": "AccessDeniedException",
            "GetServiceQuota": "NoSuchResourceException",
            "GetAWSDefaultServiceQuota": {"Quota": {"Value": 50.0}},
        }
    )
    async with small_aws(monkeypatch, aws) as place:
        facts = await learn(place)
    assert (facts.applied, facts.quota) == (50.0, 50.0)
    assert facts.enforced is None, "only asked for, and not what Cognito enforces"
    assert isinstance(facts.provisioned, Unknown)
    assert facts.provisioned.why is Why.FORBIDDEN
    dimensions = {t for key, (t,) in aws.of("GetMetricData").body.items() if "Dimensions" in key}
    assert "Cognito user pool" in dimensions


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("arn", ["", "arn:aws:ses:us-east-1:999999999999:identity/example.com"])
async def test_another_accounts_ses_tells_nothing_of_the_pools(
    monkeypatch: pytest.MonkeyPatch, arn: str
) -> None:
    pool = json.loads(json.dumps(JSON["DescribeUserPool"]))
    pool["UserPool"]["EmailConfiguration"]["SourceArn"] = arn
    aws = SmallAws(answers={"DescribeUserPool": pool})
    async with small_aws(monkeypatch, aws) as place:
        facts = await learn(place)
    if arn:
        assert isinstance(facts.ses, Unknown)
        assert "another account" in facts.ses.detail
    else:
        assert isinstance(facts.ses, SesFacts)
        assert aws.of("GetAccount").region == "eu-west-1"


def with_code(code: str) -> Handler:
    async def answer(operation: str, request: web.Request) -> web.Response:
        return refuse(request, code)

    return answer


async def a_page(operation: str, request: web.Request) -> web.Response:
    return web.Response(text="<!DOCTYPE html><p>Please sign in.</p>", content_type="text/html")


async def nothing(operation: str, request: web.Request) -> web.Response:
    return web.json_response({})


async def nonsense(operation: str, request: web.Request) -> web.Response:
    return web.json_response(
        {
            "UserPool": {"EstimatedNumberOfUsers": "many", "EmailConfiguration": 7},
            "UserPoolClient": [1],
            "Limit": {"ProvisionedLimitValue": 0},
            "Quota": {"Value": "fast"},
            "SendQuota": None,
        }
    )


async def a_breakdown(operation: str, request: web.Request) -> web.Response:
    return web.Response(status=500, text="<html>")


async def a_closed_door(operation: str, request: web.Request) -> web.Response:
    assert request.transport
    request.transport.close()
    return web.Response()


FAILURES: dict[str, tuple[Handler, set[Why]]] = {
    "not allowed": (with_code("AccessDeniedException"), {Why.FORBIDDEN}),
    "throttled": (with_code("ThrottlingException"), {Why.THROTTLED}),
    "expired": (with_code("ExpiredTokenException"), {Why.CREDENTIALS}),
    "an unknown error": (with_code("SomethingNew\u202e"), {Why.FAILED}),
    "silence": (hang, {Why.SILENT}),
    "a captive portal": (a_page, {Why.UNREADABLE}),
    "an empty object": (nothing, {Why.UNREADABLE}),
    "nonsense": (nonsense, {Why.UNREADABLE}),
    "a breakdown": (a_breakdown, {Why.UNREADABLE, Why.FAILED}),
    "a closed door": (a_closed_door, {Why.FAILED}),
}


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("name", FAILURES)
async def test_whatever_fails_is_a_finding_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    instead, whys = FAILURES[name]
    async with small_aws(monkeypatch, SmallAws(instead=instead)) as place:
        facts = await learn(place, within=0.5 if name == "silence" else 300)
    answers = answers_of(facts)
    assert all(isinstance(unknown, Unknown) for unknown in answers), answers
    assert {unknown.why for unknown in answers if isinstance(unknown, Unknown)} <= whys, answers
    assert (facts.ses, facts.quota) == (None, None)
    checked = check(
        facts,
        ProposedRun(
            user_pool_id=POOL, client_id=CLIENT, region="eu-west-1", endpoint=place.endpoint_url,
            endpoint_is_aws=False, now=0.0,
        ),
    )  # fmt: skip
    assert checked.exit_code == 0
    assert all(finding.text.isprintable() for finding in checked.findings)


@pytest.mark.usefixtures("keys")
async def test_ses_alone_may_be_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def instead(operation: str, request: web.Request) -> None:
        if operation == "GetAccount":
            await asyncio.sleep(60)

    async with small_aws(monkeypatch, SmallAws(instead=instead)) as place:
        facts = await learn(place, within=10)
    assert facts.ses == Unknown("ses:GetAccount", Why.SILENT)
    assert facts.quota == 120.0


@pytest.mark.parametrize(
    ("place", "env"),
    [
        (AwsTarget("eu-west-1", "nosuchprofile"), {}),
        (AwsTarget("cn-north-1"), {}),
        (AwsTarget("eu-west-1", "", "http://127.0.0.1:1"), {"AWS_ACCESS_KEY_ID": "x"}),
        (AwsTarget(), {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}),
    ],
)
async def test_settings_that_cannot_work_are_unknown_too(
    monkeypatch: pytest.MonkeyPatch, place: AwsTarget, env: dict[str, str]
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    facts = await learn(place)
    assert isinstance(facts.pool, Unknown)
    assert facts.pool.why in {Why.FAILED, Why.CREDENTIALS}
