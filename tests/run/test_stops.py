"""Where a stop goes: before a run sends, and from then on."""

import anyio
import pytest

from batch_resend.job.outcome import Stop
from batch_resend.run.stops import Interrupted, Stops

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_stop_before_sending_cancels_and_gives_its_code() -> None:
    stops, calls = Stops(), []
    stops.tell(lambda: calls.append("a stop"))
    with (
        pytest.raises(Interrupted, match=r"No messages were sent\.$") as caught,
        stops.before_sending(),
    ):
        stops.stop(Stop.SIGTERM)
        stops.stop(Stop.SIGINT)  # the first one counts
        await anyio.sleep_forever()
    assert caught.value.exit_code == Stop.SIGTERM.exit_code
    assert calls == ["a stop", "a stop"]


async def test_stop_before_the_block_cancels_it_at_once() -> None:
    stops = Stops()
    stops.stop()
    with pytest.raises(Interrupted), stops.before_sending():
        await anyio.sleep_forever()


async def test_runs_that_send_take_stops_and_nothing_is_cancelled() -> None:
    stops = Stops()
    taken: list[tuple[str, Stop]] = []
    with stops.before_sending():
        assert not stops.reach_a_run
        for name in ("shop", "blog"):
            stops.go_to(lambda stop, name=name: taken.append((name, stop)))  # type: ignore[misc]
        assert stops.reach_a_run
        stops.stop(Stop.SIGINT)
        await anyio.lowlevel.checkpoint()
    assert taken == [("shop", Stop.SIGINT), ("blog", Stop.SIGINT)]


async def test_what_a_block_raises_comes_out_as_it_is() -> None:
    with pytest.raises(ValueError, match="mine"), Stops().before_sending():
        raise ValueError("mine")
