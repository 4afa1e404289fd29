"""Rows of CSV files as candidates: every row once, verbatim, or a sentence saying why not."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from batch_resend.errors import UsageError
from batch_resend.model import Candidate
from batch_resend.sources.file import FileSource
from tests.support.inputs import names, read, refusal

pytestmark = pytest.mark.anyio


async def test_a_row_becomes_a_candidate(users: Path) -> None:
    users.write_text('username,lang,note\nada,de,"a, b"\r\nbob,,\n')
    source, rows = await read(users)
    assert rows == [
        Candidate(1, "ada", {"lang": "de", "note": "a, b"}, 'ada,de,"a, b"\r\n'),
        Candidate(2, "bob", {"lang": "", "note": ""}, "bob,,\n"),
    ]
    assert source.name == str(users)
    assert source.columns == frozenset({"username", "lang", "note"})
    assert source.heading == "username,lang,note\n"
    assert source.encoding == "utf-8"


async def test_everything_is_text(users: Path) -> None:
    users.write_text("username,n\n007,NA\nNA,1e5\nnull,007\n1e5,\nNaN,null\n-0,None\n")
    _, rows = await read(users)
    assert [(row.username, row.attributes["n"]) for row in rows] == [
        ("007", "NA"),
        ("NA", "1e5"),
        ("null", "007"),
        ("1e5", ""),
        ("NaN", "null"),
        ("-0", "None"),
    ]


async def test_blanks_around_cells_are_trimmed_and_those_inside_stay(users: Path) -> None:
    users.write_text("username,lang\n \u00a0\ufeff a b\u00a0\t, d e\u00a0 \n")
    _, rows = await read(users)
    assert (rows[0].username, rows[0].attributes["lang"]) == ("a b", "d e\u00a0")
    assert rows[0].raw == " \u00a0\ufeff a b\u00a0\t, d e\u00a0 \n"


async def test_control_characters_are_kept_for_the_plan_to_refuse(users: Path) -> None:
    users.write_bytes(b"username\na\x00b\n\x1b[31m\n\x7f\n")
    assert await names(users) == ["a\0b", "\x1b[31m", "\x7f"]


async def test_blank_lines_make_no_rows_but_lines_of_delimiters_do(users: Path) -> None:
    users.write_text("\n  \nusername,lang\n\nada,\n \u00a0\t\n,\n\r\nbob,\n\n")
    _, rows = await read(users)
    assert [(row.row, row.username) for row in rows] == [(1, "ada"), (2, ""), (3, "bob")]


async def test_a_quoted_nothing_is_a_row_with_an_empty_name(users: Path) -> None:
    users.write_text('username\nada\n""\n')
    assert await names(users) == ["ada", ""]


async def test_a_last_line_without_its_end_can_be_followed_by_others(users: Path) -> None:
    users.write_text("username\r\nada\r\nbob")
    _, rows = await read(users)
    assert [row.raw for row in rows] == ["ada\r\n", "bob\n"]


async def test_old_line_ends_and_line_ends_within_quotes(users: Path) -> None:
    users.write_bytes(b'username,note\rada,"one\r\ntwo"\rbob,"x\n\ny"\r')
    _, rows = await read(users)
    assert [row.attributes["note"] for row in rows] == ["one\r\ntwo", "x\n\ny"]
    assert rows[0].raw == 'ada,"one\r\ntwo"\r'


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [
        ("username", ","),
        ("username,a", ","),
        ("username;a;b,c", ";"),
        ("username\ta", "\t"),
        ("username|a|b", "|"),
        ('username|"a,b,c;d;e;f"', "|"),
        ('username;"a\n,,,,b"', ";"),
        ("\t\t\nusername,a", ","),
        ("username,a;b", ","),
    ],
)
async def test_the_delimiter_is_the_most_frequent_outside_quotes(
    users: Path, header: str, delimiter: str
) -> None:
    users.write_text(f"{header}\nada{delimiter}x\n" if "a" in header[8:] else f"{header}\nada\n")
    _, rows = await read(users)
    assert [row.username for row in rows] == ["ada"]
    assert list(rows[0].attributes.values())[:1] == (["x"] if "a" in header[8:] else [])


@pytest.mark.parametrize(("option", "char"), [("\\t", "\t"), ("TAB", "\t"), (":", ":"), (";", ";")])
async def test_a_delimiter_can_be_given(users: Path, option: str, char: str) -> None:
    users.write_text(f"username{char}a,b,c\nada{char}x\n")
    _, rows = await read(users, delimiter=option)
    assert [(row.username, dict(row.attributes)) for row in rows] == [("ada", {"a,b,c": "x"})]


@pytest.mark.parametrize("option", ["", ",,", '"', "\n", "\0"])
def test_what_delimits_nothing_is_wrong_usage(option: str) -> None:
    with pytest.raises(UsageError, match="--delimiter"):
        FileSource("users.csv", delimiter=option)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
async def test_excels_sep_line_sets_the_delimiter_and_is_kept(
    users: Path, header: bool, encoding: str
) -> None:
    heading = "SEP=;\r\n" + ("username;a,b,c\r\n" if header else "")
    users.write_bytes((heading + "ada;x,y,z\r\nbob;\r\n").encode(encoding))
    column = None if header else "1"
    source, rows = await read(users, header=header, username_column=column)
    assert [row.username for row in rows] == ["ada", "bob"]
    assert rows[0].attributes == {"a,b,c" if header else "2": "x,y,z"}
    assert source.heading == heading
    # What is given beats it.
    column = "username;a" if header else "1"
    _, rows = await read(users, header=header, delimiter=",", username_column=column)
    assert [row.username for row in rows] == ["ada;x", "bob;"]


async def test_behind_excel_s_own_word_lines_are_counted_as_they_stand(users: Path) -> None:
    users.write_text("sep=;\nusername;a\nada;1;2\n")
    assert "row 1 (line 3) has 3 fields" in await refusal(users)
    users.write_text('sep=;\nusername;a\nada;1\n"x"y;1')
    assert "row 2 (line 4) is quoted wrongly" in await refusal(users)
    users.write_text("sep=;\n")
    assert await refusal(users) == " is empty. Pass a file with at least one user."
    users.write_text("username\nada\nsep=;\n")
    assert await names(users) == ["ada", "sep=;"]


async def test_short_rows_are_filled_up_and_blank_surplus_is_ignored(users: Path) -> None:
    users.write_text("a,b,username\n1\n1,2,ada, ,\n")
    _, rows = await read(users)
    assert [(row.username, row.attributes["b"]) for row in rows] == [("", ""), ("ada", "2")]


async def test_a_row_with_too_many_fields_is_named(users: Path) -> None:
    users.write_text('username,a,"b\n"\n\nada,1,2\nbob,1,2,3,4\n')
    assert await refusal(users) == (": row 2 (line 5) has 5 fields, the header 3: a missing quote?")
    users.write_text("ada\nbob,x\n")
    assert await refusal(users, header=False) == (
        ": row 2 (line 2) has 2 fields, the first row 1: a missing quote?"
    )


@pytest.mark.parametrize(
    ("text", "options", "where"),
    [
        ('username,a\nada,1\n"bob,2\ncy,3\n', {}, "row 2 (line 3) is quoted wrongly"),
        ('username,a\n"ada"x,1\n', {}, "row 1 (line 2) is quoted wrongly"),
        ('username,"a\n', {}, "the header (line 1) is quoted wrongly"),
        ('"ada\n', {"header": False}, "row 1 (line 1) is quoted wrongly"),
        ("username\n" + "x" * 131_073, {}, "row 1 (line 2) is too long"),
        ("username,a\nx," + "y," * (1 << 19), {}, "row 1 (line 2) is too long"),
        ("username,a\nx" + ',"\n"' * (1 << 19), {}, "row 1 (line 2) is too long"),
    ],
)
async def test_a_broken_record_is_named(
    users: Path, text: str, options: dict[str, Any], where: str
) -> None:
    users.write_text(text)
    assert await refusal(users, **options) == (
        f": {where}: close every quote, and double the quotes inside a quoted field."
    )


async def test_the_longest_field_there_may_be_is_read(users: Path) -> None:
    users.write_text("username\n" + "x" * 131_072)
    assert [len(name) for name in await names(users)] == [131_072]


@pytest.mark.parametrize("text", ["", "\n", " \t\r\n\n", "\ufeff", "\x00" * 0])
async def test_an_empty_file_is_refused(users: Path, text: str) -> None:
    users.write_text(text)
    for header in (True, False):
        assert (
            await refusal(users, header=header) == " is empty. Pass a file with at least one user."
        )


async def test_a_header_alone_is_refused(users: Path) -> None:
    users.write_text("username,a\n\n \n")
    assert await refusal(users) == (
        " has a header but no rows. Pass a file with at least one user,"
        " or use --no-header if its only line is a user."
    )


async def test_a_header_of_nothing_but_delimiters_is_passed_over(users: Path) -> None:
    users.write_text(",,\nusername,a,b\nada,1,2\n")
    assert await names(users) == ["ada"]


async def test_a_huge_file_with_an_unclosed_quote_fails_early(users: Path) -> None:
    with users.open("w") as file:
        file.write('username\n"ada\n')
        file.writelines(f"user-{n:060}\n" for n in range(200_000))
    tracemalloc.start()
    try:
        assert "row 1 (line 2)" in await refusal(users)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


async def test_many_rows_come_in_batches_and_in_flat_memory(users: Path) -> None:
    with users.open("w") as file:
        file.write("username,lang\n")
        file.writelines(f"user-{n},de\n" for n in range(50_000))
    source = FileSource(str(users))
    await source.open()
    tracemalloc.start()
    try:
        sizes = [len(batch) async for batch in source.batches()]
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
        await source.aclose()
    assert sizes == [1000] * 50
