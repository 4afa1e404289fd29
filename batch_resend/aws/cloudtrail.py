"""CloudTrail's event history: the records of all ResendConfirmationCode calls of a time.

LookupEvents takes one filter and a time, and answers newest first, at most 50 events a page.
A token belongs to its parameters, so the times are fixed before the first page. AWS allows an
account and Region 2 calls per second, for all lookups together; this takes 1, and
where AWS throttles, the SDK waits and calls again. A listing whose token is no longer accepted
is restarted: the same record twice does no harm.

No exception of the AWS SDK leaves this module.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import anyio
from botocore.exceptions import BotoCoreError, ClientError

from batch_resend.aws import clients, refusals
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.errors import SettingsError

EVENT_NAME = "ResendConfirmationCode"
PERMISSION = "cloudtrail:LookupEvents"
POLICY = f'{{"Effect": "Allow", "Action": "{PERMISSION}", "Resource": "*"}}'
PAGE = 50

#: Seconds that one call may take: us-east-1 has been reported to take 35.
#: https://repost.aws/questions/QU_pkYincJQBytmgwCE_CczQ
_TIMEOUT = 60.0
_ATTEMPTS = 10
_LISTINGS = 3  #: how often a listing is started
_DENIED = refusals.FORBIDDEN | {"OperationNotPermittedException", "UnsupportedOperationException"}


class NotPermitted(SettingsError):
    """The credentials may not look up events."""


@contextlib.asynccontextmanager
async def open_history(target: AwsTarget, *, rate: float = 1.0) -> AsyncIterator[EventHistory]:
    """Open the event history of the Region that was called, with the usual credentials."""
    async with clients.signed_client(
        target, clients.CLOUDTRAIL, attempts=_ATTEMPTS, timeout=_TIMEOUT
    ) as client:
        yield EventHistory(client, rate=rate)


class EventHistory:
    """The event history, through an open client for `cloudtrail`; `rate` in calls per second."""

    def __init__(self, client: Any, *, rate: float = 1.0) -> None:
        self.calls = 0
        self.region = str(client.meta.region_name) if hasattr(client, "meta") else ""
        self._client = client
        self._apart = 1.0 / rate
        self._next = -math.inf

    async def pages(self, start: float, end: float) -> AsyncIterator[list[str]]:
        """Yield the records between two times (seconds since the epoch), newest first, as JSON.

        Raises `SettingsError`: `NotPermitted` where the permission is missing.
        """
        parameters = {
            "LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": EVENT_NAME}],
            "StartTime": datetime.fromtimestamp(math.floor(start), UTC),
            "EndTime": datetime.fromtimestamp(math.ceil(end), UTC),
            "MaxResults": PAGE,
        }
        for last in (False,) * (_LISTINGS - 1) + (True,):
            token: dict[str, str] = {}
            while True:
                try:
                    page = await self._call({**parameters, **token})
                except _StaleToken:
                    if last:
                        raise
                    break
                yield _records(page)
                if not page.get("NextToken"):
                    return
                token = {"NextToken": str(page["NextToken"])}

    async def _call(self, parameters: dict[str, Any]) -> dict[str, Any]:
        await anyio.sleep(max(0.0, self._next - anyio.current_time()))
        self._next = anyio.current_time() + self._apart
        self.calls += 1
        try:
            page = await self._client.lookup_events(**parameters)
        except ClientError as error:
            if off := refusals.clock_is_off(error):
                raise SettingsError(off) from error
            raise _in_words(refusals.code_of(error)) from error
        except refusals.no_credentials() as error:
            raise SettingsError(
                "CloudTrail cannot be queried: no valid AWS credentials were found. Set them, or"
                " give the records with --events."
            ) from error
        except BotoCoreError as error:
            raise SettingsError(
                f"CloudTrail cannot be queried ({type(error).__name__}). Check credentials, Region"
                " and network, or give the records with --events."
            ) from error
        except Exception as error:  # whatever the SDK makes of a page that is not AWS's
            raise _in_words(f"unreadable response, {type(error).__name__}") from error
        return page if isinstance(page, dict) else {}


class _StaleToken(SettingsError):
    """The token of a listing is no longer accepted."""


def _in_words(code: str) -> SettingsError:
    if code in _DENIED:
        return NotPermitted(
            f"CloudTrail refused the lookup ({code}): the credentials need {PERMISSION}."
        )
    if code in refusals.BAD_CREDENTIALS:
        return SettingsError(
            f"CloudTrail does not accept the AWS credentials ({code}). Renew them, or give the"
            " records with --events."
        )
    if code == "InvalidNextTokenException":
        return _StaleToken(
            "CloudTrail refused several times to continue its listing"
            " (InvalidNextTokenException). Run the same command again, which lists from the start."
        )
    if code in refusals.THROTTLED:
        return SettingsError(
            "CloudTrail throttled every attempt: others use up its 2 lookups per second. Try again"
            " later, or with a lower --rate."
        )
    return SettingsError(f"CloudTrail cannot be queried ({code or 'no error code'}).")


def _records(page: dict[str, Any]) -> list[str]:
    events = page.get("Events")
    if not isinstance(events, list):
        return []
    texts = (event.get("CloudTrailEvent") for event in events if isinstance(event, dict))
    return [text for text in texts if isinstance(text, str)]
