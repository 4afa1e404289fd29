"""One request, one response: the HTTP layer below the SDK's client for resending.

The SDK builds the request and parses the response. In between, its event `before-call` lets
a handler provide the response (botocore's `Stubber` uses that), and this module does so. The
SDK then omits signing, retries and copies of the request, two fifths of its work. The
promises:

  - A request is sent exactly once. No redirect is followed, which would hand name and secret
    hash to another host. At most 1 MB of a response is read, and the whole exchange is
    bounded in time.
  - A response belongs to its own request (`connector`), and is read only if it is HTTP.
  - If something fails, the error shows what the SDK's does not: whether it is *proved* that
    nothing was sent. It is proved until there is a connection, through the proxy if there is
    one; the SDK reports a reset after the request arrived like a refused connection.
"""

from __future__ import annotations

import ssl
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import aiohttp
from aiohttp.http_parser import RawResponseMessage
from botocore.httpsession import ProxyConfiguration, get_cert_path
from botocore.parsers import create_parser
from yarl import URL

from batch_resend.aws.bounded import read_within
from batch_resend.aws.connector import Connector, TooManyInterim
from batch_resend.aws.unreachable import NotSent
from batch_resend.marks import with_mark
from batch_resend.masking import printable

#: The mark of the request that the current task is making. The SDK has no way to hand a header
#: to one call of a client, and calls the transport in the caller's task.
MARK: ContextVar[str] = ContextVar("MARK", default="")

LONGEST_ANSWER = 1_000_000  #: bytes; Cognito's responses have a few hundred

_EVENT = "before-call.cognito-identity-provider.ResendConfirmationCode"


class NoAnswer(Exception):
    """The request may have left; a timeout or a broken connection followed."""


class Unreadable(Exception):
    """The request left; the response broke off or did not come from Cognito."""


@dataclass(frozen=True, slots=True)
class _Address:
    """The target of a request, and its proxy."""

    url: URL
    proxy: str | None = None
    proxy_headers: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Answered:
    """The parts of a response that the SDK still reads."""

    status_code: int


class SingleAttemptTransport:
    """The exchange of one client: its `http_session_cls` is `configured`; then `attach` it."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._addresses: dict[str, _Address] = {}

    def configured(
        self,
        *,
        verify: bool | str = True,
        proxies: dict[str, str] | None = None,
        timeout: tuple[float, float] = (10.0, 10.0),
        max_pool_connections: int = 10,
        socket_options: object = None,
        client_cert: str | tuple[str, str] | None = None,
        proxies_config: dict[str, Any] | None = None,
        connector_args: dict[str, Any] | None = None,
    ) -> SingleAttemptTransport:
        """Store aiobotocore's settings; return this object in place of its session."""
        del socket_options
        self._verify = verify
        self._proxies = ProxyConfiguration(proxies=proxies, proxies_settings=proxies_config)
        # Half of the time to connect, so that a request that times out at the end has
        # certainly connected, and may have been sent.
        connect, total = timeout
        self._timeout = aiohttp.ClientTimeout(total=total, connect=connect)
        self._limit = max_pool_connections
        self._client_cert = client_cert
        self._keepalive = float((connector_args or {}).get("keepalive_timeout", 10.0))
        return self

    def attach(self, client: Any) -> None:
        """Replace the client's own sending from now on."""
        model = client.meta.service_model
        # Like the SDK: before botocore 1.39 there was no choice of protocols.
        protocol = getattr(model, "resolved_protocol", None) or model.metadata["protocol"]
        self._parser = create_parser(protocol)  # which stores nothing between responses
        client.meta.events.register_last(_EVENT, self._call)

    async def __aenter__(self) -> SingleAttemptTransport:
        connector = Connector(limit=self._limit, tls=self._tls(), keepalive=self._keepalive)
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
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _call(
        self, *, model: Any, params: dict[str, Any], **_: object
    ) -> tuple[_Answered, dict[str, Any]]:
        """Send the request once; raises `NotSent`, `NoAnswer` or `Unreadable`."""
        if self._session is None:
            raise NotSent("the client is closed")
        address = self._addresses.get(params["url"]) or self._address(params["url"])
        headers = {**params["headers"], "Accept-Encoding": "identity"}
        if mark := MARK.get():
            headers["User-Agent"] = with_mark(headers.get("User-Agent", ""), mark)
        try:
            async with self._session.request(
                params["method"],
                address.url,
                headers=headers,
                data=params["body"],
                allow_redirects=False,
                proxy=address.proxy,
                proxy_headers=address.proxy_headers,
            ) as response:
                body = await self._read(response)
        except aiohttp.InvalidURL as error:
            raise NotSent("the endpoint URL is not valid", lasting=True) from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise _of_response(error) from error
        received = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in response.raw_headers
        }
        answer = {"status_code": response.status, "headers": received, "body": body}
        parsed = self._parser.parse(answer, model.output_shape)
        if not isinstance(parsed, dict):  # as `null` is
            raise Unreadable("the response is JSON but not an object")
        return _Answered(response.status), parsed

    def _address(self, url: str) -> _Address:
        parsed = URL(url, encoded=True)
        # Plain http stays on this machine: through a proxy, names and hashes would leave it.
        if parsed.scheme == "https":
            proxies = self._proxies
            address = _Address(parsed, proxies.proxy_url_for(url), proxies.proxy_headers_for(url))
        else:
            address = _Address(parsed)
        self._addresses[url] = address
        return address

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = await read_within(response, LONGEST_ANSWER)
        if body is None:
            raise Unreadable("the response is longer than 1 MB")
        return body

    def _tls(self) -> ssl.SSLContext | bool:
        if not self._verify:
            return False
        verify: Any = self._verify  # True, or a file name, which the SDK's types omit
        context = ssl.create_default_context(cafile=get_cert_path(verify))
        if self._client_cert:
            pair = self._client_cert
            context.load_cert_chain(*([pair] if isinstance(pair, str) else pair))
        return context


def _of_response(error: Exception) -> NoAnswer | Unreadable:
    """Return what became of a request that may have left."""
    if isinstance(error, TooManyInterim):
        return Unreadable("the endpoint sends interim responses (100 Continue) without an end")
    if isinstance(error, aiohttp.ClientPayloadError):
        return Unreadable("the response broke off")
    if isinstance(error, aiohttp.ClientResponseError):
        return Unreadable("the response is not valid HTTP")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        if isinstance(error.message, RawResponseMessage):  # as far as it came
            return Unreadable("the response broke off in its headers")
        return NoAnswer("the connection was closed without a response")
    if isinstance(error, TimeoutError):
        return NoAnswer("no complete response came in time")
    # Never str(error): it can hold the whole URL.
    why = getattr(error, "strerror", None) or type(error).__name__
    return NoAnswer(f"the connection broke off ({printable(why)})")
