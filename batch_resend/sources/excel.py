"""The first visible sheet of an Excel workbook as records of text.

The promises: what cannot be read back as it was typed is refused and never rounded; rows
are made from the sheet one at a time. The sheet itself is held in memory, because a workbook
cannot be read in pieces: one that is too large is refused before it is loaded.

Needs the extra `batch-resend[excel]`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from batch_resend.errors import InputError, UsageError
from batch_resend.masking import printable
from batch_resend.sources.csv_records import csv_row
from batch_resend.sources.workbook_size import check_size, not_readable
from batch_resend.wording import some

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

# A spreadsheet keeps 15 digits of a number.
_LARGEST_NUMBER = 1e15

_Cell = int | float | str | bool | time | date | datetime | timedelta


class SheetRecords:
    """The records of the first sheet that has any; raises `InputError` and `UsageError`."""

    cut_off = False

    def __init__(self, file: str, data: bytes, *, delimiter: str = ",") -> None:
        self.line = 0  #: the row of the sheet
        self.numbers: tuple[int, ...] = ()  #: places of the present record that are numbers
        self._file = file
        sheet, *others = _sheets(file, data)
        self.notes: tuple[str, ...] = ()  #: sentences about the workbook, for a person
        if others:
            self.notes = (
                f"Only the sheet {printable(sheet.name)!r} is read, and"
                f" {some(len(others), 'other sheet')} with rows not.",
            )
        self._sheet = printable(sheet.name)
        self._rows: Iterator[list[_Cell]] = sheet.iter_rows()
        self._delimiter = delimiter
        self._record: list[str] = []

    def read(self) -> list[str] | None:
        """Read the next record that is not empty; None at the end. Raises `InputError`."""
        for row in self._rows:
            self.line += 1
            if any(cell != "" for cell in row):
                self._record = [self._text(cell) for cell in row]
                self.numbers = tuple(
                    place
                    for place, cell in enumerate(row)
                    if isinstance(cell, int | float) and not isinstance(cell, bool)
                )
                return list(self._record)
        return None

    def verbatim(self) -> str:
        """Return the present record as a line of CSV."""
        return csv_row(self._record, self._delimiter)

    def _text(self, cell: _Cell) -> str:
        if isinstance(cell, str):
            return cell
        if isinstance(cell, bool):
            return str(cell).lower()
        if isinstance(cell, int | float):
            if abs(cell) >= _LARGEST_NUMBER:
                raise InputError(
                    f"{self._file}: sheet {self._sheet!r}, row {self.line} has a number of more"
                    " than 15 digits, of which a spreadsheet loses the last. Format the column"
                    " as text, and enter it again."
                )
            return str(int(cell)) if cell == int(cell) else repr(cell)
        if isinstance(cell, timedelta):
            return str(cell)
        return cell.isoformat()


def _sheets(file: str, data: bytes) -> list[CalamineSheet]:
    """Return the visible sheets that have rows; raises if there are none."""
    try:
        from python_calamine import CalamineError, CalamineWorkbook, SheetVisibleEnum
    except ImportError:
        raise UsageError(
            f"{file} is an Excel workbook. To read it, install the extra: pip install"
            " 'batch-resend[excel]'. Or save it as CSV."
        ) from None
    check_size(file, data)
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
        sheets = [
            workbook.get_sheet_by_name(sheet.name)
            for sheet in workbook.sheets_metadata
            if sheet.visible == SheetVisibleEnum.Visible
        ]
    except CalamineError as error:
        raise not_readable(file, error) from error
    if sheets := [sheet for sheet in sheets if sheet.height]:
        return sheets
    raise InputError(f"{file} is empty. Pass a file with at least one user.")
