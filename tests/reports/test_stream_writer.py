"""A reader who does not read blocks no writer, and loses nothing."""

from __future__ import annotations

import os
import threading
import time

import anyio
import pytest

from batch_resend.reports.stream_writer import ENOUGH, StreamWriter, write_all

HANG = 600.0  #: seconds; what takes longer hangs
MORE = b"x" * (ENOUGH + 1)  #: more than a pipe holds, and than may wait for its reader


@pytest.fixture
def pipe() -> tuple[int, int]:
    """A pipe to read from and to write to; the test closes it."""
    return os.pipe()


def read(descriptor: int, count: int) -> bytes:
    data = b""
    while len(data) < count and (piece := os.read(descriptor, 1 << 16)):
        data += piece
    return data


def read_to_end(descriptor: int) -> bytes:
    data = b""
    while piece := os.read(descriptor, 1 << 16):
        data += piece
    os.close(descriptor)
    return data


def test_append_does_not_wait_for_the_reader(pipe: tuple[int, int]) -> None:
    writer = StreamWriter(pipe[1])
    for _ in range(3):
        writer.append(MORE)
    writer.append(b"the end")
    writer.close()
    assert read_to_end(pipe[0]) == 3 * MORE + b"the end"


def test_room_waits_until_the_reader_has_caught_up(pipe: tuple[int, int]) -> None:
    writer = StreamWriter(pipe[1])
    events = []

    async def work() -> None:
        async with anyio.create_task_group() as tasks:
            writer.append(2 * MORE)
            tasks.start_soon(wait)
            await anyio.sleep(0.2)
            events.append("read")
            await anyio.to_thread.run_sync(read, pipe[0], len(2 * MORE))

    async def wait() -> None:
        with anyio.fail_after(HANG):
            await writer.room()
        events.append("room")

    anyio.run(work)
    writer.close()
    assert events == ["read", "room"]
    assert read_to_end(pipe[0]) == b""


def test_drained_waits_for_the_last_byte(pipe: tuple[int, int]) -> None:
    writer = StreamWriter(pipe[1])
    writer.append(MORE)

    async def drained(within: float) -> bool:
        with anyio.move_on_after(within):
            await writer.drained()
            return True
        return False

    assert not anyio.run(drained, 0.2)
    data = read(pipe[0], len(MORE) - 10)
    assert anyio.run(drained, HANG)
    writer.close()
    assert data + read_to_end(pipe[0]) == MORE


def test_reader_that_leaves_is_an_error_for_all_who_write(pipe: tuple[int, int]) -> None:
    writer = StreamWriter(pipe[1])
    writer.append(MORE)
    os.close(pipe[0])

    async def work() -> None:
        with anyio.fail_after(HANG):
            await writer.room()
            await writer.drained()

    with pytest.raises(BrokenPipeError):
        anyio.run(work)
    with pytest.raises(BrokenPipeError):
        writer.append(b"more")
    writer.close()


def test_full_pipe_that_does_not_block_is_waited_for(pipe: tuple[int, int]) -> None:
    ours, theirs = pipe
    os.set_blocking(theirs, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(theirs, b"y" * 4096)

    def write() -> None:
        write_all(theirs, MORE)
        os.close(theirs)

    writing = threading.Thread(target=write)
    writing.start()
    time.sleep(0.05)  # gives it the time to meet the full pipe; proves nothing by itself
    assert read_to_end(ours).endswith(MORE)
    writing.join(HANG)
