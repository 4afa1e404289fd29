"""Pings in the conventions of healthchecks.io (its documentation, "Pinging API").

The URL holds a secret: it is in no message, and redirects do not pass it on.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import anyio
import tenacity

from batch_resend.aws.endpoints import LOOPBACK
from batch_resend.aws.tls import check_key_log
from batch_resend.errors import BatchResendError, UsageError
from batch_resend.job.summary import RunEnd, error_as_json
from batch_resend.monitoring.monitor import Warn
from batch_resend.observer import Ended, Event
from batch_resend.version import __version__

ANSWER_WITHIN = 5.0  #: seconds for one ping
TRIES = 2
REST = 1.0  #: seconds between two attempts
START_WITHIN = 2.0  #: seconds that the last ping waits for the first to be answered

#: The parts of the summary in a ping: no file names, because they may name a customer.
_FIELDS = {
    *("schema", "counts", "reasons", "rows", "requests", "throttled", "seconds", "started_at"),
    *(
        "stopped_by",
        "detail",
        "unknown_in_ledger",
        "not_recorded_in_ledger",
        "exit_code",
        "version",
        "user_pool_id",
        "client_id",
    ),
    *("region", "simulated", "dry_run"),
}


class Ping:
    """Pings in the conventions of healthchecks.io (its documentation, "Pinging API").

    `/start` when the run starts. At its end the bare URL for exit code 0, else
    `/<exit code>`, with the summary as the body; `/fail`, with the sentence, if the
    run ended before any message.
    """

    def __init__(self, url: str, warn: Warn) -> None:
        """Check the URL; raises `UsageError`, which does not show it."""
        try:
            self._url = urlsplit(url)
            _ = self._url.port
        except ValueError:
            raise UsageError("--ping-url is not a valid URL. Use https://HOST/PATH.") from None
        host, scheme = self._url.hostname, self._url.scheme
        if scheme not in {"http", "https"} or not host or not url.isprintable() or " " in url:
            raise UsageError("--ping-url is not a valid URL. Use https://HOST/PATH.")
        if scheme == "http" and host not in LOOPBACK:
            raise UsageError("--ping-url is plain http, which is not encrypted. Use https.")
        check_key_log()
        self._warn = warn
        self._end: RunEnd | BatchResendError | None = None
        self._ended = anyio.Event()

    def observe(self, event: Event) -> None:
        """Called when something happens: note the end."""
        if isinstance(event, Ended):
            self._end = event.end
            self._ended.set()

    async def report(self) -> None:
        """Ping at the start, and once more at the end."""
        started = anyio.Event()

        async def start() -> None:
            await self._ping("/start", None)
            started.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(start)
            await self._ended.wait()
            with anyio.move_on_after(START_WITHIN):
                await started.wait()
            tasks.cancel_scope.cancel()
        if isinstance(self._end, BatchResendError):
            await self._ping("/fail", _body(self._end))
        elif self._end is not None:
            code = self._end.exit_code
            await self._ping(f"/{code}" if code else "", _body(self._end))

    async def _ping(self, signal: str, body: dict[str, Any] | None) -> None:
        retrying = tenacity.AsyncRetrying(
            sleep=anyio.sleep,
            stop=tenacity.stop_after_attempt(TRIES),
            wait=tenacity.wait_fixed(REST),
            retry=tenacity.retry_if_result(bool),
            retry_error_callback=lambda state: state.outcome and state.outcome.result(),
        )
        why: str = await retrying(self._try, signal, body)
        if why:
            host = self._url.hostname
            self._warn(f"A ping to {host} failed ({why}). The run is not affected.")

    async def _try(self, signal: str, body: dict[str, Any] | None) -> str:
        """Ping once; return the failure, or an empty text."""
        import aiohttp

        url = self._url._replace(path=self._url.path.rstrip("/") + signal).geturl()
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN),
                    trust_env=self._url.scheme == "https",  # proxies, but none for plain http
                    headers={"User-Agent": f"batch-resend/{__version__}"},
                ) as session,
                session.post(url, json=body, allow_redirects=False) as answer,
            ):
                return "" if answer.status < 300 else f"HTTP status {answer.status}"
        except TimeoutError:
            return f"no response within {ANSWER_WITHIN:g} s"
        except Exception as error:  # of any kind: never its text, which may show the URL
            return type(error).__name__


def _body(end: RunEnd | BatchResendError) -> dict[str, Any]:
    if isinstance(end, BatchResendError):
        return error_as_json(end)
    body = {name: fact for name, fact in end.as_json().items() if name in _FIELDS}
    if end.parts:
        body["pools"] = {name: _body(of_pool) for name, of_pool in end.parts.items()}
    return body
