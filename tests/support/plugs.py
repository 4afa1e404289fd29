"""A ledger, a sender and a report whose plug can be pulled at any call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio

from batch_resend.ledger import IntentRejected, Step
from batch_resend.ledger.sqlite.ledger import SqliteLedger
from batch_resend.model import Reply, Request, Result
from batch_resend.simulator.sender import SimulatedSender
from tests.support.world import Kept


class Pulled(Exception):
    """The error of a plug that was pulled."""


class Plug:
    """The connection of a run to the world, until it is pulled."""

    def __init__(self, pull_at: float | None) -> None:
        self.pull_at = pull_at

    @property
    def is_pulled(self) -> bool:
        return self.pull_at is not None and anyio.current_time() >= self.pull_at

    def check(self) -> None:
        if self.is_pulled:
            raise Pulled


class PluggedLedger:
    def __init__(self, ledger: SqliteLedger, plug: Plug) -> None:
        self._ledger, self._plug = ledger, plug

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def write(self, steps: Sequence[Step]) -> list[int | IntentRejected]:
        self._plug.check()
        return self._ledger.write(steps)

    def commit(self) -> None:
        self._plug.check()
        self._ledger.commit()

    def finish(self, summary: str, at: float) -> None:
        self._plug.check()
        self._ledger.finish(summary, at)


class PluggedSender:
    def __init__(self, sender: SimulatedSender, plug: Plug) -> None:
        self._sender, self._plug = sender, plug

    async def send(self, request: Request) -> Reply:
        self._plug.check()
        # What has left is on its way, plug or no plug: Cognito may still deliver it.
        reply = await self._sender.send(request)
        self._plug.check()
        return reply


class PluggedReport(Kept):
    def __init__(self, plug: Plug) -> None:
        super().__init__()
        self._plug = plug

    def write(self, result: Result) -> None:
        self._plug.check()
        super().write(result)
