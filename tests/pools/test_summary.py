"""The summary of several pools: sums, and the worst exit code."""

from __future__ import annotations

from typing import Any

import pytest

from batch_resend import Reason
from batch_resend.errors import InputError
from batch_resend.job.outcome import Stop
from batch_resend.job.summary import NotDelivered
from batch_resend.model import Outcome
from batch_resend.pools.summary import PoolsSummary
from tests.support.pools import ended


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        ({"a": ended(), "b": ended()}, 0),
        ({"a": ended(reasons={Reason.NO_ANSWER: 1}), "b": ended()}, 1),
        ({"a": ended(stopped_by=Stop.MAX_SENT), "b": ended(reasons={Reason.NO_ANSWER: 1})}, 3),
        ({"a": ended(stopped_by=Stop.MAX_SENT), "b": ended(stopped_by=Stop.SMS_ROLE)}, 4),
        ({"a": ended(stopped_by=Stop.SIGTERM), "b": ended(stopped_by=Stop.SMS_ROLE)}, 143),
        ({"a": ended(), "b": InputError("no")}, 2),
    ],
)
def test_the_exit_code_is_that_of_the_worst(ends: dict[str, Any], code: int) -> None:
    assert PoolsSummary(ends).exit_code == code
    assert PoolsSummary(dict(reversed(ends.items()))).exit_code == code


def test_the_one_summary_adds_up_and_shows_no_name() -> None:
    left = NotDelivered("s3://b/s.json", "f", "why")
    summary = PoolsSummary(
        {"a": ended(), "b": ended(seconds=9.0, started_at=90.0, unknown_in_ledger=2,
                                  reasons={Reason.ACCEPTED: 1, Reason.NO_ANSWER: 1}),
         "c": InputError("ada@example.com is not a file.")}, (left,),
    )  # fmt: skip
    content = summary.as_json()
    assert content["pools"]["c"] == {"error": "a***@e*** is not a file.", "exit_code": 2}
    del content["pools"]
    assert content == {
        "schema": 1,
        "counts": {str(outcome): 0 for outcome in Outcome} | {"sent": 3, "unknown": 1},
        "reasons": {"sent/accepted": 3, "unknown/no-answer": 1},
        "rows": 4, "requests": 6, "throttled": 2, "seconds": 9.0, "started_at": 90.0,
        "unknown_in_ledger": 2,
        "not_recorded_in_ledger": 0,
        "not_delivered": [{"to": "s3://b/s.json", "file": "f", "why": "why"}],
        "exit_code": 2,
    }  # fmt: skip


def test_what_is_not_known_of_one_pool_is_not_known_of_all() -> None:
    assert (
        PoolsSummary(
            {"a": ended(unknown_in_ledger=2), "b": ended(unknown_in_ledger=None)}
        ).as_json()["unknown_in_ledger"]
        is None
    )


def test_summary_that_did_not_arrive_fails_the_run() -> None:
    whole = {"a": ended(), "b": ended()}
    assert PoolsSummary(whole, (NotDelivered("a", "b", "c"),)).exit_code == 1
