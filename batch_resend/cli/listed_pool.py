"""The user pool as it is now, beside a ledger."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batch_resend.ledger.sqlite.records import LedgerRecords
    from batch_resend.settings import LedgerTarget


@contextlib.asynccontextmanager
async def listed_pool(
    target: LedgerTarget, ledger: LedgerRecords, report: Callable[[str], None]
) -> AsyncIterator[Callable[[bytes], str | None]]:
    """List the pool, and yield its status of a `Message.user`; `report` gets the progress."""
    from batch_resend.aws import clients
    from batch_resend.ledger import confirmations
    from batch_resend.run.backends import target_of

    with confirmations.Listed() as listed:
        async with clients.signed_client(target_of(target), clients.COGNITO) as client:
            await listed.read(client, target.user_pool_id, ledger, report)
        yield listed.status
