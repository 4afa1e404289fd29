"""A plan, a snapshot and a summary as the console is given them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from batch_resend.job.engine import Snapshot
from batch_resend.job.summary import Summary, Tally
from batch_resend.model import Reason
from batch_resend.preflight.estimate import Estimate, Messages
from batch_resend.preflight.preview import Preview
from tests.support.infos import info

PREVIEW = Preview(
    counts={Reason.ELIGIBLE: 5, Reason.DUPLICATE: 2, Reason.SEND_CAP: 1, Reason.INTERRUPTED: 1},
    examples=["ada@example.com", "bob", "cid"],
    estimate=Estimate(users=5, rate=25.0, now=0.0, sent=Messages(unknown=5)),
    info=info(),
)


def summary(reasons: dict[Reason, int], **changes: Any) -> Summary:
    facts: dict[str, Any] = {
        "requests": 9, "throttled": 0, "seconds": 75.0, "started_at": 0.0, "info": info(),
    }  # fmt: skip
    return Summary(reasons=reasons, **(facts | changes))


def snapshot(**changes: Any) -> Snapshot:
    facts: dict[str, Any] = {
        "eligible": 1000,
        "done": 250,
        "tally": Tally(reasons=Counter({Reason.ACCEPTED: 240, Reason.NO_ANSWER: 10})),
        "rate": 25.0,
        "ceiling": 50.0,
        "throttled": 0,
        "in_flight": 3,
        "seconds": 10.0,
        "stopped_by": None,
    }
    return Snapshot(**(facts | changes))
