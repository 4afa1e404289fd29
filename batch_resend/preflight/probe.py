"""The calls that find out what `check` judges: side by side, each bounded in time.

Nothing here fails: whatever a call meets (no credentials, no permission, no room, silence,
a captive portal's page) becomes an `Unknown` with its reason. Everything only reads. The
client secret is compared here, in constant time, and goes no further.
"""

from __future__ import annotations

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

from batch_resend.aws import clients, credentials, usage_metric
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.aws.refusals import BAD_CREDENTIALS, FORBIDDEN, THROTTLED, code_of, no_credentials
from batch_resend.errors import SettingsError
from batch_resend.masking import printable
from batch_resend.preflight import reach
from batch_resend.preflight.answers import of_arn, positive, read_client, read_pool, read_reasons
from batch_resend.preflight.facts import (
    ELSEWHERE,
    ClientFacts,
    Facts,
    PoolFacts,
    SesFacts,
    Unknown,
    Usage,
    Why,
)

WITHIN = 10.0  #: seconds for one question, of which a slow machine needs some for the SDK
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
    keep: reach.Keep = lambda _: None,
    thorough: bool = False,
) -> Facts:
    """Determine the facts; never raises.

    Takes at most five times `within`, and as long as the lists of addresses that get nothing
    are; `keep` receives these. `thorough` asks also what only `check` shows.
    """
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
        ses = Unknown("ses:GetAccount", Why.FAILED, ELSEWHERE)
    facts = Facts(
        pool=pool,
        client=client.value,
        provisioned=provisioned.value,
        applied=applied,
        ses=ses,
        usage=usage,
        account=account.value,
    )
    return await reach.find_out(
        asked, facts, user_pool_id=user_pool_id, keep=keep, thorough=thorough
    )


class _Answer(Generic[T]):
    """The answer to one of several questions that are asked side by side."""

    value: T

    def __init__(self, question: Callable[[], Awaitable[T]]) -> None:
        self._question = question

    async def fetch(self) -> None:
        """Make the call and keep its result."""
        self.value = await self._question()


def _elsewhere(pool: PoolFacts | Unknown, account: str | Unknown) -> bool:
    """Whether the SES identity that the pool sends with is another account's."""
    if isinstance(pool, Unknown) or not pool.source_arn:
        return False
    ours = pool.account if isinstance(account, Unknown) else account
    return bool(ours) and of_arn(pool.source_arn, 4) != ours


class Probe:
    """The questions, one method each, with one session for all."""

    def __init__(self, target: AwsTarget, within: float) -> None:
        self._target = target
        self.within = within  #: seconds for one question, or one page of a list
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

        result = await self.ask("", find)
        if result is not None and not isinstance(result, Unknown):
            result = await self.ask("", ask_for_code, within=math.inf)  # a person takes their time
        if result is None:
            self._none = Unknown("", Why.CREDENTIALS)
        elif isinstance(result, Unknown):
            self._none = result

    async def account(self) -> str | Unknown:
        """Return the account of the credentials."""

        async def ask() -> str:
            async with self.client_of(clients.STS) as client:
                return str((await client.get_caller_identity())["Account"])

        return await self.ask("sts:GetCallerIdentity", ask)

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
            async with self.client_of(clients.COGNITO) as client:
                answer = await client.describe_user_pool(UserPoolId=user_pool_id)
            return read_pool(answer["UserPool"])

        return await self.ask("cognito-idp:DescribeUserPool", ask)

    async def client(
        self, user_pool_id: str, client_id: str, secret: str | None
    ) -> ClientFacts | Unknown:
        """Ask for the app client, and compare its secret with the one that is used."""

        async def ask() -> ClientFacts:
            async with self.client_of(clients.COGNITO) as client:
                answer = await client.describe_user_pool_client(
                    UserPoolId=user_pool_id, ClientId=client_id
                )
            return read_client(answer["UserPoolClient"], secret)

        return await self.ask("cognito-idp:DescribeUserPoolClient", ask)

    async def provisioned(self) -> float | Unknown:
        """Ask for the rate that Cognito enforces now."""

        async def ask() -> float:
            async with self.client_of(clients.COGNITO) as client:
                taught: Any = client  # newer than the SDK's types
                answer = await taught.get_provisioned_limit(
                    LimitDefinition={
                        "LimitClass": "API_CATEGORY",
                        "Attributes": {"Category": CATEGORY},
                    }
                )
            return positive(answer["Limit"]["ProvisionedLimitValue"])

        return await self.ask("cognito-idp:GetProvisionedLimit", ask)

    async def _applied(self) -> tuple[float | Unknown, Mapping[str, str]]:
        """Ask for the quota, and for the dimensions under which CloudWatch counts its use."""
        dimensions: Mapping[str, str] = _USAGE_DIMENSIONS

        async def ask() -> float:
            nonlocal dimensions
            which = {"ServiceCode": "cognito-idp", "QuotaCode": QUOTA_CODE}
            async with self.client_of(clients.SERVICE_QUOTAS) as client:
                try:
                    answer = await client.get_service_quota(**which)
                except ClientError as error:
                    if code_of(error) not in _NOT_FOUND:
                        raise
                    answer = await client.get_aws_default_service_quota(**which)
            quota = answer["Quota"]
            of_quota = (quota.get("UsageMetric") or {}).get("MetricDimensions")
            dimensions = of_quota or dimensions
            return positive(quota["Value"])

        rate = await self.ask("servicequotas:GetServiceQuota", ask)
        return rate, dimensions

    async def _ses(self, pool: PoolFacts | Unknown) -> SesFacts | Unknown | None:
        if isinstance(pool, Unknown) or not pool.by_ses or "email" not in pool.verifies:
            return None

        async def ask() -> SesFacts:
            async with self.client_of(clients.SES, self.ses_region(pool)) as client:
                answer = await client.get_account()
            quota = answer["SendQuota"]
            return SesFacts(
                sandbox=not answer["ProductionAccessEnabled"],
                sending=bool(answer["SendingEnabled"]),
                status=str(answer.get("EnforcementStatus", "HEALTHY")),
                a_day=float(quota["Max24HourSend"]),
                sent=float(quota.get("SentLast24Hours", 0)),
                a_second=float(quota["MaxSendRate"]),
                suppresses=read_reasons(answer.get("SuppressionAttributes")),
            )

        return await self.ask("ses:GetAccount", ask)

    async def _usage(self, dimensions: Mapping[str, str]) -> Usage | Unknown:
        async def ask() -> Usage:
            now = datetime.now(UTC)
            async with self.client_of(clients.CLOUDWATCH) as client:
                answer = await client.get_metric_data(
                    MetricDataQueries=usage_metric.queries(dimensions, _FIVE_MINUTES),
                    StartTime=now - timedelta(hours=1),
                    EndTime=now,
                )
            counted = {series["Id"]: series["Values"] for series in answer["MetricDataResults"]}
            return Usage(
                peak=max(counted["callcount"], default=0.0) / _FIVE_MINUTES,
                throttled=round(sum(counted["throttlecount"])),
                dimensions=dimensions,
            )

        return await self.ask("cloudwatch:GetMetricData", ask)

    def ses_region(self, pool: PoolFacts) -> str:
        """Return the Region of the SES identity that a pool sends with."""
        return of_arn(pool.source_arn, 3) or self._target.region

    def client_of(
        self, service: clients.Service[C], region: str = ""
    ) -> AbstractAsyncContextManager[C]:
        """Open a client with the session of all."""
        return clients.signed_client(
            self._target, service, aws_session=self._session, region=region, attempts=_ATTEMPTS
        )

    async def ask(
        self, permission: str, question: Callable[[], Awaitable[T]], *, within: float | None = None
    ) -> T | Unknown:
        """Make one call; return its result, or an `Unknown` that describes the failure."""
        if self._none is not None:
            return Unknown(permission, self._none.why, self._none.detail)
        try:
            with anyio.fail_after(self.within if within is None else within):
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
