"""Results that go to a pipe, a device or an open descriptor, judged on the real program."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from batch_resend.simulator.rules import Cognito
from tests.support.program import AT_MOST, Program, numbered, read_report, until

SMALL = 4096  #: bytes: the least that a pipe can hold
ALL = {f"user{n}@example.com": 1 for n in range(1, 301)}

pytestmark = pytest.mark.skipif(
    not hasattr(fcntl, "F_SETPIPE_SZ"), reason="the size of a pipe can be set on Linux only"
)


def test_stopped_reader_of_the_report_costs_no_answer(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    """Every user is served while the first rows still wait for their reader."""
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, SMALL)
    users = program.users(ALL)
    process = program.start("run", users, *at, "--report", "-", stdout=theirs)
    os.close(theirs)
    until(lambda: len(cognito.deliveries) == len(ALL), process)
    with os.fdopen(ours, encoding="utf-8") as reader:
        report = read_report(reader.read())
    assert process.wait(AT_MOST) == 0, process.stderr.read()
    assert {row["username"]: 1 for row in report if row["reason"] == "accepted"} == ALL
    assert cognito.deliveries == ALL


def test_full_pipe_that_does_not_block_is_waited_for(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, SMALL)
    os.set_blocking(theirs, False)
    users = program.users(ALL)
    process = program.start("run", users, *at, "--report", "/dev/stdout", stdout=theirs)
    os.close(theirs)
    until(lambda: len(cognito.deliveries) == len(ALL), process)
    with os.fdopen(ours, encoding="utf-8") as reader:
        report = read_report(reader.read())
    assert process.wait(AT_MOST) == 0, process.stderr.read()
    assert len(report) == len(ALL)


def test_reader_who_leaves_stops_the_run(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    ours, theirs = os.pipe()
    users = program.users(numbered(3000))
    process = program.start("run", users, *at, "--report", "-", stdout=theirs)
    os.close(theirs)
    until(lambda: len(cognito.deliveries) > 5, process)
    os.close(ours)
    _, err = process.communicate(timeout=AT_MOST)
    assert process.returncode == 4
    assert "--report - cannot be written (Broken pipe)" in err
    assert len(cognito.deliveries) < 3000


def test_second_signal_leaves_a_reader_who_never_reads(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, SMALL)
    users = program.users(ALL)
    process = program.start("run", users, *at, "--report", "-", stdout=theirs)
    os.close(theirs)
    until(lambda: len(cognito.deliveries) == len(ALL), process)
    process.send_signal(signal.SIGINT)

    def ended() -> bool:
        process.send_signal(signal.SIGINT)
        return process.poll() is not None

    until(ended)
    assert process.returncode == 130
    os.close(ours)


@pytest.mark.parametrize(
    ("name", "overwrite"),
    [
        ("/dev/stdout", ()),
        ("/dev/fd/1", ()),
        ("/proc/self/fd/1", ()),
        ("link", ()),
        ("link", ("--overwrite",)),  # a link of ours: a fault must not replace the machine's own
    ],
)
def test_open_descriptor_is_written_to_and_never_replaced(
    program: Program, name: str, overwrite: tuple[str, ...]
) -> None:
    (program.folder / "link").symlink_to("/dev/stdout")
    out = program.folder / "out.csv"
    out.write_text("a line of another program\n")
    with out.open("a") as stdout:
        there = os.fstat(stdout.fileno()).st_ino
        ended = program(
            "run", "--user", "ada", "--simulate", "--report", name, *overwrite, stdout=stdout
        )
    assert ended.code == 0, ended.err
    first, rest = out.read_text().split("\n", 1)
    assert first == "a line of another program"
    assert [row["username"] for row in read_report(rest)] == ["ada"]
    assert out.stat().st_ino == there
    assert (program.folder / "link").is_symlink()


def test_fifo_and_device_are_written_to_and_never_replaced(program: Program) -> None:
    fifo = program.folder / "fifo"
    os.mkfifo(fifo)
    texts = []
    reader = threading.Thread(target=lambda: texts.append(fifo.read_text()), daemon=True)
    reader.start()
    arguments = ("run", "--user", "ada", "--simulate", "--overwrite")

    def served() -> bool:
        ended = program(*arguments, "--report", "fifo")
        if ended.code == 2:
            assert "no program reads from it" in ended.err
        return ended.code == 0

    until(served)  # as soon as the reader has opened it
    reader.join(AT_MOST)
    assert [row["username"] for row in read_report(texts[0])] == ["ada"]
    assert fifo.is_fifo()
    ended = program(*arguments, "--report", "/dev/null", "--failed", "/dev/null")
    assert ended.code == 0, ended.err
    assert Path("/dev/null").is_char_device()


def test_report_to_a_closed_descriptor_is_refused_in_a_sentence(program: Program) -> None:
    ended = program("run", "--user", "ada", "--simulate", "--report", "/dev/fd/77")
    assert ended.code == 2
    assert ended.errors == [
        "Error: --report /dev/fd/77 cannot be written (Bad file descriptor): name a place that can"
        " be written to and has room."
    ]


def test_page_of_a_pipe_is_refused_in_a_sentence(program: Program) -> None:
    reading = subprocess.PIPE
    ended = program("report", "/dev/stdin", "--html", "page.html", stdin="row\n", stdout=reading)
    assert ended.code == 2
    assert "is a pipe. A report is read twice: use a file." in ended.err
