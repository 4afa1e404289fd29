"""A terminal that is looked at: what a person sees at a given width."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import termios

import pyte

from tests.support.program import AT_MOST, Program


def size(terminal: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


def seen(
    program: Program,
    *arguments: str,
    columns: int = 80,
    then: int = 0,
    term: str = "xterm-256color",
    **env: str,
) -> tuple[str, pyte.HistoryScreen]:
    """Run at a terminal, which is resized to `then` columns; give what was written and is seen."""
    ours, theirs = pty.openpty()
    size(theirs, columns)
    process = program.start(*arguments, stdin=theirs, stderr=theirs, env={"TERM": term, **env})
    os.close(theirs)
    screen = pyte.HistoryScreen(columns, 24, history=10_000, ratio=0.001)
    stream = pyte.ByteStream(screen)
    said = b""
    with contextlib.suppress(OSError):  # the error of a terminal whose other end is closed
        while piece := os.read(ours, 65536):
            said += piece
            stream.feed(piece)
            if then and said.count(b"gone") > 3:
                size(ours, then)
                then = 0
    process.communicate(timeout=AT_MOST)
    os.close(ours)
    return said.decode(), screen


def lines(screen: pyte.HistoryScreen) -> list[str]:
    above = ["".join(line[x].data for x in range(screen.columns)) for line in screen.history.top]
    return [line.rstrip() for line in (*above, *screen.display) if line.strip()]
