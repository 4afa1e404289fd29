"""Records as candidates: every row once, or the reading fails and names the row.

The promise: a row that is broken in two, cut off or shifted is not read as users. A short
row on its own may only lack empty cells, which spreadsheets omit: it is accepted, and named
in the plan.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from batch_resend.errors import InputError
from batch_resend.masking import mask_within, without_guard
from batch_resend.model import Candidate
from batch_resend.sources import cells
from batch_resend.sources.cells import AROUND_CELLS, AROUND_NAMES
from batch_resend.sources.columns import (
    DELIMITERS,
    KNOWN,
    Columns,
    plain,
    trimmed,
)
from batch_resend.sources.csv_records import Records
from batch_resend.sources.oddities import Odd, Oddities

_COMPARED = 100  #: full rows that a short row is compared with

# What cells look like that cannot be mistaken for each other.
_LOOKS = (
    re.compile(r"[^\s@]+@[^\s@]+"),
    re.compile(r"\+[0-9]{6,}"),
    re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The columns and dates that each row must provide."""

    keep: frozenset[str] | None = None  #: columns that become attributes; None: all
    dates: bool = False  #: whether every row must have a date of sign-up


class Rows:
    """The rows after the header. `first` is a record that was read in place of a header."""

    def __init__(
        self,
        file: str,
        records: Records,
        columns: Columns,
        *,
        wanted: Wanted,
        oddities: Oddities,
        first: list[str] | None = None,
        delimiter: str = "",
    ) -> None:
        self.count = 0  #: rows read so far
        self.as_in_a_listing = columns.as_in_a_listing(dates=wanted.dates)
        self._file = file
        self._records = records
        self._columns = columns
        self._width = len(columns.names)
        self._selection = columns.selection(wanted.keep)
        self._dates = wanted.dates
        self._oddities = oddities
        self._first = first
        self._heading = [plain(name) for name in columns.names] if columns.headed else []
        self._full: list[list[str]] = []  # rows above, to compare a short one with
        self._looks: list[re.Pattern[str] | None] = []  # of their columns
        self._last_short = 0  # cells of the short rows right above
        self._delimiter = delimiter
        self._within = [one for one in DELIMITERS if one not in {"|", delimiter} and delimiter]

    def __iter__(self) -> Iterator[Candidate]:
        """Yield the candidates; raises `InputError`."""
        columns, records, width = self._columns, self._records, self._width
        username_at = columns.username
        decides = bool(columns.as_in_a_listing(dates=True))
        while (record := self._next()) is not None:
            if self._heading and self._is_heading(record):
                continue
            self.count += 1
            if len(record) != width:
                record = self._completed(record)
            else:
                self._last_short = 0
                if len(self._full) < _COMPARED:
                    self._full.append(record)
                    self._looks = []
            username = self._name(record[username_at])
            if records.numbers and username_at in records.numbers:
                self._oddities.note(Odd.NUMBER, self.count)
            if self._within:
                self._within = [one for one in self._within if one in username]
            others = (
                tuple(filter(None, [self._name(record[place]) for place in columns.others]))
                if columns.others
                else ()
            )
            attributes = {
                name: record[place].strip(AROUND_CELLS) for name, place in self._selection
            }
            if not decides:
                yield Candidate(
                    self.count, username, attributes, records.verbatim(), contacts=others
                )
                continue
            yield Candidate(
                self.count,
                username,
                attributes,
                records.verbatim(),
                status=self._status(record),
                enabled=self._enabled(record),
                created=self._created(record),
                contacts=others,
            )
        self._refuse_delimiter_within()

    def _next(self) -> list[str] | None:
        """Read the next record; raises `InputError` for one that is quoted wrongly."""
        if self._first is not None:
            first, self._first = self._first, None
            if plain(first[self._columns.username]) in KNOWN:
                self._oddities.note(Odd.HEADING, 1)
            return first
        try:
            return self._records.read()
        except csv.Error as error:
            raise wrongly_quoted(self._file, f"row {self.count + 1}", self._records, error) from (
                error
            )

    def _is_heading(self, record: list[str]) -> bool:
        """Whether a record repeats the header; raises `InputError` for another header."""
        heading = self._heading
        cell = plain(record[min(self._columns.username, len(record) - 1)].strip(AROUND_NAMES))
        if cell not in KNOWN and cell != heading[self._columns.username]:
            return False
        names = [plain(name) for name in trimmed(record)]
        if names == heading:
            self._oddities.note(Odd.REPEATED_HEADER, self._records.line)
            return True
        if len(names) > 1 and set(names) <= {*heading, *KNOWN, ""} and any(names[1:]):
            raise InputError(
                f"{self._file}: line {self._records.line} is another header. Pass files with"
                " different columns one by one."
            )
        return False

    def _completed(self, record: list[str]) -> list[str]:
        """Return a row with as many cells as the header, where it has another number."""
        width, line = self._width, self._records.line
        where = f"{self._file}: row {self.count} (line {line})"
        if len(record) > width:
            if any(cell.strip(AROUND_NAMES) for cell in record[width:]):
                raise InputError(
                    f"{where} has {len(record)} fields, the"
                    f" {'header' if self._columns.headed else 'first row'} {width}: a missing"
                    " quote?"
                )
            self._last_short = 0
            return record
        fields = f"{where} has {len(record)} of {width} fields"
        if self._records.cut_off:
            raise InputError(
                f"{fields} and no line end: the file seems to be cut off. Download it again, or"
                " complete the line."
            )
        alike = self._alike(record)
        together = self._last_short + len(record)
        # A line break within a cell leaves two rows, which share the cell.
        if alike is False or (
            alike is None and self._last_short and together <= width + 1 and width > 1
        ):
            raise InputError(
                f"{fields}, and they do not look like those above: a line break within a cell?"
                " Quote the cell, or complete the row."
            )
        self._oddities.note(Odd.SHORT_ROW, self.count)
        self._last_short = together if together <= width else len(record)
        return record + [""] * (width - len(record))

    def _alike(self, record: list[str]) -> bool | None:
        """Whether cells look like those above; None where that cannot be decided."""
        if not self._looks:
            self._looks = [_look(cells) for cells in zip(*self._full, strict=True)]
        alike = None
        for look, cell in zip(self._looks, record, strict=False):
            if look is not None and (text := cell.strip(AROUND_NAMES)):
                if not look.fullmatch(text):
                    return False
                alike = True
        return alike

    def _name(self, cell: str) -> str:
        name = cell.strip(AROUND_NAMES)
        if self._columns.own:
            unguarded = without_guard(name)
            if unguarded != name:
                self._oddities.note(Odd.SPREADSHEET_FORM, self.count)
            return unguarded
        if name[:1] not in "='#" and "E+" not in name:
            return name
        try:
            restored = cells.restored(name)
        except ValueError as error:
            raise self._bad("the name", error) from None
        if restored != name:
            self._oddities.note(Odd.SPREADSHEET_FORM, self.count)
        return restored

    def _status(self, record: list[str]) -> str | None:
        place = self._columns.status
        return None if place is None else cells.status(record[place].strip(AROUND_NAMES))

    def _enabled(self, record: list[str]) -> bool | None:
        place = self._columns.enabled
        if place is None:
            return None
        try:
            return cells.enabled(record[place].strip(AROUND_NAMES))
        except ValueError as error:
            raise self._bad(mask_within(self._columns.names[place]), error) from None

    def _created(self, record: list[str]) -> float | None:
        place = self._columns.created
        if place is None:
            return None
        column = mask_within(self._columns.names[place])
        try:
            created, zoned = cells.created(record[place].strip(AROUND_NAMES))
        except ValueError as error:
            if not self._dates:
                return None
            raise self._bad(column, error) from None
        if self._dates and created is None:
            raise self._bad(column, "is empty, and the age of the sign-up is needed")
        if self._dates and not zoned:
            self._oddities.note(Odd.NO_TIME_ZONE, self.count)
        return created

    def _bad(self, what: str, why: object) -> InputError:
        reason = str(why)
        return InputError(
            f"{self._file}: row {self.count} (line {self._records.line}): {what}"
            f" {reason}{'' if reason.endswith('.') else '. Correct it.'}"
        )

    def _refuse_delimiter_within(self) -> None:
        """Refuse names that hold another delimiter in every row: it may delimit them."""
        if self._within and self.count:
            raise InputError(
                f"{self._file}: the username of every row holds {self._within[0]!r}. Use"
                f" --delimiter {self._within[0]!r} if it delimits the columns, or --delimiter"
                f" {self._delimiter!r} if it is part of the names."
            )


def _look(column: Iterable[str]) -> re.Pattern[str] | None:
    """Return the pattern that all cells of a column match, if any."""
    texts = [text for cell in column if (text := cell.strip(AROUND_NAMES))]
    return next((look for look in _LOOKS if texts and all(map(look.fullmatch, texts))), None)


def wrongly_quoted(file: str, where: str, records: Records, error: csv.Error) -> InputError:
    """Return the error for a record that is not valid CSV."""
    what = "is too long" if "larger than" in str(error) else "is quoted wrongly"
    return InputError(
        f"{file}: {where} (line {records.line}) {what}: close every quote, and double the"
        " quotes inside a quoted field."
    )
