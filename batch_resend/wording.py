"""Counts, lists and lengths of time as sentences have them. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def some(count: int, thing: str) -> str:
    """Count things: `1 user`, `2 users`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def grouped(count: float, thing: str) -> str:
    """Count many things: `1 user`, `1,200 users`, `12.5 mails`."""
    number = f"{round(count, 1):,}".removesuffix(".0")
    return f"{number} {thing}" if count == 1 else f"{number} {thing}s"


def listed(words: Sequence[str], last: str = "and") -> str:
    """List them: `one, two and three`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


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
