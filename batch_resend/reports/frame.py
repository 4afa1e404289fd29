"""Results as a pandas DataFrame: the report's columns, with types.

Outcomes, reasons, media and error codes are categories, times are in UTC, and texts are as
Cognito gave them: the apostrophe with which a report guards cells from spreadsheets is absent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from batch_resend.model import Outcome, Reason, Result
from batch_resend.reports.results_csv import COLUMNS, NO_RECORD

if TYPE_CHECKING:
    import pandas as pd


def to_frame(results: Iterable[Result]) -> pd.DataFrame:
    """Return the results as a DataFrame, in their order; pandas is imported here."""
    import pandas as pd

    frame = pd.DataFrame(map(_values, results), columns=list(COLUMNS))
    return frame.astype(
        {
            "row": "int64",
            "username": "string",
            "outcome": pd.CategoricalDtype([str(outcome) for outcome in Outcome], ordered=True),
            "reason": pd.CategoricalDtype([str(reason) for reason in Reason]),
            "attempts": "int64",
            "delivery_medium": "category",
            "destination": "string",
            "attribute_name": "category",
            "error_code": "category",
            "error_message": "string",
            "request_id": "string",
            "latency_ms": "float64",
            "evidence": "string",
            "reconciled_at": "float64",
        }
    ).assign(
        **{
            name: pd.to_datetime(frame[name].astype("float64"), unit="s", utc=True)
            for name in ("finished_at", "reconciled_at")
        }
    )


def _values(result: Result) -> tuple[object, ...]:
    """Return a result's values in the order of the columns; None where there is none."""
    delivery = result.delivery
    return (
        result.row,
        result.username,
        str(result.outcome),
        str(result.reason),
        result.attempts,
        delivery.medium if delivery else None,
        delivery.destination if delivery else None,
        delivery.attribute_name if delivery else None,
        result.error_code or None,
        result.error_message or None,
        result.request_id or None,
        result.finished_at,
        None if result.latency is None else result.latency * 1000,
        (result.evidence.record or NO_RECORD) if result.evidence else None,
        result.evidence.at if result.evidence else None,
    )
