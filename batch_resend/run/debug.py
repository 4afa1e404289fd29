"""A line for every request, for --debug: who, which answer, how long, and the rate.

The promise: names are masked, and nothing of what is sent is shown: no secret, no hash.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import anyio

from batch_resend.job.attempt import Sender
from batch_resend.masking import mask, printable
from batch_resend.model import Reply, Request, Wire
from batch_resend.observer import Noted, Observe


@dataclass(frozen=True, slots=True)
class DebuggedSender:
    """Sends as `sender` does, and reports each request; `rate` is the present one."""

    sender: Sender
    observe: Observe
    rate: Callable[[], float]

    async def send(self, request: Request) -> Reply:
        """Send a request and report it."""
        began = anyio.current_time()
        reply = await self.sender.send(request)
        took = anyio.current_time() - began
        answer = f"{reply.status} {reply.code}".strip()
        if reply.wire is not Wire.ANSWERED:
            answer = reply.wire.value
        self.observe(
            Noted(
                f"Request for {mask(request.username)}: {printable(answer)}, {took * 1000:.0f} ms,"
                f" request ID {printable(reply.request_id) or 'none'}, rate {self.rate():.1f}/s."
            )
        )
        return reply
