"""Several reports of the same rows, merged: for a run that was started more than once.

Of a user's rows the most definite one counts: `sent` before `unknown` before any other,
`not-attempted` last, and of equals the first. Pure: lines go in, rows come out unchanged.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

from batch_resend.errors import InputError
from batch_resend.model import REASONS, Outcome, Reason
from batch_resend.reports.results_csv import COLUMNS

Row = list[str]  #: a row of a report, in the order of its columns

_ROW, _OUTCOME, _REASON, _ATTEMPTS = map(COLUMNS.index, ("row", "outcome", "reason", "attempts"))
_WORTH = {Outcome.SENT: 3, Outcome.UNKNOWN: 2, Outcome.NOT_ATTEMPTED: 0}


def read(lines: Iterable[str], name: str) -> Iterator[Row]:
    """Yield a report's rows; raises `InputError` if it is not a report."""
    rows = csv.reader(lines)
    if next(rows, None) != list(COLUMNS):
        raise InputError(f"{name} is not a report of this version of batch-resend.")
    yield from rows


def number(row: Row) -> int:
    """Return the number of the input's row."""
    return int(row[_ROW])


def reason(row: Row) -> Reason:
    """Return the reason of the row."""
    return REASONS[row[_REASON]]


def attempts(row: Row) -> int:
    """Return how many requests were made for the row."""
    return int(row[_ATTEMPTS])


def merged(reports: Iterable[Iterable[Row]]) -> dict[int, Row]:
    """Return the row that counts, by the number of the input's row."""
    best: dict[int, Row] = {}
    for report in reports:
        for row in report:
            other = best.get(number(row))
            if other is None or _worth(row) > _worth(other):
                best[number(row)] = row
    return best


def stopped(row: Row) -> Row:
    """Return the row of a planned user who was not attempted."""
    if reason(row) is not Reason.ELIGIBLE:
        return row  # the ledger knows more about this user
    changed = list(row)
    changed[_OUTCOME], changed[_REASON] = str(Outcome.NOT_ATTEMPTED), str(Reason.STOPPED)
    return changed


def _worth(row: Row) -> int:
    return _WORTH.get(reason(row).outcome, 1)
