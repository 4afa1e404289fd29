"""A snapshot of a ledger, read from a copy, so that a run that writes to it is not delayed.

The copy is made file by file, without a lock, and is consistent all the same. A run appends
to the `-wal` file; now and then it copies its content into the ledger's own file, and only
then starts the `-wal` again, with another header. So as long as the header stays the same,
all that changed in the ledger's own file, even half a page, is in the `-wal` too, which is
copied after it and takes precedence in SQLite. A part that is being appended has no valid
checksum yet, and is ignored as after a crash. If the header did change, the copy is made
again.

(https://www.sqlite.org/fileformat2.html#walformat: the header's salts change with each
reset; https://www.sqlite.org/wal.html: a checkpoint never overtakes the `-wal`.)

The copy is unlinked as soon as it is open: it vanishes with the process.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from batch_resend.errors import InputError, LedgerError, LedgerHeld
from batch_resend.ledger.sqlite import lockfile
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.ledger.sqlite.records import LedgerRecords

_TRIES = 40
_PAUSE = 0.05  #: seconds between two of them
_WAL_HEADER = 32  #: bytes


@contextlib.contextmanager
def looking_at(path: Path, *, case_sensitive: bool = False) -> Iterator[LedgerRecords]:
    """Open a copy of a ledger, real or simulated, for reading.

    Not for the process that writes to it: closing the file would free its own locks.
    Raises `InputError` if there is no ledger, `LedgerError` if it cannot be read,
    `LedgerHeld` if a run writes too fast to copy it.
    """
    with contextlib.ExitStack() as stack:
        try:
            with tempfile.TemporaryDirectory(prefix="batch-resend-") as folder:
                copy = Path(folder) / "ledger"
                _copy(path, copy)
                ledger = stack.enter_context(
                    LedgerFile(copy, case_sensitive=case_sensitive, simulated=None, copy_of=path)
                )
        except OSError as error:
            raise LedgerError(
                f"The ledger {path} cannot be copied to read it ({error.strerror or error}). Make"
                " it readable, and free space in the temporary directory (TMPDIR)."
            ) from error
        yield ledger.records


def must_exist(path: Path) -> Path:
    """Raise `InputError` if there is no ledger at the path."""
    if not os.path.lexists(path):
        raise InputError(
            f"There is no ledger {path}. If the ledger is elsewhere, specify it with --ledger."
        )
    return path


def _copy(path: Path, copy: Path) -> None:
    must_exist(path)
    for _ in range(_TRIES):
        before = _generation(path)
        _copy_privately(path, copy)
        with contextlib.suppress(FileNotFoundError):
            _copy_privately(_wal(path), _wal(copy))
        if _generation(path) == before:
            return
        time.sleep(_PAUSE)
    raise LedgerHeld(
        f"A run is writing to the ledger {path} too fast to read it. Try again when it has ended."
    )


def _copy_privately(path: Path, copy: Path) -> None:
    """Copy a file, whatever the umask; there is no copy of a file that does not exist."""
    os.close(lockfile.create_private(copy))
    try:
        shutil.copyfile(path, copy)
    except FileNotFoundError:
        copy.unlink()
        raise


def _generation(path: Path) -> tuple[bytes, tuple[int, ...]]:
    """Return what stays the same while a copy is consistent."""
    header = b""
    with contextlib.suppress(FileNotFoundError), _wal(path).open("rb") as file:
        header = file.read(_WAL_HEADER)
    status = path.stat()
    changes = () if header else (status.st_size, status.st_mtime_ns)
    return header, (status.st_ino, *changes)


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")
