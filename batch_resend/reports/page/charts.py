"""The geometry of the page's charts. Pure: sums go in, places come out.

Horizontal places are percentages of the width, so that a chart fits a phone and a sheet of
paper with its letters at their own size; vertical places are pixels from the top.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from batch_resend.reports.page.samples import Sample

TOP, BASE, HEIGHT = 20.0, 200.0, 226.0  #: pixels: highest value, zero line, whole chart
_MOST_BINS = 120
_LEAST_BINS = 10
_MOST_TICKS = 6
_FAR = 3.0  #: a limit that many times above the peak is not drawn
_STEPS = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400,
)  # fmt: skip
_DAYS = (1, 7, 28)
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


@dataclass(frozen=True, slots=True)
class Bar:
    """One piece of a column; `kind` is what it counts."""

    kind: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """Bars on top of each other, and their numbers in words."""

    x: float
    width: float
    bars: tuple[Bar, ...]
    title: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line through the chart, level where `y1` is `y2`."""

    kind: str
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, ready to be drawn."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    across: tuple[Tick, ...]
    upwards: tuple[Tick, ...]
    kinds: frozenset[str]  #: what there is of bars and lines, for the legend
    step: int  #: width of a column in the unit of the axis: seconds or milliseconds
    peak: float  #: the highest column


def over_time(
    sent: Counter[int],
    other: Counter[int],
    again: Counter[int],
    samples: Sequence[Sample],
    ceiling: float | None,
) -> Chart | None:
    """Draw users per second over time, with throttled requests on top, against the limit.

    The counters are by second since the epoch. Throttled requests are those of the samples;
    without samples they are `again`, the earlier attempts of users settled then.
    """
    throttled = _rises(samples) if samples else again
    seconds = [*sent, *other, *throttled]
    if not seconds:
        return None
    start, span = min(seconds), max(seconds) - min(seconds) + 1
    step = next((s for s in _STEPS if span <= s * _MOST_BINS), 86400 * -(-span // 86400 // 100))
    bins = max(_LEAST_BINS, -(-span // step))
    counts = {"sent": sent, "other": other, "throttled": throttled}
    rates = {kind: _binned(by_second, start, step, bins) for kind, by_second in counts.items()}
    peak = max(sum(rate[n] for rate in rates.values()) for n in range(bins))
    near = ceiling is not None and ceiling <= _FAR * peak
    top, upwards = _scale(max(peak, ceiling or 0.0) if near else peak)
    columns = []
    for n in range(bins):
        parts = {kind: rate[n] for kind, rate in rates.items() if rate[n]}
        if parts:
            words = ", ".join(f"{value:.3g}/s {kind}" for kind, value in parts.items())
            title = f"{_clock(start + n * step)}: {words}"
            columns.append(_column(n, bins, parts, top, title))
    lines = list(_pace(samples, start, step * bins, top))
    if near and ceiling is not None:
        y = _height(ceiling, top)
        lines.append(Line("ceiling", 0.0, y, 100.0, y))
    return Chart(
        tuple(columns),
        tuple(lines),
        tuple(_times(step * bins)),
        upwards,
        _kinds(columns, lines),
        step,
        peak,
    )


def by_day(counts: Mapping[str, Counter[int]]) -> Chart | None:
    """Draw counts by day since 1970-01-01, the kinds on top of each other.

    Many days share a column: a week of them, or four weeks.
    """
    days = [day for by_day in counts.values() for day, count in by_day.items() if count]
    if not days:
        return None
    start, span = min(days), max(days) - min(days) + 1
    step = next((s for s in _DAYS if span <= s * _MOST_BINS), -(-span // _MOST_BINS))
    bins = max(_LEAST_BINS, -(-span // step))
    sums: dict[str, Counter[int]] = {kind: Counter() for kind in counts}
    for kind, of_kind in counts.items():
        for day, count in of_kind.items():
            sums[kind][(day - start) // step] += count
    peak = max(sum(of[n] for of in sums.values()) for n in range(bins))
    top, upwards = _scale(peak)
    columns = []
    for n in range(bins):
        parts = {kind: float(of[n]) for kind, of in sums.items() if of[n]}
        if parts:
            words = ", ".join(f"{count:,.0f} {kind}" for kind, count in parts.items())
            title = f"{day_name(start + n * step)}{f', {step} days' if step > 1 else ''}: {words}"
            columns.append(_column(n, bins, parts, top, title))
    every = max(1, -(-bins // (_MOST_TICKS - 1)))  # dates are wide
    across = [
        Tick(round(100 * (n + 0.5) / bins, 3), day_name(start + n * step, year=False))
        for n in range(0, bins, every)
    ]
    return Chart(tuple(columns), (), tuple(across), upwards, _kinds(columns, []), step, float(peak))


def day_name(day: int, *, year: bool = True) -> str:
    """Return the date of a day since 1970-01-01."""
    at = datetime.fromtimestamp(day * 86400, UTC)
    return f"{at.day} {at.strftime('%b %Y' if year else '%b')}"


def distribution(latencies: Counter[int], marks: dict[str, int]) -> Chart | None:
    """Draw how many requests took how many milliseconds, with marks at some values.

    The axis ends beyond the 99th percentile, or three times the 90th if that is less: a few
    timeouts must not crowd out the rest. Longer ones are in the last column.
    """
    if not latencies.total():
        return None
    start, step, bins = _bins(latencies)
    end = start + bins * step
    counts = Counter[int]()
    for value, count in latencies.items():
        counts[min((value - start) // step, bins)] += count
    width = bins + (1 if counts[bins] else 0)
    top, upwards = _scale(max(counts.values()))
    columns = []
    for n in sorted(n for n in counts if counts[n]):
        least = start + n * step
        wide = "" if step == 1 else f" to {least + step - 1}"
        title = f"{end} ms and more" if n == bins else f"{least}{wide} ms"
        columns.append(_column(n, width, {"sent": counts[n]}, top, f"{title}: {counts[n]:,}"))
    lines = []
    for kind, value in marks.items():
        if start <= value < end:
            x = round(100 * (value + 0.5 - start) / step / width, 3)
            lines.append(Line(kind, x, TOP, x, BASE))
    every = _round_up(bins * step / 5)
    across = [
        Tick(round(100 * (at - start) / step / width, 3), _milliseconds(at))
        for at in range(-(-start // every) * every, end, every)
    ]
    if counts[bins]:
        across = [tick for tick in across if tick.at < 86] + [Tick(100.0, "longer")]
    return Chart(
        tuple(columns),
        tuple(lines),
        tuple(across),
        upwards,
        _kinds(columns, lines),
        step,
        max(counts.values()),
    )


def _bins(latencies: Counter[int]) -> tuple[int, int, int]:
    """Return where the axis starts, the width of a column, and their number."""
    low = min(latencies)
    most = min(percentile(latencies, 0.99), max(low, 3 * percentile(latencies, 0.9)))
    step = _round_up(max(1, (most - low) / 40))
    start = low // step * step
    return start, step, max(_LEAST_BINS, -(-(most + 1 - start) // step))


def percentile(counts: Counter[int], part: float) -> int:
    """Return the smallest value that is not below `part` of them (nearest rank)."""
    left = part * counts.total()
    for value in sorted(counts):
        left -= counts[value]
        if left <= 1e-9:
            return value
    return max(counts)


def _kinds(columns: list[Column], lines: list[Line]) -> frozenset[str]:
    bars = {bar.kind for column in columns for bar in column.bars}
    return frozenset(bars | {line.kind for line in lines})


def _column(n: int, bins: int, parts: dict[str, float], top: float, title: str) -> Column:
    bars, below = [], 0.0
    for kind, value in parts.items():
        y = _height(below + value, top)
        bars.append(Bar(kind, y, round(_height(below, top) - y, 2)))
        below += value
    gap = 0.15 if bins > 40 else 0.08  # of a column: room between it and the next
    return Column(
        round(100 * (n + gap / 2) / bins, 3), round(100 * (1 - gap) / bins, 3), tuple(bars), title
    )


def _rises(samples: Sequence[Sample]) -> Counter[int]:
    """Count the throttled requests of each second between two samples."""
    rises: Counter[int] = Counter()
    before = 0
    for sample in samples:
        if sample.throttled > before:
            rises[math.floor(sample.at)] += sample.throttled - before
        before = sample.throttled
    return rises


def _pace(samples: Sequence[Sample], start: int, span: int, top: float) -> list[Line]:
    points = []
    for sample in samples:
        x = 100 * (sample.at - start) / span
        if 0 <= x <= 100:
            points.append((round(x, 3), _height(min(sample.rate, top), top)))
    return [Line("pace", x1, y1, x2, y2) for (x1, y1), (x2, y2) in itertools.pairwise(points)]


def _binned(by_second: Counter[int], start: int, step: int, bins: int) -> list[float]:
    sums = [0] * bins
    for second, count in by_second.items():
        sums[(second - start) // step] += count
    return [count / step for count in sums]


def _height(value: float, top: float) -> float:
    return round(BASE - (BASE - TOP) * value / top, 2)


def _scale(highest: float) -> tuple[float, tuple[Tick, ...]]:
    """Return the top of the scale and its marks."""
    step = _nice(highest / 4)
    marks = max(1, math.ceil(round(highest / step, 6)))
    top = marks * step
    return top, tuple(Tick(_height(n * step, top), f"{n * step:,.10g}") for n in range(marks + 1))


def _nice(least: float) -> float:
    """Return the next of 1, 2, 5, 10, 20, ... (and of 0.1, 0.2, ...)."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(n * power for n in (1, 2, 5, 10) if n * power >= least * (1 - 1e-9))


def _round_up(least: float) -> int:
    return max(1, round(_nice(least)))


def _times(span: int) -> list[Tick]:
    step = next((s for s in _STEPS if span <= s * _MOST_TICKS), 86400 * -(-span // 86400 // 5))
    unit, length = next(u for u in _UNITS if step % u[1] == 0)
    return [
        Tick(round(100 * at / span, 3), f"{at // length} {unit}" if at else "0")
        for at in range(0, span, step)
    ]


def _milliseconds(value: int) -> str:
    return f"{value} ms" if value < 1000 else f"{value / 1000:g} s"


def _clock(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S")
