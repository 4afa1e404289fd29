"""The page's rows: as many as there is room for, as cells and as JSON for the script."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from batch_resend.masking import mask, mask_within, printable
from batch_resend.model import Outcome, Reason
from batch_resend.reports.page.figures import Row
from batch_resend.reports.results_csv import NO_RECORD

LARGEST_TABLE = 3_000_000  #: bytes of rows in the page
_LONGEST_MESSAGE = 200  #: characters of an error message; the report has the rest
_NUMBERS = {reason: n for n, reason in enumerate(Reason)}
_OUTCOMES = [reason.outcome for reason in Reason]
_LABEL = 3  #: where the reason's number stands in a row


def table(rows: list[Row], *, masked: bool) -> tuple[list[list[Any]], str]:
    """Return the rows as lists and as JSON for the script, as many as there is room for."""
    shown, lines, size = [], [], 0
    for row in rows:
        values = cells(row, masked=masked)
        line = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        # Within JSON a < stands in strings only; without one no tag can end the script.
        line = line.replace("<", "\\u003c")
        size += len(line.encode("utf-8", "backslashreplace")) + 2
        if size > LARGEST_TABLE:
            break
        shown.append(values)
        lines.append(line)
    return shown, "[" + ",\n".join(lines) + "]"


def left_out(outcomes: Mapping[Outcome, int], rows: list[list[Any]]) -> str:
    """Return how many of each outcome there was no room for, in words; "" if none."""
    here = Counter(_OUTCOMES[row[_LABEL]] for row in rows)
    return ", ".join(
        f"{count - here[outcome]:,} {outcome}"
        for outcome in Outcome
        if (count := outcomes[outcome]) > here[outcome]
    )


def cells(row: Row, *, masked: bool) -> list[Any]:
    """Return a row's cells: report, row, user, reason, message, attempts, time, duration."""
    name = mask(row.username) if masked else printable(row.username)
    code, message, destination = (
        mask_within(text, row.username) if masked else printable(text)
        for text in (row.error_code, row.error_message, row.destination)
    )
    parts = [code, message[:_LONGEST_MESSAGE]]
    text = ": ".join(part for part in parts if part) or destination or _evidence(row)
    moment = printable(row.finished_at[:19].replace("T", " "))
    return [
        row.report + 1, row.row, name, _NUMBERS[row.reason], text, row.attempts, moment,
        row.latency_ms,
    ]  # fmt: skip


def _evidence(row: Row) -> str:
    """Return what settled an earlier message to the user, and when; "" if nothing did."""
    if not row.reconciled_at:
        return ""
    when = f"{row.reconciled_at[:16].replace('T', ' ')} UTC"
    if row.evidence == NO_RECORD:
        return printable(f"no record in CloudTrail on {when}")
    return printable(f"CloudTrail's record {row.evidence.removeprefix('cloudtrail:')}, {when}")
