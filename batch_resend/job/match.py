"""Whether a text has a pattern somewhere in it, within a limit of time. Pure.

A pattern that backtracks without end would hold up the whole run, signals included: it is
given up after `LONGEST`. The patterns are those of Python's `re`.
"""

from __future__ import annotations

import functools
import re

import regex

from batch_resend.errors import UsageError
from batch_resend.masking import printable

LONGEST = 5.0  #: seconds for one text

# The flags of `re`, which have other numbers in `regex`.
_FLAGS = (
    (re.IGNORECASE, regex.IGNORECASE),
    (re.MULTILINE, regex.MULTILINE),
    (re.DOTALL, regex.DOTALL),
    (re.VERBOSE, regex.VERBOSE),
    (re.ASCII, regex.ASCII),
)


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
    flags = regex.VERSION0
    for of_re, of_regex in _FLAGS:
        if pattern.flags & of_re:
            flags |= of_regex
    try:
        return regex.compile(pattern.pattern, flags)
    except regex.error as error:
        raise UsageError(
            f"--match: {printable(pattern.pattern)!r} is not a valid pattern ({error})."
        ) from error
