"""Metrics for CloudWatch, as lines in its embedded metric format."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from batch_resend.model import Outcome
from batch_resend.monitoring.metrics import Standing

EVERY = 60.0  #: seconds: CloudWatch's own resolution


class Emf:
    """CloudWatch's embedded metric format: a line of JSON on standard output.

    CloudWatch adds up what the lines of a run say, so counts are those since the last
    line; `Seconds` and `ExitCode` come with the last. Each is there by Region and
    client, and over all: a run that ended before it knew either counts there only.
    (CloudWatch User Guide, "Specification: Embedded metric format".)
    """

    every = EVERY

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._last: Counter[str] = Counter()

    def write(self, standing: Standing) -> None:
        """Write a line."""
        line = json.dumps(self.line(standing)) + "\n"
        os.write(sys.stdout.fileno(), line.encode())  # unbuffered: nothing is left to flush

    def line(self, standing: Standing) -> dict[str, Any]:
        """Return a line with what is new since the last one."""
        counts = {
            "".join(map(str.title, outcome.split("-"))): standing.counts.get(outcome, 0)
            for outcome in Outcome
        }
        counts |= {"Requests": standing.requests, "Throttled": standing.throttled}
        new = {name: count - self._last[name] for name, count in counts.items()}
        self._last = Counter(counts)
        metrics = [{"Name": name, "Unit": "Count"} for name in new]
        values: dict[str, Any] = dict(new)
        if standing.exit_code is not None:
            metrics += [{"Name": "Seconds", "Unit": "Seconds"}, {"Name": "ExitCode"}]
            values |= {"Seconds": round(standing.seconds, 3), "ExitCode": standing.exit_code}
        if standing.unknown_in_ledger is not None:
            values["UnknownInLedger"] = standing.unknown_in_ledger
            values["NotRecordedInLedger"] = standing.not_recorded_in_ledger
            metrics += [
                {"Name": name, "Unit": "Count"}
                for name in ("UnknownInLedger", "NotRecordedInLedger")
            ]
        dimensions = {
            name: standing.labels[label]
            for name, label in (("Region", "region"), ("ClientId", "client_id"))
            if label in standing.labels
        }
        described = {
            "Namespace": "BatchResend",
            "Dimensions": [list(dimensions), []] if dimensions else [[]],
            "Metrics": metrics,
        }
        stamp = {"Timestamp": int(self._clock() * 1000), "CloudWatchMetrics": [described]}
        return {"_aws": stamp, **dimensions, **values}
