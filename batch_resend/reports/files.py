"""Files that hold personal data: private, never overwritten unasked, never half a line.

`-` is standard output. A file is made anew with mode 0600 whatever the umask; what
`--overwrite` replaces is unlinked first, so that nobody who has the old one open or
linked reads the new one. Lines are appended whole, without buffering: a death of the
process leaves whole lines, and a full disk is noticed with the line that does not fit,
which is taken back.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from types import TracebackType

from batch_resend.errors import ReportError


class PrivateFile:
    """A file that only grows, by whole lines. Use as a context manager."""

    def __init__(self, path: str, *, what: str, overwrite: bool = False, address: str = "") -> None:
        """Name the file; `what` is its option, for messages.

        `address` is where it will be found in the end, if that is elsewhere.
        """
        self.path = path
        self.address = address or path
        self._what = what
        self._overwrite = overwrite
        self.broken: ReportError | None = None  #: why there is only a part of it
        self._descriptor = -1
        self._size = 0
        self._made = False

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
            raise self._error(error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        if self.path != "-":
            os.close(self._descriptor)

    def discard(self) -> None:
        """Remove the file again, because there was nothing to tell."""
        if self._made:
            with contextlib.suppress(OSError):
                os.unlink(self.path)  # noqa: PTH108

    def append(self, data: bytes) -> None:
        """Append whole lines; raises `ReportError`, and then the file ends before them."""
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            self._size += len(data)
        except OSError as error:
            with contextlib.suppress(OSError):  # a pipe cannot be cut
                os.ftruncate(self._descriptor, self._size)
                os.lseek(self._descriptor, self._size, os.SEEK_SET)
            self.broken = self._error(error)
            raise self.broken from error

    def _open(self) -> int:
        if self.path == "-":
            return sys.stdout.fileno()
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        with contextlib.suppress(FileNotFoundError):
            kind = os.stat(self.path).st_mode  # noqa: PTH116 - paths stay as they were typed
            if stat.S_ISDIR(kind):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not stat.S_ISREG(kind):
                return _open_as_it_is(self.path)  # /dev/null, a pipe
            if self._overwrite and stat.S_ISREG(kind):
                os.unlink(self.path)  # noqa: PTH108
        descriptor = os.open(self.path, flags | os.O_EXCL, 0o600)
        os.fchmod(descriptor, 0o600)
        self._made = True
        return descriptor

    def _error(self, error: OSError) -> ReportError:
        return ReportError(
            f"{self._what} {self.path} cannot be written ({error.strerror}): name a place that"
            " can be written to and has room."
        )


def _open_as_it_is(path: str) -> int:
    # Without waiting for a pipe's reader, who may never come.
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EBUSY, "it changed while it was opened")
    os.set_blocking(descriptor, True)
    return descriptor
