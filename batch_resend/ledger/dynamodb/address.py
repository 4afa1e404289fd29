"""A ledger in a DynamoDB table, for any number of machines: `dynamodb://TABLE`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from batch_resend.errors import UsageError
from batch_resend.masking import printable

_BEGINNING = "dynamodb://"
_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")


@dataclass(frozen=True, slots=True)
class TableAddress:
    """The address of a table."""

    table: str

    def __str__(self) -> str:
        """Return the address as it is typed."""
        return f"{_BEGINNING}{self.table}"


def is_table(ledger: str | None) -> bool:
    """Whether a ledger's name means a table."""
    return ledger is not None and ledger.lower().startswith(_BEGINNING)


def table_address(ledger: str) -> TableAddress:
    """Read an address; raises `UsageError`."""
    table = ledger[len(_BEGINNING) :]
    if not _TABLE.fullmatch(table):
        raise UsageError(
            f"--ledger {printable(ledger)!r} is not a valid table. Use"
            " dynamodb://TABLE, with 3 to 255 letters, digits, dots, dashes and underscores."
        )
    return TableAddress(table)
