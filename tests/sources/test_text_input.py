"""Bytes as text: encodings, gzip, standard input, and a wait that can be given up."""

from __future__ import annotations

import codecs
import errno
import gzip
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from batch_resend.errors import InputError, UsageError
from batch_resend.sources.file import FileSource
from tests.support.inputs import names, read, refusal

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("encoding", "options", "written_in"),
    [
        ("utf-8", {}, "utf-8"),
        ("utf-8-sig", {}, "utf-8-sig"),
        ("utf-16", {}, "utf-16"),
        ("utf-32", {}, "utf-32"),
        ("cp1252", {"encoding": "cp1252"}, "cp1252"),
        ("utf-8-sig", {"encoding": "utf-8"}, "utf-8"),
        ("utf-16-le", {"encoding": "utf-16-le"}, "utf-16-le"),
    ],
)
async def test_the_encoding_is_recognised_or_given(
    users: Path, encoding: str, options: dict[str, str], written_in: str
) -> None:
    users.write_bytes('"username"\nzoë\n'.encode(encoding))
    source, rows = await read(users, **options)
    assert [row.username for row in rows] == ["zoë"]
    assert (source.heading, source.encoding) == ('"username"\n', written_in)


async def test_big_endian_utf_16_is_recognised_by_its_mark(users: Path) -> None:
    users.write_bytes(codecs.BOM_UTF16_BE + "username\nzoë\n".encode("utf-16-be"))
    assert await names(users) == ["zoë"]


async def test_a_gzipped_file_is_known_by_its_ending(tmp_path: Path) -> None:
    path = tmp_path / "USERS.CSV.GZ"
    path.write_bytes(gzip.compress("\ufeffusername\nzoë\n".encode()))
    source, rows = await read(path)
    assert [row.username for row in rows] == ["zoë"]
    assert source.encoding == "utf-8-sig"


@pytest.mark.parametrize(
    ("start", "sentence"),
    [
        (
            gzip.compress(b"username\n", mtime=0),
            "gzip data, but its name does not end in .gz. Rename it",
        ),
    ],
)
async def test_binary_file_is_called_by_its_kind(users: Path, start: bytes, sentence: str) -> None:
    users.write_bytes(start + bytes(range(256)))
    for options in ({}, {"encoding": "latin-1"}):
        assert (await refusal(users, **options)).startswith(f" is {sentence}")


async def test_what_cannot_be_opened_is_named(
    users: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "No such file or directory" in await refusal(users)
    assert "Is a directory" in await refusal(tmp_path)
    with pytest.raises(InputError, match=r"a\\x00b is not a valid file name"):
        await read("a\0b")

    def denied(*_: object) -> int:  # the tests may run as root, who is denied nothing
        raise PermissionError(errno.EACCES, "Permission denied")

    users.write_text("username\nada\n")
    monkeypatch.setattr(os, "open", denied)
    assert "Permission denied" in await refusal(users)


async def test_undecodable_bytes_are_reported_with_line_and_fix(users: Path) -> None:
    users.write_bytes(b"username\n" + b"ada\n" * 5000 + b"zo\xeb\n" + b"bob\n" * 5000)
    sentence = await refusal(users)
    assert sentence == (
        " is not utf-8 near line 5002. Set the file's encoding with --encoding, such as"
        " cp1252 or utf-16."
    )
    assert (await names(users, encoding="cp1252"))[5000] == "zoë"


@pytest.mark.parametrize("encoding", ["klingon", "hex", "utf-8\0"])
async def test_an_unknown_encoding_is_named(users: Path, encoding: str) -> None:
    users.write_text("username\nada\n")
    with pytest.raises(UsageError) as refused:
        await read(users, encoding=encoding)
    assert encoding.rstrip("\0") in str(refused.value)


@pytest.mark.parametrize("damage", ["cut", "flip", "plain", "rubbish"])
async def test_a_damaged_gzip_file_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "users.csv.gz"
    whole = gzip.compress(b"username\n" + os.urandom(50_000).hex().encode())
    path.write_bytes(
        {
            "cut": whole[:-2000],
            "flip": whole[:1000] + bytes(50) + whole[1050:],
            "plain": b"username\nada\n",
            "rubbish": whole + b"x",
        }[damage]
    )
    assert "is cut off, damaged or not gzip at all" in await refusal(path)


@pytest.fixture
def standard_input() -> Iterator[int]:
    """Replace standard input by a pipe; yield its other end."""
    reading, writing = os.pipe()
    saved = os.dup(0)
    os.dup2(reading, 0)
    os.close(reading)
    try:
        yield writing
    finally:
        os.dup2(saved, 0)
        os.close(saved)


async def test_standard_input_is_read_and_decoded_like_a_file(standard_input: int) -> None:
    text = codecs.BOM_UTF16_LE + "username;lang\nzoë;de\n".encode("utf-16-le")

    def write_byte_by_byte() -> None:
        for byte in text:
            os.write(standard_input, bytes([byte]))
        os.close(standard_input)

    thread = threading.Thread(target=write_byte_by_byte)
    thread.start()
    source, rows = await read("-")
    thread.join()
    assert [(row.username, dict(row.attributes)) for row in rows] == [("zoë", {"lang": "de"})]
    assert (source.name, source.encoding) == ("standard input", "utf-16")


async def test_an_empty_standard_input_is_named(standard_input: int) -> None:
    os.close(standard_input)
    with pytest.raises(InputError, match="standard input is empty"):
        await read("-")


async def test_silent_pipe_is_not_waited_for_longer_than_wanted(standard_input: int) -> None:
    source = FileSource("-", header=False)
    with anyio.move_on_after(0.1) as scope:
        await source.open()
    await source.aclose()
    assert scope.cancelled_caught
    os.close(standard_input)


@pytest.mark.parametrize("how", ["standard input", "named pipe"])
def test_program_that_waits_for_input_ends_on_interrupt(tmp_path: Path, how: str) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    program = (
        "import asyncio, signal, sys\n"
        "from batch_resend.sources.file import FileSource\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # may have been ignored\n"
        "async def main():\n"
        "    source = FileSource(sys.argv[1])\n"
        "    try:\n"
        "        print('ready', flush=True)\n"
        "        await source.open()\n"
        "    finally:\n"
        "        await source.aclose()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", program, "-" if how == "standard input" else str(fifo)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        process.wait(10)
        assert process.returncode == -signal.SIGINT
        assert process.stderr
        assert b"Fatal" not in process.stderr.read()


async def test_a_high_descriptor_is_read_like_any_other(users: Path) -> None:
    users.write_text("username\nada\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(2048, hard), hard))
    held: list[int] = []
    try:
        held += (os.open(os.devnull, os.O_RDONLY) for _ in range(1100))
        assert await names(users) == ["ada"]
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
async def test_utf_16_without_its_mark_is_named(users: Path, encoding: str) -> None:
    users.write_bytes("username\nada\n".encode(encoding))
    assert f"Use --encoding {encoding}." in await refusal(users)
    assert await names(users, encoding=encoding) == ["ada"]
