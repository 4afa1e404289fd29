r"""The report: one CSV row for every input row, written as soon as its user is settled.

UTF-8, `\n`, header first, in the order of completion; `row` is the place in the input.
Beside it, on request, the failed file: the input rows that ended failed, unknown or
not-attempted, in the input's own columns and verbatim: a valid input for the next run.
"""

from __future__ import annotations

import codecs
import csv
import io
from datetime import UTC, datetime

from batch_resend.errors import ReportError
from batch_resend.masking import cell
from batch_resend.model import Evidence, Outcome, Result
from batch_resend.reports.private_file import PrivateFile

COLUMNS = (
    "row",
    "username",
    "outcome",
    "reason",
    "attempts",
    "delivery_medium",
    "destination",
    "attribute_name",
    "error_code",
    "error_message",
    "request_id",
    "finished_at",
    "latency_ms",
    "evidence",
    "reconciled_at",
)

NO_RECORD = "no-record"  #: in the column `evidence`, where CloudTrail has none

LONGEST_FOREIGN = 500  #: characters of a text from outside that go into a cell

#: What is worth another run.
TRY_AGAIN = {Outcome.FAILED, Outcome.UNKNOWN, Outcome.NOT_ATTEMPTED}


class CsvReport:
    """A report of results as CSV rows in an open file."""

    def __init__(self, file: PrivateFile) -> None:
        """Write the header; raises `ReportError`."""
        self._file = file
        self._line = io.StringIO()
        self._writer = csv.writer(self._line, lineterminator="\n")
        self._append(COLUMNS)

    def write(self, result: Result) -> None:
        """Write one row; raises `ReportError`."""
        self._append(columns(result))

    async def room(self) -> None:
        """Wait until there is room for more rows."""
        await self._file.room()

    def _append(self, values: tuple[str, ...]) -> None:
        self._writer.writerow(values)
        self._file.append(self._line.getvalue().encode("utf-8", "backslashreplace"))
        self._line.seek(0)
        self._line.truncate()


def columns(result: Result) -> tuple[str, ...]:
    """Return a result as the report's columns."""
    delivery = result.delivery
    return (
        str(result.row),
        cell(result.username),
        result.outcome,
        result.reason,
        str(result.attempts),
        _foreign(delivery.medium) if delivery else "",
        _foreign(delivery.destination) if delivery else "",
        _foreign(delivery.attribute_name) if delivery else "",
        _foreign(result.error_code),
        _foreign(result.error_message),
        _foreign(result.request_id),
        timestamp(result.finished_at),
        "" if result.latency is None else f"{result.latency * 1000:.0f}",
        *_evidence(result.evidence),
    )


def _evidence(evidence: Evidence | None) -> tuple[str, str]:
    if evidence is None:
        return "", ""
    return _foreign(evidence.record) or NO_RECORD, timestamp(evidence.at)


def _foreign(text: str) -> str:
    return cell(text[:LONGEST_FOREIGN]) if text else ""


def timestamp(seconds: float) -> str:
    """Return a time as ISO 8601 in UTC, with milliseconds."""
    moment = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")


class FailedRows:
    """A file of the rows that are worth another run, copied from the input."""

    def __init__(self, file: PrivateFile, heading: str, encoding: str) -> None:
        """Write the input's heading, in its encoding; raises `ReportError`."""
        self._file = file
        self._encoding = encoding
        # One encoder for the whole file: a UTF-16 file has one byte-order mark.
        self._encoder = codecs.getincrementalencoder(encoding)(errors="surrogatepass")
        self._append(heading)

    def write(self, result: Result) -> None:
        """Write the row, if its user was not sent a code; raises `ReportError`."""
        if result.outcome in TRY_AGAIN:
            self._append(result.raw)

    async def room(self) -> None:
        """Wait until there is room for more rows."""
        await self._file.room()

    def _append(self, text: str) -> None:
        try:
            data = self._encoder.encode(text)
        except UnicodeError:
            raise ReportError(
                f"--failed cannot be written in the input's encoding {self._encoding}. Leave it"
                " out, or convert the input to UTF-8."
            ) from None
        if data:
            self._file.append(data)
