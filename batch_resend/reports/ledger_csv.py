r"""The ledger as a CSV file: a row for each message, in the order of their intents.

UTF-8, `\n`, header first, times in UTC; `settled_at` is empty if no response was recorded,
`username` if it has been erased. Written as it is read, in flat memory.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from itertools import islice

from batch_resend.ledger import Message
from batch_resend.masking import cell
from batch_resend.reports.private_file import PrivateFile
from batch_resend.reports.results_csv import timestamp

COLUMNS = (
    *("run", "username", "state", "reason", "intended_at", "settled_at"),
    *("request_id", "evidence", "reconciled_at"),
)

_AT_ONCE = 1000  #: rows in one write


def write(messages: Iterable[Message], file: PrivateFile) -> int:
    """Write all messages to an open file; return how many. Raises `ReportError`."""
    rows = map(_columns, messages)
    file.append(_lines([COLUMNS]))
    count = 0
    while some := list(islice(rows, _AT_ONCE)):
        file.append(_lines(some))
        count += len(some)
    return count


def _lines(rows: Iterable[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _columns(message: Message) -> tuple[str, ...]:
    return (
        str(message.run),
        cell(message.name or ""),
        message.state,
        message.reason or "",
        timestamp(message.intended_at),
        "" if message.settled_at is None else timestamp(message.settled_at),
        cell(message.request_id or ""),
        cell(message.evidence or ""),
        "" if message.reconciled_at is None else timestamp(message.reconciled_at),
    )
