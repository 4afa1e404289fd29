"""The real SDK against a server, as the program uses it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from batch_resend.aws import clients
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.aws.sender import AwsSender
from batch_resend.model import Request
from batch_resend.simulator.setup import Client


@asynccontextmanager
async def at_endpoint(url: str) -> AsyncIterator[AwsSender]:
    place = AwsTarget(region="us-east-1", endpoint_url=url)
    async with clients.resend_client(place, timeout=0.5, concurrency=4) as (client, *_):
        yield AwsSender(client)


def ask(username: str) -> Request:
    return Request(username, {"ClientId": Client().client_id, "Username": username})
