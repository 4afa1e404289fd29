"""A server that notes what it hears and always gives the same answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer


@dataclass
class Listener:
    """A server that notes its requests and always sends the same response."""

    url: str = ""
    heard: list[web.BaseRequest] = field(default_factory=list)


@asynccontextmanager
async def listening(body: str, content_type: str, status: int = 200) -> AsyncIterator[Listener]:
    listener = Listener()

    async def hear(request: web.Request) -> web.Response:
        listener.heard.append(request)
        return web.Response(text=body, content_type=content_type, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hear)
    async with TestServer(app, host="127.0.0.1") as server:
        listener.url = str(server.make_url("/"))
        yield listener
