"""Runs from Python: users from memory, whole runs, and nothing that was not asked for."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest

import batch_resend as br
from batch_resend.run.client_secret import client_secret
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.server import running
from batch_resend.simulator.setup import Client
from tests.support.sentences import is_one_sentence

SIMULATED = br.Settings(simulate=True, rate=1000.0, timeout=0.3)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_run_returns_the_summary_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = br.run(SIMULATED, users=["ada", "bob+missing", "ada"])
    assert summary.counts == {
        br.Outcome.SENT: 1,
        br.Outcome.SKIPPED: 1,
        br.Outcome.FAILED: 1,
    }
    assert summary.exit_code is br.Exit.SOME_FAILED
    assert summary.info.report is None
    assert summary.info.next_command is None, "no command line has these users"
    assert summary.as_json()["report"] is None
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")


def test_run_inside_a_loop_names_arun() -> None:
    async def work() -> None:
        br.run(SIMULATED, users=["ada"])

    with pytest.raises(RuntimeError, match=r"await batch_resend\.arun"):
        asyncio.run(work())


@pytest.mark.anyio
async def test_arun_and_frames_in_and_out() -> None:
    frame = pd.DataFrame({"user": ["ada", "bob+missing"], "email": ["ada@x", "bob@x"]})
    settings = br.Settings(simulate=True, rate=1000.0, username_column="user", match={"email": "@"})
    results: list[br.Result] = []
    async with br.open_run(settings, users=frame) as active:
        async for result in active:
            results.append(result)  # noqa: PERF401 - what a caller would write
    table = br.to_frame(results).set_index("username")
    assert table.loc["ada", "outcome"] == "sent"
    assert table.loc["bob+missing", "reason"] == "user-not-found"
    assert table["finished_at"].notna().all()
    assert str(table["finished_at"].dtype).endswith("UTC]")
    assert (table["outcome"] > "sent").sum() == 1, "outcomes are in their order"
    both = await br.arun(settings, users=frame)
    assert both.rows == 2


def test_frame_has_the_reports_columns_even_if_empty() -> None:
    assert list(br.to_frame([]).columns)[:4] == ["row", "username", "outcome", "reason"]
    assert str(br.to_frame([])["finished_at"].dtype).endswith("UTC]")


@pytest.mark.parametrize("where", [{"users": "users.csv"}, {"user": ("ada",)}, {"filter": "x"}])
def test_users_in_two_places_are_refused(where: dict[str, str]) -> None:
    with pytest.raises(br.UsageError, match="does too") as caught:
        br.run(br.Settings(client_id="abc", **where), users=["ada"])  # type: ignore[arg-type]
    assert is_one_sentence(caught.value)


def test_no_users_at_all_are_refused() -> None:
    with pytest.raises(br.UsageError, match="No users given"):
        br.run(br.Settings(client_id="abc", region="us-east-1"))


def test_page_needs_a_report_here() -> None:
    with pytest.raises(br.UsageError, match="Set report too"):
        br.run(br.Settings(simulate=True, html="page.html"), users=["ada"])


def test_failed_rows_are_users_of_the_next_run() -> None:
    failed = Path("failed.jsonl")
    br.run(br.Settings(simulate=True, failed=failed), users=["ada", {"username": "b+missing"}])
    assert failed.read_text() == '{"username":"b+missing"}\n'
    again = br.run(br.Settings(simulate=True, users=failed))
    assert again.reasons == {br.Reason.USER_NOT_FOUND: 1}


def test_ledger_is_kept_and_a_new_one_is_asked_for(tmp_path: Path) -> None:
    settings = br.Settings(simulate=True, ledger=tmp_path / "kept.sqlite3")
    assert br.run(settings, users=["ada"]).counts[br.Outcome.SENT] == 1
    assert br.run(settings, users=["ada"]).counts == {br.Outcome.SKIPPED: 1}
    real = br.Settings(client_id="abc", region="us-east-1", ledger=tmp_path / "none.sqlite3")
    with pytest.raises(br.LedgerError, match="--create-ledger"):
        br.run(real, users=["ada"])


async def from_a_vault() -> str:
    return "s3cret"


@pytest.mark.anyio
@pytest.mark.parametrize("secret", ["s3cret", lambda: "s3cret", from_a_vault])
async def test_secret_comes_from_a_callable(secret: br.SecretSource) -> None:
    settings = br.Settings(client_id="abc", client_secret=secret)
    assert await client_secret(settings) == "s3cret"


@pytest.mark.anyio
async def test_callable_that_returns_no_secret_is_refused() -> None:
    for bad in (lambda: None, lambda: ""):
        settings = br.Settings(client_id="abc", client_secret=bad)  # type: ignore[arg-type]
        with pytest.raises(br.InputError, match="client_secret"):
            await client_secret(settings)


def levels() -> dict[str, tuple[int, int, bool]]:
    loggers = [
        logging.getLogger(),
        *map(logging.getLogger, sorted(logging.Logger.manager.loggerDict)),
    ]
    return {
        logger.name: (logger.level, len(logger.handlers), logger.disabled)
        for logger in loggers
        if logger.level or logger.handlers or logger.disabled
    }


@pytest.mark.anyio
async def test_hosts_logging_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import aioboto3  # its own handlers are there before  # noqa: F401

    cognito = Cognito(client=Client(secret="s3cret"))
    before = levels()
    async with running(cognito) as url:
        settings = br.Settings(
            client_id=cognito.client.client_id,
            client_secret=from_a_vault,
            region="us-east-1",
            endpoint_url=url,
            create_ledger=True,
        )
        summary = await br.arun(settings, users=["ada@example.com"])
    assert summary.counts == {br.Outcome.SENT: 1}
    assert levels() == before


INTERRUPTED = """
import os, signal, sys
import batch_resend as br

def observe(event):
    if isinstance(event, br.Settled) and event.result.outcome == "sent":
        if not results:
            os.kill(os.getpid(), signal.SIGINT)
        results.append(event.result)
    if isinstance(event, br.Ended):
        print(event.end.unknown_in_ledger, event.end.rows, event.end.stopped_by, flush=True)

results = []
settings = br.Settings(simulate=True, ledger="kept.sqlite3", rate=50)
try:
    br.run(settings, users=(f"user{n}" for n in range(5000)), observe=observe)
except KeyboardInterrupt:
    sys.exit(7)
"""


def test_ctrl_c_settles_what_is_in_flight(tmp_path: Path) -> None:
    """Every row is reported and no outcome is unknown; the interrupt comes out at the end."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        env=os.environ | {"PYTHONPATH": str(Path(br.__file__).parents[1])},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 7, done.stderr
    assert done.stdout.split() == ["0", "5000", "caller"]


def test_run_works_in_a_thread_that_is_not_the_main_one() -> None:
    """As a worker of a task queue has it, where no signal can be handled."""
    ends: list[br.Summary] = []
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=lambda: ends.append(br.run(SIMULATED, users=["ada"])))
    thread.start()
    thread.join()
    assert ends[0].counts == {br.Outcome.SENT: 1}
    assert signal.getsignal(signal.SIGINT) is before


def test_package_and_function_share_a_name() -> None:
    from batch_resend.run.prepare import prepare

    assert callable(br.run)
    assert br.run.prepare.prepare is prepare  # type: ignore[attr-defined]


def test_every_public_name_is_there() -> None:
    for name in br.__all__:
        assert getattr(br, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = br.nothing


def test_resolve_sends_to_the_accounts_of_addresses(tmp_path: Path) -> None:
    """The made-up pool's Usernames are UUIDs; the failed file has the addresses again."""
    addresses = [f"user{n}@example.com" for n in range(30, 34)]
    settings = br.Settings(
        simulate=True, resolve=True, timeout=1, report=tmp_path / "report.csv",
        failed=tmp_path / "failed.jsonl", cooldown=0,
    )  # fmt: skip
    summary = br.run(settings, users=[*addresses, "typo@example.com"])
    assert summary.reasons[br.Reason.USER_NOT_FOUND] == 1
    assert summary.counts[br.Outcome.SENT] >= 1
    report = pd.read_csv(tmp_path / "report.csv").set_index("row")
    assert list(report.loc[5, ["username", "reason"]]) == ["typo@example.com", "user-not-found"]
    assert report.loc[5, "attempts"] == 0, "no request was made for it"
    sent = report[report["outcome"] == "sent"]
    assert all("@" not in username for username in sent["username"])
    assert "typo@example.com" in (tmp_path / "failed.jsonl").read_text()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"users": "users.csv"}, "--resolve needs --user-pool-id"),
        ({"user_pool_id": "eu-west-1_AbCdEf123"}, "--resolve looks up"),
    ],
)
def test_resolve_needs_addresses_and_a_pool(settings: dict[str, str], message: str) -> None:
    with pytest.raises(br.UsageError, match=message):
        br.run(br.Settings(client_id="abc", resolve=True, **settings))  # type: ignore[arg-type]
