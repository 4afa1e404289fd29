"""The summary of several pools whose runs went side by side. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from batch_resend.errors import BatchResendError, Exit
from batch_resend.job.summary import (
    SCHEMA,
    NotDelivered,
    Summary,
    by_outcome,
    counts_as_json,
    error_as_json,
)
from batch_resend.model import Outcome, Reason


@dataclass(frozen=True, slots=True)
class PoolsSummary:
    """The end of each pool's run, by the pool's name; at least one has a summary.

    An error is there in place of a pool's summary where it could not begin though others
    had, or could not write its own summary.
    """

    ends: Mapping[str, Summary | BatchResendError]
    not_delivered: tuple[NotDelivered, ...] = ()  #: of this summary; a pool's are in its own

    @property
    def parts(self) -> Mapping[str, Summary | BatchResendError]:
        """How each pool's run ended."""
        return self.ends

    def lacking(self, *files: NotDelivered) -> Self:
        """Return the same summary with more files that did not arrive."""
        return replace(self, not_delivered=(*self.not_delivered, *files))

    @property
    def summaries(self) -> list[Summary]:
        """The summaries of the pools that have one."""
        return [end for end in self.ends.values() if isinstance(end, Summary)]

    @property
    def counts(self) -> Counter[Outcome]:
        """Rows of all pools by outcome."""
        return by_outcome(self.reasons)

    @property
    def reasons(self) -> dict[Reason, int]:
        """Rows of all pools by reason."""
        total: Counter[Reason] = Counter()
        for summary in self.summaries:
            total.update(summary.reasons)
        return dict(total)

    @property
    def rows(self) -> int:
        """How many input rows there were."""
        return sum(summary.rows for summary in self.summaries)

    @property
    def requests(self) -> int:
        """Requests made, by all."""
        return sum(summary.requests for summary in self.summaries)

    @property
    def throttled(self) -> int:
        """How many of them found the quota used up."""
        return sum(summary.throttled for summary in self.summaries)

    @property
    def seconds(self) -> float:
        """How long it took: as long as the slowest."""
        return max(summary.seconds for summary in self.summaries)

    @property
    def exit_code(self) -> Exit:
        """The worst of the pools' exit codes, which is the highest.

        So a signal comes before settings that need a person, these before a run that is
        to be gone on with, and that before users who failed.
        """
        own = [Exit.SOME_FAILED] if self.not_delivered else []
        return max([*(Exit(end.exit_code) for end in self.ends.values()), *own])

    def as_json(self) -> dict[str, Any]:
        """Return the summary in the form for programs."""
        summaries = self.summaries
        return {
            "schema": SCHEMA,
            "pools": {name: _as_json(end) for name, end in self.ends.items()},
            **counts_as_json(self.reasons),
            "rows": self.rows,
            "requests": self.requests,
            "throttled": self.throttled,
            "seconds": round(self.seconds, 3),
            "started_at": round(min(summary.started_at for summary in summaries), 3),
            "unknown_in_ledger": _sum(summary.unknown_in_ledger for summary in summaries),
            "not_recorded_in_ledger": sum(one.not_recorded_in_ledger for one in summaries),
            "not_delivered": [asdict(left) for left in self.not_delivered],
            "exit_code": int(self.exit_code),
        }


def _sum(numbers: Iterable[int | None]) -> int | None:
    """Add them up; where one is not known, neither is the sum."""
    counts = list(numbers)
    known_counts = [number for number in counts if number is not None]
    return sum(known_counts) if len(known_counts) == len(counts) else None


def _as_json(end: Summary | BatchResendError) -> dict[str, Any]:
    return error_as_json(end) if isinstance(end, BatchResendError) else end.as_json()
