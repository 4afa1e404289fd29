"""The calls that fetch an app client's secret: from Cognito, Secrets Manager or Parameter Store.

The promise: a secret is returned and stored nowhere; every failure is a `SettingsError` that
does not show it.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from batch_resend.aws.clients import COGNITO, SECRETS_MANAGER, SSM, signed_client
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.aws.refusals import clock_is_off, code_of
from batch_resend.errors import SettingsError

T = TypeVar("T")


async def client_secret(target: AwsTarget, user_pool_id: str, client_id: str) -> str | None:
    """Fetch the app client's secret from Cognito (DescribeUserPoolClient); None if it has none."""
    async with signed_client(target, COGNITO) as client:
        answer = await _read(
            client.describe_user_pool_client(UserPoolId=user_pool_id, ClientId=client_id),
            f"app client {client_id} of {user_pool_id}",
            "cognito-idp:DescribeUserPoolClient",
        )
    if not isinstance(described := answer.get("UserPoolClient"), dict):
        raise SettingsError(
            "The endpoint that should know the client secret does not respond as Amazon Cognito"
            " does. Check --endpoint-url, the Region and any proxy."
        )
    secret = described.get("ClientSecret")
    return str(secret) if secret else None


async def stored_secret(target: AwsTarget, secret_id: str) -> str:
    """Fetch the text of a secret from Secrets Manager."""
    async with signed_client(target, SECRETS_MANAGER) as client:
        answer = await _read(
            client.get_secret_value(SecretId=secret_id),
            f"secret {secret_id}",
            "secretsmanager:GetSecretValue",
        )
    text = answer.get("SecretString")
    if not text:
        raise SettingsError(f"The secret {secret_id} holds no text. Store the secret as text.")
    return str(text)


def is_parameter(secret_id: str) -> bool:
    """Whether an ID names a parameter of Systems Manager: `ssm:NAME`, or its ARN."""
    return secret_id.startswith("ssm:") or secret_id.split(":")[2:3] == ["ssm"]


async def stored_parameter(target: AwsTarget, parameter_id: str) -> str:
    """Fetch the text of a parameter from Systems Manager, decrypted."""
    async with signed_client(target, SSM) as client:
        answer = await _read(
            client.get_parameter(Name=parameter_id.removeprefix("ssm:"), WithDecryption=True),
            f"parameter {parameter_id}",
            "ssm:GetParameter, and kms:Decrypt for a key of your own",
        )
    text = answer.get("Parameter", {}).get("Value")
    if not text:
        raise SettingsError(f"The parameter {parameter_id} is empty. Store the secret as it.")
    return str(text)


async def _read(call: Awaitable[T], what: str, permission: str) -> T:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return await call
    except ClientError as error:
        if off := clock_is_off(error):
            raise SettingsError(off) from error
        raise SettingsError(
            f"AWS does not return the {what} ({code_of(error)}). Check the name and Region, and"
            f" that the credentials allow {permission}."
        ) from error
    except BotoCoreError as error:
        raise SettingsError(
            f"The {what} cannot be fetched from AWS ({type(error).__name__}). Check credentials,"
            " Region and network."
        ) from error
