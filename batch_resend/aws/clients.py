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
import re
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from batch_resend.errors import SettingsError
from batch_resend.version import __version__

_KEEP_ALIVE = 10.0  #: seconds; shorter than a server's, so that no stale connection is used
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_COGNITO_VARIABLE = "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER"

# The partitions' names for hosts (botocore's `partitions.json`), and those of interface
# VPC endpoints.
_AMAZON = re.compile(r"\.(amazonaws\.com(\.cn)?|api\.aws|amazonaws\.eu)(?=[:/]|\Z)")
_COGNITO = re.compile(
    r"(vpce-[a-z0-9-]+\.)?cognito-idp(-fips)?\.[a-z0-9-]+\.(vpce\.)?"
    r"(amazonaws\.com(\.cn)?|api\.aws|amazonaws\.eu)"
)
_TAUGHT = Path(__file__).with_name("models")  #: operations that an older SDK does not know

# What AWS's services answer, by what it means.
THROTTLED = {
    "TooManyRequestsException",
    "ThrottlingException",
    "Throttling",
    "RequestLimitExceeded",
}
FORBIDDEN = {"NotAuthorizedException", "AccessDeniedException", "AccessDenied"}
BAD_CREDENTIALS = {
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "AuthFailure",
}


class NotAsked(SettingsError):
    """AWS's own service is not asked while Cognito's endpoint is not AWS's."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where Cognito is and who asks; empty values mean AWS's own defaults."""

    region: str = ""
    profile: str = ""
    endpoint_url: str = ""
    origin: str = "--endpoint-url"  #: what the endpoint was given by

    def __post_init__(self) -> None:
        """Refuse plain http to any address but the loopback."""
        try:
            parts = urlsplit(self.endpoint_url)
            _ = parts.port
        except ValueError as error:
            raise SettingsError(f"{self.origin} is no address ({error}).") from error
        if self.endpoint_url and (parts.scheme not in {"http", "https"} or not parts.hostname):
            raise SettingsError(
                f"{self.origin} {self.endpoint_url!r} is no address: give it as"
                " https://host or, on this machine, http://127.0.0.1:PORT."
            )
        if parts.username or parts.password:
            raise SettingsError(f"{self.origin} holds a user name or password: leave them out.")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise SettingsError(
                f"{self.origin} {self.endpoint_url} would send names and secret hashes"
                " unencrypted: use https (plain http only to 127.0.0.1)."
            )

    @property
    def cognito_endpoint(self) -> str:
        """Cognito's address where it is set: by the option, else by AWS's own variable."""
        return self.endpoint_url or os.environ.get(_COGNITO_VARIABLE, "")


def quiet() -> None:
    """Keep the SDK's debug log, which shows names and secret hashes, out of any log."""
    for name in ("boto3", "botocore", "aiobotocore", "aioboto3", "aiohttp", "urllib3"):
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.INFO))


def session(place: Place) -> Any:
    """Make the SDK's session; raises `SettingsError` for an unknown profile or Region."""
    import aioboto3
    from aiobotocore.session import AioSession
    from botocore.exceptions import BotoCoreError

    quiet()
    try:
        taught = AioSession()
        made = aioboto3.Session(
            botocore_session=taught,
            profile_name=place.profile or None,
            # As the AWS CLI has it; the SDK for Python does not know AWS_REGION.
            region_name=place.region or os.environ.get("AWS_REGION") or None,
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
        if not place.cognito_endpoint:
            raise SettingsError(
                f"There is no Region {region!r}: give one such as eu-west-1, with --region."
            ) from error
    _check_bundle(place)
    return made


def _check_bundle(place: Place) -> None:
    """Refuse a CA bundle that cannot be used, by its name, which the SDK does not tell."""
    import botocore.session

    path = botocore.session.Session(profile=place.profile or None).get_config_variable("ca_bundle")
    if not path:
        return
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        raise SettingsError(
            f"The CA bundle {path} (AWS_CA_BUNDLE, or ca_bundle in AWS's own settings) cannot be"
            f" used ({error.strerror}): name a file of certificates in PEM form."
        ) from error


async def _doubt(made: Any) -> str:
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
    place: Place,
    *,
    timeout: float,
    concurrency: int,
    note: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[tuple[Any, str, str]]:
    """Open the client for resending; yield it with its Region and its endpoint's address.

    `note` hears what is odd about the Region.
    """
    from aiobotocore.config import AioConfig
    from botocore import UNSIGNED
    from botocore.exceptions import BotoCoreError, InvalidRegionError

    from batch_resend.aws.transport import OneShot

    wire = OneShot()
    made = session(place)
    config = AioConfig(
        http_session_cls=wire.configured,
        connector_args={"keepalive_timeout": _KEEP_ALIVE},
        signature_version=UNSIGNED,
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=timeout / 2,
        read_timeout=timeout,
        max_pool_connections=concurrency,
        parameter_validation=False,
        user_agent=f"batch-resend/{__version__}",
        use_fips_endpoint=_fips(made.region_name, place),
    )
    async with contextlib.AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(
                made.client("cognito-idp", endpoint_url=place.endpoint_url or None, config=config)
            )
        except InvalidRegionError as error:
            raise SettingsError(
                f"{made.region_name!r} is no Region: check --region, or the Region in"
                " AWS's own settings."
            ) from error
        except ValueError as error:
            raise SettingsError(
                f"Cognito's client cannot be made ({error}): check"
                f" {_origin(place, _COGNITO_VARIABLE)}."
            ) from error
        except (BotoCoreError, OSError) as error:
            raise SettingsError(f"Cognito's client cannot be made: {error}") from error
        wire.attach(client)
        endpoint = str(client.meta.endpoint_url)
        # An address from elsewhere is held to the same rule.
        Place(endpoint_url=endpoint, origin=_origin(place, _COGNITO_VARIABLE))
        if is_aws(endpoint) and (doubt := await _doubt(made)):
            note(doubt)
        yield client, made.region_name, endpoint


@contextlib.asynccontextmanager
async def signed_client(
    place: Place,
    service: str,
    *,
    made: Any = None,
    region: str = "",
    attempts: int = 8,
    timeout: float | None = None,
    connections: int = 10,
) -> AsyncIterator[Any]:
    """Open a signed client which may retry. `--endpoint-url` is Cognito's alone.

    `made` is a session to share, `region` another one than the session's; `timeout` is for
    one try, in seconds.
    """
    from aiobotocore.config import AioConfig
    from botocore.exceptions import BotoCoreError

    made = made or session(place)
    cognito = service == "cognito-idp"
    config = AioConfig(
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=timeout or 10,
        read_timeout=timeout or 30,
        max_pool_connections=connections,
        user_agent=f"batch-resend/{__version__}",
        use_fips_endpoint=_fips(made.region_name, place) if cognito else None,
        # Plain http is allowed on this machine only, where no proxy belongs in between.
        **({"proxies": {}} if place.cognito_endpoint.startswith("http:") else {}),
    )
    async with contextlib.AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(
                made.client(
                    service,
                    region_name=region or None,
                    endpoint_url=(place.endpoint_url or None) if cognito else None,
                    config=config,
                )
            )
        except (BotoCoreError, ValueError, OSError) as error:
            raise SettingsError(f"The client for {service} cannot be made: {error}") from error
        endpoint = str(client.meta.endpoint_url)
        variable = "AWS_ENDPOINT_URL_" + client.meta.service_model.service_id.upper().replace(
            " ", "_"
        )
        given = place if cognito else replace(place, endpoint_url="")
        Place(endpoint_url=endpoint, origin=_origin(given, variable))
        foreign = place.cognito_endpoint and not is_aws(place.cognito_endpoint)
        if not cognito and foreign and _AMAZON.search(endpoint):
            raise NotAsked(
                f"AWS's own {service} is not asked while Cognito's endpoint is another"
                f" ({place.cognito_endpoint}): set {variable} to where it is."
            )
        yield client


def no_credentials() -> tuple[type[Exception], ...]:
    """Name what the SDK raises where it finds no valid credentials to ask with."""
    from botocore import exceptions as sdk

    return (
        sdk.CredentialRetrievalError,
        sdk.NoAuthTokenError,
        sdk.NoCredentialsError,
        sdk.PartialCredentialsError,
        sdk.SSOError,
        sdk.TokenRetrievalError,
    )


def code_of(error: Any) -> str:
    """Give the error code of an SDK's `ClientError`."""
    return str(error.response.get("Error", {}).get("Code") or "")


def same_endpoint(endpoint: str) -> str:
    """Write an endpoint's address in one way, however it was spelt."""
    parts = urlsplit(endpoint)
    host = (parts.hostname or "").rstrip(".")
    if host in _LOOPBACK:
        host = "127.0.0.1"
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/')}"


def is_aws(endpoint: str) -> bool:
    """Whether an endpoint's address is one of AWS's own for Cognito user pools.

    Not every host below amazonaws.com is AWS's: anybody can have one (EC2, API Gateway).
    """
    return _COGNITO.fullmatch(urlsplit(endpoint).hostname or "") is not None


def _origin(place: Place, variable: str) -> str:
    """Name what an endpoint was given by: the option, a variable, or AWS's own files."""
    if place.endpoint_url:
        return place.origin
    found = (name for name in (variable, "AWS_ENDPOINT_URL") if os.environ.get(name))
    return next(found, "endpoint_url in AWS's own settings")


def _fips(region: str, place: Place) -> bool | None:
    # GovCloud has FIPS endpoints only (AWS GovCloud User Guide, "Amazon Cognito"), and
    # the SDK would choose the other; a custom endpoint excludes FIPS.
    return True if region.startswith("us-gov-") and not place.endpoint_url else None


async def client_secret(place: Place, user_pool_id: str, client_id: str) -> str | None:
    """Ask Cognito for the app client's secret (DescribeUserPoolClient); None if it has none."""
    async with signed_client(place, "cognito-idp") as client:
        answer = await _read(
            client.describe_user_pool_client(UserPoolId=user_pool_id, ClientId=client_id),
            f"app client {client_id} of {user_pool_id}",
            "cognito-idp:DescribeUserPoolClient",
        )
    if not isinstance(described := answer.get("UserPoolClient"), dict):
        raise SettingsError(
            "The endpoint that should know the client secret does not answer as Amazon Cognito"
            " does: check --endpoint-url, the Region and any proxy."
        )
    secret = described.get("ClientSecret")
    return str(secret) if secret else None


async def stored_secret(place: Place, secret_id: str) -> str:
    """Fetch the text of a secret from Secrets Manager."""
    async with signed_client(place, "secretsmanager") as client:
        answer = await _read(
            client.get_secret_value(SecretId=secret_id),
            f"secret {secret_id}",
            "secretsmanager:GetSecretValue",
        )
    text = answer.get("SecretString")
    if not text:
        raise SettingsError(f"The secret {secret_id} holds no text: store the client secret as it.")
    return str(text)


async def _read(call: Any, what: str, permission: str) -> Any:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return await call
    except ClientError as error:
        raise SettingsError(
            f"AWS does not give the {what} ({code_of(error)}): check the name and Region, and that"
            f" the credentials allow {permission}."
        ) from error
    except BotoCoreError as error:
        raise SettingsError(
            f"AWS cannot be asked for the {what} ({type(error).__name__}): check credentials,"
            " Region and network."
        ) from error
