"""Metrics for Prometheus, in a file for the textfile collector of its node_exporter."""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from batch_resend.errors import UsageError
from batch_resend.model import Outcome
from batch_resend.monitoring.metrics import Standing

EVERY = 30.0  #: seconds


class Textfile:
    """A file for the textfile collector of Prometheus' node_exporter.

    It is replaced as a whole, so that half of it is never read, and it is world-readable: it
    holds numbers, Region and client, and the collector is another user. A write that hung
    and was abandoned changes nothing when it resumes: the last one stays.
    """

    every = EVERY

    def __init__(self, path: str, clock: Callable[[], float] = time.time) -> None:
        """Check the name; raises `UsageError`."""
        if not path.endswith(".prom"):
            raise UsageError(
                f"--metrics textfile:{path}: the file name must end in .prom, for node_exporter"
                " to read it."
            )
        self.path = Path(path)
        self._clock = clock
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._written = -1  # the number of the write that is there

    def write(self, standing: Standing) -> None:
        """Replace the file, unless a write that began later has done so."""
        number = next(self._numbers)
        descriptor, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(self.text(standing))
                os.fchmod(descriptor, 0o644)
            with self._lock:
                if number > self._written:
                    Path(name).replace(self.path)
                    self._written = number
        finally:
            with contextlib.suppress(OSError):
                Path(name).unlink()

    def text(self, standing: Standing) -> str:
        """Write the numbers as Prometheus reads them."""
        running = standing.exit_code is None
        lines = _gauge(
            "rows",
            "Rows settled in the latest run, by outcome.",
            {outcome: standing.counts.get(outcome, 0) for outcome in Outcome},
            standing.labels,
        )
        for name, meaning, value in (
            ("requests", "Requests made in the latest run.", standing.requests),
            ("throttled", "Requests that were throttled.", standing.throttled),
            ("seconds", "Duration of the latest run.", round(standing.seconds, 3)),
            ("running", "Whether the latest run is active.", int(running)),
            ("exit_code", "The exit code of the latest run.", standing.exit_code),
            (
                "unknown_in_ledger",
                "Unknown outcomes over all runs, which reconcile can settle.",
                standing.unknown_in_ledger,
            ),
            (
                "not_recorded_in_ledger",
                "Unknown outcomes of which CloudTrail has no record.",
                None if standing.unknown_in_ledger is None else standing.not_recorded_in_ledger,
            ),
            (
                "ended_timestamp_seconds",
                "When the latest run ended.",
                None if running else round(self._clock(), 3),
            ),
        ):
            if value is not None:
                lines += _gauge(name, meaning, {None: value}, standing.labels)
        return "".join(f"{line}\n" for line in lines)


def _gauge(
    name: str,
    meaning: str,
    values: Mapping[Outcome | None, float],
    labels: Mapping[str, str],
) -> list[str]:
    name = f"batch_resend_{name}"
    lines = [f"# HELP {name} {meaning}", f"# TYPE {name} gauge"]
    for outcome, value in values.items():
        all_labels = dict(labels) | ({"outcome": str(outcome)} if outcome else {})
        inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in all_labels.items())
        lines.append(f"{name}{{{inner}}} {value}" if inner else f"{name} {value}")
    return lines


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
