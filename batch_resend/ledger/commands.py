"""The commands that show and settle unknown outcomes, and when the records are there. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from batch_resend.ledger.dynamodb.address import is_table
from batch_resend.masking import printable

RECORDED_AFTER = 900.0  #: seconds until CloudTrail has most calls; about 300 on average

#: How to go on with those that reconcile found no record of.
RESEND_NOT_RECORDED = (
    "To send again to users whose request is not recorded, add --resend-unknown not-recorded: a"
    " few may get two codes."
)


def status_command(ledger: str, region: str = "", *more: str) -> str:
    """Return the command that shows what the ledger knows; a table needs its Region."""
    return _command("status", ledger=ledger, region=region, more=more)


def export_command(ledger: str, region: str = "") -> str:
    """Return the command that lists all unknown messages; a table needs its Region."""
    return _command("ledger", "export", "--unknown", ledger=ledger, region=region)


def _command(*words: str, ledger: str, region: str, more: Sequence[str] = ()) -> str:
    place = ["--region", region] if region and is_table(ledger) else []
    return printable(shlex.join(["batch-resend", *words, "--ledger", ledger, *place, *more]))


def reconcile_command(ledger: str, region: str = "", endpoint: str = "") -> str:
    """Return the command that settles unknown outcomes, wherever the ledger is.

    `endpoint` is Cognito's, if it is not one of AWS's own.
    """
    words = ["batch-resend", "reconcile", "--ledger", ledger]
    words += ["--region", region] if region else []
    words += ["--endpoint-url", endpoint] if endpoint else []
    return printable(shlex.join(words))
