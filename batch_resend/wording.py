"""Counts, lists and lengths of time as sentences have them. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime


def some(count: int, thing: str) -> str:
    """Count things: `1 user`, `2,400 users`."""
    return f"{count} {thing}" if count == 1 else f"{count:,} {thing}s"


def grouped(count: float, thing: str) -> str:
    """Count many things: `1 user`, `1,200 users`, `12.5 mails`."""
    number = f"{round(count, 1):,}".removesuffix(".0")
    return f"{number} {thing}" if count == 1 else f"{number} {thing}s"


def listed(words: Sequence[str], last: str = "and") -> str:
    """List them: `one, two and three`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def to_fill_in(command: str) -> str:
    """Return what to fill in before a command is run, as a sentence; "" if nothing is."""
    left_out = list(dict.fromkeys(re.findall(r"<(?:NAME|PATTERN|FILTER|VALUE)>", command)))
    if not left_out:
        return ""
    return f"Fill in {listed(left_out)} first: names are left out here, unless --no-mask is used."


_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def duration(seconds: float) -> str:
    """Write a duration as the options read it and as people write it: `14d`, `24h`, `1h30m`."""
    if 0 < seconds < 1 and (seconds * 1000).is_integer():
        return f"{seconds * 1000:.0f}ms"
    for unit, size in _UNITS:
        count, rest = divmod(seconds, size)
        if not rest and 0 < count < 100:  # in one unit, as long as that is easy to read
            return "24h" if (unit, count) == ("d", 1) else f"{count:.0f}{unit}"
    parts = []
    for unit, size in _UNITS[:-1]:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count:.0f}{unit}")
    if seconds:
        parts.append(f"{seconds:.10f}".rstrip("0").rstrip(".") + "s")
    return "".join(parts) or "0s"


def per_second(rate: float) -> str:
    """Write a rate as people read it: `25/s`, `0.5/s`, `1,000/s`."""
    digits = 0 if rate >= 100 else 1 if rate >= 10 else 2
    number = f"{rate:,.{digits}f}"
    return (number.rstrip("0").rstrip(".") if "." in number else number) + "/s"


_LONG_UNITS = {"d": "day", "h": "h", "m": "min", "s": "s", "ms": "ms"}


def length(seconds: float) -> str:
    """Write a duration in a sentence: `24 h`, `14 days`, `90 min`."""
    parts = re.findall(r"([\d.]+)([a-z]+)", duration(seconds))
    return " ".join(
        f"{number} {_LONG_UNITS[unit]}{'s' if unit == 'd' and number != '1' else ''}"
        for number, unit in parts
    )


def moment(at: float, now: float) -> str:
    """Write a time in UTC, by the day as seen from now: `today 16:04 UTC`."""
    then, today = (datetime.fromtimestamp(seconds, UTC) for seconds in (at, now))
    days = (today.date() - then.date()).days
    day = {0: "today", 1: "yesterday"}.get(days, f"{then:%Y-%m-%d}")
    return f"{day} {then:%H:%M} UTC"


def span(seconds: float) -> str:
    """Write a length of time in the two largest units that matter."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"
