"""`batch-resend status --exhausted`: who had all their messages and did not confirm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from batch_resend.errors import Exit, UsageError

if TYPE_CHECKING:
    from batch_resend.ledger import Message
    from batch_resend.ledger.sqlite.records import LedgerRecords
    from batch_resend.settings import LedgerTarget


async def write_exhausted(
    target: LedgerTarget, max_sends: int | None, *, output: str, overwrite: bool
) -> int:
    """List the pool, and write the users as a CSV file that is a valid USERS; return the code."""
    from batch_resend.cli.listed_pool import listed_pool
    from batch_resend.ledger.next_step import last_cap
    from batch_resend.reports.private_file import PrivateFile
    from batch_resend.run.open_ledger import keep_apart, ledger_of, looking
    from batch_resend.sources.cells import as_read_back
    from batch_resend.sources.csv_records import csv_row

    if not target.user_pool_id:
        raise UsageError(
            "--exhausted needs --user-pool-id: the pool knows which users have confirmed."
        )
    path = await ledger_of(target)
    keep_apart(path, output)
    async with looking(target, path) as ledger:
        cap = last_cap(ledger.runs()) if max_sends is None else max_sends
        cap = 1 if cap is None else cap
        if not cap:
            raise UsageError("--exhausted needs a maximum of messages. Use --max-sends COUNT.")
        async with listed_pool(target, ledger, lambda _text: None) as status_of:
            with PrivateFile(output, what="--output", overwrite=overwrite) as file:
                file.append(csv_row(["username"]).encode())
                for name in exhausted(ledger, cap, status_of):
                    file.append(csv_row([as_read_back(name)]).encode("utf-8", "surrogatepass"))
    return int(Exit.DONE)


def exhausted(
    ledger: LedgerRecords, cap: int, status_of: Callable[[bytes], str | None]
) -> Iterator[str]:
    """Yield the names of unconfirmed users with at least `cap` messages; erased names are not."""
    for messages in ledger.users():
        name = _last_name(messages)
        counted = sum(message.state == "sent" or message.is_unknown for message in messages)
        if name is not None and counted >= cap and status_of(messages[0].user) == "UNCONFIRMED":
            yield name


def _last_name(messages: list[Message]) -> str | None:
    names = [message.name for message in messages if message.name is not None]
    return names[-1] if names else None
