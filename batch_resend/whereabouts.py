"""Which ledger is meant, by those who look at one or erase in it."""

from __future__ import annotations

import os
from pathlib import Path

from batch_resend import aws
from batch_resend.config import Settings, state_folder
from batch_resend.errors import InputError, UsageError
from batch_resend.ledger.snapshot import must_exist
from batch_resend.ledger.sqlite import SqliteLedger, files_of
from batch_resend.masking import printable
from batch_resend.run import default_ledger


async def ledger_of(settings: Settings) -> Path:
    """Find the ledger that a run with these settings has, or the only one there is.

    The client is made as a run makes it, for its endpoint is part of the ledger's name;
    nothing is asked of it. Raises `UsageError` where several ledgers could be meant,
    `InputError` where there is none at all.
    """
    if settings.ledger is not None:
        return Path(settings.ledger)
    place = aws.Place(settings.pool_region, settings.profile, settings.endpoint_url)
    if settings.client_id:
        async with aws.resend_client(place, timeout=settings.timeout, concurrency=1) as made:
            _, region, endpoint = made
        return default_ledger(region, settings.client_id, endpoint)
    folder = state_folder()
    begin = f"{settings.pool_region}-" if settings.pool_region else ""
    found = sorted(file for file in folder.glob("*.sqlite3") if file.name.startswith(begin))
    if not found:
        raise InputError(
            f"There is no ledger in {folder}"
            + (f" for the Region {settings.pool_region}" if begin else "")
            + ": nobody was written to yet, or it lies elsewhere; name it with --ledger."
        )
    if len(found) > 1:
        names = ", ".join(printable(file.name) for file in found[:10])
        more = f" and {len(found) - 10} more" if len(found) > 10 else ""
        raise UsageError(
            f"Which of the {len(found)} ledgers in {folder}? {names}{more}: choose with"
            " --client-id and the Region, or with --ledger."
        )
    return found[0]


def opened(path: Path, *, case_sensitive: bool = False) -> SqliteLedger:
    """Name a ledger, real or simulated, to erase in it; raises `InputError` if there is none.

    To open it raises `LedgerHeld` where a run holds it.
    """
    return SqliteLedger(must_exist(path), case_sensitive=case_sensitive, simulated=None)


def keep_apart(ledger: Path, output: str) -> None:
    """Refuse to write over the ledger or a file that belongs to it; raises `UsageError`."""
    if output != "-" and os.path.realpath(output) in map(os.path.realpath, files_of(ledger)):
        raise UsageError(
            f"--output {output} belongs to the ledger {ledger}: give it a place of its own."
        )
