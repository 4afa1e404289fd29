"""Results that are delivered elsewhere: to S3, or compressed.

Rows must be on disk as they come, S3 cannot append, and an unfinished gzip file is a damaged
one. So a result at an `s3://` address or with a name that ends in `.gz` is first a plain
private file on this machine, and is compressed and delivered at the end, whatever ended the
run. The promises: the place is checked before the first message; what is to be replaced
stays until the run starts; until a file has arrived whole, the plain one stays, even if the
process is killed. Pipes and terminals are written in the background, and waited for at the
end.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import secrets
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import anyio
from anyio import to_thread

from batch_resend.aws import s3, s3_address
from batch_resend.errors import BatchResendError, ReportError
from batch_resend.job.summary import NotDelivered, RunEnd
from batch_resend.masking import printable
from batch_resend.reports.private_file import PrivateFile

AT_MOST = 15.0  #: seconds for all deliveries together, once a signal has come

_SUMMARY = "--summary"  # written last: it lists the others
_KIND = re.compile(r"\.[A-Za-z]{1,5}\Z")  # such as .csv: only for people, who look at the file
_READ_AT_ONCE = 1 << 20
_End = TypeVar("_End", bound=RunEnd)
_GZIP = 16 + zlib.MAX_WBITS  #: zlib's value for a gzip header without a name


class Deliveries:
    """The files of results of one run."""

    def __init__(
        self,
        stack: contextlib.ExitStack | contextlib.AsyncExitStack,
        *,
        store: s3.Store | None,
        folder: Path | None,
        overwrite: bool,
        note: Callable[[str], None],
    ) -> None:
        """`stack` closes the files; `folder` is for the plain ones until they are delivered.

        Without it, that is the directory for temporary files. `note` receives their places.
        """
        self.files: dict[str, PrivateFile] = {}  #: by option: what the reports write to
        self._stack = stack
        self._store = store
        self._folder = folder
        self._overwrite = overwrite
        self._note = note
        self._pending: dict[str, tuple[PrivateFile, PrivateFile | None]] = {}
        self._given_up: list[NotDelivered] = []
        self._hurried = False
        self._until = math.inf
        self._delivering: anyio.CancelScope | None = None

    async def open(self, option: str, path: str, *, anew: bool = False) -> None:
        """Open the file that an option names, or the plain one for it.

        `anew` replaces nothing, whatever the settings. Raises `ReportError` and
        `SettingsError`.
        """
        overwrite = self._overwrite and not anew
        zipped = path.lower().endswith(".gz")
        if s3_address.is_address(path):
            if self._store is not None:
                await self._store.check(option, path, overwrite=overwrite)
            place = None
        else:
            place = self._private(option, path, overwrite=overwrite)
            if not zipped:
                return
        kind = _KIND.search(path[:-3] if zipped else path)
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        name = f"{option.lstrip('-')}-{now}-{secrets.token_hex(4)}{kind[0] if kind else ''}"
        file = self._private(
            option, str((self._folder or _temporary_folder()) / name), address=path
        )
        self._pending[option] = file, place
        self._note(f"{option} {printable(path)} is kept at {file.path} until the end.")

    def _private(
        self, option: str, path: str, *, overwrite: bool = False, address: str = ""
    ) -> PrivateFile:
        file = PrivateFile(path, what=option, overwrite=overwrite, address=address, background=True)
        self.files[option] = self._stack.enter_context(file)
        return file

    def take_places(self) -> None:
        """Replace the old files on this machine; raises `ReportError`."""
        for file in self.files.values():
            file.take_place()
        for _, place in self._pending.values():
            if place is not None:
                place.take_place()

    def discard(self) -> None:
        """Remove all files again, because there was nothing to report."""
        for file in self.files.values():
            file.discard()
        for _, place in self._pending.values():
            if place is not None:
                place.discard()

    def give_up(self, option: str, why: str) -> None:
        """Remove one file again; the summary will contain `why`."""
        file = self.files.pop(option)
        file.discard()
        _, place = self._pending.pop(option, (file, None))
        if place is not None:
            place.discard()
        self._given_up.append(NotDelivered(file.address, "", why))

    async def finish(self, summary: _End) -> _End:
        """Write the summary and deliver all files; return it with those that did not arrive."""
        summary = summary.lacking(*self._given_up)
        for option in self.files:
            if option != _SUMMARY:
                summary = await self._deliver(option, summary)
        if _SUMMARY in self.files:
            with contextlib.suppress(ReportError):  # reported like that of any other file
                self.files[_SUMMARY].append((json.dumps(summary.as_json()) + "\n").encode())
            summary = await self._deliver(_SUMMARY, summary)
        return summary

    def hurry(self) -> None:
        """Allow only `AT_MOST` more seconds, because the process is to end."""
        self._hurried = True
        if self._delivering is not None:
            self._delivering.deadline = self._end()

    async def _deliver(self, option: str, summary: _End) -> _End:
        with contextlib.suppress(ReportError):  # then it is broken, and reported below
            await self.files[option].drained()
        if lost := _lost(option, self.files[option]):
            return summary.lacking(lost)
        if option not in self._pending:
            return summary
        file, place = self._pending[option]
        why = f"{option} {printable(file.address)} was given up, for the run was to end."
        self._delivering = anyio.CancelScope(shield=True, deadline=self._end())
        with self._delivering:
            try:
                await self._take(option, file, place)
            except BatchResendError as error:
                why = str(error)
            except OSError as error:
                why = f"{option} cannot be read again ({error.strerror})."
            except Exception as error:  # whatever it is, the run's end is reported
                why = f"{option} {printable(file.address)} failed ({type(error).__name__})."
            else:
                file.discard()
                return summary
        if place is not None:
            place.discard()
        return summary.lacking(NotDelivered(file.address, file.path, why))

    async def _take(self, option: str, file: PrivateFile, place: PrivateFile | None) -> None:
        pieces = _pieces(file.path, zipped=file.address.lower().endswith(".gz"))
        if place is not None:
            await to_thread.run_sync(_write, place, pieces)
        elif self._store is not None:
            await self._store.put(option, file.address, pieces, overwrite=self._overwrite)

    def _end(self) -> float:
        """Return the deadline, on the event loop's clock."""
        if self._hurried and math.isinf(self._until):
            self._until = anyio.current_time() + AT_MOST
        return self._until


def _temporary_folder() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        raise ReportError(
            "There is no directory for temporary files that can be written to. Set TMPDIR to one."
        ) from None


def _lost(option: str, file: PrivateFile) -> NotDelivered | None:
    """Return what is missing of a file; None if it is whole."""
    if file.broken:
        where = file.path if file.path != file.address else ""
        return NotDelivered(file.address, where, f"{file.broken} Only a part is there.")
    if file.is_gone:
        why = f"{option} {printable(file.path)} was moved, removed or replaced during the run."
        return NotDelivered(file.address, "", why)
    return None


def _write(place: PrivateFile, pieces: Iterator[bytes]) -> None:
    for piece in pieces:
        place.append(piece)


def _pieces(path: str, *, zipped: bool) -> Iterator[bytes]:
    """Yield a file's bytes, compressed if `zipped`."""
    squeeze = zlib.compressobj(wbits=_GZIP) if zipped else None
    with Path(path).open("rb") as file:
        while piece := file.read(_READ_AT_ONCE):
            yield squeeze.compress(piece) if squeeze else piece
    if squeeze:
        yield squeeze.flush()
