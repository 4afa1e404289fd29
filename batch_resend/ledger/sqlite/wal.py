"""The newest part of a ledger, the `-wal`, as SQLite will read it after a crash. Pure.

SQLite reads the frames up to the first one whose checksum does not match, and silently
drops the rest. That is right after a power cut: only the last commit can be torn, because
each commit is synced before the next starts. It is wrong for a bit that flipped later, which
would drop commits that were durable, and with them the users they name. So the file is
read here first, and refused if

  - two or more commits follow the first frame that does not match, or
  - that frame, or the header, would match except for one bit.

Format: https://www.sqlite.org/fileformat2.html#walformat
"""

from __future__ import annotations

import array
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HEADER = struct.Struct(">8I")  #: magic, version, page size, sequence, two salts, two sums
_FRAME = struct.Struct(">6I")  #: page, size of the database at a commit, two salts, two sums
_MAGIC = 0x377F0682  #: the last bit says in which byte order the sums are computed
_ONES = 0xFFFFFFFF

Sums = tuple[int, int]


class DamagedWal(Exception):
    """Durable commits would be dropped."""


@dataclass(frozen=True, slots=True)
class Wal:
    """The part of the log that SQLite will use: the replaced pages, and the size after the last."""

    pages: frozenset[int] = frozenset()
    size: int = 0  #: of the database, in pages; 0: no commit


def wal_of(ledger: Path) -> Path:
    """Return the path of the newest part of a ledger."""
    return ledger.with_name(f"{ledger.name}-wal")


def read_wal(data: bytes) -> Wal:
    """Read the file's content; raises `DamagedWal`."""
    if len(data) < _HEADER.size:
        return Wal()
    magic, _, page_size, _, salt, salt2, *stored = _HEADER.unpack_from(data)
    big = bool(magic & 1)
    header = data[:24]
    sums = _add((0, 0), header, big=big)
    if magic & ~1 != _MAGIC or list(sums) != stored:
        if any(_is_header(flipped) for flipped in _flips(data[: _HEADER.size])):
            raise DamagedWal
        return Wal()
    pages: set[int] = set()
    waiting: set[int] = set()
    size = 0
    step = _FRAME.size + page_size
    for start in range(_HEADER.size, len(data) - step + 1, step):
        page, commit, *salts, one, two = _FRAME.unpack_from(data, start)
        body = data[start + _FRAME.size : start + step]
        following = _add(_add(sums, data[start : start + 8], big=big), body, big=big)
        if salts != [salt, salt2] or following != (one, two):
            _check_tail(data[start:], step, (salt, salt2), sums, big=big)
            break
        sums = following
        waiting.add(page)
        if commit:
            size = commit
            pages |= waiting
            waiting.clear()
    return Wal(frozenset(pages), size)


def pages_in(data: bytes) -> set[int]:
    """Return the pages in all frames of a file that this process has written itself."""
    if len(data) < _HEADER.size:
        return set()
    _, _, page_size, _, salt, salt2, *_ = _HEADER.unpack_from(data)
    step = _FRAME.size + page_size
    pages = set()
    for start in range(_HEADER.size, len(data) - step + 1, step):
        page, _, *salts, _, _ = _FRAME.unpack_from(data, start)
        if salts == [salt, salt2]:  # else it is left from before the file was restarted
            pages.add(page)
    return pages


def _check_tail(tail: bytes, step: int, salts: Sums, sums: Sums, *, big: bool) -> None:
    """Raise `DamagedWal` if the frames after the first invalid one were durable once."""
    commits = 0
    for start in range(0, len(tail) - step + 1, step):
        _, commit, *theirs, _, _ = _FRAME.unpack_from(tail, start)
        commits += bool(commit) and tuple(theirs) == salts
    if commits > 1 or _is_one_bit_off(tail[:step], salts, sums, big=big):
        raise DamagedWal


def _is_one_bit_off(frame: bytes, salts: Sums, sums: Sums, *, big: bool) -> bool:
    """Whether the frame would match except for one bit."""
    _, _, *theirs, one, two = _FRAME.unpack_from(frame)
    wrong_salts = _bits(theirs[0] ^ salts[0]) + _bits(theirs[1] ^ salts[1])
    content = frame[:8] + frame[_FRAME.size :]
    actual = _add(sums, content, big=big)
    wrong_sums = _bits(actual[0] ^ one) + _bits(actual[1] ^ two)
    if wrong_salts + wrong_sums <= 1:
        return True
    if wrong_salts:
        return False
    # A flipped bit moves the sums by plus or minus that bit times a factor of its word.
    missing = ((one - actual[0]) & _ONES, (two - actual[1]) & _ONES)
    for factor in _factors(len(content) // 4):
        for bit in range(32):
            moved = (factor[0] << bit & _ONES, factor[1] << bit & _ONES)
            if missing in (moved, (-moved[0] & _ONES, -moved[1] & _ONES)):
                return True
    return False


def _factors(words: int) -> Iterator[Sums]:
    """Yield how much an increment of each word, last to first, changes the two sums."""
    one, two = (1, 1), (0, 1)  # of the last two words: the first of a pair, the second
    for _ in range(words // 2):
        yield two
        yield one
        # A change in an earlier pair is carried by the pair after it.
        one, two = _carried(one), _carried(two)


def _carried(moved: Sums) -> Sums:
    """Return a change of the sums after one more pair of words."""
    first = (moved[0] + moved[1]) & _ONES
    return first, (moved[1] + first) & _ONES


def _add(sums: Sums, data: bytes, *, big: bool) -> Sums:
    """SQLite's checksum: two sums of 32 bits over pairs of words."""
    words = array.array("I", data)
    if big != (sys.byteorder == "big"):
        words.byteswap()
    one, two = sums
    pairs = iter(words)
    for first in pairs:
        one = (one + first + two) & _ONES
        two = (two + next(pairs) + one) & _ONES
    return one, two


def _bits(number: int) -> int:
    return number.bit_count()


def _flips(data: bytes) -> Iterator[bytes]:
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def _is_header(data: bytes) -> bool:
    magic, *_, one, two = _HEADER.unpack(data)
    return magic & ~1 == _MAGIC and _add((0, 0), data[:24], big=bool(magic & 1)) == (one, two)
