"""The sums of one or more reports, in flat memory however long they are.

Every row of every report is counted. Of several reports, which are those of one clean-up,
each user counts once: by the row that was `sent`, else by one that is `unknown`, else by
the latest. Only a bounded number of rows is kept to be shown: some of each outcome, and
then those first that somebody must look at. What is left out is counted too.
"""

from __future__ import annotations

import csv
import gzip
import os
import stat
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from batch_resend.errors import InputError
from batch_resend.job.summary import by_outcome
from batch_resend.masking import printable, without_guard
from batch_resend.model import REASONS, Outcome, Reason
from batch_resend.reports.results_csv import COLUMNS

SHOWN = 20_000  #: rows that are kept to be shown, a part of each outcome among them
LISTED = 20  #: unknown rows that are kept to be listed
_CHUNK = 50_000  #: rows that are in memory at a time
_LONGEST_HEADER = 4096  #: bytes in which the header must end
_OUTCOMES = {str(reason): str(reason.outcome) for reason in Reason}

# By request id the embedded Cognito can be told from AWS, whose ids are random.
SIMULATED_ID = "00000000-0000-4000-8000-"

_ORDER = {
    Outcome.FAILED: 0,
    Outcome.UNKNOWN: 1,
    Outcome.NOT_ATTEMPTED: 2,
    Outcome.SKIPPED: 3,
    Outcome.PLANNED: 4,
    Outcome.SENT: 5,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a report; `report` counts the reports from 0."""

    report: int
    row: int
    username: str
    reason: Reason
    attempts: int
    destination: str
    error_code: str
    error_message: str
    finished_at: str
    latency_ms: int | None


@dataclass(slots=True)
class Report:
    """What one report comes to. Times are whole seconds since the epoch."""

    name: str
    rows: int = 0
    requests: int = 0
    simulated: bool = False
    reasons: Counter[Reason] = field(default_factory=Counter)
    sent: Counter[int] = field(default_factory=Counter)  #: users sent a code, by second
    other: Counter[int] = field(default_factory=Counter)  #: asked for in vain, by second
    again: Counter[int] = field(default_factory=Counter)  #: earlier tries of these, by second
    latencies: Counter[int] = field(default_factory=Counter)  #: last requests by milliseconds
    first: float | None = None  #: when the first row was settled
    last: float | None = None

    @property
    def outcomes(self) -> Counter[Outcome]:
        """Rows by outcome."""
        return by_outcome(self.reasons)


@dataclass(slots=True)
class Domain:
    """Users of one mail domain; `row` is that of one who was not served."""

    name: str
    sent: int = 0
    failed: int = 0
    unknown: int = 0
    row: int = 0

    @property
    def in_vain(self) -> int:
        """How many failed or are unknown."""
        return self.failed + self.unknown


@dataclass(frozen=True, slots=True)
class Figures:
    """What all reports come to together."""

    reports: list[Report]
    reasons: Counter[Reason]  #: users by reason (rows, where there is one report)
    domains: list[Domain]  #: with failed or unknown users, the most of them first
    nameless: int  #: users failed or unknown whose name is no mail address
    shown: list[Row]
    unknown: list[Row]  #: the first of them

    @property
    def rows(self) -> int:
        """How many rows the reports have."""
        return sum(report.rows for report in self.reports)

    @property
    def users(self) -> int:
        """How many users they are about (rows, where there is one report)."""
        return self.reasons.total()

    @property
    def outcomes(self) -> Counter[Outcome]:
        """Users by outcome."""
        return by_outcome(self.reasons)

    @property
    def latencies(self) -> Counter[int]:
        """Last requests by milliseconds, over all reports."""
        return sum((report.latencies for report in self.reports), Counter[int]())


def read_reports(paths: Sequence[str]) -> Figures:
    """Read reports, each a file that `run` wrote (`.gz` is unpacked); raises `InputError`.

    They are read twice: first for the sums of each, then for what needs to know which of
    a user's rows counts.
    """
    reports, keys = [], []
    for path in paths:
        report = Report(os.path.basename(path))  # noqa: PTH119 - paths stay as they were typed
        reports.append(report)
        for chunk in _chunks(path):
            _count(report, chunk)
            if len(paths) > 1:
                keys.append(_keys(chunk, len(reports) - 1))
    people = _People(_winners(reports, keys))
    for number, path in enumerate(paths):
        for chunk in _chunks(path, reports[number].rows):
            people.add(number, chunk)
    return people.figures(reports)


# -- reading -----------------------------------------------------------------------


def _chunks(path: str, rows: int | None = None) -> Iterator[Any]:
    """Read a report in data frames, checked; at most so many rows, if it grows meanwhile."""
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
        raise InputError(f"{name} is no whole .gz file: copy it anew, or rename it.") from error
    except OSError as error:
        raise InputError(
            f"{name} cannot be read ({error.strerror}): name a report that `batch-resend run`"
            " wrote."
        ) from error
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise InputError(
            f"{name} has a line that is no report's: name the file as `batch-resend run` wrote it."
        ) from error


def _opened(path: str) -> IO[bytes]:
    if stat.S_ISFIFO(os.stat(path).st_mode):  # noqa: PTH116 - paths stay as they were typed
        raise InputError(f"{printable(path)} is a pipe, and a report is read twice: name a file.")
    if path.endswith(".gz"):
        return cast("IO[bytes]", gzip.open(path))
    file = Path(path).open("rb")  # noqa: SIM115 - closed by whoever reads it
    if file.seekable() and file.seek(0, os.SEEK_END):
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.close()
            raise InputError(
                f"{printable(path)} ends in the middle of a line: copy it anew, or delete the line."
            )
        file.seek(0)
    return file


def _check_header(file: IO[bytes], name: str) -> None:
    line = file.readline(_LONGEST_HEADER)
    if not line:
        raise InputError(f"{name} is empty: name a report that `batch-resend run` wrote.")
    columns = next(csv.reader([line.decode("utf-8", "replace").rstrip("\r\n")]), [])
    if columns == list(COLUMNS):
        return
    missing = [column for column in COLUMNS if column not in columns]
    if len(missing) > len(COLUMNS) // 2:
        raise InputError(f"{name} is no report: name one that `batch-resend run` wrote.")
    what = f"lacks the column {missing[0]}" if missing else "has other columns"
    raise InputError(
        f"{name} {what}, so another version of batch-resend wrote it: use that version."
    )


def _checked(frame: Any, name: str) -> Any:
    """Turn a frame's text into values; raises `InputError` for the first row that has none."""
    import pandas as pd

    if not isinstance(frame.index, pd.RangeIndex):
        raise InputError(f"{name} has more cells in a line than in its header.")
    before = frame.index.start

    def insist(good: Any, what: str, column: str) -> None:
        if not good.all():
            at = int((~good.to_numpy()).argmax())
            raise InputError(
                f"{name}, line {before + at + 2}: {printable(frame[column].iloc[at][:40])!r} is"
                f" {what}. Was it changed, or written by another version?"
            )

    outcome = frame["reason"].map(_OUTCOMES)
    insist(outcome.notna(), "no reason that is known here", "reason")
    insist(frame["outcome"] == outcome, "not the outcome of its reason", "outcome")
    for column in ("row", "attempts", "latency_ms"):
        empty = frame[column] == ""
        numbers = pd.to_numeric(frame[column].where(~empty, "0"), errors="coerce")
        whole = numbers.between(0, 1e9) & (numbers % 1 == 0)
        insist(whole if column == "latency_ms" else whole & ~empty, "no whole number", column)
        numbers = numbers.astype("int64")
        frame[column] = numbers.where(~empty, -1) if column == "latency_ms" else numbers
    moment = pd.to_datetime(frame["finished_at"], format="ISO8601", utc=True, errors="coerce")
    insist(moment.notna(), "no time", "finished_at")
    epoch = pd.Timestamp(0, tz="UTC")
    return frame.assign(finished=(moment - epoch).dt.total_seconds())


# -- counting ----------------------------------------------------------------------


def _count(report: Report, chunk: Any) -> None:
    report.rows += len(chunk)
    report.requests += int(chunk["attempts"].sum())
    report.reasons.update(_reasons(chunk))
    report.simulated |= bool(chunk["request_id"].str.startswith(SIMULATED_ID).any())
    asked = chunk[chunk["attempts"] > 0]
    second = asked["finished"].floordiv(1).astype("int64")
    sent = asked["outcome"] == Outcome.SENT
    report.sent.update(_counts(second[sent]))
    report.other.update(_counts(second[~sent]))
    tries = (asked["attempts"] - 1).groupby(second).sum()
    report.again.update({int(at): int(n) for at, n in tries[tries > 0].items()})
    report.latencies.update(_counts(asked["latency_ms"][asked["latency_ms"] >= 0]))
    first, last = chunk["finished"].min(), chunk["finished"].max()
    report.first = first if report.first is None else min(report.first, first)
    report.last = last if report.last is None else max(report.last, last)


def _reasons(chunk: Any) -> dict[Reason, int]:
    return {REASONS[text]: count for text, count in _counts(chunk["reason"]).items()}


def _counts(values: Any) -> dict[Any, int]:
    return {value: int(count) for value, count in values.value_counts().items()}


def _rank(reason: Reason) -> int:
    """How much a row says about its user beside others of the same user."""
    if reason is Reason.DUPLICATE:
        return 0
    return {Outcome.PLANNED: 1, Outcome.UNKNOWN: 3, Outcome.SENT: 4}.get(reason.outcome, 2)


def _keys(chunk: Any, report: int) -> Any:
    """Who each row is about and what it is worth: 8-byte hashes in place of names."""
    import pandas as pd

    return pd.DataFrame(
        {
            "user": pd.util.hash_array(chunk["username"].to_numpy(dtype=object)),
            "rank": chunk["reason"].map({str(r): _rank(r) for r in Reason}).astype("int8"),
            "finished": chunk["finished"],
            "report": report,
        }
    )


def _winners(reports: list[Report], keys: list[Any]) -> list[Any]:
    """Tell for each report which of its rows count; None is all."""
    import pandas as pd

    if len(reports) == 1:
        return [None]
    if not keys:
        return [None] * len(reports)
    every = pd.concat(keys, ignore_index=True)
    best = every.sort_values(["rank", "finished"], kind="stable").drop_duplicates(
        "user", keep="last"
    )
    counts = every.index.isin(best.index)
    return [counts[(every["report"] == number).to_numpy()] for number in range(len(reports))]


class _People:
    """Gathers what is told of people: of the rows that count, chunk by chunk."""

    def __init__(self, winners: list[Any]) -> None:
        self._winners = winners
        self._reasons: Counter[Reason] = Counter()
        self._shown: dict[Outcome, list[Row]] = {outcome: [] for outcome in _ORDER}
        self._unknown: list[Row] = []
        self._by_domain: dict[Outcome, Counter[str]] = {
            outcome: Counter() for outcome in (Outcome.SENT, Outcome.FAILED, Outcome.UNKNOWN)
        }
        self._example: dict[str, int] = {}
        self._nameless = 0

    def add(self, report: int, chunk: Any) -> None:
        winners = self._winners[report]
        if winners is not None:
            chunk = chunk[winners[chunk.index.start : chunk.index.stop]]
        self._reasons.update(_reasons(chunk))
        for outcome, kept in self._shown.items():
            found = chunk[chunk["outcome"] == outcome]
            kept.extend(_rows(report, found.head(SHOWN - len(kept))))
            if outcome in self._by_domain:
                self._add_domains(outcome, found)
        open_ones = (chunk["outcome"] == Outcome.UNKNOWN) | (
            chunk["reason"] == Reason.OUTCOME_UNKNOWN
        )
        self._unknown += _rows(report, chunk[open_ones].head(LISTED - len(self._unknown)))

    def _add_domains(self, outcome: Outcome, found: Any) -> None:
        parts = found["username"].str.rpartition("@")
        addressed = (parts[1] == "@") if len(found) else found["username"] == "@"
        if not addressed.any():
            self._nameless += len(found) if outcome is not Outcome.SENT else 0
            return
        domains = parts[2][addressed].str.lower()
        self._by_domain[outcome].update(_counts(domains))
        if outcome is not Outcome.SENT:
            self._nameless += int((~addressed).sum())
            firsts = ~domains.duplicated()
            for domain, row in zip(domains[firsts], found["row"][addressed][firsts], strict=True):
                self._example.setdefault(domain, int(row))

    def figures(self, reports: list[Report]) -> Figures:
        sent, failed, unknown = self._by_domain.values()
        domains = [
            Domain(name, sent[name], failed[name], unknown[name], row)
            for name, row in self._example.items()
        ]
        domains.sort(key=lambda domain: (-domain.in_vain, domain.name))
        sure = SHOWN // len(_ORDER)
        shown = [row for rows in self._shown.values() for row in rows[:sure]]
        others = [row for rows in self._shown.values() for row in rows[sure:]]
        shown += others[: SHOWN - len(shown)]
        shown.sort(key=lambda row: (_ORDER[row.reason.outcome], row.report, row.row))
        return Figures(reports, self._reasons, domains, self._nameless, shown, self._unknown)


def _rows(report: int, chunk: Any) -> list[Row]:
    names = (
        "row", "username", "reason", "attempts", "destination", "error_code", "error_message",
        "finished_at", "latency_ms",
    )  # fmt: skip
    columns = [chunk[name].tolist() for name in names]
    return [
        Row(
            report,
            row,
            without_guard(name),
            REASONS[reason],
            attempts,
            without_guard(destination),
            without_guard(code),
            without_guard(message),
            finished,
            None if latency < 0 else latency,
        )
        for row, name, reason, attempts, destination, code, message, finished, latency in zip(
            *columns, strict=True
        )
    ]
