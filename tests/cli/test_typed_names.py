"""A name that was typed where it has no place is masked in what the program complains."""

from __future__ import annotations

import pytest

from tests.support.program import Program

POOL = ("--user-pool-id", "eu-west-1_AbCdEf123", "--client-id", "abc")
CASES = {
    "users": (("run", "bob@example.com", "--simulate"), "no file b***@e***. Use --user"),
    "bare": (("run", "robert", "--simulate"), "There is no file r***. Use --user for the name"),
    "check": (("check", "robert", *POOL), "There is no file r***. Use --user"),
    "more": (("run", "u.csv", "robert", "b.csv"), "than the command takes (r*** b.csv). See"),
    "command": (("robert@example.com",), "No such command 'r***@e***'"),
    "duration": (("run", "--cooldown", "bob@example.com"), "--cooldown 'b***@e***' is not a"),
    "number": (("run", "--max-sends", "+15551234567"), "--max-sends '+1***' is not a valid"),
    "pair": (("run", "--match", "email-bob@example.com"), "'e***@e***' is not a valid condition"),
    "switch": (("run", "--simulate=bob@example.com"), "takes no value, but 'b***@e***'"),
    "exclude": (
        ("run", "--user", "a", "--simulate", "--exclude", "robert"), "r*** cannot be read (No such",
    ),
    "json": (("run", "bob@example.com", "--log-format", "json"), '"'),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_typed_name_is_masked_in_the_error(program: Program, case: str) -> None:
    """The log of a cron job outlives the terminal in which the mistake was made."""
    arguments, expected = CASES[case]
    ended = program(*arguments)
    assert ended.code == 2
    assert expected in ended.err
    assert "robert" not in ended.err
    assert "bob" not in ended.err
    assert "555" not in ended.err


def test_typed_name_is_shown_where_it_was_asked_for(program: Program) -> None:
    ended = program("run", "u.csv", "--cooldown", "bob@example.com", "--no-mask")
    assert "--cooldown 'bob@example.com' is not a valid duration" in ended.err


def test_file_that_is_missing_keeps_its_name(program: Program) -> None:
    for name in ("users.csv", "lists/bob@example.com", "--user-list.csv"):
        ended = program("run", f"./{name}" if name[0] == "-" else name, "--simulate")
        assert f"{name} cannot be read (No such file or directory)" in ended.err
