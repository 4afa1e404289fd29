"""Users from the user pool itself, by ListUsers.

The promises: an empty page is not treated as the end; a listing that does not advance is
given up; a listing that became invalid half-way is not treated as complete; a page is
waited for at most `FIRST_PAGE` or `ANY_PAGE` seconds, and the wait is reported; a user
that does not have the form of a listed user is refused; and no exception of the AWS SDK
leaves this module.

The pages are requested one by one: the SDK's paginator reports neither the page on which
it failed nor that a page did not come from Cognito.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Protocol

import anyio
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - that is how botocore calls it
    HTTPClientError,
    ParamValidationError,
)
from botocore.parsers import ResponseParserError
from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential_jitter,
)

from batch_resend.aws.refusals import (
    FORBIDDEN,
    THROTTLED,
    clock_is_off,
    is_of_credentials,
    no_credentials,
)
from batch_resend.errors import BatchResendError, InputError, SettingsError, StaleListing
from batch_resend.masking import mask_within, printable
from batch_resend.model import Candidate
from batch_resend.sources.cells import as_read_back
from batch_resend.sources.csv_records import csv_row
from batch_resend.sources.listed_user import USERNAME, NotListed, listed_user
from batch_resend.wording import some

#: Cognito's own limit for one page.
PAGE = 60

#: Maximum seconds to wait for the first page, and for any other with all its attempts.
FIRST_PAGE = 60.0
ANY_PAGE = 120.0

# Seconds after which a wait is reported, and then again.
_REPORTED_AFTER = 10.0

# 10 attempts over about two minutes, besides those that the SDK makes itself.
_TRIES = 10
_LONGEST_WAIT = 20.0

# The first is Cognito's ("Paging marker ... is invalid for request ..."), the second that
# of stand-ins such as moto.
_BAD_PAGE_TOKEN = {"InvalidParameterException", "InvalidToken"}

_NO_CONNECTION = (ConnectionError, HTTPClientError)
# What the SDK's parsers raise for a response that did not come from the service.
# (RuntimeError and OverflowError: for an invalid date.)
_UNREADABLE = (
    ResponseParserError,
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    OverflowError,
    RuntimeError,
)

_LONGEST_MESSAGE = 300  #: characters of a server's message that are shown

# A filtered page may be empty, and in a big pool very many in a row may be. No pool has
# more pages than this: 40 million users (Cognito's quota for a pool), 60 a page.
_MOST_PAGES = 700_000


class Client(Protocol):
    """The part of an SDK client for Cognito that is used here."""

    @property
    def list_users(self) -> Callable[..., Awaitable[Any]]:
        """Request one page of users; the response is checked where it is read."""
        ...


class CognitoSource:
    """The users of a pool as candidates.

    `filter` is passed to ListUsers. `keep` names the attributes that the candidates carry;
    `username` among them is the Username. `note` is called while a page is waited for.
    `open` starts the listing again.
    """

    def __init__(
        self,
        client: Client,
        user_pool_id: str,
        *,
        filter: str,  # noqa: A002 - the name it has everywhere
        keep: frozenset[str],
        note: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.name = f"user pool {printable(user_pool_id)}"
        self.columns: frozenset[str] | None = None
        self.username_column: str | None = None
        self.heading = csv_row([USERNAME, *sorted(keep - {USERNAME})])
        self.encoding = "utf-8"
        self.is_listing = True
        self.notes: tuple[str, ...] = ()
        self.rows = 0  #: users listed so far

        self._client = client
        self._arguments = {"UserPoolId": user_pool_id, "Filter": filter, "Limit": PAGE}
        self._keep = sorted(keep)
        self._note = note
        self._first: Mapping[str, Any] = {}

    async def open(self) -> None:
        """Request the first page, whose errors are those of the settings."""
        self.rows = 0
        self._first = await self._page(None)

    async def batches(self) -> AsyncGenerator[list[Candidate], None]:
        """Yield the candidates in the order of the listing, a page at a time."""
        page = self._first
        empty = 0
        tokens: set[bytes] = set()
        while True:
            empty = 0 if page.get("Users") else empty + 1
            if users := page.get("Users"):
                batch = [self._candidate(self.rows + n, user) for n, user in enumerate(users, 1)]
                self.rows += len(batch)
                yield batch
            token = page.get("PaginationToken")
            if not token:
                return
            # A million users are 17,000 tokens of several hundred characters each.
            digest = hashlib.blake2b(token.encode(), digest_size=8).digest()
            if digest in tokens or empty > _MOST_PAGES:
                why = "a page's token came back" if digest in tokens else "its pages stay empty"
                raise InputError(
                    f"The listing of {self.name} does not advance because {why}."
                    " Check --endpoint-url, or pass the users as a CSV file."
                )
            tokens.add(digest)
            page = await self._page(token)

    async def aclose(self) -> None:
        """Drop the first page; the client is closed by the caller that made it."""
        self._first = {}

    def _candidate(self, row: int, user: object) -> Candidate:
        try:
            listed = listed_user(row, user, keep=self._keep)
        except NotListed as error:
            raise self._not_cognito(f"user {row} {error}") from None
        columns = [name for name in self._keep if name != USERNAME]
        username = as_read_back(listed.username)
        cells = [username, *(listed.attributes.get(name, "") for name in columns)]
        return replace(listed, raw=csv_row(cells))

    async def _page(self, token: str | None) -> Mapping[str, Any]:
        page = await self._within(FIRST_PAGE if token is None else ANY_PAGE, token)
        if not isinstance(page, Mapping) or not page.keys() & {"Users", "PaginationToken"}:
            raise self._not_cognito()
        if not isinstance(page.get("Users", []), list):
            raise self._not_cognito("its Users are not a list")
        if not _is_text(page.get("PaginationToken", "")):
            raise self._not_cognito("its PaginationToken is not text")
        return page

    async def _within(self, limit: float, token: str | None) -> object:
        """Request a page and report the wait; raises a `BatchResendError` after `limit`."""
        failure: BatchResendError | None = None
        page: object = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._report_wait, limit)
            try:  # inside: what leaves a task group is a group of errors
                page = await self._request_page(limit, token)
            except BatchResendError as error:
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return page

    async def _report_wait(self, limit: float) -> None:
        waited = 0.0
        while (waited := waited + _REPORTED_AFTER) < limit:
            await anyio.sleep(_REPORTED_AFTER)
            self._note(
                f"{self.name}: waiting for a page of the listing for {waited:.0f} s,"
                f" {limit - waited:.0f} s more at most ({some(self.rows, 'user')} so far)."
            )

    async def _request_page(self, limit: float, token: str | None) -> object:
        arguments = self._arguments | ({"PaginationToken": token} if token else {})
        first = token is None
        tries = 0
        last: Exception | None = None
        # Requesting a page again is harmless: it only reads.
        patience = AsyncRetrying(
            sleep=anyio.sleep,
            stop=stop_after_attempt(_TRIES),
            wait=wait_exponential_jitter(max=_LONGEST_WAIT),
            retry=retry_if_exception(lambda error: _passes(error, first=first)),
            reraise=True,
        )

        async def ask() -> object:
            nonlocal tries, last
            tries += 1
            try:
                return await self._client.list_users(**arguments)
            except Exception as error:
                last = error
                raise

        try:
            with anyio.fail_after(limit):
                return await patience(ask)
        except TimeoutError:
            if isinstance(last, ClientError):
                raise self._refused(last, first=first, tries=tries) from last
            raise SettingsError(
                f"The endpoint that lists {self.name} did not send a page within {limit:.0f} s."
                " Check --region, --endpoint-url and the network."
            ) from last
        except ClientError as error:
            raise self._refused(error, first=first, tries=tries) from error
        except BotoCoreError as error:
            raise self._unasked(error) from error
        except _UNREADABLE as error:
            raise self._not_cognito() from error

    def _refused(self, error: ClientError, *, first: bool, tries: int) -> BatchResendError:
        """Return the error for a response in which Cognito refuses the listing."""
        code, message, status = _parts(error)
        if off := clock_is_off(error):
            return SettingsError(off)
        if error.operation_name != "ListUsers" or is_of_credentials(error):
            # Another operation is one by which the SDK gets credentials, such as AssumeRole.
            operation = error.operation_name
            return self._bad_credentials(
                code if operation == "ListUsers" else f"{operation}: {code}"
            )
        if not first and code in _BAD_PAGE_TOKEN:
            return StaleListing(
                f"The listing of {self.name} broke off half-way, after {some(self.rows, 'user')}:"
                f" Cognito refused to continue it ({printable(code)}: {_shown(message)})."
                " Run the same command again, which lists from the start."
            )
        if code == "ResourceNotFoundException":
            return SettingsError(
                f"The {self.name} does not exist in this Region and account. Check --user-pool-id,"
                " --region and the credentials."
            )
        if code in FORBIDDEN:
            return SettingsError(
                f"The credentials may not list the users of {self.name}."
                " Allow them cognito-idp:ListUsers, or pass the users as a CSV file."
            )
        if code == "InvalidParameterException":
            option = "--user-pool-id" if "userpoolid" in message.lower() else "--filter"
            return InputError(
                f"Cognito does not accept the listing of {self.name} ({_shown(message)})."
                f" Correct {option}."
            )
        if code == "OperationNotEnabledException":
            return SettingsError(
                f"This Region's copy of {self.name} does not list users. Use the primary Region."
            )
        if code in THROTTLED or status >= 500:
            why = "throttles" if code in THROTTLED else "fails at"
            return InputError(
                f"Cognito {why} the listing of {self.name} after {some(tries, 'attempt')}. Run"
                " again later."
            )
        if code.isdigit() or not message:
            return self._not_cognito()  # the SDK found no Cognito error in the response
        return SettingsError(
            f"Cognito does not list {self.name} ({printable(code)}: {_shown(message)})."
            " Check --user-pool-id, --region and --endpoint-url."
        )

    def _unasked(self, error: BotoCoreError) -> BatchResendError:
        """Return the error for a request that the SDK could not make, or that had no response."""
        from batch_resend.aws.guarded import ResponseTooLong  # loads the SDK's HTTP client

        if isinstance(error, no_credentials()):
            return self._bad_credentials(type(error).__name__)
        if isinstance(error, _NO_CONNECTION):
            where = error.kwargs.get("endpoint_url")  # may be the one for credentials
            reason = f"{where}, {type(error).__name__}" if where else type(error).__name__
            return SettingsError(
                f"The endpoint that lists {self.name} cannot be reached"
                f" ({printable(reason)}). Check --region, --endpoint-url and the network."
            )
        if isinstance(error, ResponseTooLong):
            return self._not_cognito(str(error))
        if isinstance(error, ParamValidationError):
            return SettingsError(
                f"The listing of {self.name} cannot be requested. Check --user-pool-id and"
                " --filter."
            )
        return SettingsError(
            f"The AWS SDK cannot list {self.name} ({type(error).__name__}). Check the AWS"
            " profile, --region and --endpoint-url."
        )

    def _bad_credentials(self, what: str) -> SettingsError:
        return SettingsError(
            f"The AWS credentials to list {self.name} are missing, invalid or expired"
            f" ({printable(what)}). Renew them or choose others with --profile, or pass the"
            " users as a CSV file, which needs no credentials."
        )

    def _not_cognito(self, what: str = "") -> SettingsError:
        return SettingsError(
            f"The endpoint that should list {self.name} does not respond as Amazon Cognito"
            f" does{f' ({what})' if what else ''}. Check --endpoint-url, the Region and any proxy."
        )


async def whole_pool(client: Client, user_pool_id: str) -> AsyncGenerator[list[Candidate], None]:
    """Yield all users of a pool in lists, whatever their status; raises what a listing raises."""
    source = CognitoSource(client, user_pool_id, filter="", keep=frozenset())
    await source.open()
    async with aclosing(source.batches()) as batches:
        async for batch in batches:
            yield batch
    await source.aclose()


def _is_text(value: object) -> bool:
    """Whether a value is text that can be sent back."""
    try:
        return isinstance(value, str) and bool(value.encode() or True)
    except UnicodeEncodeError:
        return False


def _passes(error: BaseException, *, first: bool) -> bool:
    """Whether an error is temporary; one that lasts must not be waited for."""
    if isinstance(error, ClientError):
        code, _, status = _parts(error)
        return code in THROTTLED or status >= 500
    # The endpoint has responded before, so its URL is right.
    return isinstance(error, _NO_CONNECTION) and not first


def _shown(message: str) -> str:
    """Return a message of the server's as it may be shown."""
    return mask_within(message[:10_000])[:_LONGEST_MESSAGE]


def _parts(error: ClientError) -> tuple[str, str, int]:
    details = error.response.get("Error", {})
    metadata = error.response.get("ResponseMetadata", {})
    return (
        str(details.get("Code") or ""),
        str(details.get("Message") or ""),
        int(metadata.get("HTTPStatusCode") or 0),
    )
