"""A checksum of every page of a ledger file, in a file beside it: flipped bits are noticed.

A flipped bit in a row, in an index or in the key of the hashes would make the ledger lose a
user without any error. So `<ledger>.sums` holds the CRC-32 of each page as the file was
after its last checkpoint. At the next start every page must have its sum, or be replaced by
a valid frame of the `-wal`:

    pages copied into the file  ->  synced  ->  sums renamed into place  ->  `-wal` emptied

A crash at any point leaves either the old sums and a `-wal` that replaces all that has
changed since, or the new sums. Reading all pages once costs less than SQLite's own
`quick_check`, which it replaces. If the sums are missing, or belong to another state of the
file (it was restored from a backup), SQLite's full `integrity_check` runs.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from batch_resend.ledger.sqlite import lockfile
from batch_resend.ledger.sqlite.wal import Wal

_MAGIC = b"BRSDsums"
_HEAD = struct.Struct("<8sQII")  #: magic, number of the newest run, page size, pages
_PAGE_SIZE = slice(16, 18)  #: in the header of an SQLite file
_AT_ONCE = 256  #: pages in one read
_NO_SUM = array("I")


def sums_of(ledger: Path) -> Path:
    """Return the path of a ledger's checksums."""
    return ledger.with_name(f"{ledger.name}.sums")


@dataclass(slots=True)
class PageSums:
    """The sum of each page of a file, and the number of its newest run."""

    run: int
    page_size: int
    sums: array[int] = field(default_factory=lambda: array("I"))

    @classmethod
    def taken(cls, file: int, run: int) -> PageSums:
        """Compute the sums of all pages of an open file."""
        page_size = _page_size(os.pread(file, 100, 0))
        sums = array("I")
        at_once = page_size * _AT_ONCE
        for start in range(0, os.fstat(file).st_size, at_once):
            data = memoryview(os.pread(file, at_once, start))
            sums.extend(
                zlib.crc32(data[page : page + page_size]) for page in range(0, len(data), page_size)
            )
        return cls(run, page_size, sums)

    @classmethod
    def read(cls, ledger: Path) -> PageSums | None:
        """Read the sums beside a ledger; None if there are no usable ones."""
        try:
            data = sums_of(ledger).read_bytes()
        except FileNotFoundError:
            return None
        if len(data) < _HEAD.size + 4 or zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "big"):
            return None
        magic, run, page_size, pages = _HEAD.unpack_from(data)
        if magic != _MAGIC or len(data) != _HEAD.size + 4 * pages + 4:
            return None
        return cls(run, page_size, _words(data[_HEAD.size : -4]))

    def update(self, file: int, pages: Iterable[int], run: int) -> None:
        """Compute the sums of these pages again, after they were copied into the file."""
        size = os.fstat(file).st_size // self.page_size
        del self.sums[size:]
        self.sums.extend([0] * (size - len(self.sums)))
        self.run = run
        for page in pages:
            if page <= size:
                data = os.pread(file, self.page_size, (page - 1) * self.page_size)
                self.sums[page - 1] = zlib.crc32(data)

    def write(self, ledger: Path) -> None:
        """Write the sums durably, all or none."""
        data = _HEAD.pack(_MAGIC, self.run, self.page_size, len(self.sums)) + _bytes(self.sums)
        data += zlib.crc32(data).to_bytes(4, "big")
        aside = sums_of(ledger).with_name(f"{ledger.name}.sums.new")
        descriptor = lockfile.create_private(aside)
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(descriptor, data[written:], written)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        aside.rename(sums_of(ledger))
        lockfile.sync(ledger.parent)

    def fit(self, file: int, wal: Wal) -> bool:
        """Whether every page is unchanged, except those that a frame replaces."""
        now = PageSums.taken(file, self.run)
        if now == self and not wal.pages:
            return True
        if now.page_size != self.page_size or (not wal.size and len(now.sums) > len(self.sums)):
            return False
        return all(
            page in wal.pages or self.sums[page - 1 : page] == now.sums[page - 1 : page] != _NO_SUM
            for page in range(1, (wal.size or len(self.sums)) + 1)
        )


def drop(ledger: Path) -> None:
    """Remove the sums, because SQLite may change the file on its own."""
    with contextlib.suppress(OSError):
        sums_of(ledger).unlink()


def _page_size(header: bytes) -> int:
    size = int.from_bytes(header[_PAGE_SIZE], "big")
    return 65536 if size == 1 else max(size, 512)


def _bytes(sums: array[int]) -> bytes:
    return struct.pack(f"<{len(sums)}I", *sums)


def _words(data: bytes) -> array[int]:
    return array("I", struct.unpack(f"<{len(data) // 4}I", data))
