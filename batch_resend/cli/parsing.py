"""Parse what was typed: durations, rates, waves, pairs. Raises `UsageError`.

Each function takes the option's name, for the sentence, and the text. Types of other parts
are imported where they are made: the help needs none of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from batch_resend.errors import UsageError

if TYPE_CHECKING:
    from batch_resend.job.summary import MaxFailures
    from batch_resend.job.waves import Waves

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])", re.ASCII)
_UNITS = {"w": 7 * 86400.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_HIGHEST_RATE = 100_000.0  #: per second; no quota is near it, and a typing mistake soon is
_LONGEST_NUMBER = 12  #: digits; a longer number is not a count of users


def duration(option: str, text: str) -> float:
    """Return the seconds of a duration such as 90s, 24h, 7d or 1h30m; larger units first."""
    parts = _PART.findall(text)
    units = [unit for _, unit in parts]
    in_order = units == [unit for unit in _UNITS if unit in units]
    if not parts or not in_order or "".join(map("".join, parts)) != text.strip():
        raise UsageError(
            f"{option} {text!r} is not a valid duration. Use for example 90s, 15m, 24h, 7d or"
            " 1h30m."
        )
    return math.fsum(float(number) * _UNITS[unit] for number, unit in parts)


def moment(option: str, text: str) -> float:
    """Return the seconds since 1970 of a date, or of a date and time; UTC without a zone."""
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"{option} {text!r} is not a valid date. Use for example 2026-11-01 or"
            " 2026-11-01T09:30Z."
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def whole(option: str, text: str) -> int:
    """Return a whole number."""
    if not re.fullmatch(r"-?[0-9]+", text.strip()) or len(text) > _LONGEST_NUMBER:
        raise UsageError(f"{option} {text!r} is not a valid whole number.")
    return int(text)


def number(option: str, text: str) -> float:
    """Return a number."""
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{option} {text!r} is not a valid number.") from None


def choice(option: str, text: str, choices: Sequence[str]) -> Any:
    """Return one of the choices; the sentence suggests one that is near."""
    if text in choices:
        return text
    import difflib

    *first, last = choices
    near = difflib.get_close_matches(text.lower(), choices, 1)
    raise UsageError(
        f"{option} {text!r} is not a valid choice. Use {', '.join(first)} or {last}."
        + (f" Did you mean {near[0]}?" if near else "")
    )


def file_format(option: str, text: str) -> str:
    """Return the format of a file of users."""
    name: str = choice(option, text, ("csv", "json", "jsonl", "xlsx"))
    return name


def log_format(option: str, text: str) -> str:
    """Return how the log is written."""
    name: str = choice(option, text, ("text", "json"))
    return name


def resend_unknown(option: str, text: str) -> str:
    """Return which unknown outcomes are sent again."""
    name: str = choice(option, text, ("not-recorded", "all"))
    return name


def rate(option: str, text: str) -> float | None:
    """Return requests per second; None for `auto`."""
    if text == "auto":
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= _HIGHEST_RATE:
        raise UsageError(
            f"{option} {text!r} is not a valid rate. Use auto, or requests per second: above 0,"
            f" up to {_HIGHEST_RATE:,.0f}."
        )
    return value


def max_failures(option: str, text: str) -> MaxFailures:
    """Return a number of users, or a part such as 5%."""
    from batch_resend.conversion import max_failures

    return max_failures(option, text)


def waves(option: str, text: str) -> Waves:
    """Return the users in each wave; `rest`, in the last place, is None."""
    sizes = [size.strip() for size in text.split(",")]
    if not all(
        size == "rest" or (size.isascii() and size.isdigit() and len(size) <= _LONGEST_NUMBER)
        for size in sizes
    ):
        from batch_resend.settings import HOW_WAVES

        raise UsageError(f"{option} {text!r}: {HOW_WAVES}")
    return tuple(None if size == "rest" else int(size) for size in sizes)


def key_value(option: str, text: str) -> tuple[str, str]:
    """Return the two sides of KEY=VALUE."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise UsageError(f"{option} {text!r} is not a valid pair. Use KEY=VALUE.")
    return key, value


def match(option: str, text: str) -> tuple[str, re.Pattern[str]]:
    """Return the name and the pattern of ATTR=REGEX."""
    name, equals, pattern = text.partition("=")
    if not name or not equals:
        raise UsageError(f"{option} {text!r} is not a valid condition. Use ATTR=REGEX.")
    from batch_resend.conversion import compiled

    return name, compiled(option, name, pattern)
