"""A run as programs hear of it: what it is about, and its summary."""

from __future__ import annotations

from typing import Any

from batch_resend.job.summary import Summary
from batch_resend.model import Reason
from tests.support.infos import info

INFO = info(input="customers-of-acme.csv", ledger="home/ada/ledger", report="r.csv")
LABELS = {"region": "eu-west-1", "client_id": "abc"}


def summary(**changes: Any) -> Summary:
    facts: dict[str, Any] = {
        "reasons": {Reason.ACCEPTED: 5}, "requests": 6, "throttled": 1, "seconds": 12.5,
        "started_at": 0.0, "info": INFO,
    }  # fmt: skip
    return Summary(**(facts | changes))
