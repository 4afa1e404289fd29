"""--debug: a line for each request, which names nobody."""

import re

from tests.support.program import Program

_LINE = re.compile(r"Request for \S+: (200|400 \w+), \d+ ms, request ID [\w-]+, rate \d+\.\d/s\.")


def test_debug_shows_each_request_masked(program: Program) -> None:
    users = program.users(["ada@example.com", "bob+missing@example.com", "ada@example.com"])
    ended = program("run", users, "--simulate", "--debug", "--report", "report.csv")
    lines = [line for line in ended.err.splitlines() if line.startswith("Request for")]
    assert len(lines) == 2, "one for each request, none for the duplicate"
    assert all(_LINE.fullmatch(line) for line in lines)
    assert {line.split(": ")[1].split(",")[0] for line in lines} == {
        "200", "400 UserNotFoundException",
    }  # fmt: skip
    assert "ada@example.com" not in "".join(lines)
    identified = {row["request_id"] for row in program.report() if row["request_id"]}
    assert identified == {line.split("request ID ")[1].split(",")[0] for line in lines}


def test_without_debug_there_is_no_such_line(program: Program) -> None:
    assert "Request for" not in program("run", "--user", "ada", "--simulate").err
