"""Delivery: a result is in its place whole, or the plain file stays and is named."""

from __future__ import annotations

import gzip
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
import trio.testing

from batch_resend.aws import s3
from batch_resend.errors import ReportError
from batch_resend.job.summary import Summary
from batch_resend.model import Reason
from batch_resend.reports.delivery import AT_MOST, Deliveries
from tests.support.infos import info

pytestmark = pytest.mark.anyio

PLACE = "s3://bucket/report.csv"
SUMMARY = Summary(
    reasons={Reason.ACCEPTED: 1}, requests=1, throttled=0, seconds=1, started_at=0, info=info()
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def virtually(work: Callable[[], Awaitable[Any]]) -> Any:
    clock = trio.testing.MockClock(autojump_threshold=0)
    return trio.run(work, clock=clock)


class SlowStore:
    """A store that needs an hour for an upload."""

    def __init__(self, within: Callable[[], None] = lambda: None) -> None:
        self.objects: dict[str, bytes] = {}
        self._within = within

    async def check(self, option: str, path: str, *, overwrite: bool) -> None:
        """Accept every place."""

    async def put(
        self, option: str, path: str, pieces: Iterator[bytes], *, overwrite: bool
    ) -> None:
        self._within()
        await anyio.sleep(3600)
        self.objects[path] = b"".join(pieces)


def deliveries(stack: ExitStack, folder: Path, store: SlowStore | None = None) -> Deliveries:
    return Deliveries(
        stack,
        store=cast("s3.Store | None", store),
        folder=folder,
        overwrite=False,
        note=lambda _: None,
    )


def test_upload_has_no_time_limit_without_a_signal(tmp_path: Path) -> None:
    store = SlowStore()

    async def work() -> Summary:
        with ExitStack() as stack:
            results = deliveries(stack, tmp_path, store)
            await results.open("--report", PLACE)
            results.files["--report"].append(b"row\n")
            return await results.finish(SUMMARY)

    assert virtually(work) == SUMMARY
    assert store.objects == {PLACE: b"row\n"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("when", ["before", "within"])
def test_uploads_share_15_seconds_after_a_signal(tmp_path: Path, when: str) -> None:
    async def work() -> tuple[Summary, float]:
        with ExitStack() as stack:
            store = SlowStore(lambda: results.hurry() if when == "within" else None)
            results = deliveries(stack, tmp_path, store)
            for option in ("--report", "--failed"):
                await results.open(option, f"s3://bucket/{option[2:]}.csv")
                results.files[option].append(b"row\n")
            await anyio.sleep(100)
            if when == "before":
                results.hurry()
            await anyio.sleep(7)
            began = anyio.current_time()
            return await results.finish(SUMMARY), anyio.current_time() - began

    summary, seconds = virtually(work)
    assert seconds == pytest.approx(AT_MOST)
    assert summary.exit_code == 1
    assert [(left.to, left.why) for left in summary.not_delivered] == [
        (
            f"s3://bucket/{what}.csv",
            f"--{what} s3://bucket/{what}.csv was given up, for the run was to end.",
        )
        for what in ("report", "failed")
    ]
    assert [Path(left.file).read_bytes() for left in summary.not_delivered] == [b"row\n"] * 2


def test_summary_names_files_that_did_not_arrive(tmp_path: Path) -> None:
    async def work() -> Summary:
        with ExitStack() as stack:
            results = deliveries(stack, tmp_path, SlowStore())
            await results.open("--summary", str(tmp_path / "summary.json"))
            await results.open("--report", PLACE)
            results.hurry()
            return await results.finish(SUMMARY)

    summary = virtually(work)
    (left,) = summary.not_delivered
    assert f'"file": "{left.file}"' in (tmp_path / "summary.json").read_text()


@pytest.mark.parametrize("name", ["report.csv.gz", "REPORT.CSV.GZ", ".gz"])
async def test_name_ending_in_gz_means_gzip(tmp_path: Path, name: str) -> None:
    (tmp_path / "plain").mkdir()
    with ExitStack() as stack:
        results = deliveries(stack, tmp_path / "plain")
        await results.open("--report", str(tmp_path / name))
        results.files["--report"].append(b"one\n" * 1_000_000)
        results.files["--report"].append(b"two\n")
        assert await results.finish(SUMMARY) == SUMMARY
    assert gzip.decompress((tmp_path / name).read_bytes()) == b"one\n" * 1_000_000 + b"two\n"
    assert list((tmp_path / "plain").iterdir()) == []


async def test_plain_file_stays_where_gzip_does_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plain").mkdir()
    place = tmp_path / "report.csv.gz"
    with ExitStack() as stack:
        results = deliveries(stack, tmp_path / "plain")
        await results.open("--report", str(place))
        results.files["--report"].append(os.urandom(1 << 21))

        def full(*_: Any) -> int:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            summary = await results.finish(SUMMARY)
    (left,) = summary.not_delivered
    assert "No space left on device" in left.why
    assert Path(left.file).stat().st_size == 1 << 21
    assert not place.exists()


async def test_failed_upload_keeps_and_names_the_file(tmp_path: Path) -> None:
    def odd() -> None:
        raise RuntimeError("private")

    with ExitStack() as stack:
        results = deliveries(stack, tmp_path, SlowStore(odd))
        await results.open("--report", PLACE)
        results.files["--report"].append(b"row\n")
        summary = await results.finish(SUMMARY)
    (left,) = summary.not_delivered
    assert left.why == f"--report {PLACE} failed (RuntimeError)."
    assert Path(left.file).read_bytes() == b"row\n"


async def test_missing_plain_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with ExitStack() as stack:
        results = deliveries(stack, tmp_path / "plain")
        await results.open("--report", str(tmp_path / "report.csv.gz"))
        Path(results.files["--report"].path).unlink()
        summary = await results.finish(SUMMARY)
    assert "was moved, removed or replaced during the run" in summary.not_delivered[0].why


@pytest.mark.parametrize("what", ["moved", "removed", "replaced"])
async def test_moved_report_is_reported(tmp_path: Path, what: str) -> None:
    report = tmp_path / "report.csv"
    with ExitStack() as stack:
        results = deliveries(stack, tmp_path)
        await results.open("--report", str(report))
        assert results.files["--report"].is_whole
        if what == "moved":
            report.rename(tmp_path / "other")
        else:
            report.unlink()
        if what == "replaced":
            report.write_bytes(b"another's")
        assert not results.files["--report"].is_whole
        summary = await results.finish(SUMMARY)
    (left,) = summary.not_delivered
    assert (left.to, left.file) == (str(report), "")
    assert left.why == f"--report {report} was moved, removed or replaced during the run."
    assert summary.exit_code == 1


async def test_broken_file_is_not_reported_as_moved(tmp_path: Path) -> None:
    with ExitStack() as stack:
        results = deliveries(stack, tmp_path)
        await results.open("--summary", "/dev/full")
        summary = await results.finish(SUMMARY)
    (left,) = summary.not_delivered
    assert str(left).endswith("Only a part is there.")


async def test_empty_result_files_are_removed(tmp_path: Path) -> None:
    with ExitStack() as stack:
        results = deliveries(stack, tmp_path, SlowStore())
        await results.open("--report", str(tmp_path / "report.csv.gz"))
        await results.open("--failed", "s3://bucket/failed.csv")
        await results.open("--summary", str(tmp_path / "summary.json"))
        results.discard()
    assert list(tmp_path.iterdir()) == []


async def test_existing_gzip_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "report.csv.gz").write_bytes(b"older")
    with ExitStack() as stack:
        results = deliveries(stack, tmp_path)
        with pytest.raises(ReportError, match=r"report\.csv\.gz exists already"):
            await results.open("--report", str(tmp_path / "report.csv.gz"))
        results.discard()
    assert (tmp_path / "report.csv.gz").read_bytes() == b"older"


async def test_simultaneous_runs_use_separate_plain_files(tmp_path: Path) -> None:
    with ExitStack() as stack:
        for n in range(2):
            results = deliveries(stack, tmp_path)
            await results.open("--report", str(tmp_path / f"{n}.csv.gz"))
    assert len(list(tmp_path.glob("report-*.csv"))) == 2
