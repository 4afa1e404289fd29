"""What the page says: the figures of the reports, in the words and numbers that it shows."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from batch_resend.errors import Exit
from batch_resend.job.outcome import Stop
from batch_resend.masking import mask, printable
from batch_resend.model import Outcome, Reason
from batch_resend.reasons import ADVICE
from batch_resend.reports.page.charts import (
    BASE,
    HEIGHT,
    TOP,
    Chart,
    distribution,
    over_time,
    percentile,
)
from batch_resend.reports.page.figures import Domain, Figures, Report
from batch_resend.reports.page.samples import Sample
from batch_resend.reports.page.table import cells, left_out, table
from batch_resend.wording import grouped

FIRST_ROWS = 100  #: rows to see at a time
_DOMAINS = 12
_CHARTS = 6

_AGAIN = frozenset({Reason.ATTEMPT_LIMIT, Reason.BLOCKED, Reason.CONNECTION})


def context(
    figures: Figures, summary: dict[str, Any] | None, samples: Sequence[Sample], *, masked: bool
) -> dict[str, Any]:
    """Return the values that the page's template needs, by their names there."""
    rows, embedded = table(figures.shown, masked=masked)
    of_run = _report_of(figures.reports, summary)
    return {
        "figures": figures,
        "several": len(figures.reports) > 1,
        "summary": summary,
        "title": _title(figures, summary),
        "banners": _banners(figures, summary),
        "notes": _notes(figures, summary, of_run),
        "tiles": _tiles(figures),
        "steps": _steps(figures, summary),
        "timelines": _timelines(figures, summary, of_run, samples),
        "geometry": {"top": TOP, "base": BASE, "height": HEIGHT},
        "latency": _latency(figures.latencies),
        "reasons": _reasons(figures.reasons),
        "domains": _domains(figures.domains, masked=masked),
        "more_domains": len(figures.domains) - _DOMAINS,
        "unknown": _unknown(figures, masked=masked),
        "rows": rows[:FIRST_ROWS],
        "shown": len(rows),
        "left_out": left_out(figures.outcomes, rows),
        "labels": [[str(reason.outcome), str(reason)] for reason in Reason],
        "outcomes": [str(outcome) for outcome in Outcome if figures.outcomes[outcome]],
        "embedded": embedded,
        "first_rows": FIRST_ROWS,
        "masked": masked,
    }


def _title(figures: Figures, summary: dict[str, Any] | None) -> str:
    if summary is not None:
        return printable(summary["input"])
    names = [printable(report.name) for report in figures.reports]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


@dataclass(frozen=True, slots=True)
class _Tile:
    outcome: str
    count: int
    x: float
    width: float
    percent: str


def _tiles(figures: Figures) -> list[_Tile]:
    tiles, x = [], 0.0
    for outcome in Outcome:
        count = figures.outcomes[outcome]
        if not count and outcome not in {Outcome.SENT, Outcome.FAILED, Outcome.UNKNOWN}:
            continue
        part = 100 * count / figures.users if figures.users else 0.0
        percent = f"{part:.1f} %" if part >= 0.1 or not count else "below 0.1 %"
        tiles.append(_Tile(str(outcome), count, round(x, 3), round(part, 3), percent))
        x += part
    return tiles


def _banners(figures: Figures, summary: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Say what must not be overlooked: big words, and a sentence."""
    banners = []
    made_up = [report.name for report in figures.reports if report.simulated]
    if summary is not None and summary["simulated"]:
        banners.append(("Simulated", "No real person was written to."))
    elif made_up:
        which = "" if len(made_up) == len(figures.reports) else f" in {', '.join(made_up)}"
        banners.append(
            ("Simulated", f"No real person was written to: the request ids{which} are made up.")
        )
    if figures.outcomes[Outcome.PLANNED] or (summary is not None and summary["dry_run"]):
        banners.append(("Dry run", "Nobody was asked for: “planned” is who would be sent a code."))
    if summary is not None and not summary["simulated"] and not summary["endpoint_is_aws"]:
        banners.append(
            ("Not AWS", f"The endpoint was not AWS's own: {printable(summary['endpoint'])}")
        )
    return banners


def _notes(figures: Figures, summary: dict[str, Any] | None, of_run: Report) -> list[str]:
    notes = []
    if summary is not None and summary["rows"] != of_run.rows:
        notes.append(
            f"The summary counts {summary['rows']:,} rows and {printable(of_run.name)} has"
            f" {of_run.rows:,}: they may not belong together."
        )
    if not figures.rows:
        notes.append("There are no rows in the report.")
    return notes


def _report_of(reports: list[Report], summary: dict[str, Any] | None) -> Report:
    """Find the report of the summary's run: by its name, else the last."""
    if summary is not None:
        name = os.path.basename(summary["report"])  # noqa: PTH119 - paths stay as they were typed
        for report in reports:
            if report.name == name:
                return report
    return reports[-1]


@dataclass(frozen=True, slots=True)
class _Step:
    sentence: str
    command: str = ""


def _steps(figures: Figures, summary: dict[str, Any] | None) -> list[_Step]:
    """Say what to do next, with the command where it is known."""
    command = printable(summary["next_command"] or "") if summary is not None else ""
    counts, reasons = figures.outcomes, figures.reasons
    steps = []
    why = _stopped(summary)
    unable = summary is not None and summary["exit_code"] == Exit.SETTINGS
    if why:
        steps.append(_Step(f"The run stopped early. {why}"))
    if counts[Outcome.PLANNED]:
        steps.append(_Step("To send the codes that were planned:", command))
    elif counts[Outcome.NOT_ATTEMPTED]:
        users = grouped(counts[Outcome.NOT_ATTEMPTED], "user")
        first = "When that is put right, to ask for" if unable else "To go on with"
        steps.append(
            _Step(f"{first} the {users} not attempted (nobody is written to twice):", command)
        )
    elif counts[Outcome.FAILED]:
        users = grouped(counts[Outcome.FAILED], "user")
        when = ["an hour later"] if reasons[Reason.ATTEMPT_LIMIT] else []
        if any(r.outcome is Outcome.FAILED and r not in _AGAIN for r in reasons):
            when.append("once the causes below are mended")
        when.append("whoever was sent a code is skipped")
        steps.append(
            _Step(f"To ask again for the {users} who failed ({', '.join(when)}):", command)
        )
    elif reasons[Reason.OVER_LIMIT]:
        users = grouped(reasons[Reason.OVER_LIMIT], "user")
        steps.append(_Step(f"To go on with the {users} left out by the limit:", command))
    else:
        steps.append(_Step("Nobody is left to be asked for."))
    if command and (doubtful := counts[Outcome.UNKNOWN] + reasons[Reason.OUTCOME_UNKNOWN]):
        steps.append(
            _Step(
                f"To write again to the {grouped(doubtful, 'unknown user')} too, accepting that"
                " somebody may get two messages:",
                f"{command} --resend-unknown all",
            )
        )
    if not command and any(step.sentence.endswith(":") for step in steps):
        steps.append(
            _Step(
                "Run the same command as before. (The page names it where it is made by `run"
                " --html`, or with the run's `--summary` file.)"
            )
        )
    return steps


def _stopped(summary: dict[str, Any] | None) -> str:
    if summary is None or summary["stopped_by"] is None:
        return ""
    known = {str(stop): stop.sentence for stop in Stop}
    stopped = summary["stopped_by"]
    why = known.get(stopped, f"Reason: {printable(stopped)}.")
    return f"{why} ({printable(summary['detail'])})" if summary["detail"] else why


@dataclass(frozen=True, slots=True)
class _Timeline:
    name: str
    chart: Chart
    caption: str
    description: str


def _timelines(
    figures: Figures, summary: dict[str, Any] | None, of_run: Report, samples: Sequence[Sample]
) -> list[_Timeline]:
    """Draw each run that asked for anybody; the last ones, if they are many."""
    timelines = []
    for report in figures.reports:
        own = report is of_run and summary is not None
        seen = samples if own else ()
        ceiling = summary["ceiling"] if own and summary is not None else None
        chart = over_time(report.sent, report.other, report.again, seen, ceiling)
        if chart is None or report.first is None:
            continue
        sent, other = report.sent.total(), report.other.total()
        again = summary["throttled"] if own and summary is not None else report.again.total()
        start = min([*report.sent, *report.other])
        facts = [
            f"{grouped(sent, 'code')} sent, {grouped(other, 'user')} asked for in vain",
            f"{again:,} throttled" if own else f"{again:,} earlier tries",
            f"at most {chart.peak:.3g} requests a second, over {grouped(chart.step, 'second')}",
        ]
        if ceiling is not None:
            drawn = "" if "ceiling" in chart.kinds else " (far above, so not drawn)"
            facts.append(f"the ceiling was {ceiling:g} a second{drawn}")
        caption = f"From {moment(start)}. " + ("" if seen or not again else _EARLIER)
        timelines.append(
            _Timeline(printable(report.name), chart, caption.strip(), "; ".join(facts) + ".")
        )
    return timelines[-_CHARTS:]


_EARLIER = (
    "Earlier tries (throttled, or without a connection) stand where their user was settled:"
    " the report does not say when they were made."
)


def _latency(latencies: Counter[int]) -> dict[str, Any] | None:
    if not latencies:
        return None
    marks = {name: percentile(latencies, part) for name, part in _PERCENTILES.items()}
    chart = distribution(latencies, marks)
    told = ", ".join(f"{name} {value:,} ms" for name, value in marks.items())
    return {
        "chart": chart,
        "marks": {**marks, "longest": max(latencies)},
        "description": f"{grouped(latencies.total(), 'request')}: {told}, longest"
        f" {max(latencies):,} ms.",
    }


_PERCENTILES = {"median": 0.5, "p95": 0.95, "p99": 0.99}


def _reasons(reasons: Counter[Reason]) -> list[dict[str, Any]]:
    return [
        {"reason": reason, "count": reasons[reason], "advice": ADVICE[reason]}
        for reason in sorted(reasons, key=lambda r: (_WEIGHT[r.outcome], -reasons[r], r))
    ]


_WEIGHT = {outcome: n for n, outcome in enumerate(
    (Outcome.FAILED, Outcome.UNKNOWN, Outcome.NOT_ATTEMPTED, Outcome.PLANNED, Outcome.SENT,
     Outcome.SKIPPED)
)}  # fmt: skip


def _domains(domains: list[Domain], *, masked: bool) -> list[tuple[str, Domain]]:
    return [
        (mask("@" + domain.name)[3:] if masked else "@" + printable(domain.name), domain)
        for domain in domains[:_DOMAINS]
    ]


def _unknown(figures: Figures, *, masked: bool) -> dict[str, Any]:
    return {
        "count": figures.outcomes[Outcome.UNKNOWN] + figures.reasons[Reason.OUTCOME_UNKNOWN],
        "rows": [cells(row, masked=masked) for row in figures.unknown],
    }


def moment(seconds: float) -> str:
    """Return a time in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
