"""The same job on AWS Step Functions: one Lambda function, three actions.

  plan    reads the input and plans it, as a dry run does; writes the plan's report and the
          users who are to be sent a code, divided into batches, to S3
  send    runs the job over one batch, at its slice of the rate; returns every user's outcome
  merge   makes one report, failed file, summary and HTML page of all batches, in S3

The promises. The ledger decides who is sent a code, so a batch may be begun any number of
times: again by a redrive, or twice at the same time by mistake. Once somebody may have
been written to, nothing is raised: what goes wrong then is a value in the answer. Before
the function's time is over the job stops, settles what is in flight and gives the rest
back as `not-attempted`, for the state machine to ask again. What an earlier try has told
of a user stays told. Names stay in S3 and in the ledger: the answers, which Step Functions
shows and keeps, name rows by their numbers.

The function is set up by the variables of the options (`BATCH_RESEND_...`), and each
execution by `arguments`: what would be typed after `batch-resend run`. `BUCKET` names the
bucket, `WORKERS` says how many batches run at a time, `BATCH_SIZE` how many users are in
one, `TOLERATED_FAILURE_PERCENTAGE` how many of the batches may fail.
"""

from __future__ import annotations

import codecs
import csv
import json
import os
import shlex
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

import anyio
from anyio import to_thread

from batch_resend import cli
from batch_resend.aws import s3
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.errors import BatchResendError, Exit, UsageError
from batch_resend.job.outcome import Stop
from batch_resend.job.summary import Summary
from batch_resend.model import Candidate, Outcome, Planned, Reason, Result, RunInfo
from batch_resend.observer import Observer
from batch_resend.reports import merge
from batch_resend.reports.results_csv import COLUMNS, TRY_AGAIN
from batch_resend.run.prepare import Run
from batch_resend.settings import Settings
from batch_resend.sources import planned_batch
from batch_resend.step_functions.objects import Execution

LARGEST_BATCH = 5000  #: users; their outcomes must fit into the 256 KiB of a state's output
MOST_WORKERS = 5

_HERE = AwsTarget()  #: the function's own Region and role
_TO_SETTLE = 20.0  #: seconds, beside those of a request, for what is left after the last one

# What the state machine decides itself. (--fetch-client-secret would ask for each batch.)
_NOT_HERE = (
    "report", "failed", "html", "summary", "overwrite", "waves", "deadline", "max_sent",
    "profile", "fetch_client_secret",
)  # fmt: skip


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Do one action; `event` says which. This is what Lambda is told to call.

    Raises a `BatchResendError` where nobody could be written to.
    """
    actions = {"plan": _plan, "send": _send, "merge": _merge}
    action = event.get("action")
    if action not in actions:
        raise UsageError(f"action {action!r}: give {', '.join(actions)}.")
    return anyio.run(actions[action], event, context)


def read_settings(arguments: Sequence[str]) -> Settings:
    """Make the settings that `batch-resend run` would make of these arguments and the variables.

    Raises `UsageError`, also for what has no place here.
    """
    settings = cli.parse_run(arguments)
    fields = Settings.__dataclass_fields__
    for name in _NOT_HERE:
        if getattr(settings, name) != fields[name].default:
            raise UsageError(f"--{name.replace('_', '-')} has no place in a state machine.")
    if settings.users == "-":
        raise UsageError("USERS -: there is no standard input here. Name an object in S3.")
    if settings.ledger is None:
        raise UsageError("--ledger is missing: nothing on this host's disk lasts. Name a table.")
    return settings


# -- plan ----------------------------------------------------------------------------


class _Divided(Observer):
    """Writes the users who are not skipped into files, so many in each."""

    def __init__(self, folder: Path, size: int) -> None:
        self.sizes: list[int] = []
        self.heading = self.encoding = ""
        self._folder = folder
        self._size = size

    def planned(self, rows: Iterable[Planned], heading: str, encoding: str) -> None:
        self.heading, self.encoding = heading, encoding
        wanted = (row for row in rows if row.reason.outcome is not Outcome.SKIPPED)
        for first in wanted:
            self.sizes.append(0)
            with self.file(len(self.sizes)).open("wb") as file:
                for row in chain([first], islice(wanted, self._size - 1)):
                    file.write(planned_batch.line(row))
                    self.sizes[-1] += 1

    def file(self, number: int) -> Path:
        return self._folder / f"{number:05}.jsonl"


async def _plan(event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
    """Plan, and write the batches. Sends nothing, so it may be tried again."""
    arguments = [str(one) for one in event.get("arguments") or ()]
    settings = read_settings(arguments)
    workers = _whole("WORKERS", 4, MOST_WORKERS)
    tolerated = _whole("TOLERATED_FAILURE_PERCENTAGE", 10, 100, least=0)
    size = _whole("BATCH_SIZE", 500, LARGEST_BATCH)
    place = f"s3://{os.environ['BUCKET']}/runs/{event['name']}"
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "plan.csv")
        divided = _Divided(Path(folder), size)
        dry = replace(settings, dry_run=True, report=str(report))
        summary = await Run(dry, observer=divided).execute()
        sizes = [] if settings.dry_run else divided.sizes
        async with s3.open_store(_HERE) as store:
            execution = Execution(store, place)
            for number in range(1, len(sizes) + 1):
                await execution.put_file(f"batches/{number:05}.jsonl", divided.file(number))
            await execution.put_file("plan.csv", report)
            listed = [{"batch": number, "users": size} for number, size in enumerate(sizes, 1)]
            await execution.put_json("batches.json", listed)
            await execution.put_json(
                "plan.json",
                {
                    "arguments": arguments,
                    "state_machine": event.get("state_machine"),
                    "dry_run": settings.dry_run,
                    "heading": divided.heading,
                    "encoding": divided.encoding,
                    "batches": len(sizes),
                    "ceiling": summary.ceiling,
                    "started_at": summary.started_at,
                    "region": summary.info.region,
                    "facts": asdict(summary.info),
                },
            )
    return {
        "place": place,
        "rows": summary.rows,
        "reasons": {str(reason): count for reason, count in summary.reasons.items()},
        "batches": len(sizes),
        "workers": workers,
        "rate": (summary.ceiling or 0.0) / max(1, min(workers, len(sizes))),
        "tolerated": tolerated,
    }


def _whole(variable: str, default: int, most: int, least: int = 1) -> int:
    text = os.environ.get(variable, str(default))
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise UsageError(f"{variable} {text!r}: give a whole number from {least} to {most}.")
    return int(text)


# -- send ----------------------------------------------------------------------------


class _Heard(Observer):
    """Remembers what became of each row."""

    def __init__(self) -> None:
        self.reasons: dict[int, Reason] = {}

    def settled(self, result: Result) -> None:
        self.reasons[result.row] = result.reason


async def _send(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Run the job over those of a batch of whom no earlier try has told.

    Raises where nobody was written to, and never afterwards.
    """
    number = int(event["batch"])
    async with s3.open_store(_HERE) as store:
        execution = Execution(store, str(event["place"]))
        told, _ = await execution.tries(number)
        known = {row: merge.reason(line) for row, line in told.items()}
        known = {row: reason for row, reason in known.items() if reason is not Reason.STOPPED}
        left = [user for user in await execution.users(number) if user.row not in known]
        settings = _for_batch(await execution.plan(), execution.batch(number))
        settings = replace(
            settings, rate=float(event["rate"]), deadline=_time_left(context, settings.timeout)
        )
        heard, summary, problem = _Heard(), None, None
        if left:
            summary, problem = await _try(settings, heard, left, execution, number)
    stopped_by = None if summary is None else summary.stopped_by
    code = Exit.DONE if summary is None else summary.exit_code
    if summary is None and problem is not None:
        code = Exit.SETTINGS  # it broke while sending
    outcomes: dict[str, list[int]] = {}
    for row, reason in sorted((heard.reasons | known).items()):
        outcomes.setdefault(f"{reason.outcome}/{reason}", []).append(row)
    return {
        "batch": number,
        "outcomes": outcomes,
        "stopped_by": None if stopped_by is None else str(stopped_by),
        # Each time somebody is settled, so it comes to an end.
        "again": stopped_by is Stop.DEADLINE and any(_settled(heard)),
        "exit_code": int(code),
        "problem": problem,
        "why": "; ".join(str(each) for each in (stopped_by, problem) if each is not None),
    }


def _settled(heard: _Heard) -> Iterator[bool]:
    return (reason is not Reason.STOPPED for reason in heard.reasons.values())


async def _try(
    settings: Settings,
    observer: Observer,
    users: Sequence[Candidate],
    execution: Execution,
    number: int,
) -> tuple[Summary | None, str | None]:
    """Run the job and keep its report, whatever happens; say what went wrong after all."""
    summary, problem = None, None
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.csv")
        source = planned_batch.BatchSource(execution.batch(number), users)
        run = Run(
            replace(settings, report=str(report)), observer=observer, source=source, part=True
        )
        try:
            summary = await run.execute()
        except Exception as error:
            if not run.sending:
                raise
            problem = _told(error)
        try:
            told = None if summary is None else summary.as_json()
            await execution.add_try(number, report, told)
        except Exception as error:
            problem = _told(error)  # the ledger knows, and so does whoever reads the answer
    return summary, problem


def _told(error: Exception) -> str:
    """What may be told of an error: the text of one that is not ours may hold anything."""
    if isinstance(error, ExceptionGroup):  # of what broke side by side
        return ", ".join(dict.fromkeys(map(_told, error.exceptions)))
    return str(error) if isinstance(error, BatchResendError) else type(error).__name__


def _time_left(context: Any, timeout: float) -> float:
    """Seconds in which users may be asked for: what is then in flight must be settled in time."""
    seconds = float(context.get_remaining_time_in_millis()) / 1000
    return max(0.0, seconds - 1.5 * timeout - _TO_SETTLE)


def _for_batch(plan: Mapping[str, Any], users: str) -> Settings:
    """Take the settings of the whole, less what the plan has decided already."""
    return replace(
        read_settings(plan["arguments"]),
        users=users,
        region=plan["region"],
        user_pool_id="",
        filter=None,
        match=(),
        older_than=None,
        newer_than=None,
        since=None,
        user=(),
        format=None,
        one_per_address=False,
        exclude=None,
        limit=None,
        sample=None,
    )


# -- merge ---------------------------------------------------------------------------


@dataclass(slots=True)
class _Sums:
    """What all batches come to."""

    ended: float  #: when the last try did
    reasons: Counter[Reason] = field(default_factory=Counter)
    requests: int = 0
    throttled: int = 0
    unfinished: int = 0  #: batches of which users are left
    stopped_by: Stop | None = None
    detail: str = ""

    def hear(self, told: Mapping[str, Any]) -> None:
        """Take the summary of one try."""
        self.throttled += told["throttled"]
        self.ended = max(self.ended, told["started_at"] + told["seconds"])
        if told["stopped_by"] and self.stopped_by in {None, Stop.DEADLINE}:
            self.stopped_by, self.detail = _STOPS[told["stopped_by"]], told["detail"] or ""

    def add(self, row: merge.Row) -> None:
        """Count one row of the report."""
        self.reasons[merge.reason(row)] += 1
        self.requests += merge.attempts(row)


_STOPS = {str(stop): stop for stop in Stop}


async def _merge(event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
    """Make one of all. Sends nothing, so it may be tried again, and later once more."""
    with tempfile.TemporaryDirectory() as folder:
        report, failed = Path(folder, "report.csv"), Path(folder, "failed.csv")
        async with s3.open_store(_HERE) as store:
            execution = Execution(store, str(event["place"]))
            plan = await execution.plan()
            sums = await _gather(execution, plan, report, failed)
            unknown = await _unknown(execution, plan)
            summary = _summary(execution, plan, sums, unknown, _failure(event))
            page = await to_thread.run_sync(_page, report, summary)
            if page is None:
                summary = replace(summary, info=replace(summary.info, html=None))
            else:
                await execution.put("report.html", page)
            await execution.put_file("report.csv", report)
            await execution.put_file("failed.csv", failed)
            told = summary.as_json()
            await execution.put_json("summary.json", told)
    names = ("exit_code", "stopped_by", "detail", "rows", "counts", "unknown_in_ledger", "report",
             "failed", "html", "next_command")  # fmt: skip
    return {name: told[name] for name in names} | {"summary": execution.at("summary.json")}


async def _gather(
    execution: Execution, plan: Mapping[str, Any], report: Path, failed: Path
) -> _Sums:
    """Write report and failed file in the order of the input, a batch in memory at a time."""
    sums = _Sums(plan["started_at"])
    encoder = codecs.getincrementalencoder(plan["encoding"])(errors="surrogatepass")
    with await execution.plan_report() as lines, _made(report) as made, failed.open("wb") as again:
        writer = csv.writer(made, lineterminator="\n")
        writer.writerow(COLUMNS)
        again.write(encoder.encode(plan["heading"]))
        planned = merge.read(lines, "plan.csv")
        for number in range(1, plan["batches"] + 1):
            users = await execution.users(number)
            told = await _all_told(execution, number, plan, users, sums)
            raws = {user.row: user.raw for user in users}
            while raws:
                row = next(planned)
                if (at := merge.number(row)) in raws:
                    row, raw = told[at], raws.pop(at)
                    if merge.reason(row).outcome in TRY_AGAIN:
                        again.write(encoder.encode(raw))
                sums.add(row)
                writer.writerow(row)
        for row in planned:  # skipped, or of a dry run
            sums.add(row)
            writer.writerow(row)
    return sums


async def _all_told(
    execution: Execution,
    number: int,
    plan: Mapping[str, Any],
    users: Sequence[Candidate],
    sums: _Sums,
) -> dict[int, merge.Row]:
    """What became of every user of a batch: by its reports, else by the ledger."""
    told, summaries = await execution.tries(number)
    for summary in summaries:
        sums.hear(summary)
    if left := [user for user in users if user.row not in told]:
        # Whoever was to send died. The ledger has what it was about to do, and had done.
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder, "report.csv")
            settings = _for_batch(plan, execution.batch(number))
            settings = replace(settings, dry_run=True, report=str(report))
            source = planned_batch.BatchSource(execution.batch(number), left)
            await Run(settings, source=source, part=True).execute()
            with _opened(report) as lines:
                for row in merge.read(lines, "the ledger's report"):
                    told[merge.number(row)] = merge.stopped(row)
    sums.unfinished += any(merge.reason(row) is Reason.STOPPED for row in told.values())
    return told


def _opened(path: Path) -> TextIO:
    return path.open(encoding="utf-8", newline="")


def _made(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", newline="")


async def _unknown(execution: Execution, plan: Mapping[str, Any]) -> int | None:
    """Ask the ledger, which reads all of it: once for all batches."""
    nobody = planned_batch.BatchSource(execution.place, [])
    settings = replace(_for_batch(plan, execution.place), dry_run=True, report="/dev/null")
    return (await Run(settings, source=nobody).execute()).unknown_in_ledger


def _summary(
    execution: Execution,
    plan: Mapping[str, Any],
    sums: _Sums,
    unknown: int | None,
    failure: str,
) -> Summary:
    stopped_by, detail = None, ""
    if sums.unfinished:
        # Where no try says why, there was none, or it died.
        stopped_by = sums.stopped_by or Stop.CALLER
        unfinished = f"{sums.unfinished} of {plan['batches']} batches are unfinished{failure}"
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
        unknown_in_ledger=unknown,
        info=info,
    )


def _failure(event: Mapping[str, Any]) -> str:
    """Say why the Map over the batches failed, in Step Functions' words; empty if it did not."""
    told = (event.get("state") or {}).get("map") or {}
    return f" ({told['Error']}: {told.get('Cause', '')})"[:500] if "Error" in told else ""


def _next_command(plan: Mapping[str, Any]) -> str | None:
    """Give the command that starts it again, ready for a shell."""
    if plan["state_machine"] is None:
        return None
    given = json.dumps({"arguments": plan["arguments"]})
    machine = ["--state-machine-arn", plan["state_machine"], "--input", given]
    return shlex.join(["aws", "stepfunctions", "start-execution", *machine])


def _page(report: Path, summary: Summary) -> bytes | None:
    """Make the page; the report is whole without it, so nothing that goes wrong with it counts."""
    from batch_resend.reports.page.render import page

    try:
        return page([str(report)], summary=summary.as_json())
    except Exception:
        return None
