"""By the real SDK: what proves that nothing was sent."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, NoReturn

import pytest

from batch_resend.job.outcome import judge
from batch_resend.model import Reason, Wire
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.server import running
from tests.support.by_sdk import ask, at_endpoint

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def not_sent(url: str) -> bool:
    async with at_endpoint(url) as sender:
        reply = await sender.send(ask("ada@example.com"))
    assert "ada@example.com" not in reply.message
    return (reply.wire, judge(reply).reason) == (Wire.NOT_SENT, Reason.CONNECTION)


async def test_sdk_refused_connection_proves_nothing_was_sent() -> None:
    async with running(Cognito()) as url:
        pass
    assert await not_sent(url)


async def test_by_the_sdk_an_unknown_name_proves_that_nothing_was_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(*_: Any, **__: Any) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert await not_sent("https://cognito.invalid")


async def test_sdk_connection_timeout_proves_nothing_was_sent() -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):  # they are never accepted, and there is no third place
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        assert await not_sent(f"http://127.0.0.1:{full.getsockname()[1]}")


async def test_sdk_failed_handshake_proves_nothing_was_sent() -> None:
    cognito = Cognito()
    async with running(cognito) as url:
        assert await not_sent(url.replace("http:", "https:"))
    assert cognito.requests == 0


async def test_sdk_refusing_proxy_proves_nothing_was_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        assert await not_sent("https://cognito.invalid")
    (head,) = asked
    assert head.startswith(b"CONNECT cognito.invalid:443 ")
    assert b"ada" not in head


async def test_sdk_missing_proxy_proves_nothing_was_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(Cognito()) as gone:
        pass
    monkeypatch.setenv("HTTPS_PROXY", gone)
    assert await not_sent("https://cognito.invalid")


async def test_sdk_plain_http_stays_on_this_machine_despite_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cognito, eavesdropper = Cognito(), Cognito()
    async with running(eavesdropper) as proxy, running(cognito) as url:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy)
        assert not await not_sent(url)
    assert (cognito.requests, eavesdropper.requests) == (1, 0)
