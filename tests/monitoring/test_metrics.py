"""When metrics are written, and that none of it can harm a run."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import anyio
import pytest

from batch_resend.errors import BatchResendError, InputError
from batch_resend.job.engine import Snapshot
from batch_resend.job.summary import Summary, Tally
from batch_resend.model import Outcome, Reason
from batch_resend.monitoring import metrics as metrics_module
from batch_resend.monitoring.metrics import Metrics, Standing
from batch_resend.monitoring.textfile import Textfile
from batch_resend.observer import Began, Ended
from batch_resend.pools.summary import PoolsSummary
from tests.support.consoles import snapshot
from tests.support.ends import INFO, LABELS, summary


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def end(metrics: Metrics) -> None:
    """Pass the end to metrics, and report it."""
    metrics.observe(Ended(summary()))
    await metrics.report()


def folder(path: Path) -> None:
    path.mkdir()


def no_folder(path: Path) -> None:
    path.parent.rmdir()


@pytest.mark.anyio
@pytest.mark.parametrize("prepare", [folder, no_folder])
async def test_metrics_that_cannot_be_written_are_warned_of_once(
    prepare: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "metrics" / "resend.prom"
    path.parent.mkdir()
    prepare(path)
    warned: list[str] = []
    metrics = Metrics(Textfile(str(path)), warned.append)
    await metrics._write(Standing())
    await end(metrics)
    (warning,) = warned
    assert warning.startswith("--metrics cannot be written (")
    assert warning.endswith("). The run is not affected.")
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


def standing() -> Snapshot:
    return snapshot(
        eligible=10,
        done=7,
        tally=Tally(reasons=Counter({Reason.ACCEPTED: 7}), requests=8),
        throttled=1,
        seconds=3.0,
    )


class Kept:
    every = 0.01

    def __init__(self) -> None:
        self.standings: list[Standing] = []

    def write(self, standing: Standing) -> None:
        self.standings.append(standing)


@pytest.mark.anyio
async def test_metrics_are_kept_up_to_date_while_the_run_goes_on() -> None:
    form = Kept()
    metrics = Metrics(form, print)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(metrics.report)
        await anyio.sleep(0.05)
        assert form.standings == []  # nothing is being sent yet
        metrics.observe(Began(INFO, 0.0, standing))
        while len(form.standings) < 2:
            await anyio.sleep(0.01)
        metrics.observe(Ended(summary()))
    assert form.standings[0] == Standing(
        counts={Outcome.SENT: 7}, requests=8, throttled=1, seconds=3.0, labels=LABELS
    )
    assert form.standings[-1] == Standing.at_the_end(summary())


@pytest.mark.anyio
async def test_metrics_of_one_of_many_pools_tell_of_its_own_end() -> None:
    ends: dict[str, Summary | BatchResendError] = {
        "shop": summary(),
        "blog": InputError("nope.csv cannot be read."),
    }
    for name, end in ends.items():
        form = Kept()
        metrics = Metrics(form, print, pool=name)
        metrics.observe(Ended(PoolsSummary(ends)))
        await metrics.report()
        assert form.standings == [Standing.at_the_end(end)]


@pytest.mark.anyio
async def test_a_disk_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_module, "WRITE_WITHIN", 0.05)
    mended = threading.Event()
    form = SimpleNamespace(every=1.0, write=lambda _standing: mended.wait(10))
    warned: list[str] = []
    await end(Metrics(form, warned.append))
    mended.set()
    assert warned == [
        "--metrics cannot be written (no end within 0.05 s). The run is not affected."
    ]


@pytest.mark.anyio
async def test_write_that_hung_does_not_replace_a_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, mended, gone_on = threading.Event(), threading.Event(), threading.Event()
    path = tmp_path / "resend.prom"
    form = Textfile(str(path))
    text = form.text

    def hang(standing: Standing) -> str:
        if standing.exit_code is None:
            hanging.set()
            mended.wait()
        return text(standing)

    def write(standing: Standing) -> None:
        Textfile.write(form, standing)
        if standing.exit_code is None:
            gone_on.set()

    monkeypatch.setattr(form, "text", hang)
    monkeypatch.setattr(form, "write", write)
    monkeypatch.setattr(metrics_module, "WRITE_WITHIN", 600.0)
    metrics = Metrics(form, print)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(metrics._write, Standing(labels=LABELS))
        await anyio.to_thread.run_sync(hanging.wait)
        tasks.cancel_scope.cancel()  # it is given up, and its thread hangs on
    await end(metrics)
    mended.set()
    await anyio.to_thread.run_sync(gone_on.wait)
    assert 'batch_resend_running{region="eu-west-1",client_id="abc"} 0\n' in path.read_text()
    assert list(tmp_path.iterdir()) == [path]
