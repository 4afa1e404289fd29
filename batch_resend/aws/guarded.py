"""The SDK's HTTP session, with two guards against an endpoint that is not AWS.

It follows no redirect: what is signed is for one endpoint, and a redirect would hand the request,
with its session token, to another host, also from https to plain http, and take that host's
response for AWS's. And it reads at most `LONGEST_RESPONSE` bytes of a response, except of an
object in S3, which is read as a stream.
"""

from __future__ import annotations

from typing import Any

from aiobotocore.httpsession import AIOHTTPSession
from botocore.exceptions import BotoCoreError, HTTPClientError

from batch_resend.aws.bounded import read_within

#: Bytes. A page of 60 users has up to some MB, one of DynamoDB 1 MB, one of CloudTrail far less.
LONGEST_RESPONSE = 16_000_000


class ResponseTooLong(BotoCoreError):
    """A response is longer than any of AWS's; its request is not made again."""

    fmt = f"a response is longer than {LONGEST_RESPONSE // 1_000_000} MB"


class GuardedSession(AIOHTTPSession):
    """Returns a redirect as the response that it is, and gives up one that is too long."""

    async def send(self, request: Any) -> Any:
        """Send a request; raises `ResponseTooLong`, which the SDK would hide and retry."""
        try:
            return await super().send(request)
        except HTTPClientError as error:
            cause = error.kwargs.get("error")
            if isinstance(cause, ResponseTooLong):
                raise cause from None
            raise

    async def _get_session(self, proxy_url: Any) -> Any:
        session: Any = super()  # its own method, which the stubs leave out
        return _Guarded(await session._get_session(proxy_url))  # noqa: SLF001


class _Guarded:
    def __init__(self, session: Any) -> None:
        self._session = session

    async def request(self, method: str, **more: Any) -> Any:
        response = await self._session.request(method, allow_redirects=False, **more)

        async def read() -> bytes:
            body = await read_within(response, LONGEST_RESPONSE)
            if body is None:
                raise ResponseTooLong
            return body

        response.read = read
        return response
