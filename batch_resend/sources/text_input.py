"""An input as lines of text: a file, plain or gzipped, or standard input.

The promises: the encoding is recognized by its byte order mark or set by an option, and
never guessed; memory stays flat, because a line without an end is cut; and a reader that
waits for a slow pipe can be abandoned, so that it delays neither a signal nor the end of
the program.

The reading happens in worker threads, one piece of work at a time.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import select
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import anyio
from anyio import to_thread

from batch_resend.errors import InputError, UsageError
from batch_resend.masking import mask_argument, printable

#: The path that means standard input.
STANDARD_INPUT = "-"

#: Characters of a line or record. Without a bound, an input that lacks line ends or a
#: closing quote would be read into memory as a whole.
LONGEST_RECORD = 1 << 20

# UTF-32 comes first: its little-endian mark starts like that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# How a workbook starts: of Excel (a ZIP file), and of Excel before 2007.
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_GZIP = b"\x1f\x8b"

#: Bytes of a workbook, which can only be read as a whole.
_LARGEST_WORKBOOK = 1 << 28

# How soon, in seconds, a thread that waits for input notices that nothing waits for it.
_HEED = 0.2

#: Returns an open file for a path, like `io.FileIO`.
Opener = Callable[[str, int], int]

_T = TypeVar("_T")


class TextInput:
    """One input. `path` "-" is standard input; `opener` opens a path that is not a local file.

    `encoding` is empty until it is known.
    """

    def __init__(
        self, path: str, *, encoding: str | None = None, opener: Opener | None = None
    ) -> None:
        self.name = "standard input" if path == STANDARD_INPUT else printable(path)
        self.encoding = encoding or ""
        self._path = path
        self._opener = opener or without_waiting
        self._file: io.FileIO | None = None
        self._bytes: io.BufferedIOBase = io.BytesIO()
        self._start = b""
        self._lines_read = 0
        self._busy = False  # whether a worker thread is reading
        self._abandoned = False  # whether its result is no longer needed

    async def away(self, work: Callable[[], _T]) -> _T:
        """Do a piece of work on this input in a worker thread; raises `InputError`.

        If the caller is cancelled, the thread is left to end by itself.
        """

        def in_thread() -> _T:
            self._busy = True
            try:
                with self._in_words():
                    return work()
            finally:
                self._busy = False
                if self._abandoned:
                    self.close()

        try:
            return await to_thread.run_sync(in_thread, abandon_on_cancel=True)
        except anyio.get_cancelled_exc_class():
            self._abandoned = True
            raise

    def close(self) -> None:
        """Close the input; a thread that still waits for it ends by itself and closes it."""
        self._abandoned = True
        if self._file and not self._busy:
            self._file.close()

    def open(self) -> None:
        """Open the input and inspect its first bytes; called in a worker thread."""
        if self._path == STANDARD_INPUT:
            # Not sys.stdin: its lock, held by a waiting thread, crashes an interpreter
            # that wants to end.
            self._file = io.FileIO(0, closefd=False)
        else:
            try:
                self._file = io.FileIO(self._path, opener=self._opener)
            except ValueError as error:  # a NUL, or what the file system cannot encode
                raise InputError(f"{self.name} is not a valid file name.") from error
        patient = io.BufferedReader(_Patient(self._file, lambda: self._abandoned), 1 << 16)
        zipped = self._path.lower().endswith(".gz")
        self._bytes = gzip.GzipFile(fileobj=patient) if zipped else patient
        self._start = self._bytes.read(4)
        if self._start.startswith(_GZIP):
            raise InputError(
                f"{self.name} is gzip data, but its name does not end in .gz. Rename it, or"
                " unpack it."
            )

    @property
    def is_workbook(self) -> bool:
        """Whether the first bytes are those of a workbook."""
        return self._start.startswith(_WORKBOOKS)

    def whole(self) -> bytes:
        """Read all bytes, for a format that cannot be read in pieces."""
        rest = self._bytes.read(_LARGEST_WORKBOOK)
        if len(rest) >= _LARGEST_WORKBOOK:
            raise InputError(
                f"{self.name} is larger than {_LARGEST_WORKBOOK >> 20} MB. Save it as CSV."
            )
        return self._start + rest

    def lines(self) -> Iterator[str]:
        """Yield the lines of text of the opened input; called in a worker thread.

        A line that is longer than a record may be is yielded in several pieces.
        """
        if not self.encoding:
            self._refuse_unmarked()
            marked = (codec for mark, codec in _MARKS if self._start.startswith(mark))
            self.encoding = next(marked, "utf-8")
        try:
            text = io.TextIOWrapper(
                _Rejoined(self._start, self._bytes),  # type: ignore[type-var]
                encoding=self.encoding,
                newline="",
            )
        except (LookupError, ValueError) as error:
            raise UsageError(
                f"--encoding {printable(self.encoding)!r} is not a known encoding. Use a name"
                " such as utf-8, utf-16, latin-1 or cp1252."
            ) from error
        for line in iter(partial(text.readline, LONGEST_RECORD), ""):
            self._lines_read += 1
            yield line

    def _refuse_unmarked(self) -> None:
        """Refuse UTF-16 without its mark: every other byte of its first letters is zero."""
        if len(self._start) < 4 or self._start.count(0) != 2:
            return
        for encoding, zeros in (("utf-16-le", self._start[1::2]), ("utf-16-be", self._start[::2])):
            if not any(zeros):
                raise InputError(
                    f"{self.name} looks like {encoding.upper()} without a byte order mark. Use"
                    f" --encoding {encoding}."
                )

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Turn errors of the input into an `InputError` with a sentence for a person."""
        try:
            yield
        except UnicodeError as error:
            # The chunk that cannot be decoded starts on the line after the last.
            begun = error.object[: error.start] if isinstance(error, UnicodeDecodeError) else b""
            line = self._lines_read + begun.count(b"\n") + 1
            raise InputError(
                f"{self.name} is not {printable(self.encoding)} near line {line}. Set the"
                " file's encoding with --encoding, such as cp1252 or utf-16."
            ) from error
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(
                f"{self.name} is cut off, damaged or not gzip at all. Create or download it again."
            ) from error
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)  # and it may be a name, not a file
            name = mask_argument(self._path) if missing else self.name
            raise InputError(
                f"{name} cannot be read ({error.strerror}). Pass a file that exists and"
                " is readable."
            ) from error


class _Patient(io.RawIOBase):
    """A file whose reader can stop waiting.

    A thread in the middle of `read` cannot be interrupted, and the interpreter waits for
    its threads before it ends: without this, Ctrl-C would need the Enter key after it.
    """

    def __init__(self, file: io.FileIO, abandoned: Callable[[], bool]) -> None:
        self._file = file
        self._abandoned = abandoned

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        ready = select.poll()
        ready.register(self._file, select.POLLIN)
        while not self._abandoned():
            if ready.poll(_HEED * 1000):
                read = self._file.readinto(buffer)
                if read is not None:  # None: another reader of the same pipe was faster
                    return read
        raise OSError("the reading was abandoned")


class _Rejoined(io.BufferedIOBase):
    """A stream whose start was read to recognize it, with that start put back."""

    def __init__(self, start: bytes, rest: io.BufferedIOBase) -> None:
        self._start = start
        self._rest = rest

    def readable(self) -> bool:
        return True

    def read1(self, size: int = -1) -> bytes:
        start, self._start = self._start, b""
        return start or self._rest.read1(size)


def without_waiting(path: str, flags: int) -> int:
    """Open a file without waiting for the writer of a named pipe, which no signal could end."""
    return os.open(path, flags | os.O_NONBLOCK)
