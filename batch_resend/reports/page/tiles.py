"""Counts as tiles, and as parts of one bar. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from batch_resend.model import Outcome
from batch_resend.reports.page.titles import OUTCOME_TITLES


@dataclass(frozen=True, slots=True)
class Tile:
    """One outcome: its count, and its place in the bar in percent."""

    outcome: Outcome
    title: str
    count: int
    x: float
    width: float
    percent: str


def tiles(counts: Mapping[Outcome, int]) -> list[Tile]:
    """Return a tile for each outcome that occurs, in the order of the outcomes."""
    row, x, total = [], 0.0, sum(counts.values())
    for outcome in Outcome:
        if not (count := counts.get(outcome, 0)):
            continue
        part = 100 * count / total
        percent = f"{part:.1f} %" if part >= 0.1 else "below 0.1 %"
        row.append(
            Tile(outcome, OUTCOME_TITLES[outcome], count, round(x, 3), round(part, 3), percent)
        )
        x += part
    return row
