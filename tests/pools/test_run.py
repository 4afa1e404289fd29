"""Several pools in one run: planned together, approved once, on their own from there."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from batch_resend import BatchResendError, Observer, Reason, Result, Settings
from batch_resend.errors import Exit, InputError, Refused, UsageError
from batch_resend.job.engine import Job
from batch_resend.job.outcome import Stop
from batch_resend.job.summary import MaxFailures, NotDelivered
from batch_resend.model import Outcome, Planned, RunInfo
from batch_resend.pools.preview import PoolsPreview, same_quota, total_lines
from batch_resend.pools.run import Pools, PoolsFailed, check_apart
from batch_resend.pools.summary import PoolsSummary
from batch_resend.reports.private_file import PrivateFile
from tests.support.infos import info
from tests.support.pools import ended
from tests.support.previews import PLAIN

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


class Heard(Observer):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.results: Counter[Reason] = Counter()
        self.notes: list[str] = []
        self.jobs: list[Job] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def settled(self, result: Result) -> None:
        self.results[result.reason] += 1

    def began(self, job: Job) -> None:
        self.jobs.append(job)


def pool(name: str, *users: str, **given: Any) -> Settings:
    Path(f"{name}.csv").write_text("\n".join(["username", *users]) + "\n")
    facts: dict[str, Any] = {"report": f"{name}-report.csv", "rate": 1000.0, "timeout": 0.3}
    return Settings(users=f"{name}.csv", simulate=True, **(facts | given))


async def yes(_: PoolsPreview) -> bool:
    return True


def together(
    ask: Callable[[PoolsPreview], Awaitable[bool]] = yes, **settings: Settings
) -> tuple[Pools, dict[str, Heard]]:
    heard = {name: Heard() for name in settings}
    return Pools(settings, observers=heard, ask=ask, summary="summary.json"), heard


def reports() -> list[str]:
    return sorted(path.name for path in Path().glob("*-report.csv"))


async def test_each_pool_has_its_report_and_all_have_one_summary() -> None:
    pools, heard = together(
        shop=pool("shop", "ada", "bob", "cid+missing"), blog=pool("blog", "ada", "dan")
    )
    summary = await pools.execute()
    assert heard["shop"].results == {Reason.ACCEPTED: 2, Reason.USER_NOT_FOUND: 1}
    assert heard["blog"].results == {Reason.ACCEPTED: 2}
    assert len(Path("shop-report.csv").read_text().splitlines()) == 4
    assert len(Path("blog-report.csv").read_text().splitlines()) == 3
    told = json.loads(Path("summary.json").read_text())
    assert told == summary.as_json()
    assert {name: each["exit_code"] for name, each in told["pools"].items()} == {
        "shop": 1, "blog": 0,
    }  # fmt: skip
    assert (told["schema"], told["exit_code"], told["rows"], told["requests"]) == (1, 1, 5, 5)
    assert told["counts"] == {
        "sent": 4, "planned": 0, "skipped": 0, "failed": 1, "unknown": 0, "not-attempted": 0,
    }  # fmt: skip
    assert told["reasons"] == {"sent/accepted": 4, "failed/user-not-found": 1}


async def test_the_one_summary_is_compressed_by_its_ending_like_other_results() -> None:
    settings = {"shop": pool("shop", "ada"), "blog": pool("blog", "dan")}
    heard = {name: Heard() for name in settings}
    pools = Pools(settings, observers=heard, ask=yes, summary="summary.json.gz")
    await pools.execute()
    told = json.loads(gzip.decompress(Path("summary.json.gz").read_bytes()))
    assert (told["rows"], list(told["pools"])) == (2, ["shop", "blog"])


async def test_nobody_is_asked_for_before_all_are_planned_and_approved() -> None:
    seen: list[PoolsPreview] = []

    async def ask(preview: PoolsPreview) -> bool:
        assert not pools.sending
        await anyio.sleep(0.05)
        assert not any(each.results or each.jobs for each in heard.values())
        seen.append(preview)
        return True

    pools, heard = together(ask, shop=pool("shop", "ada", "bob"), blog=pool("blog", "dan"))
    await pools.execute()
    (preview,) = seen
    assert list(preview.pools) == ["shop", "blog"]
    assert preview.eligible == 3
    # All simulated pools are taken to have one quota.
    ones = [each.jobs[0]._gate.shared for each in heard.values()]
    assert ones[0] is not None
    assert ones[0] is ones[1]


async def test_where_it_is_not_approved_nobody_is_written_to_and_nothing_is_left() -> None:
    async def no(_: PoolsPreview) -> bool:
        return False

    pools, heard = together(no, shop=pool("shop", "ada"), blog=pool("blog", "dan"))
    with pytest.raises(Refused, match="not confirmed"):
        await pools.execute()
    assert not any(each.results for each in heard.values())
    assert (reports(), Path("summary.json").exists()) == ([], False)


async def test_a_pool_that_cannot_be_planned_stops_all_and_is_named() -> None:
    asked: list[PoolsPreview] = []

    async def ask(preview: PoolsPreview) -> bool:
        asked.append(preview)
        return True

    broken = replace(pool("blog", "dan"), users="nowhere.csv")
    pools, heard = together(ask, shop=pool("shop", "ada"), blog=broken, news=pool("news", "eve"))
    with pytest.raises(PoolsFailed, match=r"^Pool blog: nowhere.csv cannot be read") as caught:
        await pools.execute()
    assert caught.value.exit_code is Exit.USAGE
    assert "Pool shop" not in str(caught.value)
    assert asked == []
    assert not any(each.results for each in heard.values())
    assert (reports(), Path("summary.json").exists()) == ([], False)


async def test_each_observer_hears_the_plan_of_its_pool() -> None:
    class Planner(Heard):
        def planned(self, rows: Iterable[Planned], heading: str, encoding: str) -> None:
            self.plan = [(row.username, row.reason) for row in rows], heading, encoding

    settings = {"shop": pool("shop", "ada", "ADA"), "blog": pool("blog", "dan")}
    heard = {name: Planner() for name in settings}
    await Pools(settings, observers=heard, ask=yes).execute()
    assert heard["blog"].plan == ([("dan", Reason.ELIGIBLE)], "username\n", "utf-8")
    assert heard["shop"].plan[0] == [("ada", Reason.ELIGIBLE), ("ADA", Reason.DUPLICATE)]


async def test_a_held_ledger_of_one_stops_all_with_its_exit_code() -> None:
    first, _ = together(shop=pool("shop", "ada", ledger="shop.sqlite3"), blog=pool("blog", "dan"))
    await first.execute()
    Path("summary.json").unlink()
    from batch_resend.ledger.sqlite.file import LedgerFile

    with LedgerFile(Path("shop.sqlite3"), simulated=True):
        pools, heard = together(
            shop=pool("shop", "ada", ledger="shop.sqlite3", overwrite=True),
            blog=pool("blog", "dan", overwrite=True),
        )
        with pytest.raises(PoolsFailed, match=r"^Pool shop: ") as caught:
            await pools.execute()
    assert caught.value.exit_code is Exit.LEDGER_HELD
    assert heard["blog"].results == {}


@pytest.mark.parametrize("answer", [False, True])
async def test_what_is_to_be_replaced_stays_until_all_are_approved(answer: bool) -> None:
    places = ("shop-report.csv", "blog-report.csv", "summary.json")

    async def ask(_: PoolsPreview) -> bool:
        assert [Path(place).read_text() for place in places] == ["old"] * 3
        return answer

    for place in places:
        Path(place).write_text("old")
    pools, _ = together(
        ask,
        shop=pool("shop", "ada", overwrite=True),
        blog=pool("blog", "dan", overwrite=True),
    )
    if answer:
        await pools.execute()
    else:
        with pytest.raises(Refused):
            await pools.execute()
    assert [Path(place).read_text() == "old" for place in places] == [not answer] * 3
    assert not list(Path().glob("*.new-*"))


async def test_a_place_that_cannot_be_taken_in_one_ends_all() -> None:
    async def ask(_: PoolsPreview) -> bool:
        # Another run has the name by now.
        file = PrivateFile("blog-report.csv", what="--report", overwrite=True)
        stack.enter_context(file).take_place()
        return True

    Path("blog-report.csv").write_text("old")
    with contextlib.ExitStack() as stack:
        pools, heard = together(
            ask,
            shop=pool("shop", "ada", overwrite=True),
            blog=pool("blog", "dan", overwrite=True),
        )
        with pytest.raises(PoolsFailed, match=r"blog-report\.csv is being written by"):
            await pools.execute()
    assert heard["shop"].jobs == []
    assert not Path("shop-report.csv").exists()


async def test_reports_without_a_name_do_not_replace_each_other() -> None:
    pools, _ = together(
        shop=pool("shop", "ada", report=None, overwrite=True),
        blog=pool("blog", "dan", report=None, overwrite=True),
    )
    await pools.execute()
    assert len(list(Path().glob("resend-report-*.csv"))) == 2


async def test_what_ends_one_lets_the_others_go_on_and_the_worst_code_counts() -> None:
    pools, heard = together(
        shop=pool("shop", *(f"u{n}" for n in range(40)), max_sent=5),
        blog=pool("blog", "dan+missing", *(f"u{n}" for n in range(40))),
        news=pool("news", "eve"),
    )
    summary = await pools.execute()
    codes = {name: int(end.exit_code) for name, end in summary.ends.items()}
    assert codes == {"shop": 3, "blog": 1, "news": 0}
    assert summary.exit_code is Exit.STOPPED
    assert heard["shop"].results[Reason.ACCEPTED] == 5
    assert heard["blog"].results[Reason.ACCEPTED] == 40


async def test_a_stop_is_for_all_and_every_row_is_reported() -> None:
    names = [f"u{n}" for n in range(200)]
    pools, heard = together(
        shop=pool("shop", *names, rate=20.0), blog=pool("blog", *names, rate=20.0)
    )

    async def stop() -> None:
        while not all(each.results for each in heard.values()):
            await anyio.sleep(0.01)
        pools.stop(Stop.SIGTERM)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop)
        summary = await pools.execute()
    assert summary.exit_code is Exit.TERMINATED
    for each in heard.values():
        assert sum(each.results.values()) == 200
        assert each.results[Reason.STOPPED] > 100


async def test_a_stop_while_the_question_is_open_writes_to_nobody() -> None:
    async def ask(_: PoolsPreview) -> bool:
        pools.stop(Stop.SIGINT)
        await anyio.sleep_forever()
        return True

    pools, heard = together(ask, shop=pool("shop", "ada"), blog=pool("blog", "dan"))
    with pytest.raises(BatchResendError, match="Nobody was written to") as caught:
        await pools.execute()
    assert caught.value.exit_code is Exit.INTERRUPT
    assert not str(caught.value).startswith("Pool")
    assert not any(each.results for each in heard.values())
    assert reports() == []


async def test_a_summary_that_exists_is_refused_before_anybody_is_written_to() -> None:
    Path("summary.json").write_text("mine")
    pools, heard = together(shop=pool("shop", "ada"), blog=pool("blog", "dan"))
    with pytest.raises(BatchResendError, match=r"--summary summary.json exists already"):
        await pools.execute()
    assert Path("summary.json").read_text() == "mine"
    assert not any(each.results for each in heard.values())
    assert reports() == []


# -- apart ---------------------------------------------------------------------------------

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
    shop, blog, told = APART[name]
    with pytest.raises(UsageError) as caught:
        check_apart({"shop": Settings(**shop), "blog": Settings(**blog)}, "summary.json")
    assert told in str(caught.value)
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


# -- which share a quota -----------------------------------------------------------------------


def known(region: str, account: str | None, endpoint: str = "") -> RunInfo:
    return info(region=region, account=account, endpoint=endpoint, endpoint_is_aws=not endpoint)


def test_the_quota_is_that_of_an_account_and_region() -> None:
    infos = {
        "a": known("eu-west-1", "111"), "b": known("us-east-1", "111"),
        "c": known("eu-west-1", "222"), "d": known("eu-west-1", "111"),
    }  # fmt: skip
    assert same_quota(infos) == [("a", "d"), ("c",), ("b",)]


def test_where_an_account_is_not_known_it_may_be_any_of_the_region() -> None:
    infos = {
        "a": known("eu-west-1", "111"), "b": known("eu-west-1", "222"),
        "c": known("eu-west-1", None), "d": known("us-east-1", None),
        "e": known("us-east-1", None, "http://127.0.0.1:1"),
    }  # fmt: skip
    assert same_quota(infos) == [("a", "b", "c"), ("d",), ("e",)]


def preview(rate: float, users: int, **changed: Any) -> Any:
    estimate = replace(PLAIN.estimate, rate=rate, users=users)
    return replace(PLAIN, estimate=estimate, info=info(**changed))


def test_the_total_names_the_pace_that_pools_share() -> None:
    # 600 users at 15 a second: 599 / 15 s = 40 s; the third alone: 100 / 25 s = 4 s.
    pools = PoolsPreview(
        {"shop": preview(10, 200), "blog": preview(15, 400),
         "news": preview(25, 101, region="us-east-1")}
    )  # fmt: skip
    assert total_lines(pools) == [
        "3 pools together",
        "  to send    701 codes",
        "  pace       15 a second for shop and blog together: one quota",
        "  takes      40 s at least",
    ]
    assert pools.question == "Send 701 codes? [y/N] "
    assert pools.approved("y")
    # Above a thousand in all the number is typed, however few are in each.
    many = PoolsPreview({"shop": preview(10, 600), "blog": preview(10, 600)})
    assert many.question.startswith("Type 1200 ")
    assert not many.approved("y")
    assert many.approved("1200\n")


# -- the summary --------------------------------------------------------------------------------


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
         "c": InputError("ada@example.com is no file.")}, (left,),
    )  # fmt: skip
    told = summary.as_json()
    assert told["pools"]["c"] == {"error": "a***@e*** is no file.", "exit_code": 2}
    del told["pools"]
    assert told == {
        "schema": 1,
        "counts": {str(outcome): 0 for outcome in Outcome} | {"sent": 3, "unknown": 1},
        "reasons": {"sent/accepted": 3, "unknown/no-answer": 1},
        "rows": 4, "requests": 6, "throttled": 2, "seconds": 9.0, "started_at": 90.0,
        "unknown_in_ledger": 2,
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


def test_a_summary_that_did_not_arrive_is_no_success() -> None:
    whole = {"a": ended(), "b": ended()}
    assert PoolsSummary(whole, (NotDelivered("a", "b", "c"),)).exit_code == 1


async def test_max_failures_counts_in_each_pool_alone() -> None:
    broken = [f"u{n}+missing" for n in range(10)]
    pools, _ = together(
        shop=pool("shop", *broken, max_failures=MaxFailures(number=3)),
        blog=pool("blog", *(f"u{n}" for n in range(30)), max_failures=MaxFailures(number=0)),
    )
    summary = await pools.execute()
    stops = {name: getattr(end, "stopped_by", None) for name, end in summary.ends.items()}
    assert stops == {"shop": Stop.MAX_FAILURES, "blog": None}
