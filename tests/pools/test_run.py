"""Several pools in one run: planned together, approved once, on their own from there."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from batch_resend import BatchResendError, Reason, Settings
from batch_resend.errors import Exit, Refused
from batch_resend.job.engine import Job
from batch_resend.job.outcome import Stop
from batch_resend.job.pacing import SharedPace
from batch_resend.job.summary import MaxFailures
from batch_resend.observer import Began, Event, Noted, Planned, Settled
from batch_resend.pools import run as pools_run
from batch_resend.pools.preview import PoolsPreview
from batch_resend.pools.run import Approve, PoolsFailed, run_pools
from batch_resend.pools.summary import PoolsSummary
from batch_resend.preflight.preview import Preview
from batch_resend.reports.private_file import PrivateFile
from batch_resend.run.send import PreparedRun
from batch_resend.run.stops import Stops

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


class Heard:
    """An observer that keeps its events."""

    def __init__(self) -> None:
        self.results: Counter[Reason] = Counter()
        self.notes: list[str] = []
        self.previews: list[Preview] = []
        self.began: list[Began] = []

    def observe(self, event: Event) -> None:
        match event:
            case Noted(text):
                self.notes.append(text)
            case Planned(preview):
                self.previews.append(preview)
            case Began():
                self.began.append(event)
            case Settled(result):
                self.results[result.reason] += 1


def pool(name: str, *users: str, **changes: Any) -> Settings:
    Path(f"{name}.csv").write_text("\n".join(["username", *users]) + "\n")
    facts: dict[str, Any] = {"report": f"{name}-report.csv", "rate": 1000.0, "timeout": 0.3}
    return Settings(users=f"{name}.csv", simulate=True, **(facts | changes))


async def yes(_: PoolsPreview) -> bool:
    return True


class Pools:
    """Runs of several pools, and the events of each."""

    def __init__(self, approve: Approve, summary: str, settings: dict[str, Settings]) -> None:
        self.heard = {name: Heard() for name in settings}
        self.notes: list[str] = []
        self.stops = Stops()
        self._approve = approve
        self._summary = summary
        self._settings = settings

    async def execute(self) -> PoolsSummary:
        return await run_pools(
            self._settings,
            observers={name: heard.observe for name, heard in self.heard.items()},
            approve=self._approve,
            note=self.notes.append,
            stops=self.stops,
            summary=self._summary,
        )


def together(
    approve: Approve = yes, summary: str = "summary.json", **settings: Settings
) -> tuple[Pools, dict[str, Heard]]:
    pools = Pools(approve, summary, settings)
    return pools, pools.heard


def reports() -> list[str]:
    return sorted(path.name for path in Path().glob("*-report.csv"))


async def test_time_at_the_question_is_in_no_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The question waited for longer than --deadline: each pool sends to all its users."""
    now = anyio.current_time
    ahead = 0.0

    async def late(_: PoolsPreview) -> bool:
        nonlocal ahead
        ahead = 7200.0
        return True

    monkeypatch.setattr(anyio, "current_time", lambda: now() + ahead)
    pools, heard = together(
        late,
        shop=pool("shop", "ada", deadline=3600.0),
        blog=pool("blog", "bob", deadline=3600.0),
    )
    summary = await pools.execute()
    assert summary.exit_code == 0
    assert [heard[name].results for name in ("shop", "blog")] == [{Reason.ACCEPTED: 1}] * 2


async def test_each_pool_has_its_report_and_all_have_one_summary() -> None:
    pools, heard = together(
        shop=pool("shop", "ada", "bob", "cid+missing"), blog=pool("blog", "ada", "dan")
    )
    summary = await pools.execute()
    assert heard["shop"].results == {Reason.ACCEPTED: 2, Reason.USER_NOT_FOUND: 1}
    assert heard["blog"].results == {Reason.ACCEPTED: 2}
    assert len(Path("shop-report.csv").read_text().splitlines()) == 4
    assert len(Path("blog-report.csv").read_text().splitlines()) == 3
    content = json.loads(Path("summary.json").read_text())
    assert content == summary.as_json()
    assert {name: each["exit_code"] for name, each in content["pools"].items()} == {
        "shop": 1, "blog": 0,
    }  # fmt: skip
    assert (content["schema"], content["exit_code"], content["rows"], content["requests"]) == (
        1,
        1,
        5,
        5,
    )
    assert content["counts"] == {
        "sent": 4, "planned": 0, "skipped": 0, "failed": 1, "unknown": 0, "not-attempted": 0,
    }  # fmt: skip
    assert content["reasons"] == {"sent/accepted": 4, "failed/user-not-found": 1}


async def test_summary_is_compressed_by_its_ending() -> None:
    pools, _ = together(
        summary="summary.json.gz", shop=pool("shop", "ada"), blog=pool("blog", "dan")
    )
    await pools.execute()
    content = json.loads(gzip.decompress(Path("summary.json.gz").read_bytes()))
    assert (content["rows"], list(content["pools"])) == (2, ["shop", "blog"])


async def test_no_request_before_all_pools_are_planned_and_approved() -> None:
    seen: list[PoolsPreview] = []

    async def ask(preview: PoolsPreview) -> bool:
        assert not pools.stops.reach_a_run
        await anyio.sleep(0.05)
        assert not any(each.results or each.began for each in heard.values())
        seen.append(preview)
        return True

    pools, heard = together(ask, shop=pool("shop", "ada", "bob"), blog=pool("blog", "dan"))
    await pools.execute()
    (preview,) = seen
    assert list(preview.pools) == ["shop", "blog"]
    assert preview.eligible == 3
    assert [each.previews for each in heard.values()] == [[each] for each in preview.pools.values()]
    assert all(len(each.began) == 1 for each in heard.values())


async def test_pools_of_one_quota_go_by_one_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    shared: list[SharedPace] = []
    share = Job.share

    def noted(job: Job, pace: SharedPace) -> None:
        shared.append(pace)
        share(job, pace)

    monkeypatch.setattr(Job, "share", noted)
    # All simulated pools are taken to have one quota.
    await together(shop=pool("shop", "ada"), blog=pool("blog", "dan"))[0].execute()
    one, other = shared
    assert one is other


@pytest.mark.parametrize(("quotas", "expected"), [((40.0, 40.0), 40.0), ((40.0, None), None)])
async def test_a_shared_pace_has_the_quota_that_all_know(
    monkeypatch: pytest.MonkeyPatch, quotas: tuple[float | None, ...], expected: float | None
) -> None:
    shared: list[SharedPace] = []
    replies = iter(quotas)

    def learned(preview: PoolsPreview, runs: Mapping[str, PreparedRun]) -> None:
        for run in runs.values():
            run.job.set_rate(1000.0, quota=next(replies))
        share_paces(preview, runs)

    share_paces = pools_run._share_paces
    monkeypatch.setattr(pools_run, "_share_paces", learned)
    monkeypatch.setattr(Job, "share", lambda _, pace: shared.append(pace))
    await together(shop=pool("shop", "ada"), blog=pool("blog", "dan"))[0].execute()
    assert shared[0].pace.usage.quota == expected


async def test_refused_plan_sends_nothing_and_leaves_nothing() -> None:
    async def no(_: PoolsPreview) -> bool:
        return False

    pools, heard = together(no, shop=pool("shop", "ada"), blog=pool("blog", "dan"))
    with pytest.raises(Refused, match="Cancelled; nothing was sent"):
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
    pools, heard = together(shop=pool("shop", "ada", "ADA"), blog=pool("blog", "dan"))
    await pools.execute()
    (shop,), (blog,) = heard["shop"].previews, heard["blog"].previews
    assert shop.counts == {Reason.ELIGIBLE: 1, Reason.DUPLICATE: 1}
    assert (blog.counts, blog.examples) == ({Reason.ELIGIBLE: 1}, ["dan"])


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
    assert heard["shop"].began == []
    assert not Path("shop-report.csv").exists()


async def test_reports_without_a_name_do_not_replace_each_other() -> None:
    pools, _ = together(
        shop=pool("shop", "ada", report=None, overwrite=True),
        blog=pool("blog", "dan", report=None, overwrite=True),
    )
    await pools.execute()
    assert len(list(Path().glob("resend-report-*.csv"))) == 2


async def test_pool_that_ends_lets_others_continue_and_sets_the_code() -> None:
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
        pools.stops.stop(Stop.SIGTERM)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop)
        summary = await pools.execute()
    assert summary.exit_code is Exit.TERMINATED
    for each in heard.values():
        assert sum(each.results.values()) == 200
        assert each.results[Reason.STOPPED] > 100


async def test_stop_during_the_prompt_sends_nothing() -> None:
    async def ask(_: PoolsPreview) -> bool:
        pools.stops.stop(Stop.SIGINT)
        await anyio.sleep_forever()
        return True

    pools, heard = together(ask, shop=pool("shop", "ada"), blog=pool("blog", "dan"))
    with pytest.raises(BatchResendError, match="No messages were sent") as caught:
        await pools.execute()
    assert caught.value.exit_code is Exit.INTERRUPT
    assert not str(caught.value).startswith("Pool")
    assert not any(each.results for each in heard.values())
    assert reports() == []


async def test_existing_summary_is_refused_before_any_message() -> None:
    Path("summary.json").write_text("mine")
    pools, heard = together(shop=pool("shop", "ada"), blog=pool("blog", "dan"))
    with pytest.raises(BatchResendError, match=r"--summary summary.json exists already"):
        await pools.execute()
    assert Path("summary.json").read_text() == "mine"
    assert not any(each.results for each in heard.values())
    assert reports() == []


async def test_max_failures_counts_in_each_pool_alone() -> None:
    broken = [f"u{n}+missing" for n in range(10)]
    pools, _ = together(
        shop=pool("shop", *broken, max_failures=MaxFailures(number=3)),
        blog=pool("blog", *(f"u{n}" for n in range(30)), max_failures=MaxFailures(number=0)),
    )
    summary = await pools.execute()
    stops = {name: getattr(end, "stopped_by", None) for name, end in summary.ends.items()}
    assert stops == {"shop": Stop.MAX_FAILURES, "blog": None}
