"""What is typed, read: durations, rates, waves, pairs. Raises `UsageError`. Pure."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import cast, get_args

from batch_resend.errors import UsageError
from batch_resend.job.summary import MaxFailures
from batch_resend.job.waves import Waves
from batch_resend.ledger.policy import ResendUnknown
from batch_resend.settings import HOW_WAVES, Format

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
_UNITS = {"w": 7 * 86400.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def duration(option: str, text: str) -> float:
    """Read a duration such as 90s, 15m, 24h, 7d or 1h30m, in seconds; larger units first."""
    parts = _PART.findall(text)
    units = [unit for _, unit in parts]
    in_order = units == [unit for unit in _UNITS if unit in units]
    if not parts or not in_order or "".join(map("".join, parts)) != text.strip():
        raise UsageError(
            f"{option} {text!r} is not a valid duration. Use for example 90s, 15m, 24h, 7d or"
            " 1h30m."
        )
    return math.fsum(float(number) * _UNITS[unit] for number, unit in parts)


def moment(text: str) -> float:
    """Read --since: a date, or a date and a time, UTC where it names no zone; since 1970."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"--since {text!r} is not a valid date. Use for example 2026-11-01 or"
            " 2026-11-01T09:30Z."
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def file_format(text: str) -> Format:
    """Read --format."""
    for choice in get_args(Format):
        if text == choice:
            return cast("Format", choice)
    raise UsageError(f"--format {text!r} is not a valid format. Use csv, json, jsonl or xlsx.")


def rate(text: str) -> float | None:
    """Read --rate: `auto` (None) or requests a second."""
    if text == "auto":
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 100_000:
        raise UsageError(f"--rate {text!r}: give auto, or requests a second, above 0.")
    return value


def max_failures(text: str) -> MaxFailures:
    """Read --max-failures: a number, or a part such as 5%."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)%", text)
    if found and float(found[1]) <= 100:
        return MaxFailures(part=float(found[1]) / 100)
    if text.isascii() and text.isdigit():
        return MaxFailures(number=int(text))
    raise UsageError(f"--max-failures {text!r}: give a number of users, or a part such as 5%.")


def resend_unknown(text: str) -> ResendUnknown:
    """Read --resend-unknown: `not-recorded` or `all`."""
    for choice in get_args(ResendUnknown):
        if text == choice:
            return cast("ResendUnknown", choice)
    raise UsageError(f"--resend-unknown {text!r} is not a valid choice. Use not-recorded or all.")


def waves(text: str) -> Waves:
    """Read --waves: users in each, separated by commas; `rest` in the last place is None."""
    sizes = [size.strip() for size in text.split(",")]
    if not all(size == "rest" or (size.isascii() and size.isdigit()) for size in sizes):
        raise UsageError(f"--waves {text!r}: {HOW_WAVES}")
    return tuple(None if size == "rest" else int(size) for size in sizes)


def key_values(option: str, texts: list[str]) -> tuple[tuple[str, str], ...]:
    """Read repeated KEY=VALUE options."""
    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UsageError(f"{option} {text!r}: give it as KEY=VALUE.")
        if key in pairs:
            raise UsageError(f"{option} {key} is given twice: leave one out.")
        pairs[key] = value
    return tuple(pairs.items())


def matches(texts: list[str]) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Read repeated --match ATTR=REGEX options."""
    read = []
    for text in texts:
        name, equals, pattern = text.partition("=")
        if not name or not equals:
            raise UsageError(f"--match {text!r}: give it as ATTR=REGEX.")
        try:
            read.append((name, re.compile(pattern)))
        except re.error as error:
            raise UsageError(f"--match {name}: {pattern!r} is no pattern ({error}).") from None
    return tuple(read)
