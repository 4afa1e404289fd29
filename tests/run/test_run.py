"""The same from Python: results as they come, nothing printed, nothing left behind."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import anyio
import pytest

import batch_resend
from batch_resend import (
    BatchResendError,
    Outcome,
    Reason,
    Result,
    Settings,
    open_run,
)
from batch_resend.errors import InputError, LedgerError, ReportError
from batch_resend.job.outcome import Stop
from batch_resend.model import Reply, Request
from batch_resend.observer import Began, Ended, Event, Planned, Preparing, Settled
from batch_resend.reports.private_file import PrivateFile
from batch_resend.run.client_secret import secret_from_file
from batch_resend.run.open_ledger import default_ledger
from batch_resend.run.outputs import Reports
from batch_resend.run.prepare import prepare
from batch_resend.run.stops import Interrupted
from batch_resend.simulator.sender import SimulatedSender

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def simulated(*names: str, header: str = "username", **changes: Any) -> Settings:
    Path("users.csv").write_text("\n".join([header, *names]) + "\n")
    facts: dict[str, Any] = {"report": "report.csv", "rate": 1000.0, "timeout": 0.3}
    return Settings(users="users.csv", simulate=True, **(facts | changes))


async def test_results_come_as_users_settle_and_the_summary_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen: list[Result] = []
    async with open_run(simulated("ada", "bob+missing", "ADA", "cid")) as running:
        async for result in running:
            seen.append(result)  # noqa: PERF401 - what a caller would write
    assert {result.username: result.reason for result in seen} == {
        "ada": Reason.ACCEPTED,
        "bob+missing": Reason.USER_NOT_FOUND,
        "ADA": Reason.DUPLICATE,
        "cid": Reason.ACCEPTED,
    }
    assert running.summary.exit_code == 1
    assert running.summary.counts[Outcome.SENT] == 2
    assert len(Path("report.csv").read_text().splitlines()) == 5
    assert capsys.readouterr() == ("", "")


async def test_the_summary_is_not_there_before_the_end() -> None:
    async with open_run(simulated("ada")) as running:
        with pytest.raises(RuntimeError):
            _ = running.summary
        async for _ in running:
            pass
    assert running.summary.rows == 1


async def test_leaving_early_stops_gently_and_every_row_is_reported() -> None:
    names = [f"user{n}" for n in range(200)]
    async with open_run(simulated(*names, rate=50.0)) as running:
        async for _ in running:
            break
    summary = running.summary
    assert summary.stopped_by is Stop.CALLER
    assert summary.rows == 200
    assert 1 <= summary.counts[Outcome.SENT] < 20
    assert len(Path("report.csv").read_text().splitlines()) == 201


async def test_leaving_before_the_first_result_sends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Request] = []
    send = SimulatedSender.send

    async def noted(self: SimulatedSender, request: Request) -> Reply:
        asked.append(request)
        return await send(self, request)

    monkeypatch.setattr(SimulatedSender, "send", noted)
    async with open_run(simulated(*(f"user{n}" for n in range(200)))):
        pass
    assert asked == []


async def test_what_a_caller_raises_comes_out_as_it_is() -> None:
    mine = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught:
        async with open_run(simulated(*(f"user{n}" for n in range(200)), rate=50.0)) as running:
            async for _ in running:
                raise mine
    assert caught.value is mine
    assert running.summary.stopped_by is Stop.CALLER


async def test_a_caller_can_stop_and_still_hear_of_every_row() -> None:
    names = [f"user{n}" for n in range(200)]
    rows = []
    async with open_run(simulated(*names, rate=50.0)) as running:
        async for result in running:
            rows.append(result.row)
            running.stop()
    assert sorted(rows) == list(range(1, 201))


async def test_caller_sees_the_plan_and_may_leave_it_at_that() -> None:
    async with open_run(simulated("ada", "bob")) as running:
        preview = running.preview
    assert preview.eligible == 2
    assert preview.counts == {Reason.ELIGIBLE: 2}
    assert preview.examples == ["ada", "bob"]
    assert preview.info.simulated
    assert not Path("report.csv").exists()


async def test_observer_hears_the_run_from_plan_to_end() -> None:
    heard: list[Event] = []
    async with open_run(simulated("ada", "ADA", "bob"), observe=heard.append) as running:
        async for _ in running:
            pass
    preparing, planned, began, *settled, ended = heard
    assert isinstance(preparing, Preparing)
    assert planned == Planned(running.preview)
    assert isinstance(began, Began)
    assert began.info == running.summary.info
    assert began.snapshot().done == 2
    assert {event.result.username for event in settled if isinstance(event, Settled)} == {
        "ada", "ADA", "bob",
    }  # fmt: skip
    assert ended == Ended(running.summary)


async def test_observer_hears_why_a_run_could_not_begin() -> None:
    heard: list[Event] = []
    with pytest.raises(InputError) as caught:
        async with open_run(simulated("ada", exclude="missing.csv"), observe=heard.append):
            pytest.fail("nothing was prepared")
    assert heard[1:] == [Ended(caught.value)]


@pytest.mark.parametrize("dry_run", [False, True])
async def test_run_that_is_stopped_before_it_sends_changes_nothing(dry_run: bool) -> None:
    Path("report.csv").write_bytes(b"old")
    settings = simulated("ada", "bob", overwrite=True, dry_run=dry_run)
    with pytest.raises(Interrupted) as caught:
        async with open_run(settings) as running:
            running.stop()
            async for _ in running:
                pytest.fail("no code was to be requested")
    assert caught.value.exit_code == Stop.CALLER.exit_code
    assert Path("report.csv").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"metadata": (("locale", "@lang"),)}, InputError, "no column 'lang'"),
        ({"username_column": "name"}, InputError, "name"),
        ({"report": "missing/report.csv"}, ReportError, "--report missing/report.csv"),
        ({"failed": "missing/failed.csv"}, ReportError, "--failed missing/failed.csv"),
        ({"exclude": "missing.csv"}, InputError, "missing.csv"),
        ({"ledger": "users.csv"}, LedgerError, "database|not a ledger"),
        ({"client_secret_file": "missing"}, InputError, "--client-secret-file missing"),
    ],
)
async def test_what_is_wrong_is_raised_before_any_message(
    arguments: dict[str, Any], error: type[BatchResendError], sentence: str
) -> None:
    settings = simulated("ada", **arguments)
    with pytest.raises(error, match=sentence):
        async with open_run(settings) as running:
            async for _ in running:
                pytest.fail("no code was to be requested")
    assert {path.name for path in Path().iterdir()} <= {"users.csv", "users.csv.lock"}


async def test_exclude_list_failed_file_and_summary_are_used() -> None:
    Path("never.csv").write_text("username\nBOB\n")
    settings = simulated(
        "ada,de", "bob,en", '"cid+missing", fr ', header="username,locale",
        exclude="never.csv", failed="failed.csv", summary="summary.json",
        metadata=(("locale", "@locale"),),
    )  # fmt: skip
    async with open_run(settings) as running:
        results = {result.username: result.reason async for result in running}
    assert results["bob"] is Reason.EXCLUDED
    assert Path("failed.csv").read_text() == 'username,locale\n"cid+missing", fr \n'
    summary = json.loads(Path("summary.json").read_text())
    assert summary == running.summary.as_json() | {"started_at": summary["started_at"]}
    assert summary["reasons"] == {
        "failed/user-not-found": 1, "sent/accepted": 1, "skipped/excluded": 1,
    }  # fmt: skip


async def test_without_a_csv_the_simulated_pool_is_listed() -> None:
    settings = Settings(
        simulate=True, report="report.csv", limit=5, rate=1000.0, metadata=(("l", "@locale"),)
    )
    async with open_run(settings) as running:
        reasons = [result.reason async for result in running]
    assert reasons.count(Reason.ACCEPTED) == 5
    assert reasons.count(Reason.OVER_LIMIT) > 300


@pytest.mark.parametrize("end", ["", "-wal", "-shm", ".lock", ".new"])
async def test_a_report_is_never_written_over_the_ledger(end: str) -> None:
    settings = simulated("ada", ledger="sim.sqlite3", report="./sim.sqlite3" + end, overwrite=True)
    with pytest.raises(BatchResendError, match=r"--report .* belongs to the ledger"):
        async with open_run(settings) as running:
            async for _ in running:
                pytest.fail("no code was to be requested")
    assert not list(Path().glob("sim.sqlite3*")), "and none is begun for it"


OLD = dict.fromkeys(("f.csv", "p.html", "r.csv", "s.json.gz"), b"old")
REPLACING: dict[str, Any] = {"report": "r.csv", "failed": "f.csv", "html": "p.html",
                             "summary": "s.json.gz", "overwrite": True}  # fmt: skip


def results() -> dict[str, bytes]:
    there = (path for path in Path().iterdir() if path.name not in {"users.csv", "state"})
    return {path.name: path.read_bytes() for path in there if path.name in OLD}


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("why", ["the input is broken", "it is not approved"])
async def test_what_is_to_be_replaced_stays_where_the_run_never_begins(
    why: str, dry_run: bool
) -> None:
    for name, data in OLD.items():
        Path(name).write_bytes(data)
    rows = ["ada", "bob"] if why == "it is not approved" else ["ada", '"bob']
    before = set(Path().iterdir())
    with contextlib.suppress(InputError):
        async with prepare(simulated(*rows, dry_run=dry_run, **REPLACING)):
            assert why == "it is not approved"
            assert results() == OLD
    assert results() == OLD
    assert set(Path().iterdir()) - before <= {Path("users.csv"), Path("state")}


@pytest.mark.parametrize("dry_run", [False, True])
async def test_what_is_to_be_replaced_is_when_the_run_is_approved(dry_run: bool) -> None:
    for name, data in OLD.items():
        Path(name).write_bytes(data)
    settings = simulated("ada", "bob+missing", dry_run=dry_run, **REPLACING)
    async with open_run(settings) as running:
        seen = [Path("r.csv").read_bytes() async for _ in running]
    assert seen
    assert all(data.startswith(b"row,username") for data in seen)
    assert not set(OLD.items()) & set(results().items())
    assert not list(Path().glob("*.new-*"))


async def test_output_that_another_run_took_ends_the_run_at_its_start() -> None:
    Path("r.csv").write_bytes(b"old")

    with contextlib.ExitStack() as stack:
        settings = simulated("ada", report="r.csv", overwrite=True)
        with pytest.raises(ReportError, match=r"--report r\.csv is being written by another run"):
            async with open_run(settings) as running:
                other = PrivateFile("r.csv", what="--report", overwrite=True)
                stack.enter_context(other).take_place()
                async for _ in running:
                    pytest.fail("no code was to be requested")
        assert Path("r.csv").read_bytes() == b""
    assert not list(Path().glob("*.new-*"))


async def test_report_to_a_pipe_without_a_reader_is_refused() -> None:
    os.mkfifo("pipe")
    with pytest.raises(ReportError, match="--report pipe cannot be written"):
        async with open_run(simulated("ada", report="pipe")) as running:
            async for _ in running:
                pytest.fail("no code was to be requested")


async def test_a_simulation_with_a_ledger_of_its_own_remembers() -> None:
    for expected in (Reason.ACCEPTED, Reason.COOLING_DOWN):
        settings = simulated("ada", ledger="sim.sqlite3", overwrite=True)
        async with open_run(settings) as running:
            assert [result.reason async for result in running] == [expected]


@pytest.mark.parametrize(
    ("content", "mode", "sentence"),
    [
        (b"\n", 0o600, "holds no client secret"),
        (b"two words", 0o600, "holds no client secret"),
        (b"\xff\xfe\x00", 0o600, "not text"),
        (b'{"client_secret":"secret"}', 0o600, "no JSON"),
        (b"secret", 0o644, "chmod 600"),
    ],
)
async def test_a_secret_file_that_holds_no_secret_is_refused(
    content: bytes, mode: int, sentence: str
) -> None:
    path = Path("secret")
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(InputError, match=sentence) as refused:
        async with open_run(simulated("ada", client_secret_file="secret")) as running:
            async for _ in running:
                pytest.fail("no code was to be requested")
    assert "two words" not in str(refused.value)


async def test_secret_from_a_pipe_is_not_waited_for_without_end() -> None:
    os.mkfifo("pipe", 0o600)
    assert await secret_from_file("pipe") == ""
    ends = os.open("pipe", os.O_RDWR)  # so that neither end waits for the other

    async def write() -> None:
        for piece in (b"9example", b"87654321\n"):
            await anyio.sleep(0.02)
            os.write(ends, piece)
        os.close(ends)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        assert await secret_from_file("pipe") == "9example87654321\n"


async def test_run_that_waits_for_a_secret_can_be_stopped() -> None:
    os.mkfifo("pipe", 0o600)
    ends = os.open("pipe", os.O_RDWR)  # it is open at the other end, and nothing is written
    with anyio.move_on_after(0.05) as scope:
        await secret_from_file("pipe")
    os.close(ends)
    assert scope.cancelled_caught


async def test_a_report_that_was_taken_away_is_not_said_to_be_there() -> None:
    users = [f"user{n}" for n in range(30)]
    async with open_run(simulated(*users, report="r.csv", html="p.html")) as running:
        async for _ in running:
            Path("r.csv").unlink(missing_ok=True)
    page, report = sorted(running.summary.not_delivered, key=lambda left: left.to)
    assert report.why == "--report r.csv was moved, removed or replaced during the run."
    assert page.why == "--html p.html was not created (the report is not whole)."
    assert running.summary.exit_code == 1


async def test_a_secret_is_read_without_its_line_end_and_mark() -> None:
    path = Path("secret")
    path.write_bytes(b"\xef\xbb\xbf9example87654321\r\n")
    path.chmod(0o600)
    assert (await secret_from_file("secret")).strip() == "9example87654321"


def test_default_ledger_is_named_by_region_client_and_endpoint(tmp_path: Path) -> None:
    aws = "https://cognito-idp.eu-west-1.amazonaws.com"
    paths = {
        default_ledger("eu-west-1", "abc", aws),
        default_ledger("eu-west-2", "abc", aws.replace("-1", "-2")),
        default_ledger("eu-west-1", "abd", aws),
        default_ledger("eu-west-1", "abc", "http://127.0.0.1:4570"),
        default_ledger("eu-west-1", "abc", "http://127.0.0.1:4571"),
    }
    assert len(paths) == 5
    assert default_ledger("eu-west-1", "abc", aws) == (
        tmp_path / "state" / "batch-resend" / "eu-west-1-abc.sqlite3"
    )
    assert default_ledger("r", "c", "http://h/") == default_ledger("r", "c", "http://h")


def test_every_public_name_is_there_and_no_other() -> None:
    for name in batch_resend.__all__:
        assert getattr(batch_resend, name) is not None
    with pytest.raises(AttributeError):
        _ = batch_resend.nonsense


def test_a_report_that_breaks_does_not_take_the_others_with_it() -> None:
    class Broken:
        def write(self, result: Result) -> None:
            raise ReportError("disk full")

        async def room(self) -> None:
            pass

    class Whole:
        def __init__(self) -> None:
            self.rows: list[int] = []

        def write(self, result: Result) -> None:
            self.rows.append(result.row)

        async def room(self) -> None:
            pass

    whole, broken = Whole(), Broken()
    reports = Reports(broken, whole)
    with pytest.raises(ReportError, match="disk full"):
        reports.write(Result(1, "ada", Reason.ACCEPTED))
    reports.write(Result(2, "bob", Reason.ACCEPTED))
    assert whole.rows == [1, 2]
