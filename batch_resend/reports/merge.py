"""What several reports of the same rows come to, where a run was begun more than once.

Of a user's rows the one counts that says most: `sent` before `unknown` before any other,
`not-attempted` last, and of equals the first. Pure: lines go in, rows come out, as they
stood there.
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
    """Read a report's rows; raises `InputError` where it is none."""
    rows = csv.reader(lines)
    if next(rows, None) != list(COLUMNS):
        raise InputError(f"{name} is no report of this version of batch-resend.")
    yield from rows


def number(row: Row) -> int:
    """The number of the input's row."""
    return int(row[_ROW])


def reason(row: Row) -> Reason:
    """What became of it."""
    return REASONS[row[_REASON]]


def attempts(row: Row) -> int:
    """How many requests were made for it."""
    return int(row[_ATTEMPTS])


def told(reports: Iterable[Iterable[Row]]) -> dict[int, Row]:
    """What the reports come to, by the number of the input's row."""
    best: dict[int, Row] = {}
    for report in reports:
        for row in report:
            known = best.get(number(row))
            if known is None or _worth(row) > _worth(known):
                best[number(row)] = row
    return best


def stopped(row: Row) -> Row:
    """The row of a plan for somebody who was not asked for in the end."""
    if reason(row) is not Reason.ELIGIBLE:
        return row  # the ledger knows more of them
    changed = list(row)
    changed[_OUTCOME], changed[_REASON] = str(Outcome.NOT_ATTEMPTED), str(Reason.STOPPED)
    return changed


def _worth(row: Row) -> int:
    return _WORTH.get(reason(row).outcome, 1)
