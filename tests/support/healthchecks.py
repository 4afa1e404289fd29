"""A healthchecks.io of our own: it keeps the pings that it gets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from aiohttp import web

TOKEN = "0d338dcc-a054-11ec-b909-0242ac120002"


class Check:
    """A server like healthchecks.io: it receives pings, and responds as configured."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, Any]] = []
        self.answers: list[int] = []  #: 0: none; the last one holds on
        self.port = 0
        self.gone = anyio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{TOKEN}"

    @property
    def signals(self) -> list[str]:
        return [path.removeprefix(f"/{TOKEN}") for _, path, _ in self.heard]

    async def _answer(self, request: web.Request) -> web.Response:
        text = await request.text()
        body = json.loads(text) if text else None
        self.heard.append((request.method, request.path_qs, body))
        status = self.answers.pop(0) if len(self.answers) > 1 else (*self.answers, 200)[0]
        if not status:
            await self.gone.wait()
        return web.Response(status=status, headers={"Location": f"{self.url}/elsewhere"})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Check]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            self.gone.set()
            await runner.cleanup()
