"""Technical details of a run: requests over time, and how long responses took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from batch_resend.masking import printable
from batch_resend.reports.page.charts import Chart, distribution, over_time, percentile
from batch_resend.reports.page.figures import Figures, Report
from batch_resend.reports.page.samples import Sample
from batch_resend.wording import grouped

_CHARTS = 6


@dataclass(frozen=True, slots=True)
class Timeline:
    """Requests over time of one report."""

    name: str
    chart: Chart
    caption: str
    description: str
    sampled: bool  #: whether throttled requests are drawn when they were made


def timelines(
    figures: Figures, summary: dict[str, Any] | None, of_run: Report, samples: Sequence[Sample]
) -> list[Timeline]:
    """Draw each run that made requests; the last ones, if they are many."""
    drawings = []
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
            f"{sent:,} sent, {other:,} not sent",
            f"{again:,} throttled" if own else grouped(again, "earlier attempt"),
            f"peak {grouped(chart.peak, 'request')} per second,"
            f" over {grouped(chart.step, 'second')}",
        ]
        if ceiling is not None:
            drawn = "" if "ceiling" in chart.kinds else " (far above, so not drawn)"
            facts.append(f"the limit was {grouped(ceiling, 'request')} per second{drawn}")
        caption = f"From {moment(start)}. " + ("" if seen or not again else _EARLIER)
        drawings.append(
            Timeline(
                printable(report.name), chart, caption.strip(), "; ".join(facts) + ".", bool(seen)
            )
        )
    return drawings[-_CHARTS:]


_EARLIER = (
    "Earlier attempts (throttled, or without a connection) are drawn when their user was settled:"
    " the report does not contain the time of each."
)


def latency(latencies: Counter[int]) -> dict[str, Any] | None:
    """Draw how long responses took; None if there were no requests."""
    if not latencies:
        return None
    marks = {name: percentile(latencies, part) for name, part in _PERCENTILES.items()}
    chart = distribution(latencies, marks)
    values = ", ".join(f"{name} {value:,} ms" for name, value in marks.items())
    return {
        "chart": chart,
        "marks": {**marks, "longest": max(latencies)},
        "description": f"{grouped(latencies.total(), 'request')}: {values}, longest"
        f" {max(latencies):,} ms.",
    }


_PERCENTILES = {"median": 0.5, "p95": 0.95, "p99": 0.99}


def moment(seconds: float) -> str:
    """Return a time in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
