"""Reports as the page reads them: in checked data frames, a bounded number of rows at a time."""

from __future__ import annotations

import csv
import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from batch_resend.errors import InputError
from batch_resend.masking import printable
from batch_resend.model import Reason
from batch_resend.reports.results_csv import COLUMNS

_CHUNK = 50_000  #: rows that are in memory at a time
_LONGEST_HEADER = 4096  #: bytes in which the header must end
_OUTCOMES = {str(reason): str(reason.outcome) for reason in Reason}


def chunks(path: str, rows: int | None = None) -> Iterator[Any]:
    """Yield a report as checked data frames, at most `rows` rows, even if it grows."""
    import pandas as pd

    name = printable(path)
    try:
        with _opened(path) as file:
            _check_header(file, name)
            frames = pd.read_csv(
                file, names=list(COLUMNS), header=None, dtype=str, na_filter=False,
                encoding="utf-8", chunksize=_CHUNK, nrows=rows,
            )  # fmt: skip
            with frames:
                for frame in frames:
                    yield _checked(frame, name)
    except pd.errors.EmptyDataError:
        return  # a header and no rows
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(
            f"{name} is not a complete .gz file. Copy it again, or rename it."
        ) from error
    except OSError as error:
        raise InputError(
            f"{name} cannot be read ({error.strerror}). Use a report that `batch-resend run` wrote."
        ) from error
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise InputError(
            f"{name} has a line that is not a report's. Use the file as `batch-resend run` wrote"
            " it."
        ) from error


def _opened(path: str) -> IO[bytes]:
    if stat.S_ISFIFO(os.stat(path).st_mode):  # noqa: PTH116 - paths stay as they were typed
        raise InputError(f"{printable(path)} is a pipe. A report is read twice: use a file.")
    if path.endswith(".gz"):
        return cast("IO[bytes]", gzip.open(path))
    file = Path(path).open("rb")  # noqa: SIM115 - closed by the caller
    if file.seekable() and file.seek(0, os.SEEK_END):
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.close()
            raise InputError(
                f"{printable(path)} ends in the middle of a line. Copy it again, or delete that"
                " line."
            )
        file.seek(0)
    return file


def _check_header(file: IO[bytes], name: str) -> None:
    line = file.readline(_LONGEST_HEADER)
    if not line:
        raise InputError(f"{name} is empty. Use a report that `batch-resend run` wrote.")
    columns = next(csv.reader([line.decode("utf-8", "replace").rstrip("\r\n")]), [])
    if columns == list(COLUMNS):
        return
    missing = [column for column in COLUMNS if column not in columns]
    if len(missing) > len(COLUMNS) // 2:
        raise InputError(f"{name} is not a report. Use one that `batch-resend run` wrote.")
    what = f"lacks the column {missing[0]}" if missing else "has other columns"
    raise InputError(f"{name} {what}. Use the version of batch-resend that wrote it.")


def _checked(frame: Any, name: str) -> Any:
    """Return a frame with values in place of text; raises `InputError` for the first bad row."""
    import pandas as pd

    if not isinstance(frame.index, pd.RangeIndex):
        raise InputError(f"{name} has more cells in a line than in its header.")
    before = frame.index.start

    def insist(good: Any, what: str, column: str) -> None:
        if not good.all():
            at = int((~good.to_numpy()).argmax())
            raise InputError(
                f"{name}, line {before + at + 2}: {printable(frame[column].iloc[at][:40])!r} is"
                f" {what}. Check whether the file was edited, or written by another version."
            )

    outcome = frame["reason"].map(_OUTCOMES)
    insist(outcome.notna(), "not a known reason", "reason")
    insist(frame["outcome"] == outcome, "not the outcome of its reason", "outcome")
    for column in ("row", "attempts", "latency_ms"):
        empty = frame[column] == ""
        numbers = pd.to_numeric(frame[column].where(~empty, "0"), errors="coerce")
        whole = numbers.between(0, 1e9) & (numbers % 1 == 0)
        insist(whole if column == "latency_ms" else whole & ~empty, "not a whole number", column)
        numbers = numbers.astype("int64")
        frame[column] = numbers.where(~empty, -1) if column == "latency_ms" else numbers
    moment = pd.to_datetime(frame["finished_at"], format="ISO8601", utc=True, errors="coerce")
    insist(moment.notna(), "not a time", "finished_at")
    epoch = pd.Timestamp(0, tz="UTC")
    return frame.assign(finished=(moment - epoch).dt.total_seconds())
