"""Merge: make one report, failed file, summary and page of all batches. Sends nothing."""

from __future__ import annotations

import codecs
import csv
import json
import shlex
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from anyio import to_thread

from batch_resend.aws import s3
from batch_resend.job.outcome import Stop
from batch_resend.job.summary import Summary
from batch_resend.model import Candidate, Reason, RunInfo
from batch_resend.reports import merge
from batch_resend.reports.results_csv import COLUMNS, TRY_AGAIN
from batch_resend.run.next_command import without_names
from batch_resend.run.prepare import prepare
from batch_resend.settings import Settings
from batch_resend.sources.planned_batch import BatchSource
from batch_resend.step_functions.arguments import HERE, settings_for_batch
from batch_resend.step_functions.objects import Execution


@dataclass(slots=True)
class _Sums:
    """The totals of all batches."""

    ended: float  #: when the last try did
    reasons: Counter[Reason] = field(default_factory=Counter)
    requests: int = 0
    throttled: int = 0
    unfinished: int = 0  #: batches of which users are left
    stopped_by: Stop | None = None
    detail: str = ""

    def add_summary(self, summary: Mapping[str, Any]) -> None:
        """Add the summary of one attempt."""
        self.throttled += summary["throttled"]
        self.ended = max(self.ended, summary["started_at"] + summary["seconds"])
        if summary["stopped_by"] and self.stopped_by in {None, Stop.DEADLINE}:
            self.stopped_by, self.detail = _STOPS[summary["stopped_by"]], summary["detail"] or ""

    def add(self, row: merge.Row) -> None:
        """Count one row of the report."""
        self.reasons[merge.reason(row)] += 1
        self.requests += merge.attempts(row)


_STOPS = {str(stop): stop for stop in Stop}


async def merge_batches(event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
    """Make one of all. Sends nothing, so it may be tried again, and later once more."""
    with tempfile.TemporaryDirectory() as folder:
        report, failed = Path(folder, "report.csv"), Path(folder, "failed.csv")
        async with s3.open_store(HERE) as store:
            execution = Execution(store, str(event["place"]))
            plan = await execution.plan()
            sums = await _gather(execution, plan, report, failed)
            asked = await _dry_run(execution, plan)
            summary = _summary(execution, plan, sums, asked, _failure(event))
            page = await to_thread.run_sync(_page, report, summary)
            if page is None:
                summary = replace(summary, info=replace(summary.info, html=None))
            else:
                await execution.put("report.html", page)
            await execution.put_file("report.csv", report)
            await execution.put_file("failed.csv", failed)
            as_json = summary.as_json()
            await execution.put_json("summary.json", as_json)
    names = ("exit_code", "stopped_by", "detail", "rows", "counts", "unknown_in_ledger", "report",
             "failed", "html", "next_command")  # fmt: skip
    return {name: as_json[name] for name in names} | {"summary": execution.at("summary.json")}


async def _gather(
    execution: Execution, plan: Mapping[str, Any], report: Path, failed: Path
) -> _Sums:
    """Write report and failed file in the order of the input, a batch in memory at a time."""
    sums = _Sums(plan["started_at"])
    encoder = codecs.getincrementalencoder(plan["encoding"])(errors="surrogatepass")
    with (
        await execution.plan_report() as lines,
        _created(report) as target,
        failed.open("wb") as again,
    ):
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(COLUMNS)
        again.write(encoder.encode(plan["heading"]))
        planned = merge.read(lines, "plan.csv")
        for number in range(1, plan["batches"] + 1):
            users = await execution.users(number)
            results = await _all_results(execution, number, plan, users, sums)
            raws = {user.row: user.raw for user in users}
            while raws:
                row = next(planned)
                if (at := merge.number(row)) in raws:
                    row, raw = results[at], raws.pop(at)
                    if merge.reason(row).outcome in TRY_AGAIN:
                        again.write(encoder.encode(raw))
                sums.add(row)
                writer.writerow(row)
        for row in planned:  # skipped, or of a dry run
            sums.add(row)
            writer.writerow(row)
    return sums


async def _all_results(
    execution: Execution,
    number: int,
    plan: Mapping[str, Any],
    users: Sequence[Candidate],
    sums: _Sums,
) -> dict[int, merge.Row]:
    """Return the outcome of every user of a batch: by its reports, else by the ledger."""
    results, summaries = await execution.tries(number)
    for summary in summaries:
        sums.add_summary(summary)
    if remaining := [user for user in users if user.row not in results]:
        # The function that was to send died. The ledger has what it intended and settled.
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder, "report.csv")
            settings = settings_for_batch(plan, execution.batch(number))
            settings = replace(settings, dry_run=True, report=str(report))
            await _report_plan(settings, BatchSource(execution.batch(number), remaining), part=True)
            with _opened(report) as lines:
                for row in merge.read(lines, "the ledger's report"):
                    results[merge.number(row)] = merge.stopped(row)
    sums.unfinished += any(merge.reason(row) is Reason.STOPPED for row in results.values())
    return results


def _opened(path: Path) -> TextIO:
    return path.open(encoding="utf-8", newline="")


def _created(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", newline="")


async def _dry_run(execution: Execution, plan: Mapping[str, Any]) -> Summary:
    """Ask the ledger what is unknown, which reads all of it: once for all batches."""
    no_users = BatchSource(execution.place, [])
    settings = replace(settings_for_batch(plan, execution.place), dry_run=True, report="/dev/null")
    return await _report_plan(settings, no_users)


async def _report_plan(settings: Settings, users: BatchSource, *, part: bool = False) -> Summary:
    async with prepare(settings, users=users, part=part) as prepared:
        return await prepared.report_plan()


def _summary(
    execution: Execution,
    plan: Mapping[str, Any],
    sums: _Sums,
    asked: Summary,
    failure: str,
) -> Summary:
    stopped_by, detail = None, ""
    if sums.unfinished:
        # Where no try says why, there was none, or it died.
        stopped_by = sums.stopped_by or Stop.CALLER
        unfinished = f"{sums.unfinished:,} of {plan['batches']:,} batches are unfinished{failure}"
        detail = sums.detail or unfinished
    info = replace(
        RunInfo(**plan["facts"]),
        dry_run=plan["dry_run"],
        report=execution.at("report.csv"),
        failed=execution.at("failed.csv"),
        html=execution.at("report.html"),
        next_command=_next_command(plan),
    )
    return Summary(
        reasons=dict(sums.reasons),
        requests=sums.requests,
        throttled=sums.throttled,
        ceiling=plan["ceiling"],
        seconds=sums.ended - plan["started_at"],
        started_at=plan["started_at"],
        stopped_by=stopped_by,
        detail=detail,
        unknown_in_ledger=asked.unknown_in_ledger,
        not_recorded_in_ledger=asked.not_recorded_in_ledger,
        notes=tuple(plan["notes"]),
        info=info,
    )


def _failure(event: Mapping[str, Any]) -> str:
    """Return why the Map over the batches failed, by Step Functions; "" if it did not."""
    state = (event.get("state") or {}).get("map") or {}
    return f" ({state['Error']}: {state.get('Cause', '')})"[:500] if "Error" in state else ""


def _next_command(plan: Mapping[str, Any]) -> str | None:
    """Return the command that starts it again, ready for a shell."""
    if plan["state_machine"] is None:
        return None
    words = plan["arguments"]
    if "--no-mask" not in words:
        words = [word for quoted in without_names(words) for word in shlex.split(quoted)]
    payload = json.dumps({"arguments": words})
    machine = ["--state-machine-arn", plan["state_machine"], "--input", payload]
    return shlex.join(["aws", "stepfunctions", "start-execution", *machine])


def _page(report: Path, summary: Summary) -> bytes | None:
    """Make the page; the report is whole without it, so nothing that goes wrong with it counts."""
    from batch_resend.reports.page.render import page

    try:
        return page([str(report)], summary=summary.as_json())
    except Exception:
        return None
