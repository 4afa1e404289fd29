"""Moments, users and requests for the simulated Cognito."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from batch_resend.simulator.pool import User
from batch_resend.simulator.setup import Client, PoolSettings

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()


POOL_ID = PoolSettings().pool_id


def ask(username: str, **more: Any) -> dict[str, Any]:
    return {"ClientId": Client().client_id, "Username": username, **more}


ADA = User("ada", {"email": 'a"da@example.com', "name": "Ada"}, created=NOON)


UNCONFIRMED = 'cognito:user_status = "UNCONFIRMED"'
