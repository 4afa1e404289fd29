"""Files that hold personal data: private, never overwritten unasked, never half a line.

`-` is standard output; `/dev/stdout` and `/dev/fd/N` are descriptors that are already open.
These, pipes and devices are written to as they are, and never replaced or renamed. If their
reader may be slow, they are written in the background (`stream_writer`).

A file is created with mode 0600 whatever the umask. What `--overwrite` replaces stays until
`take_place`: until then the new file is beside it, as `NAME.new-` and eight digits, and only
a kill leaves it there. It replaces the old file as a whole, so that a program that has the
old one open or linked does not read the new one. Links are never followed. A file is locked
while it is written, and a locked one is not replaced: two runs with one name do not destroy
each other's lines. (A file system without locks cannot keep this.) Lines are appended whole,
without buffering: a killed process leaves whole lines, and a full disk is detected at the
line that does not fit, which is removed again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from types import TracebackType

from batch_resend.errors import ReportError
from batch_resend.reports.stream_writer import StreamWriter, write_all

_DESCRIPTORS = ("/dev/fd", "/proc/self/fd", "/proc/thread-self/fd")
_MOST_LINKS = 40  #: as many as the kernel follows


class PrivateFile:
    """A file that only grows, by whole lines. Use as a context manager."""

    def __init__(
        self,
        path: str,
        *,
        what: str,
        overwrite: bool = False,
        address: str = "",
        background: bool = False,
    ) -> None:
        """Name the file; `what` is its option, for messages.

        `address` is its final place, if that is elsewhere. With `background`, pipes and
        devices are written by a thread: wait for it with `drained`.
        """
        self.path = path
        self.address = address or path
        self._what = what
        self._overwrite = overwrite
        self._background = background
        self._writer: StreamWriter | None = None
        self.broken: ReportError | None = None  #: why there is only a part of it
        self._descriptor = -1
        self._size = 0
        self._exists = False
        self._beside = ""  # where it is until it takes its place, if that is elsewhere

    def __enter__(self) -> PrivateFile:
        """Open it; raises `ReportError`."""
        try:
            self._descriptor = self._open()
        except FileExistsError:
            raise ReportError(
                f"{self._what} {self.path} exists already: name another file, or give"
                " --overwrite to replace it."
            ) from None
        except OSError as error:
            raise self._refusal(error) from error
        if self._background and not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            self._writer = StreamWriter(self._descriptor)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file: after an error the old file stays, else the new one replaces it."""
        try:
            if kind is None:
                self.take_place()
        finally:
            if self._beside:
                self.discard()
            if self._writer is not None:
                self._writer.close()
            else:
                os.close(self._descriptor)

    @property
    def is_gone(self) -> bool:
        """Whether the file was moved, removed or replaced while it is written."""
        if not self._exists:
            return False  # standard output, a pipe
        try:
            there = os.lstat(self._beside or self.path)
        except OSError:
            return True
        return not os.path.samestat(there, os.fstat(self._descriptor))

    @property
    def is_whole(self) -> bool:
        """Whether everything that was written to the file is there."""
        return self.broken is None and not self.is_gone

    def take_place(self) -> None:
        """Replace the old file, if there is one; raises `ReportError`."""
        if not self._beside:
            return
        try:
            with _no_other_writer(self.path):
                os.replace(self._beside, self.path)  # noqa: PTH105
        except OSError as error:
            raise self._refusal(error) from error
        self._beside = ""

    def discard(self) -> None:
        """Remove the file again, because there was nothing to report."""
        if self._exists:
            with contextlib.suppress(OSError):
                os.unlink(self._beside or self.path)  # noqa: PTH108
        self._exists, self._beside = False, ""

    def append(self, data: bytes) -> None:
        """Append whole lines; raises `ReportError`, and then the file ends before them."""
        try:
            if self._writer is not None:
                self._writer.append(data)
                return
            write_all(self._descriptor, data)
            self._size += len(data)
        except OSError as error:
            if self._exists:  # not a file that others write to
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, self._size)
                    os.lseek(self._descriptor, self._size, os.SEEK_SET)
            self.broken = self._error(error)
            raise self.broken from error

    async def room(self) -> None:
        """Wait until a slow reader has caught up enough for more lines to be appended."""
        if self._writer is not None:
            await self._writer.room()

    async def drained(self) -> None:
        """Wait until everything appended is written; raises `ReportError`."""
        if self._writer is not None:
            try:
                await self._writer.drained()
            except OSError as error:
                self.broken = self.broken or self._error(error)
                raise self.broken from error

    def _open(self) -> int:
        own = sys.stdout.fileno() if self.path == "-" else own_descriptor(self.path)
        if own is not None:
            return os.dup(own)
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        with contextlib.suppress(FileNotFoundError):
            kind = os.stat(self.path).st_mode  # noqa: PTH116 - paths stay as they were typed
            if stat.S_ISDIR(kind):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not stat.S_ISREG(kind):
                return _open_as_it_is(self.path)  # /dev/null, a pipe
            if self._overwrite:
                with _no_other_writer(self.path):
                    self._beside = f"{self.path}.new-{secrets.token_hex(4)}"
        descriptor = os.open(self._beside or self.path, flags | os.O_EXCL, 0o600)
        os.fchmod(descriptor, 0o600)
        with contextlib.suppress(OSError):
            _lock(descriptor)
        self._exists = True
        return descriptor

    def _refusal(self, error: OSError) -> ReportError:
        if isinstance(error, BlockingIOError):
            return ReportError(
                f"{self._what} {self.path} is being written by another run: name another file,"
                " or wait for it to end."
            )
        return self._error(error)

    def _error(self, error: OSError) -> ReportError:
        why = "no program reads from it" if error.errno == errno.ENXIO else error.strerror
        return ReportError(
            f"{self._what} {self.path} cannot be written ({why}): name a place that"
            " can be written to and has room."
        )


def own_descriptor(path: str) -> int | None:
    """Return which open descriptor of this process a path names, such as `/dev/stdout`."""
    own = {os.path.realpath(folder) for folder in _DESCRIPTORS}
    for _ in range(_MOST_LINKS):
        folder, name = os.path.split(path)
        folder = os.path.realpath(folder)
        if name.isdigit() and folder in own:
            return int(name)
        path = os.path.join(folder, name)  # noqa: PTH118 - paths stay as they were typed
        try:
            path = os.path.join(folder, os.readlink(path))  # noqa: PTH115, PTH118
        except OSError:
            return None  # not a link
    return None


def _open_as_it_is(path: str) -> int:
    # Without waiting for a pipe's reader, which may never open it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EBUSY, "it changed while it was opened")
    os.set_blocking(descriptor, True)
    return descriptor


@contextlib.contextmanager
def _no_other_writer(path: str) -> Iterator[None]:
    """Keep other runs from replacing a file; raises `BlockingIOError` if one is writing it."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags)
    except OSError:
        yield  # gone, a link or of another user: no run of ours is writing it
        return
    try:
        _lock(descriptor)
        if not os.path.samestat(os.fstat(descriptor), os.lstat(path)):
            raise BlockingIOError(errno.EAGAIN, "it was replaced during the check")
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # not every file system has locks
        pass
