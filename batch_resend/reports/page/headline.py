"""The head of the page: one sentence, when and where, and what became of the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batch_resend.masking import printable
from batch_resend.model import Outcome, Reason
from batch_resend.reports.page.figures import Figures
from batch_resend.reports.page.titles import title

_NAMED = 3  #: reasons that are named for each outcome


@dataclass(frozen=True, slots=True)
class Fate:
    """The result of some of the users, in words."""

    outcome: Outcome
    sentence: str
    why: str = ""


def people(figures: Figures) -> int:
    """Return how many people the reports are about: rows that repeat a user do not count."""
    return figures.users - figures.reasons[Reason.DUPLICATE]


def headline(figures: Figures, *, dry_run: bool) -> str:
    """Return in one sentence how many people were sent a code."""
    total = people(figures)
    if not total:
        return "There are no users in the report"
    count = figures.outcomes[Outcome.PLANNED if dry_run else Outcome.SENT]
    if total == 1:
        verb = "would" if dry_run else "was"
        words = [verb, *(["not"] if not count else []), *(["be"] if dry_run else [])]
        return f"The only user {' '.join(words)} sent a new code"
    who = f"{count:,} of {total:,} people"
    if count == total:
        who = f"All {total:,} people"
    elif not count:
        who = f"None of {total:,} people"
    verb = "would be" if dry_run else "was" if count == 1 else "were"
    return f"{who} {verb} sent a new code"


def when(figures: Figures, summary: Mapping[str, Any] | None) -> tuple[float, float] | None:
    """Return when the runs started and ended, in seconds since the epoch."""
    if summary is not None and len(figures.reports) == 1 and summary.get("started_at"):
        return summary["started_at"], summary["started_at"] + summary["seconds"]
    firsts = [report.first for report in figures.reports if report.first is not None]
    lasts = [report.last for report in figures.reports if report.last is not None]
    return (min(firsts), max(lasts)) if firsts else None


def where(summary: Mapping[str, Any]) -> str:
    """Return pool, account and Region of a run."""
    parts = []
    if summary["user_pool_id"]:
        parts.append(f"user pool {summary['user_pool_id']}")
    parts.append(f"app client {summary['client_id']}")
    if summary.get("account"):
        parts.append(f"account {summary['account']}")
    parts.append(summary["endpoint"] if summary["simulated"] else summary["region"])
    text = printable(", ".join(parts))
    return text[:1].upper() + text[1:]


def fates(figures: Figures, stopped: str) -> list[Fate]:
    """Return what became of the others, those that need attention first."""
    sentences = []
    for outcome, words in _FATES.items():
        count = figures.outcomes[outcome]
        if outcome is Outcome.SKIPPED:
            count -= figures.reasons[Reason.DUPLICATE]
        if count:
            reasons = {r: n for r, n in figures.reasons.items() if r.outcome is outcome}
            reasons.pop(Reason.DUPLICATE, None)
            why = stopped if outcome is Outcome.NOT_ATTEMPTED else _why(Counter(reasons))
            sentences.append(Fate(outcome, f"{count:,} {words[count != 1]}.", why))
    if repeats := figures.reasons[Reason.DUPLICATE]:
        row = "row repeats" if repeats == 1 else "rows repeat"
        sentences.append(Fate(Outcome.SKIPPED, f"{repeats:,} {row} a user of an earlier row."))
    return sentences


_FATES = {
    Outcome.FAILED: ("could not be sent a code", "could not be sent a code"),
    Outcome.UNKNOWN: (
        "may have been sent a code, or not: the outcome is unknown",
        "may have been sent a code, or not: the outcome is unknown",
    ),
    Outcome.NOT_ATTEMPTED: ("was not attempted", "were not attempted"),
    Outcome.SKIPPED: ("was skipped on purpose", "were skipped on purpose"),
}


def _why(reasons: Counter[Reason]) -> str:
    if len(reasons) == 1:
        return f"{title(next(iter(reasons)))}."
    parts = [f"{title(reason)}: {count:,}" for reason, count in reasons.most_common(_NAMED)]
    rest = reasons.total() - sum(count for _, count in reasons.most_common(_NAMED))
    if rest:
        parts.append(f"Other reasons: {rest:,}")
    return ". ".join(parts) + "."
