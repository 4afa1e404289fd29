"""The sums of one or more reports, in flat memory however long they are.

Every row of every report is counted. Of several reports, which are those of one clean-up,
each user counts once: by the row that was `sent`, else by one that is `unknown`, else by
the latest. Only a bounded number of rows is kept to be shown: some of each outcome, then
first those that need attention. What is left out is counted too.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from batch_resend.job.summary import by_outcome
from batch_resend.masking import without_guard
from batch_resend.model import REASONS, Outcome, Reason
from batch_resend.reports.page.reading import chunks

SHOWN = 20_000  #: rows that are kept to be shown, a part of each outcome among them

# The request IDs of the embedded Cognito start like this; those of AWS are random.
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
    evidence: str = ""  #: what settled an earlier message, and when
    reconciled_at: str = ""


@dataclass(slots=True)
class Report:
    """The sums of one report. Times are whole seconds since the epoch."""

    name: str
    rows: int = 0
    requests: int = 0
    simulated: bool = False
    reasons: Counter[Reason] = field(default_factory=Counter)
    sent: Counter[int] = field(default_factory=Counter)  #: users sent a code, by second
    other: Counter[int] = field(default_factory=Counter)  #: requested and not sent, by second
    again: Counter[int] = field(default_factory=Counter)  #: earlier attempts, by second
    latencies: Counter[int] = field(default_factory=Counter)  #: last requests by milliseconds
    first: float | None = None  #: when the first row was settled
    last: float | None = None
    limited: float | None = None  #: when the last `attempt-limit` row was settled

    @property
    def outcomes(self) -> Counter[Outcome]:
        """Rows by outcome."""
        return by_outcome(self.reasons)


@dataclass(slots=True)
class Domain:
    """Users of one mail domain; `row` is an example that failed or is unknown, 0 if none is."""

    name: str
    sent: int = 0
    failed: int = 0
    unknown: int = 0
    planned: int = 0
    row: int = 0

    @property
    def not_sent(self) -> int:
        """How many failed or are unknown."""
        return self.failed + self.unknown

    @property
    def users(self) -> int:
        """How many users have the domain, those who were skipped or not attempted excepted."""
        return self.sent + self.failed + self.unknown + self.planned


@dataclass(frozen=True, slots=True)
class Figures:
    """The sums over all reports."""

    reports: list[Report]
    reasons: Counter[Reason]  #: users by reason (rows, where there is one report)
    domains: list[Domain]  #: those with the most failed or unknown users first
    nameless: int  #: users failed or unknown whose name is not a mail address
    shown: list[Row]
    repeated: int = 0  #: users who were sent more than one code, over several reports
    confirmed: int = 0  #: users who were sent a code, and confirmed by a later report

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
    """Read reports, each a file that `run` wrote (`.gz` is decompressed); raises `InputError`.

    They are read twice: first for the sums of each, then for the sums that depend on which
    of a user's rows counts.
    """
    reports, keys = [], []
    for path in paths:
        report = Report(os.path.basename(path))  # noqa: PTH119 - paths stay as they were typed
        reports.append(report)
        for chunk in chunks(path):
            _count(report, chunk)
            if len(paths) > 1:
                keys.append(_keys(chunk, len(reports) - 1))
    repeated, confirmed = _over_reports(keys)
    people = _People(_winners(reports, keys))
    for number, path in enumerate(paths):
        for chunk in chunks(path, reports[number].rows):
            people.add(number, chunk)
    return replace(people.figures(reports), repeated=repeated, confirmed=confirmed)


def _count(report: Report, chunk: Any) -> None:
    if not len(chunk):
        return
    report.rows += len(chunk)
    report.requests += int(chunk["attempts"].sum())
    report.reasons.update(_reasons(chunk))
    report.simulated |= bool(chunk["request_id"].str.startswith(SIMULATED_ID).any())
    requested = chunk[chunk["attempts"] > 0]
    second = requested["finished"].floordiv(1).astype("int64")
    sent = requested["outcome"] == Outcome.SENT
    report.sent.update(_counts(second[sent]))
    report.other.update(_counts(second[~sent]))
    again = (requested["attempts"] - 1).groupby(second).sum()
    report.again.update({int(at): int(n) for at, n in again[again > 0].items()})
    report.latencies.update(_counts(requested["latency_ms"][requested["latency_ms"] >= 0]))
    limited = chunk["finished"][chunk["reason"] == Reason.ATTEMPT_LIMIT]
    if len(limited):
        report.limited = max(report.limited or 0.0, float(limited.max()))
    first, last = chunk["finished"].min(), chunk["finished"].max()
    report.first = first if report.first is None else min(report.first, first)
    report.last = last if report.last is None else max(report.last, last)


def _reasons(chunk: Any) -> dict[Reason, int]:
    return {REASONS[text]: count for text, count in _counts(chunk["reason"]).items()}


def _counts(values: Any) -> dict[Any, int]:
    return {value: int(count) for value, count in values.value_counts().items()}


def _rank(reason: Reason) -> int:
    """Return how definite a row is, compared with others of the same user."""
    if reason is Reason.DUPLICATE:
        return 0
    return {Outcome.PLANNED: 1, Outcome.UNKNOWN: 3, Outcome.SENT: 4}.get(reason.outcome, 2)


def _keys(chunk: Any, report: int) -> Any:
    """Return the user and the rank of each row: 8-byte hashes in place of names."""
    import pandas as pd

    return pd.DataFrame(
        {
            "user": pd.util.hash_array(chunk["username"].to_numpy(dtype=object)),
            "rank": chunk["reason"].map({str(r): _rank(r) for r in Reason}).astype("int8"),
            "confirmed": chunk["reason"] == Reason.ALREADY_CONFIRMED,
            "finished": chunk["finished"],
            "report": report,
        }
    )


def _winners(reports: list[Report], keys: list[Any]) -> list[Any]:
    """Return for each report which of its rows count; None means all."""
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


def _over_reports(keys: list[Any]) -> tuple[int, int]:
    """Return how many users were sent more than one code, and how many confirmed after one."""
    import pandas as pd

    if not keys:
        return 0, 0
    every = pd.concat(keys, ignore_index=True)
    sent = every[every["rank"] == _rank(Reason.ACCEPTED)].groupby("user")["finished"]
    first, confirmed = sent.min(), every[every["confirmed"]]
    later = confirmed[confirmed["finished"] > confirmed["user"].map(first)]
    return int((sent.size() > 1).sum()), int(later["user"].nunique())


class _People:
    """The sums over users, of the rows that count, chunk by chunk."""

    def __init__(self, winners: list[Any]) -> None:
        self._winners = winners
        self._reasons: Counter[Reason] = Counter()
        self._shown: dict[Outcome, list[Row]] = {outcome: [] for outcome in _ORDER}
        self._by_domain: dict[Outcome, Counter[str]] = {
            outcome: Counter()
            for outcome in (Outcome.SENT, Outcome.FAILED, Outcome.UNKNOWN, Outcome.PLANNED)
        }
        self._example: dict[str, int] = {}
        self._nameless = 0

    def add(self, report: int, chunk: Any) -> None:
        winners = self._winners[report]
        if winners is not None:
            chunk = chunk[winners[chunk.index.start : chunk.index.stop]]
        self._reasons.update(_reasons(chunk))
        for outcome, examples in self._shown.items():
            rows = chunk[chunk["outcome"] == outcome]
            examples.extend(_rows(report, rows.head(SHOWN - len(examples))))
            if outcome in self._by_domain:
                self._add_domains(outcome, rows)

    def _add_domains(self, outcome: Outcome, rows: Any) -> None:
        parts = rows["username"].str.rpartition("@")
        addressed = (parts[1] == "@") if len(rows) else rows["username"] == "@"
        not_sent = outcome in {Outcome.FAILED, Outcome.UNKNOWN}
        self._nameless += int((~addressed).sum()) if not_sent else 0
        if not addressed.any():
            return
        domains = parts[2][addressed].str.lower()
        self._by_domain[outcome].update(_counts(domains))
        if not_sent:
            firsts = ~domains.duplicated()
            for domain, row in zip(domains[firsts], rows["row"][addressed][firsts], strict=True):
                self._example.setdefault(domain, int(row))

    def figures(self, reports: list[Report]) -> Figures:
        sent, failed, unknown, planned = self._by_domain.values()
        domains = [
            Domain(name, sent[name], failed[name], unknown[name], planned[name],
                   self._example.get(name, 0))
            for name in {**sent, **failed, **unknown, **planned}
        ]  # fmt: skip
        domains.sort(key=lambda domain: (-domain.not_sent, -domain.users, domain.name))
        sure = SHOWN // len(_ORDER)
        shown = [row for rows in self._shown.values() for row in rows[:sure]]
        others = [row for rows in self._shown.values() for row in rows[sure:]]
        shown += others[: SHOWN - len(shown)]
        shown.sort(key=lambda row: (_ORDER[row.reason.outcome], row.report, row.row))
        return Figures(reports, self._reasons, domains, self._nameless, shown)


def _rows(report: int, chunk: Any) -> list[Row]:
    names = (
        "row", "username", "reason", "attempts", "destination", "error_code", "error_message",
        "finished_at", "latency_ms", "evidence", "reconciled_at",
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
            without_guard(evidence),
            reconciled,
        )
        for (
            row,
            name,
            reason,
            attempts,
            destination,
            code,
            message,
            finished,
            latency,
            evidence,
            reconciled,
        ) in zip(*columns, strict=True)
    ]
