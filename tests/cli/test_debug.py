"""--debug: a line for each request, without names."""

import re

import pytest

from batch_resend.model import Reply, Request, Wire
from batch_resend.observer import Noted
from batch_resend.run.debug import DebuggedSender
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


@pytest.mark.anyio
async def test_hostile_code_and_request_id_are_disarmed() -> None:
    """A server put names, line ends and a megabyte there, and --debug printed all of it."""
    said = "\x1b[2J\nForged line: ada.lovelace@example.com " + "x" * 10_000

    class Hostile:
        async def send(self, request: Request) -> Reply:
            return Reply(Wire.ANSWERED, 400, said, said, request_id=said)

    lines: list[object] = []
    sender = DebuggedSender(Hostile(), lines.append, lambda: 5.0)
    await sender.send(Request("ada.lovelace@example.com", {}))
    (noted,) = lines
    assert isinstance(noted, Noted)
    assert "lovelace" not in noted.text
    assert noted.text.isprintable()
    assert len(noted.text) < 400


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["ada", "lovelace"])
async def test_name_cut_in_two_is_masked(name: str) -> None:
    """The limit must not leave the first part of a name, which no mask would find."""
    said = "x" * 75 + f"{name}@example.com"

    class Echoing:
        async def send(self, request: Request) -> Reply:
            return Reply(Wire.ANSWERED, 400, said)

    lines: list[object] = []
    await DebuggedSender(Echoing(), lines.append, lambda: 5.0).send(
        Request(f"{name}@example.com", {})
    )
    assert name not in str(lines)
