"""The calls that find out what `check` judges: side by side, each bounded in time.

Nothing here fails: whatever a call meets (no credentials, no permission, no room, silence,
a captive portal's page) becomes an `Unknown` with its reason. Everything only reads. The
client secret is compared here, in constant time, and goes no further.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

import anyio
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
    SSLError,
)

from batch_resend.aws import clients, credentials
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.aws.refusals import BAD_CREDENTIALS, FORBIDDEN, THROTTLED, code_of, no_credentials
from batch_resend.errors import SettingsError
from batch_resend.masking import printable
from batch_resend.preflight.facts import (
    ClientFacts,
    Facts,
    PoolFacts,
    Secret,
    SesFacts,
    Unknown,
    Usage,
    Why,
)

WITHIN = 4.0  #: seconds for one question; at most two are asked one after the other
_ATTEMPTS = 2

#: Where ResendConfirmationCode counts. Cognito Developer Guide, "Quotas".
CATEGORY = "UserResourceRead"
#: The same as a quota of the service `cognito-idp` in Service Quotas.
QUOTA_CODE = "L-55545DC8"

# As the Cognito Developer Guide names them, where Service Quotas does not say.
_USAGE_DIMENSIONS = {
    "Service": "Cognito user pool",
    "Type": "API",
    "Resource": CATEGORY,
    "Class": "None",
}
_FIVE_MINUTES = 300

_UNREACHABLE = (ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError, SSLError)
_NOT_FOUND = {"ResourceNotFoundException", "NoSuchResourceException", "NoSuchResource"}

C = TypeVar("C")
T = TypeVar("T")


async def probe(
    target: AwsTarget,
    *,
    user_pool_id: str,
    client_id: str,
    secret: str | None,
    within: float = WITHIN,
) -> Facts:
    """Determine the facts; never raises, and takes at most three times `within`."""
    asked = Probe(target, within)
    await asked.open()
    account = _Answer(asked.account)
    pool_and_ses = _Answer(lambda: asked.pool_and_ses(user_pool_id))
    client = _Answer(lambda: asked.client(user_pool_id, client_id, secret))
    provisioned = _Answer(asked.provisioned)
    quota_and_usage = _Answer(asked.quota_and_usage)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(account.fetch)
        tasks.start_soon(pool_and_ses.fetch)
        tasks.start_soon(client.fetch)
        tasks.start_soon(provisioned.fetch)
        tasks.start_soon(quota_and_usage.fetch)
    pool, ses = pool_and_ses.value
    applied, usage = quota_and_usage.value
    if isinstance(ses, SesFacts) and _elsewhere(pool, account.value):
        ses = Unknown("ses:GetAccount", Why.FAILED, "the SES identity belongs to another account")
    return Facts(
        pool=pool,
        client=client.value,
        provisioned=provisioned.value,
        applied=applied,
        ses=ses,
        usage=usage,
        account=account.value,
    )


class _Answer(Generic[T]):
    """The answer to one of several questions that are asked side by side."""

    value: T

    def __init__(self, question: Callable[[], Awaitable[T]]) -> None:
        self._question = question

    async def fetch(self) -> None:
        """Put the question and keep its answer."""
        self.value = await self._question()


def _elsewhere(pool: PoolFacts | Unknown, account: str | Unknown) -> bool:
    """Whether the SES identity that the pool sends with is another account's."""
    if isinstance(pool, Unknown) or not pool.source_arn:
        return False
    ours = pool.account if isinstance(account, Unknown) else account
    return bool(ours) and _of_arn(pool.source_arn, 4) != ours


class Probe:
    """The questions, one method each, with one session for all."""

    def __init__(self, target: AwsTarget, within: float) -> None:
        self._target = target
        self._within = within
        self._session: clients.Session | None = None
        self._none: Unknown | None = None  # why nothing can be asked at all

    async def open(self) -> None:
        """Find the credentials, once for all."""

        async def find() -> object:
            self._session = session = clients.session(self._target)
            if not credentials.needs_code(session.core):
                await credentials.ready(session.core)
            return await session.core.get_credentials()

        async def ask_for_code() -> object:
            if self._session is not None and credentials.needs_code(self._session.core):
                await credentials.ready(self._session.core)
            return True

        result = await self._ask("", find)
        if result is not None and not isinstance(result, Unknown):
            # A person may need any time to type the code.
            result = await self._ask("", ask_for_code, within=math.inf)
        if result is None:
            self._none = Unknown("", Why.CREDENTIALS)
        elif isinstance(result, Unknown):
            self._none = result

    async def account(self) -> str | Unknown:
        """Ask whose credentials these are."""

        async def ask() -> str:
            async with self._client(clients.STS) as client:
                return str((await client.get_caller_identity())["Account"])

        return await self._ask("sts:GetCallerIdentity", ask)

    async def pool_and_ses(
        self, user_pool_id: str
    ) -> tuple[PoolFacts | Unknown, SesFacts | Unknown | None]:
        """Ask for the pool, and for the Amazon SES account that it sends with, if it does."""
        pool = await self._pool(user_pool_id)
        return pool, await self._ses(pool)

    async def quota_and_usage(self) -> tuple[float | Unknown, Usage | Unknown]:
        """Ask for the quota, and how much of it was used in the last hour."""
        quota, dimensions = await self._applied()
        return quota, await self._usage(dimensions)

    async def _pool(self, user_pool_id: str) -> PoolFacts | Unknown:
        async def ask() -> PoolFacts:
            async with self._client(clients.COGNITO) as client:
                answer = await client.describe_user_pool(UserPoolId=user_pool_id)
            return _pool(answer["UserPool"])

        return await self._ask("cognito-idp:DescribeUserPool", ask)

    async def client(
        self, user_pool_id: str, client_id: str, secret: str | None
    ) -> ClientFacts | Unknown:
        """Ask for the app client, and compare its secret with the one that is used."""

        async def ask() -> ClientFacts:
            async with self._client(clients.COGNITO) as client:
                answer = await client.describe_user_pool_client(
                    UserPoolId=user_pool_id, ClientId=client_id
                )
            return _app_client(answer["UserPoolClient"], secret)

        return await self._ask("cognito-idp:DescribeUserPoolClient", ask)

    async def provisioned(self) -> float | Unknown:
        """Ask for the rate that Cognito enforces now."""

        async def ask() -> float:
            async with self._client(clients.COGNITO) as client:
                taught: Any = client  # newer than the SDK's types
                answer = await taught.get_provisioned_limit(
                    LimitDefinition={
                        "LimitClass": "API_CATEGORY",
                        "Attributes": {"Category": CATEGORY},
                    }
                )
            return _positive(answer["Limit"]["ProvisionedLimitValue"])

        return await self._ask("cognito-idp:GetProvisionedLimit", ask)

    async def _applied(self) -> tuple[float | Unknown, Mapping[str, str]]:
        """Ask for the quota, and for the dimensions under which CloudWatch counts its use."""
        dimensions: Mapping[str, str] = _USAGE_DIMENSIONS

        async def ask() -> float:
            nonlocal dimensions
            which = {"ServiceCode": "cognito-idp", "QuotaCode": QUOTA_CODE}
            async with self._client(clients.SERVICE_QUOTAS) as client:
                try:
                    answer = await client.get_service_quota(**which)
                except ClientError as error:
                    if code_of(error) not in _NOT_FOUND:
                        raise
                    answer = await client.get_aws_default_service_quota(**which)
            quota = answer["Quota"]
            measured = (quota.get("UsageMetric") or {}).get("MetricDimensions")
            dimensions = measured or dimensions
            return _positive(quota["Value"])

        quota = await self._ask("servicequotas:GetServiceQuota", ask)
        return quota, dimensions

    async def _ses(self, pool: PoolFacts | Unknown) -> SesFacts | Unknown | None:
        if isinstance(pool, Unknown) or not pool.by_ses or "email" not in pool.verifies:
            return None

        async def ask() -> SesFacts:
            where = _of_arn(pool.source_arn, 3) or self._target.region
            async with self._client(clients.SES, where) as client:
                answer = await client.get_account()
            quota = answer["SendQuota"]
            return SesFacts(
                sandbox=not answer["ProductionAccessEnabled"],
                sending=bool(answer["SendingEnabled"]),
                status=str(answer.get("EnforcementStatus", "HEALTHY")),
                a_day=float(quota["Max24HourSend"]),
                sent=float(quota.get("SentLast24Hours", 0)),
                a_second=float(quota["MaxSendRate"]),
            )

        return await self._ask("ses:GetAccount", ask)

    async def _usage(self, dimensions: Mapping[str, str]) -> Usage | Unknown:
        async def ask() -> Usage:
            now = datetime.now(UTC)
            async with self._client(clients.CLOUDWATCH) as client:
                answer = await client.get_metric_data(
                    MetricDataQueries=[
                        {
                            "Id": metric.lower(),
                            "MetricStat": {
                                "Metric": {
                                    "Namespace": "AWS/Usage",
                                    "MetricName": metric,
                                    "Dimensions": [
                                        {"Name": name, "Value": value}
                                        for name, value in dimensions.items()
                                    ],
                                },
                                "Period": _FIVE_MINUTES,
                                "Stat": "Sum",
                            },
                        }
                        for metric in ("CallCount", "ThrottleCount")
                    ],
                    StartTime=now - timedelta(hours=1),
                    EndTime=now,
                )
            counted = {metric["Id"]: metric["Values"] for metric in answer["MetricDataResults"]}
            return Usage(
                peak=max(counted["callcount"], default=0.0) / _FIVE_MINUTES,
                throttled=round(sum(counted["throttlecount"])),
            )

        return await self._ask("cloudwatch:GetMetricData", ask)

    def _client(
        self, service: clients.Service[C], region: str = ""
    ) -> AbstractAsyncContextManager[C]:
        return clients.signed_client(
            self._target, service, made=self._session, region=region, attempts=_ATTEMPTS
        )

    async def _ask(
        self, permission: str, question: Callable[[], Awaitable[T]], *, within: float | None = None
    ) -> T | Unknown:
        """Put one question; whatever goes wrong with it is its answer."""
        if self._none is not None:
            return Unknown(permission, self._none.why, self._none.detail)
        try:
            with anyio.fail_after(self._within if within is None else within):
                return await question()
        except TimeoutError:
            return Unknown(permission, Why.SILENT)
        except ClientError as error:
            return Unknown(permission, *_refusal(error))
        except no_credentials() as error:
            return Unknown(permission, Why.CREDENTIALS, type(error).__name__)
        except _UNREACHABLE as error:
            return Unknown(permission, Why.UNREACHABLE, type(error).__name__)
        except credentials.BadCredentials as error:
            return Unknown(permission, Why.CREDENTIALS, str(error).removesuffix("."))
        except clients.NotAsked:
            return Unknown(permission, Why.NOT_ASKED)
        except (SettingsError, BotoCoreError, OSError) as error:
            return Unknown(permission, Why.FAILED, type(error).__name__)
        except Exception as error:  # whatever it is: the check must not harm the run
            return Unknown(permission, Why.UNREADABLE, type(error).__name__)


def _refusal(error: ClientError) -> tuple[Why, str]:
    code = code_of(error)
    for why, codes in (
        (Why.FORBIDDEN, FORBIDDEN),
        (Why.CREDENTIALS, BAD_CREDENTIALS),
        (Why.THROTTLED, THROTTLED),
        (Why.NOT_FOUND, _NOT_FOUND),
    ):
        if code in codes:
            return why, printable(code)
    if code.isdigit() or not code:
        return Why.UNREADABLE, printable(code)  # the SDK found no error of AWS's in the answer
    return Why.FAILED, printable(code)


def _pool(response: Mapping[str, Any]) -> PoolFacts:
    mail = response.get("EmailConfiguration") or {}
    return PoolFacts(
        account=_of_arn(response.get("Arn") or "", 4),
        verifies=tuple(map(str, response.get("AutoVerifiedAttributes") or ())),
        aliases=tuple(map(str, response.get("AliasAttributes") or ())),
        by_ses=mail.get("EmailSendingAccount") == "DEVELOPER",
        source_arn=str(mail.get("SourceArn") or ""),
        triggers=tuple(
            sorted(name for name, value in (response.get("LambdaConfig") or {}).items() if value)
        ),
        sms_failure=printable(str(response.get("SmsConfigurationFailure") or "")),
        # Absent in pools made before 2020-02-12, or by other means than the console: sensitive.
        case_sensitive=(response.get("UsernameConfiguration") or {}).get("CaseSensitive")
        is not False,
        users=int(response.get("EstimatedNumberOfUsers") or 0),
        tier=str(response.get("UserPoolTier") or ""),
    )


def _app_client(response: Mapping[str, Any], given: str | None) -> ClientFacts:
    needed = response.get("ClientSecret")
    if needed:
        if given is None:
            secret = Secret.MISSING
        else:
            same = hmac.compare_digest(str(needed).encode(), given.encode())
            secret = Secret.MATCHES if same else Secret.DIFFERS
    else:
        secret = Secret.NOT_NEEDED if given is None else Secret.SUPERFLUOUS
    return ClientFacts(
        secret=secret, hides_existence=response.get("PreventUserExistenceErrors") == "ENABLED"
    )


def _of_arn(arn: str, part: int) -> str:
    """Give a part of an ARN: 3 is the Region, 4 the account."""
    parts = str(arn).split(":")
    return parts[part] if len(parts) > part else ""


def _positive(value: Any) -> float:
    number = float(value)
    if not number > 0:
        raise ValueError("a quota is above 0")
    return number
