"""The backend of a run: Cognito at AWS, or the simulator in its place."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from batch_resend.aws import clients
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.aws.tls import check_key_log
from batch_resend.job.attempt import Sender
from batch_resend.job.pace import DEFAULT_QUOTA
from batch_resend.settings import LedgerTarget, Settings

SIMULATED_CLIENT = "simulated"
SIMULATED_POOL = "us-east-1_Simulated"
SIMULATED_USERS = 500
_SIMULATED_LATENCY = 0.06  #: seconds: as far away as another Region of the same continent


@dataclass(frozen=True, slots=True)
class Backend:
    """Cognito, or what stands in for it."""

    sender: Sender
    listing: Any  #: a client that has `list_users`, where users are listed
    region: str
    endpoint: str


def target_of(settings: Settings | LedgerTarget) -> AwsTarget:
    """Return where Cognito is, and who asks."""
    return AwsTarget(settings.pool_region, settings.profile, settings.endpoint_url)


@contextlib.asynccontextmanager
async def open_backend(
    settings: Settings, now: float, note: Callable[[str], None], *, listed: bool
) -> AsyncIterator[Backend]:
    """Open the backend of the settings, and the listing too if users are listed.

    Raises `SettingsError`.
    """
    if settings.simulate:
        async with _simulator(settings, now, listed=listed) as backend:
            yield backend
        return
    check_key_log()  # before the libraries are imported that trip over it
    from batch_resend.aws.sender import AwsSender

    target = target_of(settings)
    async with contextlib.AsyncExitStack() as stack:
        client, region, endpoint = await stack.enter_async_context(
            clients.resend_client(
                target, timeout=settings.timeout, concurrency=settings.concurrency, note=note
            )
        )
        listing = None
        if listed:
            signed = clients.signed_client(target, clients.COGNITO)
            listing = await stack.enter_async_context(signed)
        yield Backend(AwsSender(client), listing, region, endpoint)


@contextlib.asynccontextmanager
async def _simulator(settings: Settings, now: float, *, listed: bool) -> AsyncIterator[Backend]:
    from batch_resend.simulator.pool import Pool, make_users
    from batch_resend.simulator.quota import Quota
    from batch_resend.simulator.rules import Cognito
    from batch_resend.simulator.sender import SimulatedListing, SimulatedSender
    from batch_resend.simulator.setup import Client, PoolSettings

    users = make_users(SIMULATED_USERS, now=now) if listed else None
    cognito = Cognito(
        Pool(open_to_all=True) if users is None else Pool(users),
        client=Client(settings.client_id or SIMULATED_CLIENT),
        settings=PoolSettings(pool_id=settings.user_pool_id or SIMULATED_POOL),
        quota=Quota(DEFAULT_QUOTA),
        keep_record=False,  # it is not used here, and would grow with the rows
    )
    async with SimulatedSender(
        cognito, epoch=now, latency=_SIMULATED_LATENCY, timeout=settings.timeout
    ) as sender:
        listing = SimulatedListing(cognito, sender.now)
        yield Backend(sender, listing, "simulated", "the simulator")
