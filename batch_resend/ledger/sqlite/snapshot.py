"""A look at a ledger that nobody is kept waiting by: on a copy, whoever writes meanwhile.

The copy is made file by file, without a lock, and is whole all the same. A run appends
to the `-wal` file; now and then it copies what stands there into the ledger's own file,
and only after that begins the `-wal` anew, with another header. So as long as the header
stays the same, whatever changed in the ledger's own file, be it half a page, stands in
the `-wal` too, which is copied after it and which SQLite prefers. A part that is being
appended has no valid checksum yet, and is left out as after a crash. Where the header
did change, the copy is made again.

(https://www.sqlite.org/fileformat2.html#walformat: the header's salts change with each
reset; https://www.sqlite.org/wal.html: a checkpoint never overtakes the `-wal`.)

The copy has no name any more as soon as it is open: it vanishes with the process.
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
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.ledger.sqlite.records import LedgerRecords

_TRIES = 40
_PAUSE = 0.05  #: seconds between two of them
_WAL_HEADER = 32  #: bytes


@contextlib.contextmanager
def looking_at(path: Path, *, case_sensitive: bool = False) -> Iterator[LedgerRecords]:
    """Open a copy of a ledger, real or simulated, for looking only.

    Not from the process that writes to it: closing the file would free its own locks.
    Raises `InputError` where there is no ledger, `LedgerError` where it cannot be read,
    `LedgerHeld` where a run writes too fast to be copied.
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
                f"The ledger {path} cannot be copied to look at it ({error.strerror or error}):"
                " make it readable, and room in the folder of temporary files (TMPDIR)."
            ) from error
        yield ledger.records


def must_exist(path: Path) -> Path:
    """Refuse a ledger that is not there; raises `InputError`."""
    if not os.path.lexists(path):
        raise InputError(
            f"There is no ledger {path}: nobody was written to through it, or it lies elsewhere;"
            " name it with --ledger."
        )
    return path


def _copy(path: Path, copy: Path) -> None:
    must_exist(path)
    for _ in range(_TRIES):
        before = _generation(path)
        shutil.copyfile(path, copy)
        with contextlib.suppress(FileNotFoundError):
            _wal(copy).unlink()
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(_wal(path), _wal(copy))
        if _generation(path) == before:
            return
        time.sleep(_PAUSE)
    raise LedgerHeld(
        f"A run is writing to the ledger {path} so fast that it cannot be looked at: try again"
        " when it has ended."
    )


def _generation(path: Path) -> tuple[bytes, tuple[int, ...]]:
    """What stays the same while a copy would be whole."""
    header = b""
    with contextlib.suppress(FileNotFoundError), _wal(path).open("rb") as file:
        header = file.read(_WAL_HEADER)
    found = path.stat()
    changes = () if header else (found.st_size, found.st_mtime_ns)
    return header, (found.st_ino, *changes)


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")
