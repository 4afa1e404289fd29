"""What is seen and heard of a real process while it runs: a terminal, pings, metrics, logs."""

import contextlib
import json
import os
import pty
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from batch_resend.simulator.pool import Kind
from tests.support.healthchecks import TOKEN, Check
from tests.support.program import AT_MOST, Program, ended, numbered
from tests.support.terminal import lines, seen

SIMULATED = ("--simulate", "--report", "report.csv", "--overwrite", "--timeout", "1s")


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    instance = Program(tmp_path)
    yield instance
    instance.end()


@pytest.fixture
def check() -> Iterator[Check]:
    with start_blocking_portal() as portal:
        instance = portal.call(_new_check)
        with portal.wrap_async_context_manager(instance.running()):
            yield instance


async def _new_check() -> Check:
    return Check()


@pytest.mark.parametrize("columns", [80, 120])
def test_terminal_lines_are_whole_and_the_display_is_removed(
    program: Program, columns: int
) -> None:
    users = program.users([*numbered(40), *numbered(20, Kind.DISABLED)])
    said, screen = seen(program, "run", users, *SIMULATED, "-v", columns=columns)
    assert " of 60" in said
    assert "the account is disabled" in said
    shown = lines(screen)
    failed = [line for line in shown if line.startswith("row ")]
    assert failed == [
        f"row {row} u***@e***: failed, user-disabled (User is disabled.)" for row in range(41, 61)
    ]
    assert shown[0].startswith("Plan for users.csv")
    end = next(n for n, line in enumerate(shown) if line.startswith("60 rows in "))
    assert shown[end - 1] == failed[-1]
    assert not any(line.startswith(("sending", "done", "rate", "now")) for line in shown)
    assert not screen.cursor.hidden


def test_resized_terminal_shows_whole_frames(program: Program) -> None:
    users = program.users(numbered(60))
    said, _ = seen(program, "run", users, *SIMULATED, columns=120, then=40)
    assert "60 rows in " in said
    assert "Error" not in said


def test_no_color_leaves_no_colour(program: Program) -> None:
    users = program.users(numbered(30))
    colours = ("\x1b[32m", "\x1b[36m")
    said, _ = seen(program, "run", users, *SIMULATED)
    assert all(colour in said for colour in colours)
    said, _ = seen(program, "run", users, *SIMULATED, NO_COLOR="1")
    assert not any(colour in said for colour in colours)
    assert " of 30" in said


@pytest.mark.parametrize(("arguments", "term"), [(("--no-progress",), "xterm"), ((), "dumb")])
def test_without_progress_nothing_is_drawn(
    program: Program, arguments: tuple[str, ...], term: str
) -> None:
    users = program.users(numbered(30))
    said, _ = seen(program, "run", users, *SIMULATED, *arguments, term=term, NO_COLOR="1")
    assert "\x1b" not in said
    assert " of 30" not in said
    assert "30 rows in " in said


def test_a_second_signal_leaves_the_terminal_as_it_was(program: Program) -> None:
    users = program.users(numbered(200, Kind.LOST))
    ours, theirs = pty.openpty()
    process = program.start(
        "run", users, *SIMULATED, "--timeout", "60s", stdin=theirs, stderr=theirs,
        env={"TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    said = b""
    first = 0.0
    with contextlib.suppress(OSError):
        while piece := os.read(ours, 65536):
            said += piece
            if b"elapsed" in said and not first:
                process.send_signal(signal.SIGINT)
                first = time.monotonic()
            elif first and b"Ctrl-C again to quit now" in said and time.monotonic() > first + 1.2:
                process.send_signal(signal.SIGINT)
                first = float("inf")
    assert process.wait(AT_MOST) == 130
    os.close(ours)
    assert b"Stopping: waiting for the requests in flight. Press Ctrl-C again" in said
    assert re.search(rb"Quit at once\. \d+ requests? in flight", said)
    assert said.rindex(b"\x1b[?25h") > said.rindex(b"\x1b[?25l")


# -- pings and metrics ---------------------------------------------------------------------


def test_a_run_is_pinged_about_and_its_address_is_nowhere(program: Program, check: Check) -> None:
    users = program.users(["ada@example.com", "bob+missing@example.com"])
    done = program("run", users, *SIMULATED, "-v", env={"BATCH_RESEND_PING_URL": check.url})
    assert done.code == 1
    assert check.signals == ["/start", "/1"]
    assert check.heard[1][2]["counts"]["failed"] == 1
    assert "example.com" not in json.dumps(check.heard)
    assert TOKEN not in done.err + done.out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("missing.csv", *SIMULATED), 2),
        (("users.csv", *SIMULATED, "--limit", "0"), 2),
        (("users.csv", "--client-id", "abc", "--yes", "--endpoint-url", "http://example.com"), 4),
    ],
)
def test_a_run_that_never_begins_is_pinged_about_too(
    program: Program, check: Check, arguments: tuple[str, ...], code: int
) -> None:
    program.users(["ada@example.com"])
    done = program("run", *arguments, "--ping-url", check.url)
    assert done.code == code
    assert check.signals == ["/start", "/fail"]
    (line,) = done.err.splitlines()
    assert line == f"Error: {check.heard[1][2]['error']}"
    assert check.heard[1][2]["exit_code"] == code


def test_a_signal_is_pinged_about(program: Program, check: Check) -> None:
    users = program.users(numbered(500))
    process = program.start("run", users, *SIMULATED, "--ping-url", check.url)
    deadline = time.monotonic() + AT_MOST
    while not check.heard and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    assert ended(process).code == 143
    assert check.signals[0] == "/start"
    assert check.signals[1] in {"/143", "/fail"}


def test_a_ping_that_hangs_delays_no_sending(program: Program, check: Check) -> None:
    check.answers = [0]
    users = program.users(numbered(10))
    done = program("run", users, *SIMULATED, "--ping-url", check.url, "--summary", "s.json")
    assert done.code == 0
    assert program.summary("s.json")["seconds"] < 5
    assert check.signals[0] == "/start"
    assert check.signals[-2:] == ["", ""]
    assert done.err.splitlines()[-1] == (
        "A ping to 127.0.0.1 failed (no response within 5 s). The run is not affected."
    )


def test_signal_during_the_last_ping_keeps_the_exit_code(program: Program, check: Check) -> None:
    check.answers = [200, 0]
    users = program.users(["bob+missing"])
    process = program.start("run", users, *SIMULATED, "--ping-url", check.url)
    deadline = time.monotonic() + AT_MOST
    while len(check.heard) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    left = ended(process)
    assert left.code == 1
    assert "A ping to" not in left.err


def test_emf_is_on_standard_output_and_nothing_else_is(program: Program) -> None:
    users = program.users(numbered(3))
    done = program("run", users, *SIMULATED, "--metrics", "emf")
    (line,) = map(json.loads, done.out.splitlines())
    assert (line["Sent"], line["ExitCode"], line["ClientId"]) == (3, 0, "simulated")


def test_emf_to_a_closed_pipe_harms_no_run(program: Program) -> None:
    users = program.users(numbered(3))
    process = program.start("run", users, *SIMULATED, "--metrics", "emf")
    process.stdout.close()
    process.stdout = None
    done = ended(process)
    assert done.code == 0
    assert "--metrics cannot be written (Broken pipe). The run is not affected." in done.err


def test_metrics_are_written_whatever_comes_of_the_run(program: Program) -> None:
    users = program.users(numbered(3))
    file = program.folder / "resend.prom"
    assert program("run", users, *SIMULATED, "--metrics", "textfile:resend.prom").code == 0
    assert 'outcome="sent"} 3\n' in file.read_text()
    assert program("run", "no.csv", *SIMULATED, "--metrics", "textfile:resend.prom").code == 2
    assert "\nbatch_resend_exit_code 2\n" in file.read_text()
    lost = program("run", users, *SIMULATED, "--metrics", "textfile:no/resend.prom")
    assert lost.code == 0
    assert "--metrics cannot be written (No such file or directory)." in lost.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--ping-url", f"http://hc.example.com/{TOKEN}"), "--ping-url is plain http"),
        (("--metrics", "statsd"), "--metrics 'statsd'"),
        (("--metrics", "emf", "--summary", "-"), "so does --summary -"),
        (("--metrics", "textfile:users.csv"), "must end in .prom"),
        (("--metrics", "textfile:r.prom", "--report", "r.prom"), "is --report too"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_sentence(
    program: Program, arguments: tuple[str, ...], sentence: str
) -> None:
    users = program.users(["ada"])
    done = program("run", users, "--simulate", *arguments)
    (line,) = done.err.splitlines()
    assert (done.code, done.out) == (2, "")
    assert line.startswith("Error: ")
    assert sentence in line
    assert TOKEN not in line


# -- JSON lines ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("missing.csv", *SIMULATED, "--log-format", "json"),
        ("users.csv", *SIMULATED, "--log-format=json", "--limit", "ten"),
        ("--log-format", "json", "--no-such-option"),
        ("users.csv", *SIMULATED, "--log-format", "json", "--metrics", "x"),
        ("users.csv", *SIMULATED, "--log-format", "json", "--limit", "0"),
        ("users.csv", "--client-id", "abc", "--log-format", "json"),
    ],
)
def test_errors_before_the_run_are_json_too(program: Program, arguments: tuple[str, ...]) -> None:
    program.users(["ada"])
    done = program("run", *arguments)
    (line,) = map(json.loads, done.err.splitlines())
    assert set(line) == {"time", "event", "text"}
    assert line["event"] == "error"
    assert line["text"].startswith("Error: ")
    assert done.code == 2


def test_json_lines_are_valid_whatever_the_names(program: Program) -> None:
    names = [
        '"quoted"+missing',
        "back\\slash+missing",
        "J\u00fcrgen\u2028+missing",
        "\U0001f600+missing",
    ]
    (program.folder / "users.csv").write_text(
        "username\n" + "".join('"' + name.replace('"', '""') + '"\n' for name in names),
        encoding="utf-8",
    )
    done = program("run", "users.csv", *SIMULATED, "-v", "--no-mask", "--log-format", "json")
    events = [json.loads(line) for line in done.err.splitlines()]
    assert len([line for line in events if line["event"] == "result"]) == 4
    assert all(isinstance(line, dict) and line["time"] for line in events)
