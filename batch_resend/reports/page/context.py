"""What the page says: the figures of the reports, in the words and numbers that it shows."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from batch_resend.masking import printable
from batch_resend.model import Outcome, Reason
from batch_resend.preflight.preview import Preview
from batch_resend.reasons import ADVICE
from batch_resend.reports.page import domains, headline, technical
from batch_resend.reports.page.approval import approval
from batch_resend.reports.page.cards import cards, stopped
from batch_resend.reports.page.charts import BASE, HEIGHT, TOP
from batch_resend.reports.page.confirmed import Confirmed
from batch_resend.reports.page.figures import Figures, Report
from batch_resend.reports.page.samples import Sample
from batch_resend.reports.page.table import left_out, table
from batch_resend.reports.page.tiles import tiles
from batch_resend.reports.page.titles import OUTCOME_TITLES, title
from batch_resend.wording import grouped

FIRST_ROWS = 100  #: rows to see at a time


def context(
    figures: Figures,
    summary: dict[str, Any] | None,
    samples: Sequence[Sample],
    *,
    masked: bool,
    plan: Preview | None = None,
    confirmed: Confirmed | None = None,
    now: float,
) -> dict[str, Any]:
    """Return the values that the page's template needs, by their names there."""
    rows, embedded = table(figures.shown, masked=masked)
    of_run = _report_of(figures.reports, summary)
    dry_run = _is_dry_run(figures, summary)
    reasons = list(Reason)
    here = Counter(reasons[row[3]] for row in rows)
    return {
        "figures": figures,
        "several": len(figures.reports) > 1,
        "summary": summary,
        "dry_run": dry_run,
        "now": now,
        "name": _name(figures, summary),
        "headline": headline.headline(figures, dry_run=dry_run),
        "when": headline.when(figures, summary),
        "where": headline.where(summary) if summary is not None else "",
        "fates": headline.fates(figures, stopped(summary)),
        "banners": _banners(figures, summary, dry_run=dry_run),
        "notes": _notes(figures, summary, of_run),
        "confirmed": confirmed,
        "plan": approval(plan) if plan is not None else [],
        "tiles": tiles(figures.outcomes),
        "cards": [
            (card, sum(here[reason] for reason in card.reasons)) for card in cards(figures, summary)
        ],
        "timelines": technical.timelines(figures, summary, of_run, samples),
        "geometry": {"top": TOP, "base": BASE, "height": HEIGHT},
        "latency": technical.latency(figures.latencies),
        "reasons": _reasons(figures.reasons),
        "domains": domains.split(figures.domains),
        "rows": rows[:FIRST_ROWS],
        "messages": any(row[4] for row in rows),
        "shown": len(rows),
        "left_out": left_out(figures.outcomes, rows),
        "labels": _labels(reasons),
        "outcomes": [(str(o), OUTCOME_TITLES[o]) for o in Outcome if figures.outcomes[o]],
        "embedded": embedded,
        "first_rows": FIRST_ROWS,
        "masked": masked,
    }


def _labels(reasons: Sequence[Reason]) -> list[list[str]]:
    """Return outcome and reason of each row's number, as codes and in words."""
    return [
        [str(reason.outcome), str(reason), OUTCOME_TITLES[reason.outcome], title(reason)]
        for reason in reasons
    ]


def _name(figures: Figures, summary: dict[str, Any] | None) -> str:
    if summary is not None:
        return printable(summary["input"])
    names = [printable(report.name) for report in figures.reports]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _is_dry_run(figures: Figures, summary: dict[str, Any] | None) -> bool:
    """Whether the page is for the approval of a run: nothing was sent, and some is planned."""
    if summary is not None and len(figures.reports) == 1:
        return bool(summary["dry_run"])
    return bool(figures.outcomes[Outcome.PLANNED]) and not figures.outcomes[Outcome.SENT]


def _banners(
    figures: Figures, summary: dict[str, Any] | None, *, dry_run: bool
) -> list[tuple[str, str]]:
    """Return what must not be overlooked: big words, and a sentence."""
    banners = []
    made_up = [report.name for report in figures.reports if report.simulated]
    if summary is not None and summary["simulated"]:
        banners.append(("Simulated", "No messages were sent to real users."))
    elif made_up:
        which = "" if len(made_up) == len(figures.reports) else f" in {', '.join(made_up)}"
        banners.append(
            ("Simulated", f"No messages were sent to real users: the request IDs{which} are those"
             " of a simulation.")
        )  # fmt: skip
    if dry_run:
        banners.append(("Dry run", "Nothing was sent. This page shows what the run would do."))
    elif figures.outcomes[Outcome.PLANNED]:
        banners.append(("Partly a dry run", "“Planned” users were not sent a code."))
    if summary is not None and not summary["simulated"] and not summary["endpoint_is_aws"]:
        banners.append(
            ("Not AWS", f"The requests went to another endpoint: {printable(summary['endpoint'])}")
        )
    return banners


def _notes(figures: Figures, summary: dict[str, Any] | None, of_run: Report) -> list[str]:
    notes = []
    if summary is not None and summary["rows"] != of_run.rows:
        notes.append(
            f"The summary counts {summary['rows']:,} rows, but {printable(of_run.name)} has"
            f" {of_run.rows:,}. They may not belong together."
        )
    if figures.repeated:
        was = "was" if figures.repeated == 1 else "were"
        notes.append(f"{grouped(figures.repeated, 'user')} {was} sent more than one code.")
    if summary is not None and summary.get("existence_hidden") and figures.outcomes[Outcome.SENT]:
        notes.append(
            "The app client hides unknown users (PreventUserExistenceErrors), so “sent” may"
            " include names that do not exist."
        )
    return notes


def _report_of(reports: list[Report], summary: dict[str, Any] | None) -> Report:
    """Return the report of the summary's run: the one with its name, else the last."""
    if summary is not None:
        name = os.path.basename(summary["report"])  # noqa: PTH119 - paths stay as they were typed
        for report in reports:
            if report.name == name:
                return report
    return reports[-1]


def _reasons(reasons: Counter[Reason]) -> list[dict[str, Any]]:
    return [
        {
            "reason": reason,
            "title": title(reason),
            "count": reasons[reason],
            "meaning": _capital(ADVICE[reason].meaning),
            "action": _capital(ADVICE[reason].action),
        }
        for reason in sorted(reasons, key=lambda r: (_WEIGHT[r.outcome], -reasons[r], r))
    ]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


_WEIGHT = {outcome: n for n, outcome in enumerate(
    (Outcome.FAILED, Outcome.UNKNOWN, Outcome.NOT_ATTEMPTED, Outcome.PLANNED, Outcome.SENT,
     Outcome.SKIPPED)
)}  # fmt: skip
