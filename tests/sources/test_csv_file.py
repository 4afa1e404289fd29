"""Rows of CSV files as candidates: every row once, verbatim, or a sentence saying why not."""

from __future__ import annotations

import codecs
import csv
import errno
import gzip
import io
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from batch_resend.errors import Exit, InputError, UsageError
from batch_resend.model import Candidate
from batch_resend.sources.csv_file import CsvSource, read_names

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def users(tmp_path: Path) -> Path:
    return tmp_path / "users.csv"


async def read(path: Path | str, **options: Any) -> tuple[CsvSource, list[Candidate]]:
    source = CsvSource(str(path), **options)
    try:
        await source.open()
        return source, [candidate async for batch in source.batches() for candidate in batch]
    finally:
        await source.aclose()


async def names(path: Path | str, **options: Any) -> list[str]:
    return [candidate.username for candidate in (await read(path, **options))[1]]


async def refusal(path: Path | str, **options: Any) -> str:
    with pytest.raises(InputError) as refused:
        await read(path, **options)
    assert refused.value.exit_code == Exit.USAGE
    sentence = str(refused.value)
    assert sentence.startswith(str(path))
    assert sentence.isprintable()
    return sentence.removeprefix(str(path))


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


async def test_blank_lines_are_no_rows_but_lines_of_delimiters_are(users: Path) -> None:
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
    ("encoding", "options", "written_in"),
    [
        ("utf-8", {}, "utf-8"),
        ("utf-8-sig", {}, "utf-8-sig"),
        ("utf-16", {}, "utf-16"),
        ("utf-32", {}, "utf-32"),
        ("cp1252", {"encoding": "cp1252"}, "cp1252"),
        ("utf-8-sig", {"encoding": "utf-8"}, "utf-8"),
        ("utf-16-le", {"encoding": "utf-16-le"}, "utf-16-le"),
    ],
)
async def test_the_encoding_is_recognised_or_given(
    users: Path, encoding: str, options: dict[str, str], written_in: str
) -> None:
    users.write_bytes('"username"\nzoë\n'.encode(encoding))
    source, rows = await read(users, **options)
    assert [row.username for row in rows] == ["zoë"]
    assert (source.heading, source.encoding) == ('"username"\n', written_in)


async def test_big_endian_utf_16_is_recognised_by_its_mark(users: Path) -> None:
    users.write_bytes(codecs.BOM_UTF16_BE + "username\nzoë\n".encode("utf-16-be"))
    assert await names(users) == ["zoë"]


async def test_a_gzipped_file_is_known_by_its_ending(tmp_path: Path) -> None:
    path = tmp_path / "USERS.CSV.GZ"
    path.write_bytes(gzip.compress("\ufeffusername\nzoë\n".encode()))
    source, rows = await read(path)
    assert [row.username for row in rows] == ["zoë"]
    assert source.encoding == "utf-8-sig"


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


@pytest.mark.parametrize(("given", "char"), [("\\t", "\t"), ("TAB", "\t"), (":", ":"), (";", ";")])
async def test_a_delimiter_can_be_given(users: Path, given: str, char: str) -> None:
    users.write_text(f"username{char}a,b,c\nada{char}x\n")
    _, rows = await read(users, delimiter=given)
    assert [(row.username, dict(row.attributes)) for row in rows] == [("ada", {"a,b,c": "x"})]


@pytest.mark.parametrize("given", ["", ",,", '"', "\n", "\0"])
def test_what_delimits_nothing_is_wrong_usage(given: str) -> None:
    with pytest.raises(UsageError, match="--delimiter"):
        CsvSource("users.csv", delimiter=given)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
async def test_excel_s_own_word_on_the_delimiter_is_honoured_and_handed_on(
    users: Path, header: bool, encoding: str
) -> None:
    heading = "SEP=;\r\n" + ("username;a,b,c\r\n" if header else "")
    users.write_bytes((heading + "ada;x,y,z\r\nbob;\r\n").encode(encoding))
    source, rows = await read(users, header=header)
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
    assert await refusal(users) == " is empty: give a file with at least one user."
    users.write_text("username\nsep=;\n")
    assert await names(users) == ["sep=;"]


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (b"PK\x03\x04\x14\x00", "an Excel workbook or another ZIP file, and no text: save it as"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an old Excel workbook, and no text: save it as CSV."),
        (
            gzip.compress(b"username\n", mtime=0),
            "gzip, and its name does not say so: let it end in .gz",
        ),
    ],
)
async def test_what_is_no_text_at_all_is_called_by_its_name(
    users: Path, start: bytes, told: str
) -> None:
    users.write_bytes(start + bytes(range(256)))
    for options in ({}, {"encoding": "latin-1"}):
        assert (await refusal(users, **options)).startswith(f" is {told}")


@pytest.mark.parametrize(
    ("header", "column"),
    [
        ("email,username", 1),
        ("sub,cognito:username", 1),
        ("email, User Name ", 1),
        ("email,USER_NAME,user", 1),
        ("x,user,sub", 1),
        ("Email,Sub", 1),
        ("x,E-mail,EMAIL", 2),
        ("whatever", 0),
        ("\ufeff\ufeffx,username", 1),
    ],
)
async def test_the_username_column_is_found_by_its_name(
    users: Path, header: str, column: int
) -> None:
    users.write_text(f"{header}\n" + ",".join("abc"[: header.count(",") + 1]) + "\n")
    assert await names(users) == ["abc"[column]]


@pytest.mark.parametrize(
    ("header", "wanted", "column"),
    [
        ("username,Login", "Login", 1),
        ("username,Login", "login", 1),
        ("LOGIN,login", "login", 1),
        ("username, user id", "User ID", 1),
        ("username,email", "email", 1),
    ],
)
async def test_the_username_column_can_be_given(
    users: Path, header: str, wanted: str, column: int
) -> None:
    users.write_text(f"{header}\na,b\n")
    assert await names(users, username_column=wanted) == ["ab"[column]]


async def test_a_missing_username_column_is_told_with_those_there_are(users: Path) -> None:
    users.write_text(",".join(f"c{n}" for n in range(12)) + ",\x1b,\n" + "x\n")
    assert await refusal(users, username_column="login\n") == (
        " has no column 'login\\\\n': name one of its columns with --username-column"
        " ('c0', 'c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7', 'c8', 'c9', …)."
    )
    users.write_text("id,\x1bmail\n1,2\n")
    assert await refusal(users) == (
        " has no username column: name one of its columns with --username-column"
        " ('id', '\\\\x1bmail')."
    )


async def test_a_username_column_that_is_there_twice_is_refused(users: Path) -> None:
    users.write_text("username,a,Username\nx,y,z\n")
    assert "2 columns called 'username'" in await refusal(users)
    assert "2 columns called 'username'" in await refusal(users, username_column="USERNAME")
    assert await names(users, username_column="Username") == ["z"]


async def test_of_other_columns_called_the_same_the_first_counts(users: Path) -> None:
    users.write_text("username,a,a,\nx,1,2,3\n")
    source, rows = await read(users)
    assert rows[0].attributes == {"a": "1"}
    assert source.columns == frozenset({"username", "a"})


@pytest.mark.parametrize(
    "first",
    ["ada@example.com", "+15551234567", "258145af-20f1-41da-bd80-533b52c67516", "Ada,a@b.example"],
)
async def test_a_header_that_looks_like_a_user_is_refused_and_not_shown(
    users: Path, first: str
) -> None:
    users.write_text(f"{first}\nbob@example.com\n")
    sentence = await refusal(users)
    assert "--no-header" in sentence
    assert first not in sentence
    assert (await names(users, header=False))[0] == first.partition(",")[0]


async def test_without_a_header_the_columns_are_numbered(users: Path) -> None:
    users.write_text("ada@example.com;de\n\nbob;en\n")
    source, rows = await read(users, header=False)
    assert [(row.row, row.username, dict(row.attributes)) for row in rows] == [
        (1, "ada@example.com", {"2": "de"}),
        (2, "bob", {"2": "en"}),
    ]
    assert source.columns == frozenset({"1", "2"})
    assert source.heading == ""
    assert rows[0].raw == "ada@example.com;de\n"


async def test_without_a_header_another_column_can_be_the_username_by_its_number(
    users: Path,
) -> None:
    users.write_text("1,ada\n2,bob\n")
    assert await names(users, header=False, username_column="2") == ["ada", "bob"]
    assert "('1', '2')" in await refusal(users, header=False, username_column="3")


async def test_only_the_columns_asked_for_are_kept(users: Path) -> None:
    users.write_text("username,a,b\nada,1,2\n")
    for keep, kept in [
        (frozenset[str](), {}),
        (frozenset({"b", "nowhere"}), {"b": "2"}),
        (frozenset({"username"}), {"username": "ada"}),
    ]:
        source, rows = await read(users, keep=keep)
        assert rows[0].attributes == kept
        assert source.columns == frozenset({"username", "a", "b"})


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
            await refusal(users, header=header) == " is empty: give a file with at least one user."
        )


async def test_a_header_alone_is_refused(users: Path) -> None:
    users.write_text("username,a\n\n \n")
    assert await refusal(users) == (
        " has a header but no rows: give a file with at least one user,"
        " or use --no-header if its only line is one."
    )


async def test_a_header_of_nothing_but_delimiters_is_passed_over(users: Path) -> None:
    users.write_text(",,\nusername,a,b\nada,1,2\n")
    assert await names(users) == ["ada"]


async def test_what_cannot_be_opened_is_named(
    users: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "No such file or directory" in await refusal(users)
    assert "Is a directory" in await refusal(tmp_path)
    with pytest.raises(InputError, match=r"a\\x00b is no file's name"):
        await read("a\0b")

    def denied(*_: object) -> int:  # the tests may run as root, whom nothing is denied
        raise PermissionError(errno.EACCES, "Permission denied")

    users.write_text("username\nada\n")
    monkeypatch.setattr(os, "open", denied)
    assert "Permission denied" in await refusal(users)


async def test_undecodable_bytes_are_told_with_their_line_and_the_way_out(users: Path) -> None:
    users.write_bytes(b"username\n" + b"ada\n" * 5000 + b"zo\xeb\n" + b"bob\n" * 5000)
    sentence = await refusal(users)
    assert sentence == (
        " is not utf-8 near line 5002: give the file's encoding with --encoding, such as"
        " cp1252 or utf-16."
    )
    assert (await names(users, encoding="cp1252"))[5000] == "zoë"


@pytest.mark.parametrize("encoding", ["klingon", "hex", "utf-8\0"])
async def test_an_unknown_encoding_is_named(users: Path, encoding: str) -> None:
    users.write_text("username\nada\n")
    with pytest.raises(UsageError) as refused:
        await read(users, encoding=encoding)
    assert encoding.rstrip("\0") in str(refused.value)


@pytest.mark.parametrize("damage", ["cut", "flip", "plain", "rubbish"])
async def test_a_damaged_gzip_file_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "users.csv.gz"
    whole = gzip.compress(b"username\n" + os.urandom(50_000).hex().encode())
    path.write_bytes(
        {
            "cut": whole[:-2000],
            "flip": whole[:1000] + bytes(50) + whole[1050:],
            "plain": b"username\nada\n",
            "rubbish": whole + b"x",
        }[damage]
    )
    assert "is cut off, damaged or not gzip at all" in await refusal(path)


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
    source = CsvSource(str(users))
    await source.open()
    tracemalloc.start()
    try:
        sizes = [len(batch) async for batch in source.batches()]
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
        await source.aclose()
    assert sizes == [1000] * 50


@pytest.fixture
def standard_input() -> Iterator[int]:
    """Put a pipe in the place of standard input; its other end is the value."""
    reading, writing = os.pipe()
    saved = os.dup(0)
    os.dup2(reading, 0)
    os.close(reading)
    try:
        yield writing
    finally:
        os.dup2(saved, 0)
        os.close(saved)


async def test_standard_input_is_read_and_decoded_like_a_file(standard_input: int) -> None:
    text = codecs.BOM_UTF16_LE + "username;lang\nzoë;de\n".encode("utf-16-le")

    def write_byte_by_byte() -> None:
        for byte in text:
            os.write(standard_input, bytes([byte]))
        os.close(standard_input)

    thread = threading.Thread(target=write_byte_by_byte)
    thread.start()
    source, rows = await read("-")
    thread.join()
    assert [(row.username, dict(row.attributes)) for row in rows] == [("zoë", {"lang": "de"})]
    assert (source.name, source.encoding) == ("standard input", "utf-16")


async def test_an_empty_standard_input_is_named(standard_input: int) -> None:
    os.close(standard_input)
    with pytest.raises(InputError, match="standard input is empty"):
        await read("-")


async def test_nobody_waits_for_a_silent_pipe_longer_than_wanted(standard_input: int) -> None:
    source = CsvSource("-", header=False)
    before = time.monotonic()
    with anyio.move_on_after(0.1) as scope:
        await source.open()
    await source.aclose()
    assert scope.cancelled_caught
    assert time.monotonic() - before < 1
    os.close(standard_input)


@pytest.mark.parametrize("how", ["standard input", "named pipe"])
def test_a_program_that_waits_for_input_ends_at_once_when_interrupted(
    tmp_path: Path, how: str
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    program = (
        "import asyncio, signal, sys\n"
        "from batch_resend.sources.csv_file import CsvSource\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # may have been ignored\n"
        "async def main():\n"
        "    source = CsvSource(sys.argv[1])\n"
        "    try:\n"
        "        print('ready', flush=True)\n"
        "        await source.open()\n"
        "    finally:\n"
        "        await source.aclose()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", program, "-" if how == "standard input" else str(fifo)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        process.wait(10)
        assert process.returncode == -signal.SIGINT
        assert process.stderr
        assert b"Fatal" not in process.stderr.read()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ada\nbob\n\ncy", ["ada", "bob", "cy"]),
        ("username\nada\n", ["ada"]),
        ("id;Email\n1; ada@example.com\n", ["ada@example.com"]),
        ("ada@example.com\n", ["ada@example.com"]),
        ("username\n", []),
    ],
)
async def test_a_list_of_names_may_have_a_header(
    users: Path, text: str, expected: list[str]
) -> None:
    users.write_text(text)
    assert [name async for name in read_names(str(users))] == expected


@pytest.mark.parametrize(("text", "why"), [("", "is empty"), ("id,mail\n1,ada\n", "several")])
async def test_a_list_of_names_that_may_be_a_mistake_is_refused(
    users: Path, text: str, why: str
) -> None:
    users.write_text(text)
    with pytest.raises(InputError, match=why):
        [name async for name in read_names(str(users))]


# Any text that UTF-8 can write; much of it of what is special in CSV.
TEXT = st.text(
    st.one_of(
        st.sampled_from(list("ab,;|\t\"'\r\n \0\x1c\u2028\x85\ufeff")),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=6,
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    width = draw(st.integers(1, 4))
    header = ["username", "lang", "x y", "z"][:width]
    rows = draw(st.lists(st.lists(TEXT, min_size=width, max_size=width), min_size=1, max_size=8))
    return header, rows


def as_csv(rows: list[list[str]], line_end: str = "\n", **form: Any) -> str:
    # Up to Python 3.12 the writer quotes no line end but its own, so it has to be this one.
    text = io.StringIO(newline="")
    for row in rows:
        csv.writer(text, lineterminator="\r\n", **form).writerow(row)
        text.seek(text.tell() - 2)
        text.truncate()
        text.write(line_end)
    return text.getvalue()


#: How many made-up files; more by command.
FUZZED = int(os.environ.get("BATCH_RESEND_EXAMPLES", "1000"))


@given(
    table=tables(),
    delimiter=st.sampled_from(",;\t|"),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be"]),
    header=st.booleans(),
    cut=st.booleans(),
    zipped=st.booleans(),
)
@settings(
    max_examples=FUZZED // 3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_what_csv_writes_is_read_back_and_the_raw_rows_are_the_same_input(
    tmp_path: Path,
    table: tuple[list[str], list[list[str]]],
    delimiter: str,
    line_end: str,
    quoting: Any,
    encoding: str,
    header: bool,
    cut: bool,
    zipped: bool,
) -> None:
    columns, rows = table
    text = as_csv(
        [columns, *rows] if header else rows,
        delimiter=delimiter,
        line_end=line_end,
        quoting=quoting,
    )
    if cut:
        text = text.removesuffix(line_end)
    # The marks of UTF-16 and two zero bytes are the mark of UTF-32: nobody can tell.
    assume(not text.startswith("\0"))
    if not header:
        # Unquoted, a single blank name is a blank line; the mark of UTF-8 is no name's.
        assume(text.strip(" \t\r\n\xa0\ufeff"))
        columns = [str(n + 1) for n in range(len(columns))]
    options: dict[str, Any] = {"header": header, "delimiter": delimiter}
    if encoding == "utf-16-be":
        options["encoding"] = encoding
    path = tmp_path / ("users.csv.gz" if zipped else "users.csv")

    def write(text: str, encoding: str) -> None:
        data = text.encode(encoding)
        path.write_bytes(gzip.compress(data) if zipped else data)

    write(text, encoding)
    source, candidates = anyio.run(lambda: read(path, **options))
    # A single cell of blanks that is not quoted is a blank line.
    form: dict[str, Any] = {"delimiter": delimiter, "quoting": quoting}
    blank = [
        len(row) == 1 and not row[0].strip(" \t\r\n\xa0\ufeff") and '"' not in as_csv([row], **form)
        for row in rows
    ]
    expected = [
        (
            row[0].strip(" \t\r\n\xa0\ufeff"),
            {name: cell.strip(" \t") for name, cell in zip(columns[1:], row[1:], strict=True)},
        )
        for row, is_no_row in zip(rows, blank, strict=True)
        if not is_no_row
    ]
    assert [(c.username, dict(c.attributes)) for c in candidates] == expected
    assert [c.row for c in candidates] == list(range(1, len(expected) + 1))

    write(source.heading + "".join(c.raw for c in candidates), source.encoding)
    again, the_same = anyio.run(lambda: read(path, **options))
    assert the_same == candidates
    assert again.heading == source.heading


@given(
    data=st.one_of(
        st.binary(max_size=400),
        st.text(st.sampled_from(list('ab@,;\t|"\r\n \0é')), max_size=60).map(str.encode),
    ),
    mark=st.sampled_from([b"", codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF32_BE]),
    header=st.sampled_from([True, False, None]),
    encoding=st.sampled_from([None, "utf-8", "utf-16", "utf-7", "cp1252", "punycode", "shift_jis"]),
    ending=st.sampled_from(["csv", "gz"]),
)
@settings(
    max_examples=FUZZED - FUZZED // 3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_arbitrary_bytes_are_read_or_refused_in_a_sentence(
    tmp_path: Path,
    data: bytes,
    mark: bytes,
    header: bool | None,
    encoding: str | None,
    ending: str,
) -> None:
    path = tmp_path / f"users.{ending}"
    path.write_bytes(mark + data)

    async def attempt() -> None:
        try:
            _, candidates = await read(path, header=header, encoding=encoding)
        except (InputError, UsageError) as refused:
            candidates, sentence = [], str(refused)
        else:
            sentence = "read"
        assert sentence.isprintable()
        assert all(candidate.raw for candidate in candidates)

    anyio.run(attempt)


async def test_a_high_descriptor_is_read_like_any_other(users: Path) -> None:
    users.write_text("username\nada\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(2048, hard), hard))
    held: list[int] = []
    try:
        held += (os.open(os.devnull, os.O_RDONLY) for _ in range(1100))
        assert await names(users) == ["ada"]
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
