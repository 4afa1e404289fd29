"""A run that is prepared: what it shows, what it leaves behind, and who stops it."""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from batch_resend import Reason, Settings
from batch_resend.errors import Exit, OutOfTime
from batch_resend.job.outcome import Stop
from batch_resend.job.pacing import Gate
from batch_resend.ledger.sqlite.lockfile import is_held
from batch_resend.model import Reply, Request
from batch_resend.observer import Began, Event, Planned, Preparing
from batch_resend.run.prepare import prepare
from batch_resend.run.stops import Interrupted, Stops
from batch_resend.simulator.sender import SimulatedSender
from tests.support.sentences import is_one_sentence

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    yield
    assert not list(tmp_path.glob("*.new-*")), "nothing half-made is left"


def simulated(*names: str, **changes: Any) -> Settings:
    Path("users.csv").write_text("\n".join(["username", *names]) + "\n")
    settings: dict[str, Any] = {"report": "report.csv", "rate": 1000.0, "timeout": 0.3}
    return Settings(users="users.csv", simulate=True, **(settings | changes))


async def test_plan_is_there_before_anything_is_sent() -> None:
    heard: list[Event] = []
    async with prepare(simulated("ada", "ADA", "bob"), observe=heard.append) as prepared:
        assert [(row.username, row.reason) for row in prepared.rows] == [
            ("ada", Reason.ELIGIBLE),
            ("ADA", Reason.DUPLICATE),
            ("bob", Reason.ELIGIBLE),
        ]
        assert (prepared.heading, prepared.encoding) == ("username\n", "utf-8")
        assert isinstance(heard[0], Preparing)
        assert heard[1:] == [Planned(prepared.preview)]


async def test_run_that_is_not_sent_leaves_everything_as_it_was() -> None:
    Path("report.csv").write_text("old")
    settings = simulated("ada", overwrite=True, failed="failed.csv", ledger="sim.sqlite3")
    async with prepare(settings):
        assert is_held(Path("sim.sqlite3"))
    assert Path("report.csv").read_text() == "old"
    assert not Path("failed.csv").exists()
    assert not is_held(Path("sim.sqlite3"))


async def test_prepared_run_can_be_closed_before_its_block_ends() -> None:
    async with prepare(simulated("ada", ledger="sim.sqlite3")) as prepared:
        await prepared.send()
        await prepared.aclose()
        assert not is_held(Path("sim.sqlite3"))
    assert len(Path("report.csv").read_text().splitlines()) == 2


async def test_usage_reaches_the_pace_and_does_not_hold_up_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[tuple[float, float]] = []
    monkeypatch.setattr(Gate, "used", lambda _, since, calls: heard.append((since, calls)))

    async def watch(report: Callable[[float, float], None]) -> None:
        report(time.time() - 120, 600)
        await anyio.sleep_forever()

    async with prepare(simulated("ada")) as prepared:
        assert prepared.watch_usage is None, "nothing is known of a simulated account"
        prepared.watch_usage = watch
        await prepared.send()
    [(since, calls)] = heard
    assert calls == 600
    assert 100 < anyio.current_time() - since < 300, "on the clock of the pace"


async def test_stop_after_the_approval_settles_and_reports_every_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stops, inner = Stops(), SimulatedSender.send

    async def stopped(self: SimulatedSender, request: Request) -> Reply:
        stops.stop(Stop.SIGINT)
        return await inner(self, request)

    monkeypatch.setattr(SimulatedSender, "send", stopped)
    settings = simulated(*(f"user{n}" for n in range(50)), concurrency=1)
    with stops.before_sending():
        async with prepare(settings, stops=stops) as prepared:
            summary = await prepared.send()
    assert (summary.stopped_by, summary.exit_code) == (Stop.SIGINT, 130)
    assert summary.reasons == {Reason.ACCEPTED: 1, Reason.STOPPED: 49}
    assert len(Path("report.csv").read_text().splitlines()) == 51


async def test_stop_that_comes_with_the_approval_sends_nothing() -> None:
    Path("report.csv").write_text("old")
    stops = Stops()
    heard: list[Event] = []
    settings = simulated("ada", overwrite=True)
    with pytest.raises(Interrupted), stops.before_sending():
        async with prepare(settings, stops=stops, observe=heard.append) as prepared:
            stops.stop(Stop.SIGINT)
            await prepared.send()
    assert not any(isinstance(event, Began) for event in heard)
    assert Path("report.csv").read_text() == "old"


async def test_cancelled_preparation_leaves_everything_as_it_was() -> None:
    Path("report.csv").write_text("old")
    with anyio.CancelScope() as scope:
        async with prepare(simulated("ada", overwrite=True, ledger="sim.sqlite3")):
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert Path("report.csv").read_text() == "old"
    assert not is_held(Path("sim.sqlite3"))


async def test_deadline_ends_an_endless_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostile endpoint listed users for hours, whatever --deadline said."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    pages = itertools.count()

    async def answer(request: web.Request) -> web.Response:
        if not request.headers["X-Amz-Target"].endswith(".ListUsers"):
            return web.json_response({"__type": "AccessDeniedException"}, status=400)
        return web.json_response({"Users": [], "PaginationToken": str(next(pages))})

    app = web.Application()
    app.router.add_post("/", answer)
    async with TestServer(app) as server:
        settings = Settings(
            user_pool_id="eu-west-1_Abc",
            client_id="web",
            endpoint_url=str(server.make_url("/")).rstrip("/"),
            ledger="ledger.sqlite3",
            create_ledger=True,
            deadline=0.5,
        )
        with pytest.raises(OutOfTime, match="within --deadline 500ms, so no messages") as ended:
            async with prepare(settings):
                pytest.fail("the listing has no end")
    assert ended.value.exit_code == Exit.STOPPED
    assert is_one_sentence(ended.value)
