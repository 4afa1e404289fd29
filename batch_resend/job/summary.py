"""The summary: the results of a run. Pure: counts go in, numbers and an exit code come out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol, Self

from batch_resend.errors import BatchResendError, Exit, InputError
from batch_resend.job.outcome import Stop
from batch_resend.masking import mask_within, printable
from batch_resend.model import Outcome, Reason, Result, RunInfo

SCHEMA = 1


@dataclass(slots=True)
class Tally:
    """A count of the results, which detects too many failures."""

    reasons: Counter[Reason] = field(default_factory=Counter)
    requests: int = 0  #: requests made
    requested: int = 0  #: users with at least one request
    failures: int = 0  #: of these, failed or unknown

    def add(self, result: Result) -> None:
        """Count one row."""
        self.reasons[result.reason] += 1
        self.requests += result.attempts
        if result.attempts:
            self.requested += 1
            self.failures += result.outcome in {Outcome.FAILED, Outcome.UNKNOWN}

    @property
    def outcomes(self) -> Counter[Outcome]:
        """Rows by outcome."""
        return by_outcome(self.reasons)


@dataclass(frozen=True, slots=True)
class MaxFailures:
    """The number of failed or unknown users that is too many, or a part of those requested.

    A part counts only from `FROM` requested users on.
    """

    number: int | None = None
    part: float | None = None

    FROM = 100

    def exceeded(self, tally: Tally, *, at_an_end: bool = False) -> bool:
        """Whether there are more failures than allowed; at an end a part counts from one on."""
        if self.number is not None:
            return tally.failures > self.number
        if self.part is None or (tally.requested < self.FROM and not at_an_end):
            return False
        return tally.failures > self.part * tally.requested


def by_outcome(reasons: Mapping[Reason, int]) -> Counter[Outcome]:
    """Count by outcome what is counted by reason, in the order of the outcomes."""
    counts: Counter[Outcome] = Counter()
    for reason, count in reasons.items():
        counts[reason.outcome] += count
    return Counter({outcome: counts[outcome] for outcome in Outcome if counts[outcome]})


def counts_as_json(reasons: Mapping[Reason, int]) -> dict[str, dict[str, int]]:
    """Return both counts in the form for programs."""
    counts = by_outcome(reasons)
    return {
        "counts": {str(outcome): counts[outcome] for outcome in Outcome},
        "reasons": {f"{reason.outcome}/{reason}": n for reason, n in sorted(reasons.items())},
    }


@dataclass(frozen=True, slots=True)
class NotDelivered:
    """A file of results that did not arrive where it was asked for."""

    to: str
    file: str  #: where it is instead; empty where it is nowhere
    why: str  #: a sentence

    def __str__(self) -> str:
        """Return the sentence for a person."""
        return f"Not delivered: {self.why}" + (f" It is at {self.file}" if self.file else "")


class RunEnd(Protocol):
    """The end of a run, of one pool or of many."""

    @property
    def exit_code(self) -> Exit:
        """What the program exits with."""
        ...

    @property
    def not_delivered(self) -> tuple[NotDelivered, ...]:
        """Files of results that did not arrive."""
        ...

    @property
    def parts(self) -> Mapping[str, Summary | BatchResendError]:
        """How each pool's run ended, by the pool's name; empty for a run of one pool."""
        ...

    def lacking(self, *files: NotDelivered) -> Self:
        """Return the same end with more files that did not arrive."""
        ...

    def as_json(self) -> dict[str, Any]:
        """Return the end in the form for programs."""
        ...


def error_as_json(error: BatchResendError) -> dict[str, Any]:
    """Return what stands in a summary's place in the form for programs, names masked."""
    return {"error": mask_within(str(error)), "exit_code": int(error.exit_code)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The result of a run. Times in seconds since the epoch; `seconds` is the run's length."""

    reasons: dict[Reason, int]
    requests: int
    throttled: int
    seconds: float
    started_at: float
    info: RunInfo
    ceiling: float | None = None  #: of the pace, in requests per second
    stopped_by: Stop | None = None
    detail: str = ""  #: what stopped the run, in its own words
    unknown_in_ledger: int | None = 0  #: over all runs of this ledger; None: it could not be read
    notes: tuple[str, ...] = ()  #: on the input, as the plan has them
    not_recorded_in_ledger: int = 0  #: of these, how many CloudTrail has no record of
    not_delivered: tuple[NotDelivered, ...] = ()

    @property
    def rows(self) -> int:
        """How many input rows there were."""
        return sum(self.reasons.values())

    @property
    def counts(self) -> Counter[Outcome]:
        """Rows by outcome."""
        return by_outcome(self.reasons)

    @property
    def exit_code(self) -> Exit:
        """What the program exits with."""
        if self.stopped_by is not None:
            return self.stopped_by.exit_code
        counts = self.counts
        left = counts[Outcome.FAILED] + counts[Outcome.UNKNOWN] + len(self.not_delivered)
        return Exit.SOME_FAILED if left else Exit.DONE

    @property
    def parts(self) -> Mapping[str, Summary | BatchResendError]:
        """No pools: this is the summary of one run."""
        return {}

    def lacking(self, *files: NotDelivered) -> Self:
        """Return the same summary with more files that did not arrive."""
        return replace(self, not_delivered=(*self.not_delivered, *files))

    def as_json(self) -> dict[str, Any]:
        """Return the summary in the form for programs."""
        return {
            "schema": SCHEMA,
            **counts_as_json(self.reasons),
            "rows": self.rows,
            "requests": self.requests,
            "throttled": self.throttled,
            "ceiling": self.ceiling,
            "seconds": round(self.seconds, 3),
            "started_at": round(self.started_at, 3),
            "stopped_by": None if self.stopped_by is None else str(self.stopped_by),
            "detail": self.detail or None,
            "unknown_in_ledger": self.unknown_in_ledger,
            "notes": list(self.notes),
            "not_recorded_in_ledger": self.not_recorded_in_ledger,
            "not_delivered": [asdict(left) for left in self.not_delivered],
            "exit_code": int(self.exit_code),
            **asdict(self.info),
        }

    def for_ledger(self) -> dict[str, Any]:
        """Return what the ledger stores: as for programs, but no command with names in it.

        The ledger outlives the names in it, which `ledger forget` erases.
        """
        content = self.as_json()
        command = f"{content['next_command'] or ''} "
        if any(f"{option}{end}" in command for option in ABOUT_PEOPLE for end in (" ", "=")):
            content["next_command"] = None
        return content


#: The options whose values may be about single people, and what stands there instead.
ABOUT_PEOPLE = {
    "--user": "<NAME>",
    "--match": "<PATTERN>",
    "--filter": "<FILTER>",
    "--metadata": "<VALUE>",
    "--ip-address": "<VALUE>",
    "--encoded-data": "<VALUE>",
    "--analytics-endpoint-id": "<VALUE>",
}

#: What a summary says at least, and of which types it may be.
FIELDS: dict[str, tuple[type, ...]] = {
    "schema": (int,),
    "rows": (int,),
    "requests": (int,),
    "throttled": (int,),
    "ceiling": (int, float, type(None)),
    "seconds": (int, float),
    "stopped_by": (str, type(None)),
    "detail": (str, type(None)),
    "unknown_in_ledger": (int, type(None)),
    "exit_code": (int,),
    "version": (str,),
    "input": (str,),
    "user_pool_id": (str, type(None)),
    "client_id": (str,),
    "region": (str,),
    "endpoint": (str,),
    "endpoint_is_aws": (bool,),
    "simulated": (bool,),
    "dry_run": (bool,),
    "report": (str,),
    "next_command": (str, type(None)),
}


def parse_summary(text: bytes, name: str) -> dict[str, Any]:
    """Return the summary of `Summary.as_json`; raises `InputError` with `name` in it."""
    try:
        summary = json.loads(text)
    except (ValueError, RecursionError):
        summary = None
    if not isinstance(summary, dict) or "schema" not in summary:
        raise InputError(
            f"{name} is not a valid summary. Use a file that `batch-resend run` wrote."
        )
    if summary["schema"] == SCHEMA and isinstance(summary.get("error"), str):
        raise InputError(f"{name} is of a run that did not start: {printable(summary['error'])}")
    if summary["schema"] != SCHEMA or any(
        not isinstance(summary.get(field, ...), types) for field, types in FIELDS.items()
    ):
        raise InputError(
            f"{name} was written by another version of batch-resend: use that version, or leave"
            " it out."
        )
    return summary
