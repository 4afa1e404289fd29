"""Sessions and clients, made in one way for all modules that call AWS.

Two kinds. The client for resending is unsigned (the operation needs no credentials),
makes one attempt, follows no redirect and validates nothing again. All others are signed
and may retry, because they only read, or write what may be written twice.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from batch_resend.aws import credentials, tls
from batch_resend.aws.endpoints import (
    AwsTarget,
    check_endpoint,
    check_proxy,
    is_aws,
    is_below_amazon,
    origin_of,
    variable_of,
)
from batch_resend.errors import SettingsError
from batch_resend.version import __version__
from batch_resend.wording import listed

if TYPE_CHECKING:
    from aiobotocore.session import AioSession
    from types_aiobotocore_cloudtrail import CloudTrailClient
    from types_aiobotocore_cloudwatch import CloudWatchClient
    from types_aiobotocore_cognito_idp import CognitoIdentityProviderClient
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_secretsmanager import SecretsManagerClient
    from types_aiobotocore_service_quotas import ServiceQuotasClient
    from types_aiobotocore_sesv2 import SESV2Client
    from types_aiobotocore_ssm import SSMClient
    from types_aiobotocore_sts import STSClient

C = TypeVar("C")


class Service(str, Generic[C]):
    """A service's name in the SDK, with the type of its client."""

    __slots__ = ()


COGNITO: Service[CognitoIdentityProviderClient] = Service("cognito-idp")
CLOUDTRAIL: Service[CloudTrailClient] = Service("cloudtrail")
CLOUDWATCH: Service[CloudWatchClient] = Service("cloudwatch")
DYNAMODB: Service[DynamoDBClient] = Service("dynamodb")
S3: Service[S3Client] = Service("s3")
SECRETS_MANAGER: Service[SecretsManagerClient] = Service("secretsmanager")
SERVICE_QUOTAS: Service[ServiceQuotasClient] = Service("service-quotas")
SES: Service[SESV2Client] = Service("sesv2")
SNS: Service[Any] = Service("sns")
SSM: Service[SSMClient] = Service("ssm")
STS: Service[STSClient] = Service("sts")


@dataclass(frozen=True, slots=True)
class Session:
    """aioboto3's session, and the session of aiobotocore below it."""

    sdk: Any  #: aioboto3 has no types; a client is typed where it is opened
    core: AioSession


_COGNITO_ID = "Cognito Identity Provider"  #: the service's ID in the SDK's models
_KEEP_ALIVE = 10.0  #: seconds; shorter than a server's, so that no stale connection is used

_TAUGHT = Path(__file__).with_name("models")  #: operations that an older SDK does not know


class NotAsked(SettingsError):
    """AWS's own service is not queried while Cognito's endpoint is not AWS's."""


def session(target: AwsTarget) -> Session:
    """Create the SDK's session; raises `SettingsError` for an unknown profile or Region."""
    tls.check_key_log()
    import aioboto3
    from aiobotocore.session import AioSession
    from botocore.exceptions import BotoCoreError

    try:
        taught = AioSession()
        sdk_session = aioboto3.Session(
            botocore_session=taught,
            profile_name=target.profile or None,
            # Like the AWS CLI; the SDK for Python ignores AWS_REGION.
            region_name=target.region or os.environ.get("AWS_REGION") or None,
        )
        # The SDK's own way to extend its models; harmless for an SDK that has the operation.
        taught.get_component("data_loader").search_paths.append(str(_TAUGHT))
        taught.register_component("credential_provider", credentials.SharedCredentials(taught))
        region = sdk_session.region_name
    except BotoCoreError as error:
        raise SettingsError(
            f"AWS's own settings cannot be used ({error}): check --profile and AWS_PROFILE."
        ) from error
    if not region:
        raise SettingsError(
            "No Region is known: give --region (or --user-pool-id, whose prefix is the Region)."
        )
    if region.startswith("cn-"):
        raise SettingsError(
            f"Region {region}: Cognito has no user pools in China, so no codes can be sent."
        )
    if not target.cognito_endpoint:
        _check_region(taught, region)
    tls.check_bundle(taught)
    return Session(sdk_session, taught)


def _check_region(sdk: AioSession, region: str) -> None:
    """Refuse a Region that the SDK does not list, with the nearest names."""
    partitions = sdk.get_component("data_loader").load_data("partitions")["partitions"]
    regions = [
        name for one in partitions for name in one["regions"] if not name.endswith("-global")
    ]
    near = difflib.get_close_matches(region, [name for name in regions if name[:3] != "cn-"])
    # For a new partition the SDK may have only the pattern of the names.
    unlisted = [one["regionRegex"] for one in partitions if not set(one["regions"]) & set(regions)]
    if region in regions or any(re.match(form, region) for form in unlisted):
        return
    hint = f"Did you mean {listed(near, 'or')}?" if near else "Use one such as eu-west-1."
    raise SettingsError(
        f"There is no Region {region!r}. {hint} For a Region that is newer than the SDK, specify"
        " --endpoint-url too."
    )


async def _doubt(sdk: Any) -> str:
    """Return a warning about the Region, or nothing; AWS may have a new one."""
    region = str(sdk.region_name)
    partition = sdk.get_partition_for_region(region)
    regions = await sdk.get_available_regions("cognito-idp", partition)
    if not regions or region in regions:
        return ""
    near = difflib.get_close_matches(region, regions)
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    return f"Region {region} is not known to have Amazon Cognito{hint}. Trying it anyway."


@contextlib.asynccontextmanager
async def resend_client(
    target: AwsTarget,
    *,
    timeout: float,
    concurrency: int,
    note: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[tuple[CognitoIdentityProviderClient, str, str]]:
    """Open the client for resending; yield it with its Region and its endpoint URL.

    `note` is called with a warning about the Region.
    """
    tls.check_key_log()
    from aiobotocore.config import AioConfig
    from botocore import UNSIGNED

    from batch_resend.aws.transport import SingleAttemptTransport

    wire = SingleAttemptTransport()
    session_class: Any = wire.configured  # the SDK calls it as it calls its own class
    sdk = session(target).sdk
    config = AioConfig(
        http_session_cls=session_class,
        connector_args={"keepalive_timeout": _KEEP_ALIVE},
        signature_version=UNSIGNED,
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=timeout / 2,
        read_timeout=timeout,
        max_pool_connections=concurrency,
        parameter_validation=False,
        user_agent=f"batch-resend/{__version__}",
        use_fips_endpoint=_fips(sdk.region_name, target),
    )
    async with contextlib.AsyncExitStack() as stack:
        with _in_words(target, sdk.region_name):
            client = await stack.enter_async_context(
                sdk.client(COGNITO, endpoint_url=target.endpoint_url or None, config=config)
            )
        wire.attach(client)
        endpoint = str(client.meta.endpoint_url)
        # An endpoint from another source follows the same rule.
        check_endpoint(endpoint, origin_of(target, _COGNITO_ID))
        check_proxy(endpoint)
        if is_aws(endpoint) and (doubt := await _doubt(sdk)):
            note(doubt)
        yield client, sdk.region_name, endpoint


@contextlib.contextmanager
def _in_words(target: AwsTarget, region: str) -> Iterator[None]:
    """Turn errors while Cognito's client is created into a `SettingsError`."""
    from botocore.exceptions import BotoCoreError, InvalidRegionError

    try:
        yield
    except InvalidRegionError as error:
        raise SettingsError(
            f"{region!r} is not a Region. Check --region, or the Region in AWS's own settings."
        ) from error
    except ValueError as error:
        raise SettingsError(
            f"Cognito's client cannot be made ({error}): check {origin_of(target, _COGNITO_ID)}."
        ) from error
    except (BotoCoreError, OSError) as error:
        raise SettingsError(f"Cognito's client cannot be made: {error}") from error


@contextlib.asynccontextmanager
async def signed_client(
    target: AwsTarget,
    service: Service[C],
    *,
    aws_session: Session | None = None,
    region: str = "",
    attempts: int = 8,
    timeout: float | None = None,
    connections: int = 10,
) -> AsyncIterator[C]:
    """Open a signed client which may retry. `--endpoint-url` is Cognito's alone.

    `made` is a session to share, `region` replaces the session's; `timeout` is for one
    attempt, in seconds.
    """
    from aiobotocore.config import AioConfig
    from botocore.exceptions import BotoCoreError

    from batch_resend.aws.guarded import GuardedSession

    aws_session = aws_session or session(target)
    await credentials.ready(aws_session.core)
    cognito = service == COGNITO
    session_class: Any = GuardedSession
    config = AioConfig(
        http_session_cls=session_class,
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=timeout or 10,
        read_timeout=timeout or 30,
        max_pool_connections=connections,
        user_agent=f"batch-resend/{__version__}",
        use_fips_endpoint=_fips(aws_session.sdk.region_name, target) if cognito else None,
        # Plain http is allowed on this machine only, where no proxy belongs in between.
        proxies={} if target.cognito_endpoint.startswith("http:") else None,
    )
    async with contextlib.AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(
                aws_session.sdk.client(
                    service,
                    region_name=region or None,
                    endpoint_url=(target.endpoint_url or None) if cognito else None,
                    config=config,
                )
            )
        except (BotoCoreError, ValueError, OSError) as error:
            raise SettingsError(f"The client for {service} cannot be made: {error}") from error
        _check_signed(client, service, target)
        yield client


def _check_signed(client: Any, service: str, target: AwsTarget) -> None:
    """Check a signed client's endpoint; raises `SettingsError` and `NotAsked`."""
    endpoint = str(client.meta.endpoint_url)
    service_id = client.meta.service_model.service_id
    check_endpoint(endpoint, origin_of(target, service_id))
    check_proxy(endpoint)
    if service != COGNITO and target.cognito_is_elsewhere and is_below_amazon(endpoint):
        raise NotAsked(
            f"AWS's own {service} is not asked while Cognito's endpoint is another"
            f" ({target.cognito_endpoint}): set {variable_of(service_id)} to where it is."
        )


def _fips(region: str, target: AwsTarget) -> bool | None:
    # GovCloud has FIPS endpoints only (AWS GovCloud User Guide, "Amazon Cognito"), and
    # the SDK would choose the other; a custom endpoint excludes FIPS.
    return True if region.startswith("us-gov-") and not target.endpoint_url else None
