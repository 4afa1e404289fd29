"""Sessions and clients, made in one way for all that talk to AWS.

Two kinds. The client for resending is unsigned (the operation takes no credentials),
tries once, follows no redirect and validates nothing again. All others are signed and
may retry, for they only read, or write what may be written twice.
"""

from __future__ import annotations

import contextlib
import difflib
import logging
import os
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from batch_resend.aws.endpoints import (
    AwsTarget,
    check_endpoint,
    is_aws,
    is_below_amazon,
    origin_of,
    variable_of,
)
from batch_resend.aws.unreachable import check_proxy
from batch_resend.errors import SettingsError
from batch_resend.version import __version__

if TYPE_CHECKING:
    from types_aiobotocore_cloudwatch import CloudWatchClient
    from types_aiobotocore_cognito_idp import CognitoIdentityProviderClient
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_secretsmanager import SecretsManagerClient
    from types_aiobotocore_service_quotas import ServiceQuotasClient
    from types_aiobotocore_sesv2 import SESV2Client
    from types_aiobotocore_sts import STSClient

C = TypeVar("C")


class Service(str, Generic[C]):
    """A service's name in the SDK, with the type of its client."""

    __slots__ = ()


COGNITO: Service[CognitoIdentityProviderClient] = Service("cognito-idp")
CLOUDWATCH: Service[CloudWatchClient] = Service("cloudwatch")
DYNAMODB: Service[DynamoDBClient] = Service("dynamodb")
S3: Service[S3Client] = Service("s3")
SECRETS_MANAGER: Service[SecretsManagerClient] = Service("secretsmanager")
SERVICE_QUOTAS: Service[ServiceQuotasClient] = Service("service-quotas")
SES: Service[SESV2Client] = Service("sesv2")
STS: Service[STSClient] = Service("sts")

# aioboto3 itself has no types: what is made of its session is typed where it is opened.
Session = Any

_COGNITO_ID = "Cognito Identity Provider"  #: the service's id in the SDK's models
_KEEP_ALIVE = 10.0  #: seconds; shorter than a server's, so that no stale connection is used

_TAUGHT = Path(__file__).with_name("models")  #: operations that an older SDK does not know


class NotAsked(SettingsError):
    """AWS's own service is not asked while Cognito's endpoint is not AWS's."""


def quiet() -> None:
    """Raise the SDK's log level to INFO: its debug log shows names and secret hashes."""
    for name in ("boto3", "botocore", "aiobotocore", "aioboto3", "aiohttp", "urllib3"):
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.INFO))


def session(target: AwsTarget) -> Session:
    """Make the SDK's session; raises `SettingsError` for an unknown profile or Region."""
    import aioboto3
    from aiobotocore.session import AioSession
    from botocore.exceptions import BotoCoreError

    quiet()
    try:
        taught = AioSession()
        made = aioboto3.Session(
            botocore_session=taught,
            profile_name=target.profile or None,
            # As the AWS CLI has it; the SDK for Python does not know AWS_REGION.
            region_name=target.region or os.environ.get("AWS_REGION") or None,
        )
        # The SDK's own way to add to its models; one that knows the operation loses nothing.
        taught.get_component("data_loader").search_paths.append(str(_TAUGHT))
        region = made.region_name
    except BotoCoreError as error:
        raise SettingsError(
            f"AWS's own settings cannot be used ({error}): check --profile and AWS_PROFILE."
        ) from error
    if not region:
        raise SettingsError(
            "No Region is known: give --region (or --user-pool-id, whose beginning is the Region)."
        )
    if region.startswith("cn-"):
        raise SettingsError(
            f"Region {region}: Cognito has no user pools in China, so there is nobody to write to."
        )
    try:
        made.get_partition_for_region(region)
    except BotoCoreError as error:
        if not target.cognito_endpoint:
            raise SettingsError(
                f"There is no Region {region!r}: give one such as eu-west-1, with --region."
            ) from error
    _check_bundle(target)
    return made


def _check_bundle(target: AwsTarget) -> None:
    """Refuse a CA bundle that cannot be used, by its name, which the SDK does not tell."""
    import botocore.session

    path = botocore.session.Session(profile=target.profile or None).get_config_variable("ca_bundle")
    if not path:
        return
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        raise SettingsError(
            f"The CA bundle {path} (AWS_CA_BUNDLE, or ca_bundle in AWS's own settings) cannot be"
            f" used ({error.strerror}): name a file of certificates in PEM form."
        ) from error


async def _doubt(made: Session) -> str:
    """Say what is odd about the Region, if anything is; AWS may have one that is new."""
    region = str(made.region_name)
    partition = made.get_partition_for_region(region)
    known = await made.get_available_regions("cognito-idp", partition)
    if not known or region in known:
        return ""
    near = difflib.get_close_matches(region, known)
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    return f"Region {region} is not known to have Amazon Cognito{hint}: it is asked all the same."


@contextlib.asynccontextmanager
async def resend_client(
    target: AwsTarget,
    *,
    timeout: float,
    concurrency: int,
    note: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[tuple[CognitoIdentityProviderClient, str, str]]:
    """Open the client for resending; yield it with its Region and its endpoint's address.

    `note` hears what is odd about the Region.
    """
    from aiobotocore.config import AioConfig
    from botocore import UNSIGNED
    from botocore.exceptions import BotoCoreError, InvalidRegionError

    from batch_resend.aws.transport import SingleAttemptTransport

    wire = SingleAttemptTransport()
    session_class: Any = wire.configured  # the SDK calls it as it calls its own class
    made = session(target)
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
        use_fips_endpoint=_fips(made.region_name, target),
    )
    async with contextlib.AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(
                made.client(COGNITO, endpoint_url=target.endpoint_url or None, config=config)
            )
        except InvalidRegionError as error:
            raise SettingsError(
                f"{made.region_name!r} is no Region: check --region, or the Region in"
                " AWS's own settings."
            ) from error
        except ValueError as error:
            raise SettingsError(
                f"Cognito's client cannot be made ({error}): check"
                f" {origin_of(target, _COGNITO_ID)}."
            ) from error
        except (BotoCoreError, OSError) as error:
            raise SettingsError(f"Cognito's client cannot be made: {error}") from error
        wire.attach(client)
        endpoint = str(client.meta.endpoint_url)
        # An endpoint from elsewhere is held to the same rule.
        check_endpoint(endpoint, origin_of(target, _COGNITO_ID))
        check_proxy(endpoint)
        if is_aws(endpoint) and (doubt := await _doubt(made)):
            note(doubt)
        yield client, made.region_name, endpoint


@contextlib.asynccontextmanager
async def signed_client(
    target: AwsTarget,
    service: Service[C],
    *,
    made: Session = None,
    region: str = "",
    attempts: int = 8,
    timeout: float | None = None,
    connections: int = 10,
) -> AsyncIterator[C]:
    """Open a signed client which may retry. `--endpoint-url` is Cognito's alone.

    `made` is a session to share, `region` another one than the session's; `timeout` is for
    one try, in seconds.
    """
    from aiobotocore.config import AioConfig
    from botocore.exceptions import BotoCoreError

    made = made or session(target)
    cognito = service == COGNITO
    config = AioConfig(
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=timeout or 10,
        read_timeout=timeout or 30,
        max_pool_connections=connections,
        user_agent=f"batch-resend/{__version__}",
        use_fips_endpoint=_fips(made.region_name, target) if cognito else None,
        # Plain http is allowed on this machine only, where no proxy belongs in between.
        proxies={} if target.cognito_endpoint.startswith("http:") else None,
    )
    async with contextlib.AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(
                made.client(
                    service,
                    region_name=region or None,
                    endpoint_url=(target.endpoint_url or None) if cognito else None,
                    config=config,
                )
            )
        except (BotoCoreError, ValueError, OSError) as error:
            raise SettingsError(f"The client for {service} cannot be made: {error}") from error
        endpoint = str(client.meta.endpoint_url)
        service_id = client.meta.service_model.service_id
        check_endpoint(endpoint, origin_of(target, service_id))
        check_proxy(endpoint)
        if not cognito and target.cognito_is_elsewhere and is_below_amazon(endpoint):
            raise NotAsked(
                f"AWS's own {service} is not asked while Cognito's endpoint is another"
                f" ({target.cognito_endpoint}): set {variable_of(service_id)} to where it is."
            )
        yield client


def _fips(region: str, target: AwsTarget) -> bool | None:
    # GovCloud has FIPS endpoints only (AWS GovCloud User Guide, "Amazon Cognito"), and
    # the SDK would choose the other; a custom endpoint excludes FIPS.
    return True if region.startswith("us-gov-") and not target.endpoint_url else None
