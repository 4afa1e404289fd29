"""Whether an Excel workbook fits into memory, found out before it is loaded.

The library that reads workbooks makes room for the whole rectangle from the first cell to the
last: one forgotten cell in column XFD of row 1,048,576 asks for hundreds of GB, and the library
ends the process where it gets none. So the cells' references are read first, as a stream.
"""

from __future__ import annotations

import io
import lzma
import re
import struct
import zipfile
import zlib
from functools import reduce

from batch_resend.errors import InputError

#: Cells of a sheet, from the first to the last. 2.5 million took 290 MB, with their text.
MOST_CELLS = 10_000_000

#: Bytes of a workbook's files when unpacked. Those of 2.5 million cells have 182 MB.
MOST_UNPACKED = 1 << 30

_PIECE = 1 << 20
_REFERENCE = re.compile(rb"""[ ]r=["']([A-Z]{1,3})([0-9]{1,7})""")
_LONGEST = 24  # bytes of a reference that two pieces may share

#: What is raised for an archive that is damaged or encrypted.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
)


def check_size(file: str, data: bytes) -> None:
    """Refuse a workbook that is too large to be held in memory; raises `InputError`."""
    if not data.startswith(b"PK"):
        return  # of Excel before 2007, with at most 65,536 rows and 256 columns
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > MOST_UNPACKED:
                raise InputError(
                    f"{file} has {unpacked >> 20:,} MB when unpacked, and a workbook is read only"
                    f" up to {MOST_UNPACKED >> 20:,} MB, because it is held in memory. Save it as"
                    " CSV."
                )
            for entry in archive.infolist():
                if not entry.filename.startswith("xl/"):
                    continue
                rows, columns = _extent(archive, entry)
                if rows * columns > MOST_CELLS:
                    raise InputError(
                        f"{file} has a sheet with cells down to row {rows:,} and across"
                        f" {columns:,} columns, and a sheet is read only up to {MOST_CELLS:,}"
                        " cells, because it is held in memory. Delete cells that are far from the"
                        " list, or save it as CSV."
                    )
    except _DAMAGED as error:
        raise not_readable(file, error) from error


def not_readable(file: str, error: Exception) -> InputError:
    """Return the error for a file that is not a workbook."""
    return InputError(
        f"{file} cannot be read as an Excel workbook ({type(error).__name__}). It may be damaged,"
        " protected by a password, or another ZIP file. Save it as CSV."
    )


def _extent(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> tuple[int, int]:
    """Return the last row and the last column of a sheet; of another file nothing of meaning.

    A file that is longer than it says is damaged: all of it is read, and its checksum.
    """
    columns: set[bytes] = set()
    last_row = 0
    is_sheet = entry.filename.startswith("xl/worksheets/")
    with archive.open(entry) as file:
        rest = b""
        while piece := file.read(_PIECE):
            if not is_sheet:
                continue
            references = _REFERENCE.findall(text := rest + piece)
            columns.update(column for column, _ in references)
            last_row = max([last_row, *(int(row) for _, row in references[-1:])])
            rest = text[-_LONGEST:]
    return last_row, max(map(_number, columns), default=0)


def _number(column: bytes) -> int:
    """Return the number of a column: A is 1, Z 26, AA 27."""
    return reduce(lambda number, letter: 26 * number + letter - 64, column, 0)
