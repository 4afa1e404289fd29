"""What a disk would hold after a power cut: rebuilt from the calls that the program made.

Promised to be there is only what was synced: data by a sync of the file that ended before
the cut, names by a sync of their folder. Of all that was not, any part may be there.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path, PurePath

from .tracing import LEAVING, Call

#: The calls that must be traced, with `-xx -s` large enough, for a disk to be rebuilt.
NEEDED = (*LEAVING, "open", "openat", "creat", "close", "dup", "dup2", "dup3")

_SECTOR = 512
_NAME = re.compile(rb'"Username": ?"([^"]+)"')


def asked(call: Call) -> list[str]:
    """Return the user whose code a call requests by what it writes to a socket."""
    return [name.decode() for text in call.texts for name in _NAME.findall(text)]


class Loss(Enum):
    """The fate of what was written but not synced."""

    ALL = "nothing of it is there"
    TAIL = "it is there up to some write, which is torn"
    SECTORS = "any of its sectors are there"


@dataclass(slots=True, eq=False)
class _Change:
    """A write, or with `data` None a cut to the length `offset`."""

    offset: int
    data: bytes | None

    def apply(self, content: bytearray) -> None:
        if self.data is None:
            del content[self.offset :]
        content.extend(bytes(max(0, self.offset - len(content))))
        if self.data is not None:
            content[self.offset : self.offset + len(self.data)] = self.data

    def sectors(self) -> Iterator[_Change]:
        """Split it at the sectors' borders: a disk writes each whole or not at all."""
        if self.data is None:
            yield self
            return
        begin, end = self.offset, self.offset + len(self.data)
        for start in range(begin - begin % _SECTOR, end, _SECTOR):
            first, last = max(begin, start), min(end, start + _SECTOR)
            yield _Change(first, self.data[first - begin : last - begin])


@dataclass(slots=True, eq=False)
class _File:
    synced: bytearray = field(default_factory=bytearray)
    waiting: list[_Change] = field(default_factory=list)

    def after_loss(self, loss: Loss, rng: random.Random) -> bytes:
        """The content after a cut."""
        content, waiting = bytearray(self.synced), self.waiting
        if loss is Loss.TAIL and waiting:
            last = rng.randrange(len(waiting) + 1)
            torn = [s for change in waiting[last : last + 1] for s in change.sectors()]
            waiting = waiting[:last] + torn[: rng.randrange(len(torn) + 1)]
        elif loss is Loss.SECTORS:
            waiting = [s for change in waiting for s in change.sectors() if rng.random() < 0.5]
        elif loss is Loss.ALL:
            waiting = []
        for change in waiting:
            change.apply(content)
        return bytes(content)


_Names = dict[PurePath, _File | None]  #: None is a folder


class Disk:
    """A folder on a disk, and how it comes to what the calls make of it.

    `folder` is empty, and with the folders above it it is there, before the first call.
    """

    def __init__(self, folder: Path) -> None:
        self.sent: list[str] = []  #: whose requests have left, in their order
        self._folder = PurePath(folder)
        self._names: _Names = {}
        self._promised: _Names = {}
        self._renamed: list[tuple[PurePath, _Names]] = []  # not synced: a folder, its new names
        self._open: dict[int, tuple[PurePath, _File | None]] = {}
        self._syncs: dict[int, list[_Change]] = {}

    def live(self, calls: Sequence[Call], cut: int) -> None:
        """Make all calls up to a cut, each at its start or its end, as it counts."""
        moments = [(call.start, 0, call) for call in calls]
        moments += [(call.end, 1, call) for call in calls if call.end is not None]
        for place, ends, call in sorted(moments, key=lambda moment: moment[:2]):
            if place >= cut:
                return
            if ends:
                self._end(call)
            else:
                self._begin(call)

    def after_loss(self, target: Path, loss: Loss, rng: random.Random) -> None:
        """Write what is there after the cut into another folder."""
        names = dict(self._promised)
        if loss is not Loss.ALL:
            for folder, new in self._renamed[: rng.randrange(len(self._renamed) + 1)]:
                _take_over(names, new, folder)
        for path, file in sorted(names.items()):
            place = target / path.relative_to(self._folder)
            if file is None:
                place.mkdir(exist_ok=True, mode=0o700)
            elif place.parent.is_dir():  # a folder that is not there takes its files along
                place.write_bytes(file.after_loss(loss, rng))
                place.chmod(0o600)

    # -- the calls -----------------------------------------------------------------

    def _begin(self, call: Call) -> None:
        """Apply what may have an effect as soon as it begins, and what is closed."""
        if call.name in {"open", "openat", "creat", "dup", "dup2", "dup3"}:
            return
        number = next(iter(call.numbers), -1)
        path, file = self._open.get(number, (None, None))
        match call.name:
            case "close":
                self._open.pop(number, None)
            case "fsync" | "fdatasync" if file is not None:
                self._syncs[call.start] = list(file.waiting)
            case "pwrite64" if file is not None:
                file.waiting.append(_Change(call.numbers[-1], call.texts[0]))
            case "ftruncate" if file is not None:
                file.waiting.append(_Change(call.numbers[1], None))
            case "write" | "writev" | "sendto" | "sendmsg" | "sendmmsg" if path is None:
                self.sent += asked(call)
            case "fsync" | "fdatasync" | "rename" | "renameat" | "renameat2":
                pass
            case "unlink" | "unlinkat" | "mkdir" | "mkdirat":
                pass
            case _ if path is not None:
                raise AssertionError(f"no rule for {call.name} on {path}")

    def _end(self, call: Call) -> None:
        """Apply what is done only once it has ended well."""
        if call.result is None or call.result < 0:
            return
        match call.name:
            case "open" | "openat" | "creat":
                self._opened(call)
            case "dup" | "dup2" | "dup3" if call.numbers[0] in self._open:
                raise AssertionError("no rule for a second descriptor of a file")
            case "fsync" | "fdatasync":
                self._synced(call)
            case "rename" | "renameat" | "renameat2":
                old, new = (self._path(text) for text in call.texts)
                if old in self._names:
                    names = dict(self._names)
                    names[new] = names.pop(old)
                    self._rename(new.parent, names)
            case "unlink" | "unlinkat":
                path = self._path(call.texts[0])
                self._rename(path.parent, {n: f for n, f in self._names.items() if n != path})
            case "mkdir" | "mkdirat":
                path = self._path(call.texts[0])
                self._rename(path.parent, {**self._names, path: None})

    def _opened(self, call: Call) -> None:
        assert call.result is not None
        path = self._path(call.texts[0])
        if not path.is_relative_to(self._folder):
            return
        if path not in self._names and "O_CREAT" in call.arguments:
            self._rename(path.parent, {**self._names, path: _File()})
        file = self._names.get(path)
        if file is not None and "O_TRUNC" in call.arguments:
            file.waiting.append(_Change(0, None))
        self._open[call.result] = (path, file)

    def _synced(self, call: Call) -> None:
        path, file = self._open.get(call.numbers[0], (None, None))
        if file is not None:
            for change in self._syncs.pop(call.start):
                if change in file.waiting:
                    file.waiting.remove(change)
                    change.apply(file.synced)
        elif path is not None:
            # All that this folder has become; what others have become may come later.
            _take_over(self._promised, self._names, path)
            self._renamed = [(folder, names) for folder, names in self._renamed if folder != path]

    def _rename(self, folder: PurePath, names: _Names) -> None:
        if folder.is_relative_to(self._folder):
            self._names = names
            self._renamed.append((folder, names))

    def _path(self, text: bytes) -> PurePath:
        return PurePath(text.decode())


def _take_over(names: _Names, new: _Names, folder: PurePath) -> None:
    """Replace the content of a folder by that of `new`."""
    for path in [path for path in names if path.parent == folder]:
        del names[path]
    names.update({path: file for path, file in new.items() if path.parent == folder})
