"""What is about to happen in several pools: shared quotas, and the total."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from batch_resend.model import RunInfo
from batch_resend.pools.preview import PoolsPreview, same_quota, total_lines
from tests.support.infos import info
from tests.support.previews import PLAIN


def info_of(region: str, account: str | None, endpoint: str = "") -> RunInfo:
    return info(region=region, account=account, endpoint=endpoint, endpoint_is_aws=not endpoint)


def test_the_quota_is_that_of_an_account_and_region() -> None:
    infos = {
        "a": info_of("eu-west-1", "111"), "b": info_of("us-east-1", "111"),
        "c": info_of("eu-west-1", "222"), "d": info_of("eu-west-1", "111"),
    }  # fmt: skip
    assert same_quota(infos) == [("a", "d"), ("c",), ("b",)]


def test_unknown_account_may_be_any_of_the_region() -> None:
    infos = {
        "a": info_of("eu-west-1", "111"), "b": info_of("eu-west-1", "222"),
        "c": info_of("eu-west-1", None), "d": info_of("us-east-1", None),
        "e": info_of("us-east-1", None, "http://127.0.0.1:1"),
    }  # fmt: skip
    assert same_quota(infos) == [("a", "b", "c"), ("d",), ("e",)]


def preview(rate: float, users: int, **changed: Any) -> Any:
    estimate = replace(PLAIN.estimate, rate=rate, users=users)
    return replace(PLAIN, estimate=estimate, info=info(**changed))


def test_total_names_the_rate_limit_that_pools_share() -> None:
    # 600 users at 15 per second: 599 / 15 s = 40 s; the third alone: 100 / 25 s = 4 s.
    pools = PoolsPreview(
        {"shop": preview(10, 200), "blog": preview(15, 400),
         "news": preview(25, 101, region="us-east-1")}
    )  # fmt: skip
    assert total_lines(pools) == [
        "3 pools together",
        "  Will send       701 codes",
        "  Rate limit      15/s for shop and blog together (one quota)",
        "  Duration        at least 40 s",
    ]
    assert pools.question == "Send 701 codes? [y/N] "
    assert pools.approved("y")
    # Above a thousand in all the number is typed, however few are in each.
    many = PoolsPreview({"shop": preview(10, 600), "blog": preview(10, 600)})
    assert many.question.endswith(" Type 1200 to confirm: ")
    assert not many.approved("y")
    assert many.approved("1200\n")
