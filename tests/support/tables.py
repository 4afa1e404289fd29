"""A ledger in a table as tests open it, and what they ask of several machines."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio

from batch_resend.aws.endpoints import AwsTarget
from batch_resend.errors import BatchResendError
from batch_resend.ledger import Identity, Intend, IntentRejected
from batch_resend.ledger.dynamodb import items
from batch_resend.ledger.dynamodb.address import TableAddress
from batch_resend.ledger.dynamodb.ledger import DynamoLedger, open_ledger
from batch_resend.ledger.policy import SendPolicy
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.model import Reason
from tests.support.dynamodb import (
    FATES,
    REGION,
)

NOW = 1_800_000_000.0
LATER = NOW + items.IN_FLIGHT
WRITES = {"UpdateItem", "PutItem", "TransactWriteItems", "DeleteItem"}
HARM = [fate for fate in FATES if fate != "pass"]


@contextlib.asynccontextmanager
async def opened(name: str, *, begin: bool = True, **options: Any) -> AsyncIterator[DynamoLedger]:
    async with open_ledger(AwsTarget(REGION), TableAddress(name), **options) as ledger:
        if begin:
            await ledger.begin(NOW)
        yield ledger


async def messages(ledger: DynamoLedger) -> list[tuple[str | None, str, str | None]]:
    with LedgerFile(None) as copy:
        await ledger.records.copy_into(copy.records)
        return [(m.name, m.state, m.reason) for m in copy.records.messages()]


def once(fate: str, operations: set[str]) -> Callable[[str], str]:
    """Apply the fate to the first request of these operations, and pass all others on."""
    left = [fate]

    def decide(operation: str) -> str:
        return left.pop() if operation in operations and left else "pass"

    return decide


def is_one_sentence(error: BatchResendError) -> bool:
    text = str(error)
    return text.endswith(".") and "\n" not in text and "Traceback" not in text


ADA = Identity("ada@example.com")
LISTED = Identity("id-1", ("sub-1", "ada@example.com"), listed=True)


async def at_once(*works: Callable[[], Awaitable[int]]) -> list[int | Reason]:
    results: list[int | Reason] = []

    async def do(work: Callable[[], Awaitable[int]]) -> None:
        try:
            results.append(await work())
        except IntentRejected as barred:
            results.append(barred.reason)

    async with anyio.create_task_group() as tasks:
        for work in works:
            tasks.start_soon(do, work)
    return results


def intending(ledger: DynamoLedger, names: Identity) -> Callable[[], Awaitable[int]]:
    return lambda: ledger.make(Intend(names, NOW, SendPolicy()))
