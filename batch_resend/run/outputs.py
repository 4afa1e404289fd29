"""The files that a run writes: opened before the first message, each receives every row."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator

from batch_resend.aws import s3_address
from batch_resend.errors import BatchResendError, Exit, NotConfirmed, ReportError, UsageError
from batch_resend.job.outlets import Report
from batch_resend.job.summary import SCHEMA, error_as_json
from batch_resend.model import Result
from batch_resend.reports.delivery import Deliveries
from batch_resend.reports.private_file import PrivateFile
from batch_resend.reports.results_csv import CsvReport, FailedRows
from batch_resend.settings import Settings
from batch_resend.version import __version__


async def open_outputs(
    outputs: Deliveries, settings: Settings, now: float, *, always_report: bool
) -> None:
    """Open what the settings name; raises `ReportError`, and then leaves nothing behind.

    `always_report`: a report that is not named gets a name.
    """
    if settings.html is not None and settings.report is None and not always_report:
        raise UsageError("html is made of the report. Set report too.")
    try:
        if always_report or settings.report is not None:
            await _open_report(outputs, settings.report, now)
        for option, path in settings.outputs():
            if option != "--report":
                await outputs.open(option, path)
    except BaseException:
        outputs.discard()
        raise


async def _open_report(outputs: Deliveries, path: str | None, now: float) -> None:
    """Open the report; where none is named, under a name that is free."""
    if path is not None:
        await outputs.open("--report", path)
        return
    name = time.strftime("resend-report-%Y%m%dT%H%M%SZ", time.gmtime(now))
    for more in ("", *(f"-{n}" for n in range(2, 100))):
        try:
            await outputs.open("--report", f"{name}{more}.csv", anew=True)
        except ReportError as error:
            if not isinstance(error.__context__, FileExistsError) or more == "-99":
                raise  # else another run began within the same second
        else:
            return


@contextlib.contextmanager
def failure_summarized(path: str | None, *, overwrite: bool) -> Iterator[None]:
    """Write a summary with the error if the block raises one: the run ended before its plan.

    So a monitor does not read the summary of an earlier run. Without `overwrite` no file is
    replaced. Nothing is written to S3, nor when a person or a signal cancelled the run.
    """
    try:
        yield
    except BatchResendError as error:
        chosen = isinstance(error, NotConfirmed) or error.exit_code >= Exit.HANGUP
        if path == "-" or (path and not chosen and not s3_address.is_address(path)):
            summary = {"schema": SCHEMA, "version": __version__, **error_as_json(error)}
            with (
                contextlib.suppress(ReportError),
                PrivateFile(path, what="--summary", overwrite=overwrite) as file,
            ):
                file.append(f"{json.dumps(summary)}\n".encode())
        raise


class Reports:
    """All that receives every row; one that breaks does not affect the others."""

    def __init__(self, *reports: Report) -> None:
        self._reports = list(reports)

    def write(self, result: Result) -> None:
        """Pass a row on; raises `ReportError` once for each report that breaks."""
        broken = None
        for report in tuple(self._reports):
            try:
                report.write(result)
            except ReportError as error:
                self._reports.remove(report)
                broken = error
        if broken is not None:
            raise broken

    async def room(self) -> None:
        """Wait until each of them has room for more rows."""
        for report in self._reports:
            await report.room()


def reports_of(outputs: Deliveries, heading: str, encoding: str) -> Reports:
    """Make the reports that write to the opened files; heading and encoding are the input's."""
    reports: list[Report] = []
    if "--report" in outputs.files:
        reports.append(CsvReport(outputs.files["--report"]))
    if "--failed" in outputs.files:
        reports.append(FailedRows(outputs.files["--failed"], heading, encoding))
    return Reports(*reports)
