"""The simulated client, pool and outages, as a test or an operator sets them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from batch_resend.simulator.pool import Kind

#: Mails a day by Cognito's own sender, for the whole account. Cognito's quotas.
DEFAULT_MAIL_QUOTA = 50
#: Users on a page of ListUsers, at most. Service model.


@dataclass(frozen=True, slots=True)
class Client:
    """The app client."""

    client_id: str = "simulatedclient"
    secret: str | None = None
    prevent_user_existence_errors: bool = False

    def __repr__(self) -> str:
        """Show the ID, never the secret."""
        return f"Client(client_id={self.client_id!r})"


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """The user pool.

    `mail_quota` is the number of mails a day by Cognito's own sender (`DEFAULT_MAIL_QUOTA`);
    None is a pool that sends with Amazon SES. With `empty_pages` every other page of a
    listing is empty and carries a token, as the service may answer.
    """

    pool_id: str = "us-east-1_Simulated"
    auto_verified: tuple[str, ...] = ("email",)
    mail_quota: int | None = None
    empty_pages: bool = False


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which every request fares as that of one kind of user does."""

    kind: Kind
    start: float = -math.inf
    end: float = math.inf
