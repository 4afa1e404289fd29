"""Pools that would get into each other's way are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from batch_resend import Settings
from batch_resend.errors import UsageError
from batch_resend.pools.apart import check_apart

REAL: dict[str, Any] = {"users": "users.csv", "user_pool_id": "eu-west-1_AbC", "client_id": "one"}
OTHER: dict[str, Any] = REAL | {"client_id": "two"}
APART: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "the same client": (REAL, REAL, "Pools shop and blog have the same client and Region"),
    "one ledger": (
        REAL | {"ledger": "l"}, OTHER | {"ledger": "./l"},
        "--ledger ./l of pool blog is --ledger of pool shop too",
    ),
    "one table": (
        REAL | {"ledger": "dynamodb://resends"}, OTHER | {"ledger": "DynamoDB://resends"},
        "--ledger DynamoDB://resends of pool blog is --ledger of pool shop too",
    ),
    "one report": (
        REAL | {"report": "r.csv"}, OTHER | {"report": "r.csv"}, "{pool} in a path stands for",
    ),
    "standard output": (
        REAL | {"report": "-"}, OTHER | {"failed": "-"},
        "--failed - of pool blog is --report of pool shop too",
    ),
    "an object of S3": (
        REAL | {"report": "s3://bucket/r.csv"}, OTHER | {"html": "s3://bucket/r.csv"}, "--html s3://bucket/r.csv",
    ),
    "an object of S3, written otherwise": (
        REAL | {"report": "s3://bucket/r.csv"}, OTHER | {"users": "S3://bucket/r.csv"},
        "of pool shop would replace an input of blog",
    ),
    "the one summary": (
        REAL, OTHER | {"report": "summary.json"}, "is --summary of all pools too",
    ),
    "a report over an input": (
        REAL | {"report": "people.csv"}, OTHER | {"users": "people.csv"},
        "--report people.csv of pool shop would replace an input of blog",
    ),
    "standard input": (
        REAL | {"users": "-"}, OTHER | {"users": "-"}, "read their users from standard input",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", APART)
def test_pools_that_would_get_into_each_others_way_are_refused(name: str) -> None:
    shop, blog, sentence = APART[name]
    with pytest.raises(UsageError) as caught:
        check_apart({"shop": Settings(**shop), "blog": Settings(**blog)}, "summary.json")
    assert sentence in str(caught.value)
    assert str(caught.value).endswith(".")


def test_pools_that_are_apart_are_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = REAL | {"user_pool_id": "us-east-1_AbC"}  # a replica has its own ledger
    pools = {"shop": Settings(**REAL), "blog": Settings(**OTHER), "copy": Settings(**elsewhere)}
    check_apart(pools, None)
    check_apart({name: replace(each, report="/dev/null") for name, each in pools.items()}, "-")
    monkeypatch.setenv("BATCH_RESEND_CLIENT_SECRET", "secret")
    with pytest.raises(UsageError, match="Pools shop and blog and copy would take the secret"):
        check_apart(pools, None)
    own = {name: replace(each, client_secret_file="f") for name, each in pools.items()}
    check_apart(own | {"shop": pools["shop"]}, None)
