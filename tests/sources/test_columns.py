"""Which column is what: by its heading, by an option, or not without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.inputs import names, read, refusal

pytestmark = pytest.mark.anyio


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


async def test_missing_username_column_lists_the_existing_ones(users: Path) -> None:
    users.write_text(",".join(f"c{n}" for n in range(12)) + ",\n" + "x\n")
    assert await refusal(users, username_column="login\n") == (
        " has no column 'login\\\\n'. Choose one of its columns with --username-column"
        " ('c0', 'c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7', 'c8', 'c9', …)."
    )
    users.write_text("id,\x1bmail\n1,2\n")
    assert await refusal(users) == (
        " has no username column. Choose one of its columns with --username-column"
        " ('i***', '\\\\x1b***')."
    )


async def test_columns_that_may_be_a_user_are_masked(users: Path) -> None:
    users.write_text("Zoe Lastname,Elm Street 5,x\nEve Other,Oak Road 6,y\n")
    refused = await refusal(users)
    assert refused.endswith("--username-column ('Z***', 'E***', 'x***').")


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
    ["ada@example.com", "+15551234567", "258145af-20f1-41da-bd80-533b52c67516"],
)
async def test_header_that_looks_like_a_user_is_refused_unseen(users: Path, first: str) -> None:
    users.write_text(f"{first}\nbob@example.com\n")
    sentence = await refusal(users)
    assert "--no-header" in sentence
    assert first not in sentence
    assert (await names(users, header=False))[0] == first


async def test_without_a_header_the_columns_are_numbered(users: Path) -> None:
    users.write_text("ada@example.com;de\n\nbob;en\n")
    source, rows = await read(users, header=False, username_column="1")
    assert [(row.row, row.username, dict(row.attributes)) for row in rows] == [
        (1, "ada@example.com", {"2": "de"}),
        (2, "bob", {"2": "en"}),
    ]
    assert source.columns == frozenset({"1", "2"})
    assert source.heading == ""
    assert rows[0].raw == "ada@example.com;de\n"


async def test_username_column_can_be_a_number_without_a_header(
    users: Path,
) -> None:
    users.write_text("1,ada\n2,bob\n")
    assert await names(users, header=False, username_column="2") == ["ada", "bob"]
    assert "('1', '2')" in await refusal(users, header=False, username_column="3")


async def test_only_the_columns_asked_for_are_kept(users: Path) -> None:
    users.write_text("username,a,b\nada,1,2\n")
    for keep, entries in [
        (frozenset[str](), {}),
        (frozenset({"b", "nowhere"}), {"b": "2"}),
        (frozenset({"username"}), {"username": "ada"}),
    ]:
        source, rows = await read(users, keep=keep)
        assert rows[0].attributes == entries
        assert source.columns == frozenset({"username", "a", "b"})


async def test_single_unknown_heading_is_refused_with_both_ways_out(users: Path) -> None:
    """The first line of a bare list is a user, who would be lost as a heading."""
    users.write_text("ada\nbob\n")
    assert await refusal(users) == (
        " has one column, and its first line (a***) may be a heading or a user. Use --no-header"
        " if it is a user, or --username-column with the heading."
    )
    assert await names(users, header=False) == ["ada", "bob"]
    assert await names(users, username_column="ada") == ["bob"]


@pytest.mark.parametrize("text", ["ada\tbob\tcarl\n", "ada;bob;carl", "ada,bob\ncyd,dora\n"])
async def test_names_on_one_line_are_refused(users: Path, text: str) -> None:
    users.write_text(text)
    assert "has no username column" in await refusal(users)
    assert "or put one name on each line" in await refusal(users, header=False)


async def test_pipe_within_a_bare_name_delimits_nothing(users: Path) -> None:
    users.write_text("auth0|5f31\nauth0|5f32\n")
    assert await names(users, header=False) == ["auth0|5f31", "auth0|5f32"]
    assert await names(users, header=False, username_column="2") == ["5f31", "5f32"]


async def test_heading_as_a_name_of_a_bare_list_is_noted(users: Path) -> None:
    users.write_text("username\nada\n")
    source, rows = await read(users, header=False)
    assert [row.username for row in rows] == ["username", "ada"]
    assert source.notes == ("1 username looks like a heading (row 1).",)


@pytest.mark.parametrize("delimiter", ["^", ":", "\uff0c", "~"])
async def test_odd_delimiter_is_named(users: Path, delimiter: str) -> None:
    users.write_text(f"username{delimiter}email\nada{delimiter}a@x.example\n")
    assert f"Use --delimiter {delimiter!r}." in await refusal(users)
    assert await names(users, delimiter=delimiter) == ["ada"]


async def test_quotes_around_whole_lines_are_named(users: Path) -> None:
    users.write_text('"username,email"\n"ada,a@x.example"\n')
    assert "has its whole header in one cell" in await refusal(users)


async def test_contacts_are_the_other_names_of_a_row(users: Path) -> None:
    users.write_text("Email,username,phone_number,SUB\na@x.example,ada,,s-1\n")
    assert (await read(users))[1][0].contacts == ("a@x.example", "s-1")
