"""The SDK's HTTP session, but one that follows no redirect.

What is signed is for one endpoint: a redirect would hand the request, with its session token,
to another host, also from https to plain http, and take that host's response for AWS's.
"""

from __future__ import annotations

from typing import Any

from aiobotocore.httpsession import AIOHTTPSession


class UnredirectedSession(AIOHTTPSession):
    """Returns a redirect as the response that it is."""

    async def _get_session(self, proxy_url: Any) -> Any:
        session: Any = super()  # its own method, which the stubs leave out
        return _Unredirected(await session._get_session(proxy_url))  # noqa: SLF001


class _Unredirected:
    def __init__(self, session: Any) -> None:
        self._session = session

    def request(self, method: str, **more: Any) -> Any:
        return self._session.request(method, allow_redirects=False, **more)
