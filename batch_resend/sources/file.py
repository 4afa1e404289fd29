"""Users from a file or from standard input: CSV, JSON, JSON Lines or an Excel workbook.

The promises: memory stays flat however long the input is; every data row becomes one
candidate, or the reading fails and names the row; all cells are text (`007`, `NA` and
`1e5` stay as they are); and `heading` followed by the candidates' `raw`, written in
`encoding`, is a valid input that reads the same with the same options.

The reading happens in worker threads, a batch at a time, so that a slow pipe delays
neither a signal nor the end of the program.
"""

from __future__ import annotations

import csv
from collections.abc import AsyncGenerator, Iterator
from itertools import chain, islice

from batch_resend.errors import InputError
from batch_resend.model import Candidate
from batch_resend.sources import Format
from batch_resend.sources.columns import (
    Columns,
    headed,
    is_import_format,
    numbered,
    of_a_list,
    trimmed,
)
from batch_resend.sources.csv_records import CsvRecords, Records, as_delimiter, first_record
from batch_resend.sources.excel import SheetRecords
from batch_resend.sources.json_users import JsonUsers, looks_like_json
from batch_resend.sources.oddities import Oddities
from batch_resend.sources.rows import Rows, Wanted, wrongly_quoted
from batch_resend.sources.text_input import Opener, TextInput
from batch_resend.wording import listed

_BATCH = 1000

# The file's ending decides the format; a file with another ending is recognized by its start.
_ENDINGS: tuple[tuple[str, Format], ...] = (
    (".json", "json"),
    (".jsonl", "jsonl"),
    (".ndjson", "jsonl"),
)


class FileSource:
    """The users of a file as candidates.

    `path` "-" is standard input. `header` None means: the first record is a header if
    it has a known name, and there may be no rows. `keep` names the columns that become
    attributes; without it, all but the username's do. `dates`: every user must have a
    date of sign-up. `opener` opens a path that is not a local file.
    """

    def __init__(
        self,
        path: str,
        *,
        format: Format | None = None,  # noqa: A002 - the name it has everywhere
        username_column: str | None = None,
        header: bool | None = True,
        delimiter: str | None = None,
        encoding: str | None = None,
        keep: frozenset[str] | None = None,
        dates: bool = False,
        opener: Opener | None = None,
    ) -> None:
        self._input = TextInput(path, encoding=encoding, opener=opener)
        self.name = self._input.name
        self.columns: frozenset[str] | None = None  #: None where each user has their own
        self.username_column: str | None = None  #: None where it need not be shown
        self.heading = ""
        self.encoding = ""  #: of `heading` and of the rows; empty until it is known

        self._format = format or _by_ending(path)
        self._username_column = username_column
        self._header = header
        self._delimiter = as_delimiter(delimiter)
        self._wanted = Wanted(keep=keep, dates=dates)
        self._notes: tuple[str, ...] = ()
        self._oddities = Oddities()
        self._reader: Rows | JsonUsers | None = None
        self._candidates: Iterator[Candidate] = iter(())

    @property
    def rows(self) -> int:
        """How many rows have been read so far."""
        return 0 if self._reader is None else self._reader.count

    @property
    def is_listing(self) -> bool:
        """Whether the users have the form in which Cognito lists them."""
        return isinstance(self._reader, JsonUsers) and self._reader.listed

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for a person about the rows read so far."""
        used = () if self._reader is None else self._reader.as_in_a_listing
        decided = (f"Counts as in a listing: {listed(used)}.",) if used else ()
        return (*self._notes, *decided, *map(str, self._oddities.seen()))

    async def open(self) -> None:
        """Open the input, detect its form and read the header; raises `InputError`."""
        await self._input.away(self._open)

    async def batches(self) -> AsyncGenerator[list[Candidate], None]:
        """Yield the candidates in their order, about a thousand at a time."""
        while batch := await self._input.away(lambda: list(islice(self._candidates, _BATCH))):
            yield batch
        if not self.rows and self._header is not None:
            if isinstance(self._reader, JsonUsers):
                raise InputError(f"{self.name} is empty. Pass a file with at least one user.")
            raise InputError(
                f"{self.name} has a header but no rows. Pass a file with at least one user,"
                " or use --no-header if its only line is a user."
            )

    async def aclose(self) -> None:
        """Close the input; a thread that still waits for it ends by itself and closes it."""
        self._input.close()

    # What follows runs in worker threads, one at a time.

    def _open(self) -> None:
        self._input.open()
        if self._input.is_workbook:
            self._open_workbook()
            return
        if self._format == "xlsx":
            raise InputError(f"{self.name} is not an Excel workbook. Leave out --format xlsx.")
        lines = self._input.lines()
        ahead = first_record(lines)
        begins_like_json = self._format is None and looks_like_json("".join(ahead))
        if begins_like_json or self._format in {"json", "jsonl"}:
            self._open_json(chain(ahead, lines))
        else:
            self._open_csv(chain(ahead, lines))

    def _open_workbook(self) -> None:
        if self._format not in {None, "xlsx"}:
            raise InputError(
                f"{self.name} is an Excel workbook or another ZIP file, not text. Leave out"
                f" --format {self._format}."
            )
        # Its rows are written as CSV, with the delimiter and encoding of the options.
        sheet = SheetRecords(self.name, self._input.whole(), delimiter=self._delimiter or ",")
        self.encoding = self._input.encoding or "utf-8"
        self._notes = sheet.notes
        self._open_rows(sheet)

    def _open_json(self, lines: Iterator[str]) -> None:
        self.encoding = self._input.encoding
        self._reader = JsonUsers(
            self.name,
            lines,
            username_column=self._username_column,
            keep=self._wanted.keep,
            dates=self._wanted.dates,
        )
        self._candidates = iter(self._reader)

    def _open_csv(self, lines: Iterator[str]) -> None:
        records = CsvRecords(
            lines,
            header=self._header,
            delimiter=self._delimiter,
            one_name=self._username_column is None,
        )
        self.encoding = self._input.encoding
        guessed = records.delimiter if records.guessed and self._header else ""
        columns = self._open_rows(records, preface=records.preface, delimiter=guessed)
        records.escaped = records.delimiter == "," and is_import_format(columns.names)

    def _open_rows(self, records: Records, *, preface: str = "", delimiter: str = "") -> Columns:
        first = self._read(records)
        while self._header and first is not None and not any(map(str.strip, first)):
            first = self._read(records)  # nothing but delimiters names no column
        if first is None:
            raise InputError(f"{self.name} is empty. Pass a file with at least one user.")
        columns = self._columns(trimmed(first))
        if self._wanted.dates and columns.created is None:
            raise InputError(
                f"{self.name} has no column UserCreateDate, which --older-than, --newer-than,"
                " --since and --one-per-address need."
            )
        self.heading = preface + (records.verbatim() if columns.headed else "")
        self.columns = frozenset(filter(None, columns.names))
        self.username_column = columns.shown
        self._reader = Rows(
            self.name,
            records,
            columns,
            wanted=self._wanted,
            oddities=self._oddities,
            first=None if columns.headed else first,
            delimiter=delimiter,
        )
        self._candidates = iter(self._reader)
        return columns

    def _read(self, records: Records) -> list[str] | None:
        try:
            return records.read()
        except csv.Error as error:
            where = "row 1" if self._header is False else "the header"
            raise wrongly_quoted(self.name, where, records, error) from error

    def _columns(self, names: list[str]) -> Columns:
        if self._header is None:
            return of_a_list(self.name, names)
        if self._header:
            return headed(self.name, names, self._username_column)
        return numbered(self.name, len(names), self._username_column)


def _by_ending(path: str) -> Format | None:
    """Return the format of a file's ending; None where its start must decide."""
    name = path.lower().removesuffix(".gz")
    return next((of for ending, of in _ENDINGS if name.endswith(ending)), None)
