"""The connections below the client for resending: which of them may carry a request.

The promise: a response belongs to its own request. A connection on which data arrived before
the request, or which is about to close, is not used; a new one is watched for a moment, as
long as it took to connect, for a server that speaks first. At most `MOST_INTERIM` interim
responses (100 Continue) are read.
"""

from __future__ import annotations

import asyncio
import select
import ssl
import time
from functools import partial
from typing import Any
from weakref import WeakSet

import aiohttp
import anyio
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_parser import RawResponseMessage
from aiohttp.streams import StreamReader

from batch_resend.aws.unreachable import NotSent, Route, explain

MOST_INTERIM = 10  #: Cognito sends none, because no request asks for one

#: Seconds for which a new connection is watched, at least and at most.
SHORTEST_WATCH, LONGEST_WATCH = 0.005, 0.25


class TooManyInterim(aiohttp.ClientPayloadError):
    """The server sends one interim response after another."""


class Connection(ResponseHandler):
    """aiohttp's connection, which notices data that no request asked for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.spoke = asyncio.Event()  #: data arrived before a request, or the connection ended
        self._is_asked = False  # a request began, and its response has not
        self._interim = 0

    def set_response_params(self, **parameters: Any) -> None:
        """Prepare for a request."""
        self._is_asked, self._interim = True, 0
        super().set_response_params(**parameters)

    def data_received(self, data: bytes) -> None:
        """Read what arrived."""
        # Idle: the last response has ended. (aiohttp itself passes b"" to go on.)
        if data and not self._is_asked and not self.should_close:
            self.spoke.set()
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note the end."""
        self.spoke.set()
        super().connection_lost(exc)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Pass on a response, and drop an interim one."""
        code = data[0].code
        if self._is_asked and 100 <= code < 200 and code != 101:
            self._interim += 1
            if self._interim > MOST_INTERIM:
                self.set_exception(TooManyInterim())
            return
        self._is_asked = False
        super().feed_data(data, size)


class Connector(aiohttp.TCPConnector):
    """A connector that reuses connections, except those that may be broken."""

    def __init__(self, *, limit: int, tls: ssl.SSLContext | bool, keepalive: float) -> None:
        super().__init__(limit=limit, ssl=tls, keepalive_timeout=keepalive)
        self._factory: Any = partial(Connection, loop=self._loop)
        self._used: WeakSet[object] = WeakSet()

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> aiohttp.connector.Connection:
        """Return a connection on which no data has arrived yet; raises `NotSent`."""
        proxy = f"{req.proxy.host}:{req.proxy.port}" if req.proxy else ""
        route = Route(req.url.host or "", proxy)
        while True:
            began = time.monotonic()
            try:
                connection = await super().connect(req, traces, timeout)
            except Exception as error:
                raise explain(error, route) from error
            protocol = connection.protocol
            used = protocol in self._used
            try:
                if not used:
                    await _watch(protocol, time.monotonic() - began, timeout)
            except BaseException:
                connection.close()
                raise
            if _is_silent(protocol) and not (used and has_bytes_waiting(connection.transport)):
                self._used.add(protocol)
                return connection
            connection.close()
            if not used:
                raise NotSent(f"{route.host} sent data before the request, or closed it")


async def _watch(protocol: object, connected_in: float, timeout: aiohttp.ClientTimeout) -> None:
    """Wait for a server that speaks first: its data needs the way of a connection's answer."""
    if isinstance(protocol, Connection):
        with anyio.move_on_after(watch_for(connected_in, timeout)):
            await protocol.spoke.wait()


def watch_for(connected_in: float, timeout: aiohttp.ClientTimeout) -> float:
    """Return for how many seconds to watch a connection that was made in so many."""
    # This and the time to connect are less than the time for the whole exchange.
    longest = min(LONGEST_WATCH, (timeout.connect or LONGEST_WATCH) / 2)
    return min(max(SHORTEST_WATCH, connected_in), longest)


def _is_silent(protocol: object) -> bool:
    """Whether a connection is open, and nothing arrived that no request asked for."""
    return (
        isinstance(protocol, Connection)
        and not protocol.should_close
        and not protocol.spoke.is_set()
    )


def has_bytes_waiting(transport: asyncio.BaseTransport | None) -> bool:
    """Whether data has arrived, or the peer has closed, since the loop last read."""
    socket = transport.get_extra_info("socket") if transport is not None else None
    if socket is None:
        return False
    poll = select.poll()
    poll.register(socket.fileno(), select.POLLIN)
    return bool(poll.poll(0))
