"""Addresses that AWS delivers nothing to: SES's suppression list, and SNS's opted-out numbers.

Amazon SES accepts a mail to a suppressed address and does not send it, and SNS does the same
with text messages to a number that has opted out. Cognito reports success for both. The lists
are read page by page, slowly: AWS allows an account one call per second for the first (SES
Developer Guide, "Quotas"), and live traffic must not notice the second.

What the AWS SDK raises leaves `suppressed` and `opted_out`; `SuppressionList` turns it into
sentences.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import anyio
from botocore.exceptions import BotoCoreError, ClientError

from batch_resend.aws import clients, refusals
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.errors import SettingsError

LIST_SUPPRESSED = "ses:ListSuppressedDestinations"
LIST_OPTED_OUT = "sns:ListPhoneNumbersOptedOut"
PAGE = 1000  #: addresses; what SES makes of it is in no model, so a refusal leaves it out
_APART = 1.0  #: seconds


@dataclass(frozen=True, slots=True)
class Suppressed:
    """An address on the suppression list: why (`BOUNCE`, `COMPLAINT`), and since when."""

    address: str
    reason: str
    at: float  #: seconds since the epoch


async def suppressed(
    client: Any, *, reasons: Sequence[str] = (), since: float | None = None
) -> AsyncIterator[list[Suppressed]]:
    """Yield the suppression list in pages, through an open client for `sesv2`."""
    wanted: dict[str, Any] = {"PageSize": PAGE}
    if reasons:
        wanted["Reasons"] = list(reasons)
    if since is not None:
        wanted["StartDate"] = datetime.fromtimestamp(math.floor(since), UTC)
    while True:
        try:
            page = await client.list_suppressed_destinations(**wanted)
        except ClientError as error:
            if refusals.code_of(error) != "BadRequestException" or "PageSize" not in wanted:
                raise
            del wanted["PageSize"]
        else:
            yield [
                Suppressed(
                    str(one["EmailAddress"]),
                    str(one.get("Reason", "")),
                    one["LastUpdateTime"].timestamp(),
                )
                for one in page["SuppressedDestinationSummaries"]
            ]
            if not page.get("NextToken"):
                return
            wanted["NextToken"] = page["NextToken"]
        await anyio.sleep(_APART)


async def opted_out(client: Any) -> AsyncIterator[list[str]]:
    """Yield the telephone numbers that opted out, through an open client for `sns`."""
    token: dict[str, str] = {}
    while True:
        page = await client.list_phone_numbers_opted_out(**token)
        yield list(map(str, page["phoneNumbers"]))
        if not page.get("nextToken"):
            return
        token = {"nextToken": page["nextToken"]}
        await anyio.sleep(_APART)


class SuppressionList:
    """The suppression list, through an open client; raises `SettingsError`."""

    def __init__(self, client: Any) -> None:
        self.region = str(client.meta.region_name)
        self._client = client

    async def pages(self, since: float) -> AsyncIterator[list[Suppressed]]:
        """Yield the addresses that were added or updated since then, in pages."""
        try:
            async for page in suppressed(self._client, since=since):
                yield page
        except ClientError as error:
            raise _in_words(refusals.code_of(error)) from error
        except refusals.no_credentials() as error:
            raise SettingsError(
                "Amazon SES cannot be queried: no valid AWS credentials were found."
            ) from error
        except BotoCoreError as error:
            raise SettingsError(
                f"Amazon SES cannot be queried ({type(error).__name__}). Check credentials,"
                " Region and network."
            ) from error
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise _in_words(f"unreadable response, {type(error).__name__}") from error


async def ses_region(target: AwsTarget, user_pool_id: str) -> str:
    """Return the Region of the SES identity that a pool sends with, "" for the pool's own.

    Raises `SettingsError`, also where Cognito itself sends the mail: it keeps no list for us.
    """
    hint = "Leave out --user-pool-id where Amazon SES is in the pool's own Region."
    try:
        async with clients.signed_client(target, clients.COGNITO) as client:
            pool = (await client.describe_user_pool(UserPoolId=user_pool_id))["UserPool"]
    except (ClientError, BotoCoreError) as error:
        code = refusals.code_of(error) if isinstance(error, ClientError) else type(error).__name__
        raise SettingsError(
            f"Which Amazon SES the pool sends with could not be determined ({code}): that needs"
            f" cognito-idp:DescribeUserPool. {hint}"
        ) from error
    mail = pool.get("EmailConfiguration") or {}
    if mail.get("EmailSendingAccount") != "DEVELOPER":
        raise SettingsError(
            "The pool sends with Cognito's own sender, which shows no deliveries. Leave out"
            " --deliveries."
        )
    parts = str(mail.get("SourceArn") or "").split(":")
    return parts[3] if len(parts) > 3 else ""


@contextlib.asynccontextmanager
async def open_list(target: AwsTarget, region: str = "") -> AsyncIterator[SuppressionList]:
    """Open the suppression list of a Region, with the usual credentials."""
    async with clients.signed_client(target, clients.SES, region=region) as client:
        yield SuppressionList(client)


def _in_words(code: str) -> SettingsError:
    if code in refusals.FORBIDDEN:
        return SettingsError(
            f"Amazon SES refused the suppression list ({code}): the credentials need"
            f" {LIST_SUPPRESSED}."
        )
    if code in refusals.BAD_CREDENTIALS:
        return SettingsError(f"Amazon SES does not accept the AWS credentials ({code}).")
    return SettingsError(f"Amazon SES cannot be queried ({code or 'no error code'}).")
