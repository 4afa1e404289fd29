"""Pings: what is sent where, and that none of it can harm a run."""

import json
from collections.abc import AsyncIterator

import anyio
import pytest

from batch_resend.errors import BatchResendError, InputError, UsageError
from batch_resend.job.outcome import Stop
from batch_resend.job.summary import RunEnd
from batch_resend.model import Reason
from batch_resend.monitoring import ping
from batch_resend.monitoring.monitor import reporting
from batch_resend.monitoring.ping import Ping
from batch_resend.observer import Ended
from tests.support.ends import summary
from tests.support.healthchecks import TOKEN, Check


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def check(anyio_backend: str) -> AsyncIterator[Check]:
    async with Check().running() as server:
        yield server


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten all waits."""
    monkeypatch.setattr(ping, "ANSWER_WITHIN", 0.5)
    monkeypatch.setattr(ping, "REST", 0.0)


async def pinged(url: str, end: RunEnd | BatchResendError) -> list[str]:
    """Report a run with this end; return the warnings."""
    warned: list[str] = []
    async with reporting([Ping(url, warned.append)]) as tell:
        await anyio.sleep(0)
        tell(Ended(end))
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
async def test_ping_reports_the_start_and_then_the_exit_code(
    check: Check, end: RunEnd | BatchResendError, signal: str
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
async def test_error_before_the_start_is_reported_masked(check: Check) -> None:
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
    ("answers", "sentence"),
    [
        ([500], "HTTP status 500"),
        ([404], "HTTP status 404"),
        ([302], "HTTP status 302"),
        ([0], "no response within 0.5 s"),
    ],
)
@pytest.mark.usefixtures("soon")
async def test_ping_is_attempted_twice_then_warned_of_without_its_url(
    check: Check, answers: list[int], sentence: str
) -> None:
    check.answers = [200, *answers]
    warned = await pinged(check.url, summary())
    assert warned == [f"A ping to 127.0.0.1 failed ({sentence}). The run is not affected."]
    assert check.signals == ["/start", "", ""]


@pytest.mark.anyio
@pytest.mark.usefixtures("soon")
async def test_ping_that_succeeds_the_second_time_warns_of_nothing(check: Check) -> None:
    check.answers = [500, 200]
    assert await pinged(check.url, summary()) == []
    assert check.signals == ["/start", "/start", ""]


@pytest.mark.anyio
@pytest.mark.usefixtures("soon")
async def test_unreachable_ping_url_does_not_fail_the_run(check: Check, unused: int) -> None:
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
    monkeypatch.setattr(ping, "START_WITHIN", 0.05)
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
def test_invalid_ping_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(UsageError, match=r"^--ping-url is .*\.$") as refused:
        Ping(url, print)
    assert "abc" not in str(refused.value)
    assert "hc-ping" not in str(refused.value)
