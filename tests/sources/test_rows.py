"""Rows that are odd: read with care and named, or refused. The inputs are small and made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.inputs import names, read, refusal

pytestmark = pytest.mark.anyio

WIDE = "username,email,name,company\nada,ada@example.com,Ada,ACME\n"


async def notes(path: Path, **options: object) -> tuple[str, ...]:
    return (await read(path, **options))[0].notes


async def test_row_broken_in_two_is_refused_by_its_looks(users: Path) -> None:
    """A line break within a cell leaves two short rows, and half a name as a username."""
    users.write_text(WIDE + "bob,bob@example.com,Bob\nBrown,ACME\ncarl,c@example.com,Carl,ACME\n")
    assert await refusal(users) == (
        ": row 3 (line 4) has 2 of 4 fields, and they do not look like those above: a line"
        " break within a cell? Quote the cell, or complete the row."
    )


@pytest.mark.parametrize(
    "look", ["ada@example.com", "+12345550100", "258145af-20f1-41da-bd80-533b52c67516"]
)
async def test_short_row_is_compared_with_all_looks(users: Path, look: str) -> None:
    users.write_text(f"username,x,y\n{look},1,2\nBrown\n")
    assert "row 2 (line 3) has 1 of 3 fields" in await refusal(users)
    users.write_text(f"username,x,y\n{look},1,2\n{look[:-1]}5\n")
    assert (await names(users))[1] == f"{look[:-1]}5"


async def test_short_row_after_a_short_row_is_refused(users: Path) -> None:
    """Without looks to go by, two rows that make up one may be one."""
    users.write_text("username,a,b,c\nada,1,2,3\nbob,1,2\nx,3\n")
    assert "row 3 (line 4)" in await refusal(users)
    users.write_text("username,a,b,c\nada,1,2,3\nbob,1\nx\ny,3\n")
    assert "row 3 (line 4)" in await refusal(users)


async def test_short_rows_with_the_right_looks_are_read(users: Path) -> None:
    """Spreadsheets leave out trailing empty cells, often in many rows."""
    users.write_text(
        "username,email,name\nada,ada@x.example,Ada\n"
        + "".join(f"u{n},u{n}@x.example\n" for n in range(6))
    )
    source, rows = await read(users)
    assert rows[1].attributes == {"email": "u0@x.example", "name": ""}
    assert source.notes == (
        "6 rows have fewer cells than the header; the missing cells count as empty"
        " (rows 2, 3, 4 and 3 more).",
    )


async def test_short_rows_that_cannot_be_one_are_read(users: Path) -> None:
    users.write_text("username,a,b,c\nada,1,2,3\nbob,1,2\ncyd,1,2\n")
    assert await names(users) == ["ada", "bob", "cyd"]


async def test_one_short_row_is_named_in_the_notes(users: Path) -> None:
    users.write_text("username,a\nada,1\nbob\ncyd,2\n")
    assert await notes(users) == (
        "1 row has fewer cells than the header; the missing cells count as empty (row 2).",
    )


@pytest.mark.parametrize("end", ["carl@exam", "carl@example.com,carl@example.com"])
async def test_last_line_that_is_cut_off_is_refused(users: Path, end: str) -> None:
    users.write_text("username,email,name\nada@example.com,ada@example.com,Ada\n" + end)
    assert "row 2 (line 3) has" in (sentence := await refusal(users))
    assert "no line end: the file seems to be cut off" in sentence


async def test_last_line_without_its_end_but_whole_is_read(users: Path) -> None:
    users.write_text("username,name\nada,Ada\nbob,Bob")
    assert await names(users) == ["ada", "bob"]


async def test_import_format_of_cognito_escapes_commas(users: Path) -> None:
    users.write_text(
        "cognito:username,name,email,address,cognito:mfa_enabled\n"
        "ada,Ada Doe,ada@example.com,123 Any Street,FALSE\n"
        "bob,Bob Roe,bob@example.com,100 Main Street\\, Anytown,FALSE\n"
    )
    _, rows = await read(users)
    assert rows[1].attributes["address"] == "100 Main Street, Anytown"
    assert rows[1].raw == "bob,Bob Roe,bob@example.com,100 Main Street\\, Anytown,FALSE\n"


async def test_import_format_does_not_shift_the_username(users: Path) -> None:
    users.write_text("name,cognito:username,email\nDoe\\, Bob,ada,\nRoe,carl,c@example.com\n")
    assert await names(users) == ["ada", "carl"]


async def test_backslashes_elsewhere_stay(users: Path) -> None:
    users.write_text("username,name\nDOM\\ada,x\n")
    assert await names(users) == ["DOM\\ada"]
    users.write_text("cognito:username,name\nDOM\\ada,x\\y\n")
    _, rows = await read(users)
    assert (rows[0].username, rows[0].attributes["name"]) == ("DOM\\ada", "x\\y")
    users.write_text("username,name\nada,x\\,y\n")
    assert "has 3 fields, the header 2" in await refusal(users)


async def test_repeated_header_is_skipped_and_noted(users: Path) -> None:
    users.write_text(
        "username,email\nada,a@x.example\nusername,email\nbob,b@x.example\n"
        "\ufeffUsername , EMAIL\ncyd,c@x.example\n"
    )
    source, rows = await read(users)
    assert [(row.row, row.username) for row in rows] == [(1, "ada"), (2, "bob"), (3, "cyd")]
    assert source.notes == ("2 lines repeat the header and are skipped (lines 3 and 5).",)


async def test_header_with_other_columns_in_mid_file_is_refused(users: Path) -> None:
    users.write_text("username,email\nada,a@x.example\nemail,username\nb@x.example,bob\n")
    assert "line 3 is another header" in await refusal(users)


async def test_user_called_as_a_heading_is_read(users: Path) -> None:
    users.write_text("username,lang\nuser,de\nemail,fr\n")
    assert await names(users) == ["user", "email"]


async def test_title_above_a_single_column_is_refused(users: Path) -> None:
    users.write_text("My users\nusername\nada\n")
    assert "may be a heading or a user" in await refusal(users)


async def test_powershells_type_line_is_refused(users: Path) -> None:
    users.write_text('#TYPE System.Management.Automation.PSCustomObject\n"username"\n"ada"\n')
    assert "Remove line 1" in await refusal(users)


async def test_columns_of_a_listing_mean_what_they_mean_there(users: Path) -> None:
    users.write_text(
        "sub;email;UserCreateDate;Enabled;UserStatus\n"
        "s-1;ada@x.example;2021-01-11 15:29:59.162000+00:00;True;CONFIRMED\n"
        "s-2;;2021-01-12T15:29:59.162Z;false;unconfirmed\n"
        "s-3;;1610378999.5;;\n"
    )
    source, rows = await read(users)
    assert [(row.status, row.enabled, row.created) for row in rows] == [
        ("CONFIRMED", True, 1610378999.162),
        ("UNCONFIRMED", False, 1610465399.162),
        (None, None, 1610378999.5),
    ]
    assert rows[0].contacts == ("ada@x.example",)
    assert source.notes == ("Counts as in a listing: UserStatus and Enabled.",)


async def test_status_column_of_the_import_format_counts(users: Path) -> None:
    users.write_text("username,cognito:user_status\nada,CONFIRMED\n")
    assert (await read(users))[1][0].status == "CONFIRMED"


async def test_state_that_is_neither_true_nor_false_is_refused(users: Path) -> None:
    users.write_text("username,Enabled\nada,TRUE\nbob,vielleicht\n")
    assert await refusal(users) == (
        ": row 2 (line 3): Enabled is neither true nor false. Correct it."
    )


async def test_dates_are_needed_only_where_ages_are_asked_for(users: Path) -> None:
    users.write_text("username,UserCreateDate\nada,11/01/2021\n")
    assert (await read(users))[1][0].created is None
    assert "row 1 (line 2): UserCreateDate is not a date" in await refusal(users, dates=True)
    users.write_text("username,UserCreateDate\nada,\n")
    assert "UserCreateDate is empty" in await refusal(users, dates=True)
    users.write_text("username\nada\n")
    assert "has no column UserCreateDate" in await refusal(users, dates=True)
    users.write_text("username,UserCreateDate\nada,2021-01-11 00:00:00\n")
    source, rows = await read(users, dates=True)
    assert rows[0].created == 1610323200.0
    assert source.notes == (
        "Counts as in a listing: UserCreateDate.",
        "1 date has no time zone and counts as UTC (row 1).",
    )


async def test_spreadsheet_forms_are_read_as_they_were_meant(users: Path) -> None:
    users.write_text(
        'username\n="+12345550100"\n"=""+12345550102"""\n\'+12345550101\n\'007\n\'s-Gravenhage\n'
    )
    source, rows = await read(users)
    assert [row.username for row in rows] == [
        "+12345550100",
        "+12345550102",
        "+12345550101",
        "007",
        "'s-Gravenhage",
    ]
    assert source.notes == (
        "4 names are written as a spreadsheet protects them and read as they were meant"
        " (rows 1, 2, 3 and 1 more).",
    )


@pytest.mark.parametrize("lost", ["1.23457E+11", "1,23457E+11", "1E+15", "#N/A", "#####", "#REF!"])
async def test_name_that_a_spreadsheet_has_lost_is_refused(users: Path, lost: str) -> None:
    users.write_text(f"username;x\nada;1\n{lost};2\n")
    assert "row 2 (line 3): the name is a" in await refusal(users)


@pytest.mark.parametrize(
    ("written", "name"), [("'@x", "@x"), ("'-x", "-x"), ("'=1+1", "=1+1"), ("'\uff1dx", "\uff1dx")]
)
async def test_guard_of_our_own_report_is_taken_away(users: Path, written: str, name: str) -> None:
    users.write_text(f"row,username,outcome,reason,attempts\n1,{written},failed,rejected,1\n")
    assert await names(users) == [name]
    users.write_text(f"run,username,state,reason,intended_at,settled_at\n1,{written},open,,,\n")
    assert await names(users) == [name]
    users.write_text(f"username\n{written}\n")
    assert await names(users) == [written]  # in any other file it may be part of the name


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
async def test_delimiter_within_every_name_is_refused(users: Path, delimiter: str) -> None:
    option = ";" if delimiter == "," else None
    users.write_text(f'username\n"ok-t{delimiter}de"\n"ok-u{delimiter}en"\n')
    if option is None:
        sentence = await refusal(users)
        assert f"holds {delimiter!r}. Use --delimiter {delimiter!r}" in sentence
    assert await names(users, delimiter=";" if delimiter == "," else ",") == [
        f"ok-t{delimiter}de",
        f"ok-u{delimiter}en",
    ]


async def test_delimiter_within_some_names_is_read(users: Path) -> None:
    users.write_text("username\nok;t\nada\n")
    assert await names(users) == ["ok;t", "ada"]
    users.write_text("username\nauth0|5f31\nauth0|5f32\n")
    assert await names(users) == ["auth0|5f31", "auth0|5f32"]
