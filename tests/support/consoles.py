"""A plan, a snapshot and a summary as the console is given them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from batch_resend.job.engine import Snapshot
from batch_resend.job.summary import Summary, Tally
from batch_resend.model import Reason
from batch_resend.preflight.estimate import Estimate, Messages
from batch_resend.preflight.preview import Preview

FACTS: dict[str, Any] = {
    "input": "users.csv",
    "user_pool_id": None,
    "client_id": "abc",
    "region": "eu-west-1",
    "endpoint": "https://cognito-idp.eu-west-1.amazonaws.com",
    "endpoint_is_aws": True,
    "simulated": False,
    "report": "report.csv",
    "ledger": None,
}


PREVIEW = Preview(
    counts={Reason.ELIGIBLE: 5, Reason.DUPLICATE: 2, Reason.SEND_CAP: 1, Reason.INTERRUPTED: 1},
    first=["ada@example.com", "bob", "cid"],
    estimate=Estimate(users=5, rate=25.0, now=0.0, sent=Messages(unknown=5)),
    facts=FACTS,
)


def summary(reasons: dict[Reason, int], **given: Any) -> Summary:
    facts: dict[str, Any] = {
        "requests": 9, "throttled": 0, "seconds": 75.0, "started_at": 0.0, "facts": FACTS,
    }  # fmt: skip
    return Summary(reasons=reasons, **(facts | given))


def snapshot(**given: Any) -> Snapshot:
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
    return Snapshot(**(facts | given))
