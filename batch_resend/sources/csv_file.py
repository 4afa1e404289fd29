"""Users from a CSV file, plain or gzipped, or from standard input.

The promises: memory stays flat however long the input is; every data row becomes one
candidate or the reading fails, naming the row; all cells are text (`007`, `NA` and
`1e5` stay as they are); and `heading` followed by the candidates' `raw`, written in
`encoding`, is again an input that reads the same with the same options.

The reading happens in worker threads, a batch at a time, so that a slow pipe holds up
neither a signal nor the end of the program.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import os
import re
import select
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from typing import TypeVar

import anyio
from anyio import to_thread

from batch_resend.errors import InputError, UsageError
from batch_resend.masking import mask_within, printable
from batch_resend.model import Candidate

#: The path that means standard input.
STANDARD_INPUT = "-"

#: The headers that name the username, in the order in which they are looked for.
KNOWN = ("username", "cognito:username", "user_name", "user", "sub", "email")

_BATCH = 1000

_DELIMITERS = ",;\t|"
_SPELLED_OUT = {"\\t": "\t", "tab": "\t"}

# UTF-32 stands first: its little-endian mark begins as that of UTF-16 does.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# Excel's own way to say what delimits: the first line, and no record.
_DECLARED = re.compile(r"sep=([^\"\r\n])[\r\n]*", re.IGNORECASE)

# What people give in place of a CSV file, by its first bytes.
_NO_TEXT = (
    (b"PK\x03\x04", "an Excel workbook or another ZIP file, and no text: save it as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook, and no text: save it as CSV"),
    (b"\x1f\x8b", "gzip, and its name does not say so: let it end in .gz, or unpack it"),
)

# Pasted names bring along no-break spaces and byte order marks; no username has any.
_AROUND_NAMES = " \t\r\n\u00a0\ufeff"
_AROUND_CELLS = " \t"

# So many characters may a record have. Without a bound, an input that lacks line ends
# or a closing quote would be read into memory as a whole.
_LONGEST_RECORD = 1 << 20

# How soon, in seconds, a thread that waits for input notices that it waits for nobody.
_HEED = 0.2

_LIKE_A_USER = re.compile(
    r"""@                                                   # an address,
    | ^\+[0-9]{6,}$                                         # a telephone number,
    | ^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-     # a `sub`
    """,
    re.VERBOSE | re.IGNORECASE,
)

#: Gives an open file for a path, as that of `io.FileIO`.
Opener = Callable[[str, int], int]

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
        self.name = "standard input" if path == STANDARD_INPUT else printable(path)
        self.columns: frozenset[str] | None = None
        self.username_column: str | None = None  #: unless it goes without saying
        self.heading = ""
        self.encoding = encoding or ""

        self._path = path
        self._username_column = username_column
        self._header = header
        self._may_be_empty = header is None
        self._delimiter = _as_delimiter(delimiter)
        self._keep = keep
        self._opener = opener or without_waiting

        self._file: io.FileIO | None = None
        self._busy = False  # a worker thread is reading
        self._abandoned = False  # and nobody waits for it any more
        self._records = _Records((), ",")
        self._candidates: Iterator[Candidate] = iter(())
        self._rows = 0

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
        self._abandoned = True
        if self._file and not self._busy:
            self._file.close()

    async def _away(self, work: Callable[[], _T]) -> _T:
        """Do a piece of work in a worker thread, and wait for it as long as anybody does."""

        def in_thread() -> _T:
            self._busy = True
            try:
                with self._in_words():
                    return work()
            finally:
                self._busy = False

        try:
            return await to_thread.run_sync(in_thread, abandon_on_cancel=True)
        except anyio.get_cancelled_exc_class():
            self._abandoned = True
            raise

    # What follows runs in worker threads, one at a time.

    def _open(self) -> None:
        lines = self._lines()
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

    def _lines(self) -> Iterator[str]:
        """Open the input as lines of text, cutting those that are longer than a record."""
        if self._path == STANDARD_INPUT:
            # Not sys.stdin: its lock, held by a waiting thread, crashes an interpreter
            # that wants to end.
            self._file = io.FileIO(0, closefd=False)
        else:
            try:
                self._file = io.FileIO(self._path, opener=self._opener)
            except ValueError as error:  # a NUL, or what the file system cannot encode
                raise InputError(f"{self.name} is no file's name: give another.") from error
        patient = io.BufferedReader(_Patient(self._file, lambda: self._abandoned), 1 << 16)
        zipped = self._path.lower().endswith(".gz")
        unzipped = gzip.GzipFile(fileobj=patient) if zipped else patient
        start = unzipped.read(4)
        for mark, told in _NO_TEXT:
            if start.startswith(mark):
                raise InputError(f"{self.name} is {told}.")
        if not self.encoding:
            marked = (codec for mark, codec in _MARKS if start.startswith(mark))
            self.encoding = next(marked, "utf-8")
        try:
            text = io.TextIOWrapper(
                _Rejoined(start, unzipped),  # type: ignore[type-var]
                encoding=self.encoding,
                newline="",
            )
        except (LookupError, ValueError) as error:
            raise UsageError(
                f"--encoding {printable(self.encoding)!r} is no encoding that is known here:"
                " use a name such as utf-8, utf-16, latin-1 or cp1252."
            ) from error
        return iter(partial(text.readline, _LONGEST_RECORD), "")

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
        except UnicodeError as error:
            # What cannot be decoded is a chunk that begins on the line after the last.
            begun = error.object[: error.start] if isinstance(error, UnicodeDecodeError) else b""
            line = self._records.lines + begun.count(b"\n") + 1
            raise InputError(
                f"{self.name} is not {printable(self.encoding)} near line {line}: give the"
                " file's encoding with --encoding, such as cp1252 or utf-16."
            ) from error
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(
                f"{self.name} is cut off, damaged or not gzip at all: make or fetch it again."
            ) from error
        except OSError as error:
            raise InputError(
                f"{self.name} cannot be read ({error.strerror}): give a file that exists and"
                " may be read."
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
            if self._size >= _LONGEST_RECORD:
                raise csv.Error("record larger than the limit")
            self._raw.append(line)
            yield line


class _Patient(io.RawIOBase):
    """A file that is waited for in such a way that the waiting can be given up.

    A thread in the middle of `read` cannot be interrupted, and the interpreter waits for
    its threads before it ends: Ctrl-C would have to be followed by the Enter key.
    """

    def __init__(self, file: io.FileIO, abandoned: Callable[[], bool]) -> None:
        self._file = file
        self._abandoned = abandoned

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        ready = select.poll()
        ready.register(self._file, select.POLLIN)
        while not self._abandoned():
            if ready.poll(_HEED * 1000):
                read = self._file.readinto(buffer)
                if read is not None:  # None: somebody else of the same pipe was faster
                    return read
        raise OSError("nobody waits for this input any more")


class _Rejoined(io.BufferedIOBase):
    """A stream with its start, read to recognise it, put back."""

    def __init__(self, start: bytes, rest: io.BufferedIOBase) -> None:
        self._start = start
        self._rest = rest

    def readable(self) -> bool:
        return True

    def read1(self, size: int = -1) -> bytes:
        start, self._start = self._start, b""
        return start or self._rest.read1(size)


def without_waiting(path: str, flags: int) -> int:
    """Open a file, or a named pipe, on whose writer one would wait out of any signal's reach."""
    return os.open(path, flags | os.O_NONBLOCK)


def _first_record(lines: Iterator[str]) -> list[str]:
    """Read the lines up to the end of the first record."""
    ahead: list[str] = []
    size = quotes = 0
    for line in lines:
        # An encoding given by hand can leave the byte order mark in the text.
        ahead.append(line if ahead else line.removeprefix("\ufeff"))
        size += len(line)
        quotes += line.count('"')
        if size >= _LONGEST_RECORD or (line.strip(_AROUND_NAMES) and quotes % 2 == 0):
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
