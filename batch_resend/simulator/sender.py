"""The simulator in process: a sender, and a listing, that replace the real ones.

Both wait by anyio and take the time from its loop, so that in virtual time hours pass at
once. A request is judged when it arrives, after half of the latency, and the response comes
after the other half: a request that is cancelled in between has sent a code all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, NoReturn, Self

import anyio
import anyio.lowlevel

from batch_resend.marks import with_mark
from batch_resend.model import Reply, Request
from batch_resend.simulator.cloudtrail import EventHistory, LookupRefused
from batch_resend.simulator.pool import Kind
from batch_resend.simulator.rules import ApiError, Cognito
from batch_resend.version import __version__

AGENT = f"batch-resend/{__version__} simulated"

_SILENCE = frozenset({Kind.LOST, Kind.SILENT})


class SimulatedSender:
    """A sender to a simulated Cognito.

    `epoch` is the time when the sender is entered, in seconds since 1970; `latency` the
    seconds a call takes, or a function that returns them; `timeout` the seconds after
    which it stops waiting for an answer that never comes.
    """

    def __init__(
        self,
        cognito: Cognito,
        *,
        epoch: float = 0.0,
        latency: float | Callable[[], float] = 0.0,
        timeout: float = 60.0,
    ) -> None:
        self._cognito = cognito
        self._epoch = epoch
        self._latency = latency
        self._timeout = timeout
        self._entered = 0.0

    async def __aenter__(self) -> Self:
        """Start the clock."""
        self._entered = anyio.current_time()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave nothing behind."""

    def now(self) -> float:
        """Return the time of the simulated world, in seconds since the epoch."""
        return self._epoch + anyio.current_time() - self._entered

    async def send(self, request: Request) -> Reply:
        """Make one request."""
        latency = self._latency() if callable(self._latency) else self._latency
        await anyio.sleep(latency / 2)
        answer = self._cognito.answer(
            request.parameters, now=self.now(), agent=with_mark(AGENT, request.mark)
        )
        await anyio.sleep(self._timeout if answer.fault in _SILENCE else latency / 2)
        return answer.reply


class SimulatedListing:
    """A substitute for a botocore client, for the calls that need credentials."""

    def __init__(self, cognito: Cognito, now: Callable[[], float]) -> None:
        """Read the time from `now`, such as `SimulatedSender.now`."""
        self._cognito = cognito
        self._now = now

    async def list_users(self, **parameters: Any) -> dict[str, Any]:
        """Return one page of users."""
        await anyio.lowlevel.checkpoint()
        try:
            page = self._cognito.list_users(parameters, now=self._now())
        except ApiError as error:
            _raise(error, "ListUsers")
        for user in page["Users"]:
            for date in ("UserCreateDate", "UserLastModifiedDate"):
                user[date] = datetime.fromtimestamp(user[date], UTC)
        return page

    async def describe_user_pool(self, **parameters: Any) -> dict[str, Any]:
        """Return the pool's settings."""
        await anyio.lowlevel.checkpoint()
        try:
            return self._cognito.describe_user_pool(parameters)
        except ApiError as error:
            _raise(error, "DescribeUserPool")

    async def describe_user_pool_client(self, **parameters: Any) -> dict[str, Any]:
        """Return the client's settings and its secret."""
        await anyio.lowlevel.checkpoint()
        try:
            return self._cognito.describe_user_pool_client(parameters)
        except ApiError as error:
            _raise(error, "DescribeUserPoolClient")


class SimulatedEventHistory:
    """A substitute for a botocore client, for CloudTrail's LookupEvents."""

    def __init__(self, history: EventHistory, now: Callable[[], float]) -> None:
        """Read the time from `now`, such as `SimulatedSender.now`."""
        self._history = history
        self._now = now

    async def lookup_events(self, **parameters: Any) -> dict[str, Any]:
        """Return one page of events."""
        await anyio.lowlevel.checkpoint()
        for name in ("StartTime", "EndTime"):
            if name in parameters:
                parameters[name] = parameters[name].timestamp()
        try:
            page = self._history.lookup(parameters, now=self._now())
        except LookupRefused as error:
            _raise(error, "LookupEvents")
        for event in page["Events"]:
            event["EventTime"] = datetime.fromtimestamp(event["EventTime"], UTC)
        return page


def _raise(error: ApiError | LookupRefused, operation: str) -> NoReturn:
    from botocore.exceptions import ClientError

    answer: Any = {  # the SDK's own has more, which nothing here reads
        "Error": {"Code": error.code, "Message": error.message},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    raise ClientError(answer, operation) from None
