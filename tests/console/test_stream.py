"""A person who does not read holds up nothing, and misses little."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import pytest

from batch_resend.console import stream
from batch_resend.console.stream import BackgroundStream, for_people

HANG = 600.0  #: seconds; what takes longer hangs


def read_to_end(descriptor: int) -> str:
    data = b""
    while piece := os.read(descriptor, 1 << 16):
        data += piece
    os.close(descriptor)
    return data.decode()


def until_idle(background: BackgroundStream) -> None:
    end = time.monotonic() + HANG
    while background.busy:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_reader_who_stands_still_is_not_waited_for() -> None:
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "w", encoding="utf-8") as inner:
        background = BackgroundStream(inner)
        assert not background.busy
        background.write("x" * 1_000_000)
        background.write("é\ud800\n")
        assert background.busy
    assert read_to_end_then_finish(ours, background) == "x" * 1_000_000 + "é\\ud800\n"


def read_to_end_then_finish(descriptor: int, background: BackgroundStream) -> str:
    background.finish(0)
    text = read_to_end(descriptor)
    background.finish(HANG)
    return text


def test_lines_beyond_the_bound_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "ENOUGH", 100_000)
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "w", encoding="utf-8") as inner:
        background = BackgroundStream(inner)
    background.write("x" * 200_000)
    background.write("one\n")
    background.write("two\n")
    left = 200_000
    while left:
        left -= len(os.read(ours, left))
    until_idle(background)
    background.write("three\n")
    text = read_to_end_then_finish(ours, background)
    assert text == "(2 lines were left out while they were not read)\nthree\n"


def test_reader_who_has_left_causes_no_error() -> None:
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "w", encoding="utf-8") as inner:
        background = BackgroundStream(inner)
    os.close(ours)
    background.write("unread\n")
    until_idle(background)
    background.write("unread again\n")
    background.finish(HANG)


def test_files_and_streams_without_descriptor_stay_as_they_are(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        assert for_people(file) is file
    memory = io.StringIO()
    assert for_people(memory) is memory
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        background = for_people(nowhere)
        assert isinstance(background, BackgroundStream)
        assert background.isatty() is False
        background.finish(HANG)
