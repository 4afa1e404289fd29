r"""The records of CSV lines, each with its text verbatim.

The promises: a record that is quoted wrongly or is too long is refused and never repaired;
the delimiter is detected in the first record and never within a bare name; `\,` in Cognito's
own import format is a comma.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Protocol

from batch_resend.errors import UsageError
from batch_resend.masking import printable
from batch_resend.sources.cells import AROUND_NAMES
from batch_resend.sources.columns import DELIMITERS, OTHER_NAMES, places_of_username, plain
from batch_resend.sources.text_input import LONGEST_RECORD

_SPELLED_OUT = {"\\t": "\t", "tab": "\t"}

# Excel's own line that names the delimiter; it is not a record.
_DECLARED = re.compile(r"sep=([^\"\r\n])[\r\n]*", re.IGNORECASE)

# An ID may have a pipe within it, such as auth0|5f31.
_IN_NAMES = "|"

# Replaces an escaped comma while the line is parsed: no decoded text has a lone surrogate.
_COMMA = "\udc2c"


class Records(Protocol):
    """Records of cells, one after another."""

    line: int  #: the first line of the present record
    numbers: tuple[int, ...]  #: places of its cells that are not text but numbers

    def read(self) -> list[str] | None:
        """Read the next record that is not blank; None at the end."""
        ...

    def verbatim(self) -> str:
        """Return the present record's text, with a line end."""
        ...

    @property
    def cut_off(self) -> bool:
        """Whether the present record has no end."""
        ...


class CsvRecords:
    """The records of lines; `header` as in `FileSource`, `delimiter` where one was given."""

    def __init__(
        self, lines: Iterable[str], *, header: bool | None, delimiter: str | None, one_name: bool
    ) -> None:
        lines = iter(lines)
        ahead = first_record(lines)
        declared = _DECLARED.fullmatch(ahead[0]) if ahead else None
        if declared:
            ahead = first_record(lines)
        self.preface = declared[0] if declared else ""
        self.guessed = not delimiter and not declared
        if not delimiter:
            delimiter = declared[1] if declared else _sniff(ahead, header, one_name=one_name)
        self.delimiter = delimiter
        self.escaped = False  #: whether `\,` is a comma
        self.line = 1
        self.numbers: tuple[int, ...] = ()
        self._lines_read = int(bool(declared))
        self._raw: list[str] = []  # the lines of the present record
        self._size = 0  # and their characters
        self._swapped = False  # whether they have escaped commas
        self._reader = csv.reader(
            self._noted(chain(ahead, lines)), delimiter=delimiter, strict=True
        )

    def read(self) -> list[str] | None:
        """Read the next record that is not a blank line; None at the end. Raises `csv.Error`."""
        while True:
            self._raw.clear()
            self._size = 0
            self._swapped = False
            self.line = self._lines_read + 1
            record = next(self._reader, None)
            if record is None:
                return None
            if self._swapped:
                record = [cell.replace(_COMMA, ",") for cell in record]
            if len(record) > 1:
                return record
            if record and (record[0].strip(AROUND_NAMES) or '"' in self._raw[0]):
                return record

    def verbatim(self) -> str:
        """Return the present record's text, and a line end where it has none."""
        raw = "".join(self._raw)
        return raw if raw.endswith(("\n", "\r")) else raw + "\n"

    @property
    def cut_off(self) -> bool:
        """Whether the present record is the last and has no line end."""
        return not self._raw[-1].endswith(("\n", "\r"))

    def _noted(self, lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            self._lines_read += 1
            self._size += len(line)
            if self._size >= LONGEST_RECORD:
                raise csv.Error("record larger than the limit")
            self._raw.append(line)
            if self.escaped and "\\," in line:
                self._swapped = True
                yield line.replace("\\,", _COMMA)
            else:
                yield line


def csv_row(cells: Iterable[str], delimiter: str = ",") -> str:
    """Write cells as a line of CSV."""
    # Up to Python 3.12 the writer quotes only its own line end, not "\\r" if that is "\\n".
    line = io.StringIO()
    csv.writer(line, delimiter=delimiter, lineterminator="\r\n").writerow(cells)
    return line.getvalue().removesuffix("\r\n") + "\n"


def first_record(lines: Iterator[str]) -> list[str]:
    """Read the lines up to the end of the first record."""
    ahead: list[str] = []
    size = quotes = 0
    for line in lines:
        # With an encoding of the user's choice the byte order mark can remain in the text.
        ahead.append(line if ahead else line.removeprefix("\ufeff"))
        size += len(line)
        quotes += line.count('"')
        if size >= LONGEST_RECORD or (line.strip(AROUND_NAMES) and quotes % 2 == 0):
            break
    return ahead


def as_delimiter(text: str | None) -> str | None:
    """Return the delimiter that an option means; raises `UsageError`."""
    if text is None:
        return None
    delimiter = _SPELLED_OUT.get(text.lower(), text)
    if len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise UsageError(
            f"--delimiter {printable(text)!r} must be a single character, such as ',', ';',"
            " '|' or 'tab'."
        )
    return delimiter


def _sniff(record: Iterable[str], header: bool | None, *, one_name: bool) -> str:
    """Return the delimiter: the most frequent one outside quotes, or a comma.

    `header` None: the record may be a header or a bare name. `one_name`: a record without
    a header is one name.
    """
    text = "".join(line for line in record if line.strip(AROUND_NAMES))
    count = re.sub(r'"[^"]*"?', "", text).count
    delimiter = max(DELIMITERS, key=count)
    if delimiter not in _IN_NAMES or header or (header is False and not one_name):
        return delimiter
    names = [name.strip(AROUND_NAMES + '"') for name in text.split(delimiter)]
    if header is None and (
        places_of_username(names) or any(plain(name) in OTHER_NAMES for name in names)
    ):
        return delimiter
    return max((one for one in DELIMITERS if one not in _IN_NAMES), key=count)
