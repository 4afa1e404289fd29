"""Pings and metrics: what is told to whom, and that none of it can harm a run."""

import json
import stat
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from batch_resend.errors import InputError, UsageError
from batch_resend.job.engine import Snapshot
from batch_resend.job.outcome import Stop
from batch_resend.job.summary import Summary, Tally
from batch_resend.model import Outcome, Reason
from batch_resend.monitoring import notify
from batch_resend.monitoring.notify import (
    Emf,
    Metrics,
    Ping,
    Standing,
    Textfile,
    keep_apart,
    read_metrics,
)
from tests.support.healthchecks import TOKEN, Check
from tests.support.infos import info

INFO = info(input="customers-of-acme.csv", ledger="home/ada/ledger", report="r.csv")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def summary(**given: Any) -> Summary:
    facts: dict[str, Any] = {
        "reasons": {Reason.ACCEPTED: 5}, "requests": 6, "throttled": 1, "seconds": 12.5,
        "started_at": 0.0, "info": INFO,
    }  # fmt: skip
    return Summary(**(facts | given))


@pytest.fixture
async def check(anyio_backend: str) -> AsyncIterator[Check]:
    async with Check().running() as made:
        yield made


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be impatient."""
    monkeypatch.setattr(notify, "ANSWER_WITHIN", 0.5)
    monkeypatch.setattr(notify, "REST", 0.0)


async def pinged(url: str, end: notify.End) -> list[str]:
    """Go through a run that ends so; return the warnings."""
    warned: list[str] = []
    ping = Ping(url, warned.append)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ping.begin)
        await anyio.sleep(0)
        await ping.end(end)
        tasks.cancel_scope.cancel()
    return warned


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("end", "signal"),
    [
        (summary(), ""),
        (summary(reasons={Reason.ACCEPTED: 1, Reason.REJECTED: 1}), "/1"),
        (summary(stopped_by=Stop.MAIL_QUOTA), "/3"),
        (summary(stopped_by=Stop.SIGTERM), "/143"),
        (InputError("nope.csv cannot be read."), "/fail"),
    ],
)
async def test_the_start_and_then_the_exit_code_are_told(
    check: Check, end: notify.End, signal: str
) -> None:
    assert await pinged(check.url, end) == []
    assert check.signals == ["/start", signal]
    assert {method for method, _, _ in check.heard} == {"POST"}


@pytest.mark.anyio
async def test_the_body_is_the_summary_without_names_of_files(check: Check) -> None:
    await pinged(check.url, summary())
    (_, _, nothing), (_, _, body) = check.heard
    assert nothing is None
    assert body["counts"]["sent"] == 5
    assert (body["exit_code"], body["client_id"]) == (0, "abc")
    assert not {"acme", "home", "r.csv"} & set(json.dumps(body).replace("-", "/").split("/"))
    assert not {"input", "ledger", "report", "failed"} & set(body)


@pytest.mark.anyio
async def test_what_ended_a_run_before_it_began_is_told_masked(check: Check) -> None:
    await pinged(check.url, InputError("row 3 ada@example.com is broken: mend it."))
    assert check.heard[-1][2] == {
        "error": "row 3 a***@e*** is broken: mend it.",
        "exit_code": 2,
    }


@pytest.mark.anyio
async def test_a_query_stays_behind_the_signal(check: Check) -> None:
    await pinged(f"{check.url}/?create=1", summary())
    assert check.signals == ["/start?create=1", "?create=1"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([500], "HTTP status 500"),
        ([404], "HTTP status 404"),
        ([302], "HTTP status 302"),
        ([0], "no answer within 0.5 s"),
    ],
)
@pytest.mark.usefixtures("soon")
async def test_a_ping_is_tried_twice_and_then_warned_of_without_its_address(
    check: Check, answers: list[int], told: str
) -> None:
    check.answers = [200, *answers]
    warned = await pinged(check.url, summary())
    assert warned == [f"A ping to 127.0.0.1 came to nothing ({told}). The run is not affected."]
    assert check.signals == ["/start", "", ""]


@pytest.mark.anyio
@pytest.mark.usefixtures("soon")
async def test_a_ping_that_succeeds_the_second_time_is_no_trouble(check: Check) -> None:
    check.answers = [500, 200]
    assert await pinged(check.url, summary()) == []
    assert check.signals == ["/start", "/start", ""]


@pytest.mark.anyio
@pytest.mark.usefixtures("soon")
async def test_nobody_listening_is_no_trouble(check: Check, unused: int) -> None:
    url = f"http://127.0.0.1:{unused}/{TOKEN}"
    warned = await pinged(url, summary())
    assert warned
    assert not any(TOKEN in warning for warning in warned)


@pytest.fixture
async def unused(anyio_backend: str) -> int:
    async with Check().running() as gone:
        return gone.port


@pytest.mark.anyio
async def test_a_start_that_hangs_is_given_up_for_the_end(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "START_WITHIN", 0.05)
    check.answers = [0, 200]
    assert await pinged(check.url, summary()) == []
    assert check.signals == ["/start", ""]


@pytest.mark.parametrize(
    "url",
    [
        "", "hc-ping.com/abc", "ftp://hc-ping.com/abc", "https://", "https:///abc",
        "http://hc-ping.com/abc", "https://hc-ping.com:port/abc", "https://[/abc",
        "https://hc-ping.com/a b", "https://hc-ping.com/a\nb",
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_pinged_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(UsageError, match=r"^--ping-url is .*\.$") as refused:
        Ping(url, print)
    assert "abc" not in str(refused.value)
    assert "hc-ping" not in str(refused.value)


# -- metrics -------------------------------------------------------------------------

LABELS = {"region": "eu-west-1", "client_id": "abc"}


def test_emf_says_what_is_new_since_the_last_line() -> None:
    emf = Emf(clock=lambda: 1_700_000_000.5)
    first = emf.line(
        Standing(counts={Outcome.SENT: 10}, requests=12, throttled=2, seconds=60.0, labels=LABELS)
    )
    (described,) = first["_aws"]["CloudWatchMetrics"]
    assert first["_aws"]["Timestamp"] == 1_700_000_000_500
    assert described["Namespace"] == "BatchResend"
    assert described["Dimensions"] == [["Region", "ClientId"], []]
    names = [metric["Name"] for metric in described["Metrics"]]
    assert names == [
        "Sent", "Planned", "Skipped", "Failed", "Unknown", "NotAttempted", "Requests", "Throttled",
    ]  # fmt: skip
    assert {name for name in first if name != "_aws"} == {*names, "Region", "ClientId"}
    assert (first["Sent"], first["Requests"], first["Throttled"]) == (10, 12, 2)
    last = emf.line(
        Standing(
            counts={Outcome.SENT: 15, Outcome.NOT_ATTEMPTED: 1}, requests=17, throttled=2,
            seconds=75.25, exit_code=3, labels=LABELS,
        )
    )  # fmt: skip
    assert (last["Sent"], last["NotAttempted"], last["Requests"], last["Throttled"]) == (5, 1, 5, 0)
    assert (last["Seconds"], last["ExitCode"]) == (75.25, 3)
    (described,) = last["_aws"]["CloudWatchMetrics"]
    assert described["Metrics"][-2:] == [
        {"Name": "Seconds", "Unit": "Seconds"},
        {"Name": "ExitCode"},
    ]


def test_emf_of_a_run_that_never_began_counts_over_all_only() -> None:
    line = Emf().line(Standing.of(InputError("no.")))
    (described,) = line["_aws"]["CloudWatchMetrics"]
    assert described["Dimensions"] == [[]]
    assert (line["ExitCode"], line["Sent"]) == (2, 0)


def test_emf_is_a_line_on_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    emf = Emf()
    emf.write(Standing(requests=1))
    emf.write(Standing(requests=3))
    lines = capfd.readouterr().out.splitlines()
    assert [json.loads(line)["Requests"] for line in lines] == [1, 2]


TEXT = """\
# HELP batch_resend_rows Rows settled in the latest run, by outcome.
# TYPE batch_resend_rows gauge
batch_resend_rows{region="eu-west-1",client_id="abc",outcome="sent"} 5
batch_resend_rows{region="eu-west-1",client_id="abc",outcome="planned"} 0
batch_resend_rows{region="eu-west-1",client_id="abc",outcome="skipped"} 0
batch_resend_rows{region="eu-west-1",client_id="abc",outcome="failed"} 0
batch_resend_rows{region="eu-west-1",client_id="abc",outcome="unknown"} 0
batch_resend_rows{region="eu-west-1",client_id="abc",outcome="not-attempted"} 0
# HELP batch_resend_requests Requests made in the latest run.
# TYPE batch_resend_requests gauge
batch_resend_requests{region="eu-west-1",client_id="abc"} 6
# HELP batch_resend_throttled Requests that found the quota used up.
# TYPE batch_resend_throttled gauge
batch_resend_throttled{region="eu-west-1",client_id="abc"} 1
# HELP batch_resend_seconds How long the latest run has taken.
# TYPE batch_resend_seconds gauge
batch_resend_seconds{region="eu-west-1",client_id="abc"} 12.5
# HELP batch_resend_running Whether the latest run goes on.
# TYPE batch_resend_running gauge
batch_resend_running{region="eu-west-1",client_id="abc"} 0
# HELP batch_resend_exit_code What the latest run exited with.
# TYPE batch_resend_exit_code gauge
batch_resend_exit_code{region="eu-west-1",client_id="abc"} 0
# HELP batch_resend_ended_timestamp_seconds When the latest run ended.
# TYPE batch_resend_ended_timestamp_seconds gauge
batch_resend_ended_timestamp_seconds{region="eu-west-1",client_id="abc"} 1700000000.5
"""


def test_the_textfile_is_what_prometheus_reads(tmp_path: Path) -> None:
    path = tmp_path / "resend.prom"
    form = Textfile(str(path), clock=lambda: 1_700_000_000.5)
    form.write(Standing(labels=LABELS))
    assert 'batch_resend_running{region="eu-west-1",client_id="abc"} 1\n' in path.read_text()
    assert "exit_code" not in path.read_text()
    assert "ended" not in path.read_text()
    form.write(Standing.of(summary()))
    assert path.read_text() == TEXT
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_labels_cannot_break_out_of_their_quotes(tmp_path: Path) -> None:
    form = Textfile(str(tmp_path / "resend.prom"))
    text = form.text(Standing(labels={"region": 'a"b\\c\nd'}))
    assert 'batch_resend_running{region="a\\"b\\\\c\\nd"} 1\n' in text


def test_whoever_has_the_old_file_open_reads_the_old_one_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "resend.prom"
    form = Textfile(str(path))
    form.write(Standing(requests=1))
    with path.open() as old:
        form.write(Standing(requests=2))
        assert "batch_resend_requests 1\n" in old.read()
    assert "batch_resend_requests 2\n" in path.read_text()


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
    await metrics.end(summary())
    await metrics.end(summary())
    (warning,) = warned
    assert warning.startswith("--metrics cannot be written (")
    assert warning.endswith("). The run is not affected.")
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


class Job:
    """A run that goes on."""

    info = INFO

    def snapshot(self) -> Snapshot:
        tally = Tally(reasons=Counter({Reason.ACCEPTED: 7}), requests=8)
        return Snapshot(
            eligible=10,
            done=7,
            tally=tally,
            rate=25.0,
            ceiling=25.0,
            throttled=1,
            in_flight=2,
            seconds=3.0,
            stopped_by=None,
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
        tasks.start_soon(metrics.begin)
        await anyio.sleep(0.05)
        assert form.standings == []  # nobody is being written to yet
        metrics.began(Job())  # type: ignore[arg-type]
        while len(form.standings) < 2:
            await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert form.standings[0] == Standing(
        counts={Outcome.SENT: 7}, requests=8, throttled=1, seconds=3.0, labels=LABELS
    )


@pytest.mark.anyio
async def test_a_disk_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    monkeypatch.setattr(notify, "WRITE_WITHIN", 0.05)
    mended = threading.Event()
    form = SimpleNamespace(every=1.0, write=lambda _standing: mended.wait(10))
    warned: list[str] = []
    await Metrics(form, warned.append).end(summary())
    mended.set()
    assert warned == [
        "--metrics cannot be written (no end within 0.05 s). The run is not affected."
    ]


@pytest.mark.anyio
async def test_a_write_that_hung_and_goes_on_after_the_last_one_does_not_replace_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    monkeypatch.setattr(notify, "WRITE_WITHIN", 0.05)
    hanging, mended, gone_on = threading.Event(), threading.Event(), threading.Event()
    path = tmp_path / "resend.prom"
    form = Textfile(str(path))
    text = form.text

    def hang(standing: Standing) -> str:
        if standing.exit_code is None:
            hanging.set()
            mended.wait(10)
        return text(standing)

    def write(standing: Standing) -> None:
        Textfile.write(form, standing)
        if standing.exit_code is None:
            gone_on.set()

    monkeypatch.setattr(form, "text", hang)
    monkeypatch.setattr(form, "write", write)
    warned: list[str] = []
    metrics = Metrics(form, warned.append)
    await metrics._write(Standing(labels=LABELS))
    assert await anyio.to_thread.run_sync(hanging.wait, 10)
    monkeypatch.setattr(notify, "WRITE_WITHIN", 10.0)
    await metrics.end(summary())
    mended.set()
    assert await anyio.to_thread.run_sync(gone_on.wait, 10)
    assert 'batch_resend_running{region="eu-west-1",client_id="abc"} 0\n' in path.read_text()
    assert list(tmp_path.iterdir()) == [path]
    assert len(warned) == 1


@pytest.mark.parametrize(
    "text", ["", "EMF", "emf:", "textfile", "textfile:", "textfile:a.txt", "prometheus:a.prom"]
)
def test_another_form_of_metrics_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--metrics .*\.$"):
        read_metrics(text)


def test_metrics_are_kept_apart_from_other_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    keep_apart(Emf(), {"--report": "-report.csv", "--summary": None})
    keep_apart(Textfile("a.prom"), {"--report": "-", "the input": "b.prom"})
    with pytest.raises(UsageError, match="so does --summary -: name a file for --summary"):
        keep_apart(Emf(), {"--report": None, "--summary": "-"})
    with pytest.raises(UsageError, match=r"--metrics \./a.prom is --report too"):
        keep_apart(Textfile("a.prom"), {"--report": "./a.prom"})
