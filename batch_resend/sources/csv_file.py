"""Users from a CSV file, plain or gzipped, or from standard input.

The promises: memory stays flat however long the input is; every data row becomes one
candidate or the reading fails, naming the row; all cells are text (`007`, `NA` and
`1e5` stay as they are); and `heading` followed by the candidates' `raw`, written in
`encoding`, is again an input that reads the same with the same options.

The reading happens in worker threads, a batch at a time, so that a slow pipe holds up
neither a signal nor the end of the program.
"""

from __future__ import annotations

import csv
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import TypeVar

from batch_resend.errors import InputError, UsageError
from batch_resend.masking import mask_within, printable
from batch_resend.model import Candidate
from batch_resend.sources.text_input import LONGEST_RECORD, Opener, TextInput

#: The headers that name the username, in the order in which they are looked for.
KNOWN = ("username", "cognito:username", "user_name", "user", "sub", "email")

_BATCH = 1000

_DELIMITERS = ",;\t|"
_SPELLED_OUT = {"\\t": "\t", "tab": "\t"}

# Excel's own way to say what delimits: the first line, and no record.
_DECLARED = re.compile(r"sep=([^\"\r\n])[\r\n]*", re.IGNORECASE)

# Pasted names bring along no-break spaces and byte order marks; no username has any.
_AROUND_NAMES = " \t\r\n\u00a0\ufeff"
_AROUND_CELLS = " \t"

_LIKE_A_USER = re.compile(
    r"""@                                                   # an address,
    | ^\+[0-9]{6,}$                                         # a telephone number,
    | ^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-     # a `sub`
    """,
    re.VERBOSE | re.IGNORECASE,
)

_T = TypeVar("_T")


class CsvSource:
    """The rows of a CSV file as candidates.

    `path` "-" is standard input. `header` None means: the first record is a header if
    it has a known name of the username's column, and there may be no rows. `keep` names
    the columns that become attributes; without it, all but the username's do. `opener`
    opens a path that is none of a file.
    """

    def __init__(
        self,
        path: str,
        *,
        username_column: str | None = None,
        header: bool | None = True,
        delimiter: str | None = None,
        encoding: str | None = None,
        keep: frozenset[str] | None = None,
        opener: Opener | None = None,
    ) -> None:
        self._input = TextInput(path, encoding=encoding, opener=opener)
        self.name = self._input.name
        self.columns: frozenset[str] | None = None
        self.username_column: str | None = None  #: unless it goes without saying
        self.heading = ""

        self._username_column = username_column
        self._header = header
        self._may_be_empty = header is None
        self._delimiter = _as_delimiter(delimiter)
        self._keep = keep

        self._records = _Records((), ",")
        self._candidates: Iterator[Candidate] = iter(())
        self._rows = 0

    @property
    def encoding(self) -> str:
        """The encoding of the input; empty until it is known."""
        return self._input.encoding

    async def open(self) -> None:
        """Open the input, find out its form and read the header."""
        await self._away(self._open)

    async def batches(self) -> AsyncIterator[list[Candidate]]:
        """Give the candidates in their order, about a thousand at a time."""
        while batch := await self._away(lambda: list(islice(self._candidates, _BATCH))):
            yield batch
        if not self._rows and not self._may_be_empty:
            raise InputError(
                f"{self.name} has a header but no rows: give a file with at least one user,"
                " or use --no-header if its only line is one."
            )

    async def aclose(self) -> None:
        """Close the input; a thread that still waits for it is left to end by itself."""
        self._input.close()

    async def _away(self, work: Callable[[], _T]) -> _T:
        """Do a piece of work in a worker thread, and wait for it as long as anything does."""

        def in_words() -> _T:
            with self._in_words():
                return work()

        return await self._input.away(in_words)

    # What follows runs in worker threads, one at a time.

    def _open(self) -> None:
        lines = self._input.lines()
        ahead = _first_record(lines)
        declared = _DECLARED.fullmatch(ahead[0]) if ahead else None
        preface = declared[0] if declared else ""
        if declared:
            ahead = _first_record(lines)
        delimiter = self._delimiter or (declared[1] if declared else _sniff(ahead))
        self._records = _Records(chain(ahead, lines), delimiter, begun=bool(declared))
        first = self._records.read()
        while self._header and first is not None and not any(map(str.strip, first)):
            first = self._records.read()  # nothing but delimiters names no column
        if first is None:
            raise InputError(f"{self.name} is empty: give a file with at least one user.")
        names = [name.strip(_AROUND_NAMES) for name in first]
        if self._header is None:
            self._header = self._is_header(names)
        if self._header:
            place = self._find_username(names)
            self.heading = preface + self._records.verbatim()
        else:
            self.heading = preface
            names = [str(number) for number in range(1, len(first) + 1)]
            place = 0 if self._username_column is None else self._find_username(names)
        self.columns = frozenset(filter(None, names))
        if len(names) > 1 or (self._header and not _known(names)):
            self.username_column = mask_within(names[place])
        self._candidates = self._read_rows(names, place, None if self._header else first)

    def _is_header(self, names: Sequence[str]) -> bool:
        if _known(names):
            return True
        if len(names) > 1:
            # Taken as a bare list, the wrong column would be read without a word.
            raise InputError(
                f"{self.name} has several columns and no username's name above any: call it"
                f" {KNOWN[0]!r}, or give a bare list of names."
            )
        return False

    def _find_username(self, names: Sequence[str]) -> int:
        """Say which column is the username's."""
        wanted = self._username_column
        if wanted is None:
            places = _known(names)
        else:
            places = _places(names, wanted.strip()) or _places(map(_plain, names), _plain(wanted))
        if len(places) > 1:
            raise InputError(
                f"{self.name} has {len(places)} columns called"
                f" {mask_within(names[places[0]])!r}: rename all but one, or name another"
                " with --username-column."
            )
        if places:
            return places[0]
        if any(map(_LIKE_A_USER.search, names)):
            raise InputError(
                f"{self.name} begins with a line that looks like a user and not like a"
                " header: use --no-header."
            )
        if wanted is None and len(names) == 1:
            return 0
        missing = "no username column" if wanted is None else f"no column {printable(wanted)!r}"
        listed = ", ".join([repr(mask_within(name)) for name in names if name][:10])
        raise InputError(
            f"{self.name} has {missing}: name one of its columns with --username-column"
            f" ({listed}{', …' if len(names) > 10 else ''})."
        )

    def _read_rows(
        self, names: Sequence[str], username: int, first: list[str] | None
    ) -> Iterator[Candidate]:
        """Give the candidates; `first` is a row that was read in place of a header."""
        width = len(names)
        places: dict[str, int] = {}
        for place, name in enumerate(names):
            if name:
                places.setdefault(name, place)  # of two columns with one name the first
        if self._keep is None:
            kept = [(name, place) for name, place in places.items() if place != username]
        else:
            kept = [(name, place) for name, place in places.items() if name in self._keep]
        records = self._records
        record = first or records.read()
        while record is not None:
            self._rows += 1
            if len(record) != width:
                if any(cell.strip(_AROUND_NAMES) for cell in record[width:]):
                    raise InputError(
                        f"{self.name}: row {self._rows} (line {records.line}) has"
                        f" {len(record)} fields, the {'first row' if first else 'header'}"
                        f" {width}: a missing quote?"
                    )
                record += [""] * (width - len(record))
            yield Candidate(
                self._rows,
                record[username].strip(_AROUND_NAMES),
                {name: record[place].strip(_AROUND_CELLS) for name, place in kept},
                records.verbatim(),
            )
            record = records.read()

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Turn what goes wrong with the input into a sentence for a person."""
        try:
            yield
        except csv.Error as error:
            in_header = self._header and not self.heading
            where = "the header" if in_header else f"row {self._rows + 1}"
            what = "is too long" if "larger than" in str(error) else "is quoted wrongly"
            raise InputError(
                f"{self.name}: {where} (line {self._records.line}) {what}: close every quote,"
                " and double the quotes inside a quoted field."
            ) from error


async def read_names(path: str, opener: Opener | None = None) -> AsyncIterator[str]:
    """Give the usernames of a list, such as that of --exclude.

    It is a bare list, or a CSV file whose header has a known name of the username's
    column. A header without rows is an empty list; a file with nothing in it is refused,
    for it may be an export that failed.
    """
    source = CsvSource(path, header=None, keep=frozenset(), opener=opener)
    try:
        await source.open()
        async for batch in source.batches():
            for candidate in batch:
                yield candidate.username
    finally:
        await source.aclose()


class _Records:
    """The records of CSV lines, each with its text as it stood there."""

    def __init__(self, lines: Iterable[str], delimiter: str, *, begun: bool = False) -> None:
        self.line = 1  #: the line that the present record begins with
        self.lines = int(begun)  #: lines read so far
        self._raw: list[str] = []  # the lines of the present record
        self._size = 0  # and their characters
        self._reader = csv.reader(self._noted(lines), delimiter=delimiter, strict=True)

    def read(self) -> list[str] | None:
        """Read the next record that is no blank line; None at the end."""
        while True:
            self._raw.clear()
            self._size = 0
            self.line = self.lines + 1
            record = next(self._reader, None)
            if record is None or len(record) > 1:
                return record
            if record and (record[0].strip(_AROUND_NAMES) or '"' in self._raw[0]):
                return record

    def verbatim(self) -> str:
        """Give the present record's text, and a line end where it has none."""
        raw = "".join(self._raw)
        return raw if raw.endswith(("\n", "\r")) else raw + "\n"

    def _noted(self, lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            self.lines += 1
            self._size += len(line)
            if self._size >= LONGEST_RECORD:
                raise csv.Error("record larger than the limit")
            self._raw.append(line)
            yield line


def _first_record(lines: Iterator[str]) -> list[str]:
    """Read the lines up to the end of the first record."""
    ahead: list[str] = []
    size = quotes = 0
    for line in lines:
        # An encoding given by hand can leave the byte order mark in the text.
        ahead.append(line if ahead else line.removeprefix("\ufeff"))
        size += len(line)
        quotes += line.count('"')
        if size >= LONGEST_RECORD or (line.strip(_AROUND_NAMES) and quotes % 2 == 0):
            break
    return ahead


def _sniff(record: Iterable[str]) -> str:
    """Say what delimits the fields: the most frequent one outside quotes, or a comma."""
    text = "".join(line for line in record if line.strip(_AROUND_NAMES))
    return max(_DELIMITERS, key=re.sub(r'"[^"]*"?', "", text).count)


def _as_delimiter(given: str | None) -> str | None:
    if given is None:
        return None
    delimiter = _SPELLED_OUT.get(given.lower(), given)
    if len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise UsageError(
            f"--delimiter {printable(given)!r} delimits nothing: give one character, such as"
            " ',', ';', '|' or 'tab'."
        )
    return delimiter


def _plain(name: str) -> str:
    return "".join(name.split()).casefold()


def _places(names: Iterable[str], wanted: str) -> list[int]:
    return [place for place, name in enumerate(names) if name == wanted]


def _known(names: Iterable[str]) -> list[int]:
    """Say where the first of the known names stands, if any does."""
    plain = [_plain(name) for name in names]
    return next((places for known in KNOWN if (places := _places(plain, known))), [])
