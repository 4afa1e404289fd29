"""Colour for the words that mean good, careful and stop, on a terminal that shows it. Pure."""

from __future__ import annotations

import os
import re
from typing import IO

_GREEN, _YELLOW, _RED = "32", "33", "31"
_WORDS = (
    (_RED, r"^(?:[^:\s]+: )?Error:|^stop(?= )|^  failed(?= )|^The run cannot start"),
    (
        _YELLOW,
        r"^(?:[^:\s]+: )?(?:Warning|Check|Stopped|Not delivered):|^Stopped by"
        r"|^warning(?= )|^  unknown(?= )",
    ),
    (_GREEN, r"^ok(?= )|^  sent(?= )|^Ready to run|^Dry run complete"),
)
_COUNTS = re.compile(r"(?<=[ :])([\d,]+ (?:sent|failed|unknown))\b")
_OF = {"sent": _GREEN, "failed": _RED, "unknown": _YELLOW}


def shows_colour(stream: IO[str]) -> bool:
    """Whether a stream is a terminal with colours, and the user has not asked for none."""
    plain = os.environ.get("TERM", "dumb") in {"dumb", "unknown"} or os.environ.get("NO_COLOR")
    return stream.isatty() and not plain


def coloured(line: str) -> str:
    """Return a line with its word of warning, or the counts of a summary, in colour."""
    for colour, words in _WORDS:
        if match := re.match(words, line):
            return _in(colour, match[0]) + line[match.end() :]
    if re.match(r"(?:[^:\s]+: )?[\d,]+ rows? in ", line):
        return _COUNTS.sub(lambda count: _in(_OF[count[1].split()[1]], count[1]), line)
    return line


def _in(colour: str, text: str) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m"
