"""Monitors report beside a run, and are waited for."""

import anyio
import pytest

from batch_resend.errors import InputError
from batch_resend.monitoring.monitor import reporting
from batch_resend.observer import Ended, Event

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Slow:
    """A monitor that needs a few steps to report the end."""

    def __init__(self) -> None:
        self.ended = anyio.Event()
        self.reported = False

    def observe(self, event: Event) -> None:
        if isinstance(event, Ended):
            self.ended.set()

    async def report(self) -> None:
        await self.ended.wait()
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        self.reported = True


END = Ended(InputError("no."))


async def test_all_monitors_hear_of_the_end_and_are_waited_for() -> None:
    monitors = [Slow(), Slow()]
    async with reporting(monitors) as tell:
        tell(END)
    assert [monitor.reported for monitor in monitors] == [True, True]


async def test_monitors_report_the_end_even_where_all_is_cancelled() -> None:
    monitor = Slow()
    with anyio.CancelScope() as scope:
        async with reporting([monitor]) as tell:
            try:
                scope.cancel()
                await anyio.sleep_forever()
            finally:
                tell(END)
    assert monitor.reported
