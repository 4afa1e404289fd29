"""Reports and summaries of runs that never were, for the page."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from batch_resend.job.summary import Summary
from batch_resend.model import Outcome, Reason, Result, RunInfo
from batch_resend.reports.private_file import PrivateFile
from batch_resend.reports.results_csv import CsvReport
from tests.support.infos import info

NOON = 1_800_000_000.0


INFO = info(
    user_pool_id="eu-west-1_AbCdEf123",
    client_id="1example23456789",
    next_command="batch-resend run users.csv --client-id 1example23456789",
)


HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>document.title='got you'</script>@example.com",
    '"><img src=x onerror=alert(1)>',
    "'onmouseover='alert(1)'@example.org",
    "<!--<script>",
    "]]>&lt;b&gt;\u2028",
    "\u202egnirts\u202c@example.com",
    "\x1b[31mred\x00",
    "{{ 7 * 7 }}{% raw %}",
    "=HYPERLINK(0)",
)


def result(row: int, reason: Reason = Reason.ACCEPTED, **changes: Any) -> Result:
    asked = reason.outcome not in {Outcome.SKIPPED, Outcome.PLANNED, Outcome.NOT_ATTEMPTED}
    facts: dict[str, Any] = {
        "username": f"user{row}@example.com",
        "finished_at": NOON + row / 10,
        "attempts": int(asked),
        "latency": 0.06 if asked else None,
    }
    return Result(row, reason=reason, **(facts | changes))


def write(path: Path, results: Iterable[Result]) -> str:
    with PrivateFile(str(path), what="--report", overwrite=True) as file:
        report = CsvReport(file)
        for one in results:
            report.write(one)
    return str(path)


def summary(reasons: dict[Reason, int], **changes: Any) -> dict[str, Any]:
    changed = {key: changes.pop(key) for key in list(changes) if key in RunInfo.__slots__}
    numbers: dict[str, Any] = {
        "requests": 9, "throttled": 2, "seconds": 75.0, "started_at": NOON, "ceiling": 25.0,
    }  # fmt: skip
    return Summary(reasons=reasons, info=replace(INFO, **changed), **(numbers | changes)).as_json()
