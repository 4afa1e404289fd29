"""Whether a text has a pattern somewhere in it, within a limit of time. Pure.

A pattern that backtracks without end would hold up the whole run, signals included: it is
given up after `LONGEST`. The patterns are those of Python's `re`.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from batch_resend.errors import UsageError
from batch_resend.masking import printable

if TYPE_CHECKING:
    import regex

LONGEST = 5.0  #: seconds for one text

# The flags of `re`, which have other numbers in `regex`.
_FLAGS = ("IGNORECASE", "MULTILINE", "DOTALL", "VERBOSE", "ASCII")


class TooSlow(Exception):
    """A text for which the pattern took longer than `LONGEST`."""


def has(pattern: re.Pattern[str], text: str) -> bool:
    """Return whether the text has the pattern; raises `TooSlow` and `UsageError`."""
    try:
        return limited(pattern).search(text, timeout=LONGEST) is not None
    except TimeoutError as error:
        raise TooSlow(pattern.pattern) from error


@functools.lru_cache
def limited(pattern: re.Pattern[str]) -> regex.Pattern[str]:
    """Return the pattern as one that knows limits of time; raises `UsageError`."""
    import regex  # a tenth of a second, which a run without --match need not wait for

    flags = regex.VERSION0
    for name in _FLAGS:
        if pattern.flags & re.RegexFlag[name]:
            flags |= regex.RegexFlag[name]
    try:
        return regex.compile(pattern.pattern, flags)
    except regex.error as error:
        raise UsageError(
            f"--match: {printable(pattern.pattern)!r} is not a valid pattern ({error})."
        ) from error
