"""Summaries of pools that ended."""

from __future__ import annotations

from typing import Any

from batch_resend import Reason
from batch_resend.job.summary import Summary
from tests.support.infos import info


def ended(**changes: Any) -> Summary:
    facts: dict[str, Any] = {"reasons": {Reason.ACCEPTED: 2}, "requests": 3, "throttled": 1,
                             "seconds": 4.0, "started_at": 100.0, "info": info()}  # fmt: skip
    return Summary(**(facts | changes))
