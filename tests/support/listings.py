"""Listings of a pool's unconfirmed users, by any client."""

from __future__ import annotations

from typing import Any

from batch_resend.model import Candidate
from batch_resend.sources.cognito import CognitoSource

UNCONFIRMED = 'cognito:user_status = "UNCONFIRMED"'
POOL = "eu-west-1_Pool"


def listing(client: Any, pool: str = POOL, keep: frozenset[str] = frozenset()) -> CognitoSource:
    return CognitoSource(client, pool, filter=UNCONFIRMED, keep=keep)


async def read(source: CognitoSource) -> list[Candidate]:
    await source.open()
    try:
        return [candidate async for batch in source.batches() for candidate in batch]
    finally:
        await source.aclose()


async def names(source: CognitoSource) -> list[str]:
    return [candidate.username for candidate in await read(source)]
