"""One request, one answer: the HTTP session under the SDK's client for resending.

Stands where aiobotocore's own session does (its public `http_session_cls`). It sends a
request exactly once, follows no redirect (which would hand name and secret hash to
another address), reads no more than 1 MB of an answer, bounds the whole exchange in
time, and, where something breaks, says the one thing that the SDK's session cannot:
whether it is *proved* that nothing was sent. Only aiohttp's `ClientConnectorError` (no
connection came about: refused, DNS, TLS), a connect timeout and a proxy that refuses to
connect prove that; the SDK reports a reset after the request arrived in the same words
as a refused connection.
"""

from __future__ import annotations

import ssl
from types import TracebackType
from typing import Any

import aiohttp
from aiobotocore.awsrequest import AioAWSResponse
from botocore.httpsession import ProxyConfiguration, get_cert_path
from yarl import URL

LONGEST_ANSWER = 1_000_000  #: bytes; Cognito's answers are a few hundred


class NotSent(Exception):
    """Proved: no byte of the request left."""


class NoAnswer(Exception):
    """The request may have left, and silence or a broken connection followed."""


class Unreadable(Exception):
    """The request left, and what came back broke off or is no answer of Cognito's."""


class _Body:
    """An answer's body, already read."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self) -> bytes:
        return self._body


class OneShotSession:
    """An HTTP session for aiobotocore. The parameters are those it hands in."""

    def __init__(  # noqa: PLR0917 - aiobotocore's signature
        self,
        verify: bool | str = True,
        proxies: dict[str, str] | None = None,
        timeout: tuple[float, float] = (10.0, 10.0),
        max_pool_connections: int = 10,
        socket_options: object = None,
        client_cert: str | tuple[str, str] | None = None,
        proxies_config: dict[str, Any] | None = None,
        connector_args: dict[str, Any] | None = None,
    ) -> None:
        """Take note; connections come with the first request."""
        del socket_options
        self._verify = verify
        self._proxies = ProxyConfiguration(proxies=proxies, proxies_settings=proxies_config)
        # Half of the time to connect, so that whose time is up at the end has surely
        # connected, and may have sent.
        connect, self._total = timeout
        self._timeout = aiohttp.ClientTimeout(total=self._total, connect=connect)
        self._limit = max_pool_connections
        self._client_cert = client_cert
        self._connector_args = connector_args or {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> OneShotSession:
        """Open the connection pool."""
        connector = aiohttp.TCPConnector(limit=self._limit, ssl=self._tls(), **self._connector_args)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            skip_auto_headers={"Content-Type"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, request: Any) -> AioAWSResponse:
        """Send the request once; raises `NotSent`, `NoAnswer` or `Unreadable`."""
        assert self._session is not None  # noqa: S101 - aiobotocore enters first
        headers = {
            name: value.decode() if isinstance(value, bytes) else value
            for name, value in request.headers.items()
        }
        headers["Accept-Encoding"] = "identity"
        url = URL(request.url, encoded=True)
        # Plain http stays on this machine: through a proxy, names and hashes would leave it.
        proxied = url.scheme == "https"
        try:
            async with self._session.request(
                request.method,
                url,
                headers=headers,
                data=request.body,
                allow_redirects=False,
                proxy=self._proxies.proxy_url_for(request.url) if proxied else None,
                proxy_headers=self._proxies.proxy_headers_for(request.url) if proxied else None,
            ) as response:
                body = await self._read(response)
        except (
            aiohttp.ClientConnectorError,
            aiohttp.ConnectionTimeoutError,
            aiohttp.ClientHttpProxyError,
            aiohttp.InvalidURL,
        ) as error:
            raise NotSent(_told(error)) from error
        except aiohttp.ClientPayloadError as error:
            raise Unreadable("the answer broke off") from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise NoAnswer(_told(error)) from error
        found = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in response.raw_headers
        }
        return AioAWSResponse(request.url, response.status, found, _Body(body))

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        pieces, size = [], 0
        async for piece in response.content.iter_any():
            pieces.append(piece)
            size += len(piece)
            if size > LONGEST_ANSWER:
                response.close()
                raise Unreadable("the answer is longer than 1 MB")
        return b"".join(pieces)

    def _tls(self) -> ssl.SSLContext | bool:
        if not self._verify:
            return False
        context = ssl.create_default_context(cafile=get_cert_path(self._verify))
        if self._client_cert:
            pair = self._client_cert
            context.load_cert_chain(*([pair] if isinstance(pair, str) else pair))
        return context


def _told(error: BaseException) -> str:
    # Never str(error): it can hold a proxy's password or the whole address.
    cause = getattr(error, "os_error", None) or error
    text = getattr(cause, "strerror", None)
    return f"{type(error).__name__}{f': {text}' if text else ''}"
