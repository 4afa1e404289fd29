"""Users from an Excel workbook: text as it was typed, or a sentence."""

from __future__ import annotations

import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from xlsxwriter import Workbook

from batch_resend.errors import InputError, UsageError
from batch_resend.model import Candidate
from batch_resend.sources import workbook_size
from tests.support.inputs import names, read, refusal

pytestmark = pytest.mark.anyio


@pytest.fixture
def book(tmp_path: Path) -> Path:
    return tmp_path / "users.xlsx"


def write(path: Path, *sheets: list[list[Any]], hidden: int | None = None) -> None:
    with Workbook(path) as workbook:
        date = workbook.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        for number, rows in enumerate(sheets):
            sheet = workbook.add_worksheet()
            if number == hidden:
                sheet.hide()
            else:
                sheet.activate()
            for y, row in enumerate(rows):
                for x, cell in enumerate(row):
                    if isinstance(cell, datetime):
                        sheet.write_datetime(y, x, cell, date)
                    elif isinstance(cell, str):
                        sheet.write_string(y, x, cell)
                    else:
                        sheet.write(y, x, cell)


async def test_row_of_a_sheet_becomes_a_candidate(book: Path) -> None:
    write(book, [["Username", "n", "x"], ["ada", 7, ""], [], ["007", 1.5, True], ["bob"]])
    source, rows = await read(book)
    assert rows == [
        Candidate(1, "ada", {"n": "7", "x": ""}, "ada,7,\n"),
        Candidate(2, "007", {"n": "1.5", "x": "true"}, "007,1.5,true\n"),
        Candidate(3, "bob", {"n": "", "x": ""}, "bob,,\n"),
    ]
    assert source.heading == "Username,n,x\n"
    assert source.columns == frozenset({"Username", "n", "x"})
    assert source.notes == ()


async def test_rows_of_a_sheet_are_again_the_same_users(book: Path, tmp_path: Path) -> None:
    write(book, [["username", "note"], ['a"b,;', "x\ny"], ["é", "\r"]])
    source, rows = await read(book)
    again = tmp_path / "failed.csv"
    again.write_bytes((source.heading + "".join(row.raw for row in rows)).encode(source.encoding))
    assert (await read(again))[1] == rows


async def test_workbook_is_known_by_its_beginning(tmp_path: Path) -> None:
    write(path := tmp_path / "users", [["username"], ["ada"]])
    assert await names(path) == ["ada"]
    assert await names(path, format="xlsx") == ["ada"]
    assert "Leave out --format csv" in await refusal(path, format="csv")


async def test_columns_of_a_listing_count_in_a_sheet(book: Path) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001 - a sheet knows no time zones
    write(book, [["username", "Enabled", "UserCreateDate", "UserStatus"], ["a", False, at, "X"]])
    source, rows = await read(book, dates=True)
    assert (rows[0].enabled, rows[0].status) == (False, "X")
    assert rows[0].created == at.replace(tzinfo=UTC).timestamp()
    assert source.notes == (
        "Counts as in a listing: UserStatus, Enabled and UserCreateDate.",
        "1 date has no time zone and counts as UTC (row 1).",
    )


async def test_username_that_is_a_number_is_noted(book: Path) -> None:
    write(book, [["username"], [12345550100], ["+12345550101"]])
    source, rows = await read(book)
    assert [row.username for row in rows] == ["12345550100", "+12345550101"]
    assert source.notes == (
        "1 username is a number in the sheet; leading zeros or a + may be lost (row 1).",
    )


async def test_number_that_a_sheet_has_rounded_is_refused(book: Path) -> None:
    write(book, [["username"], [1234567890123456]])
    assert "row 2 has a number of more than 15 digits" in await refusal(book)


async def test_other_sheets_are_named(book: Path) -> None:
    write(book, [], [["username"], ["ada"]], [["username"], ["bob"]], [["x"]], hidden=3)
    source, rows = await read(book)
    assert [row.username for row in rows] == ["ada"]
    assert source.notes == ("Only the sheet 'Sheet2' is read, and 1 other sheet with rows not.",)


async def test_hidden_sheet_is_not_read(book: Path) -> None:
    write(book, [["username"], ["old"]], [["username"], ["ada"]], hidden=0)
    assert await names(book) == ["ada"]


@pytest.mark.parametrize("sheets", [[[]], [[["username"]]]])
async def test_workbook_without_users_is_refused(book: Path, sheets: Any) -> None:
    write(book, *sheets)
    assert "Pass a file with at least one user" in await refusal(book)


@pytest.mark.parametrize(
    "data", [b"PK\x03\x04" + bytes(300), b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)]
)
async def test_zip_other_than_a_workbook_is_refused(book: Path, data: bytes) -> None:
    book.write_bytes(data)
    assert "cannot be read as an Excel workbook" in await refusal(book)


async def test_damaged_workbook_is_read_or_refused(book: Path) -> None:
    write(book, [["username", "x"], ["ada", "1"], ["bob", "2"]])
    whole = book.read_bytes()
    for at in range(0, len(whole), 61):
        book.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        if not book.read_bytes().startswith(b"PK\x03\x04"):
            continue
        try:
            read_back = await names(book)
        except InputError:
            continue
        else:
            assert len(read_back) <= 2


async def test_without_the_extra_it_says_how_to_install(
    book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(book, [["username"], ["ada"]])
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(UsageError, match=r"pip install 'batch-resend\[excel\]'"):
        await read(book)


# -- what is too large for memory ----------------------------------------------------


def scattered(path: Path, row: int, column: int) -> None:
    """A list of one user, and a forgotten cell far away."""
    with Workbook(path) as workbook:
        sheet = workbook.add_worksheet()
        for place, text in enumerate(("username", "ada")):
            sheet.write_string(place, 0, text)
        sheet.write_string(row - 1, column - 1, "x")


async def test_forgotten_cell_far_away_is_refused(book: Path) -> None:
    """The library asked for 500 GB, and ended the process without a word."""
    scattered(book, 1_048_576, 16_384)
    assert book.stat().st_size < 10_000
    said = await refusal(book)
    assert "down to row 1,048,576 and across 16,384 columns" in said
    assert "save it as CSV" in said


async def test_forgotten_cell_within_the_bound_does_no_harm(book: Path) -> None:
    scattered(book, 1000, 100)
    _, rows = await read(book)
    assert [row.username for row in rows][:1] == ["ada"]


async def test_workbook_that_unpacks_to_too_much_is_refused(
    book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook_size, "MOST_UNPACKED", 5 << 20)
    write(book, [["username"], ["ada"]])
    with zipfile.ZipFile(book, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/other.xml", bytes(6 << 20))
    assert book.stat().st_size < 20_000
    said = await refusal(book)
    assert "has 6 MB when unpacked" in said
    assert "only up to 5 MB" in said


@pytest.mark.parametrize("quote", [b'"', b"'"])
def test_reference_across_two_pieces_is_found(
    quote: bytes, book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = b"<c r=" + quote + b"XFD1048576" + quote + b"/>"
    with zipfile.ZipFile(book, "w") as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"<row>" + b" " * 40 + cell)
    for piece in range(1, 60):
        monkeypatch.setattr(workbook_size, "_PIECE", piece)
        with pytest.raises(InputError, match="down to row 1,048,576 and across 16,384"):
            workbook_size.check_size("x", book.read_bytes())
