"""CSV files made up and broken at random: read back the same, or refused in a sentence."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import os
from pathlib import Path
from typing import Any

import anyio
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from batch_resend.errors import InputError, UsageError
from tests.support.inputs import read

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
def test_written_csv_reads_back_and_raw_rows_are_equivalent(
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
    # The marks of UTF-16 and two zero bytes are the mark of UTF-32: both are possible.
    assume(not text.startswith("\0"))
    if not header:
        # Unquoted, a single blank name is a blank line; the mark of UTF-8 is not part of a name.
        assume(text.strip(" \t\r\n\xa0\ufeff"))
        columns = [str(n + 1) for n in range(len(columns))]
    options: dict[str, Any] = {"header": header, "delimiter": delimiter}
    if not header:
        options["username_column"] = "1"
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
