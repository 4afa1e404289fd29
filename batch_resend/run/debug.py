"""A line for every request, for --debug: who, which answer, how long, and the rate.

The promise: names are masked, and nothing of what is sent is shown: no secret, no hash. What the
server says is masked, printable and short.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import anyio

from batch_resend.job.attempt import Sender
from batch_resend.masking import mask, mask_within
from batch_resend.model import Reply, Request, Wire
from batch_resend.observer import Noted, Observe

_LONGEST = 80  #: characters of the server's that are shown


@dataclass(frozen=True, slots=True)
class DebuggedSender:
    """A sender like `sender` that reports each request; `rate` is the present one."""

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
        request_id = _shown(reply.request_id, request.username) or "none"
        self.observe(
            Noted(
                f"Request for {mask(request.username)}: {_shown(answer, request.username)},"
                f" {took * 1000:.0f} ms, request ID {request_id}, rate {self.rate():.1f}/s."
            )
        )
        return reply


def _shown(text: str, username: str) -> str:
    """Return a text of the server as it may be shown."""
    masked = mask_within(text, username)  # before it is cut: half a name would stay
    return masked if len(masked) <= _LONGEST else f"{masked[:_LONGEST]}..."
