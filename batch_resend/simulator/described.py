"""User, pool and app client, as Cognito describes them. Pure."""

from __future__ import annotations

from typing import Any

from batch_resend.simulator.pool import User
from batch_resend.simulator.setup import Client, PoolSettings


def described_user(user: User) -> dict[str, Any]:
    """Return a user as ListUsers has it."""
    return {
        "Username": user.username,
        "Attributes": [{"Name": name, "Value": value} for name, value in user.attributes.items()],
        "UserCreateDate": user.created,
        "UserLastModifiedDate": user.created,
        "Enabled": user.enabled,
        "UserStatus": user.status,
    }


def described_pool(settings: PoolSettings, users: int) -> dict[str, Any]:
    """Return a pool of so many users as DescribeUserPool has it."""
    by_default = settings.mail_quota is not None
    return {
        "Id": settings.pool_id,
        "Name": "simulated",
        "AutoVerifiedAttributes": list(settings.auto_verified),
        "UsernameAttributes": ["email"],
        "UsernameConfiguration": {"CaseSensitive": True},
        "LambdaConfig": {},
        "EmailConfiguration": {
            "EmailSendingAccount": "COGNITO_DEFAULT" if by_default else "DEVELOPER"
        },
        "EstimatedNumberOfUsers": users,
        "UserPoolTier": "ESSENTIALS",
    }


def described_client(settings: PoolSettings, client: Client) -> dict[str, Any]:
    """Return an app client as DescribeUserPoolClient has it, with the secret if there is one."""
    prevents = client.prevent_user_existence_errors
    return {
        "UserPoolId": settings.pool_id,
        "ClientId": client.client_id,
        "ClientName": "simulated",
        "PreventUserExistenceErrors": "ENABLED" if prevents else "LEGACY",
        **({"ClientSecret": client.secret} if client.secret else {}),
    }
