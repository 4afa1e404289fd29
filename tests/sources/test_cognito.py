"""The listing of a pool's users: every user once, whatever the pages look like."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
import trio.testing
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from batch_resend.errors import BatchResendError, Exit, InputError, SettingsError, StaleListing
from batch_resend.model import Candidate
from batch_resend.sources import cognito
from batch_resend.sources.cognito import CognitoSource
from batch_resend.sources.file import FileSource
from tests.support.listings import POOL, UNCONFIRMED, listing, names, read

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Return Trio with a clock that jumps: waiting takes no time."""
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


class Pages:
    """A client that answers with prepared pages and errors, and remembers what was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    async def list_users(self, **kwargs: Any) -> Any:
        self.asked.append(kwargs)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def page(*usernames: str, token: str | None = None) -> dict[str, Any]:
    users = [{"Username": username, "Attributes": []} for username in usernames]
    return {"Users": users} | ({"PaginationToken": token} if token else {})


def error(code: str, message: str = "", status: int = 400, of: str = "ListUsers") -> ClientError:
    metadata: Any = {"HTTPStatusCode": status}
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, of
    )


async def test_pages_follow_by_token_and_nothing_else_changes() -> None:
    client = Pages(page("a", "b", token="1"), page("c", token="2"), page("d"))
    candidates = await read(listing(client))
    assert [(c.row, c.username) for c in candidates] == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]
    always = {"UserPoolId": POOL, "Filter": UNCONFIRMED, "Limit": 60}
    assert client.asked == [
        always,
        always | {"PaginationToken": "1"},
        always | {"PaginationToken": "2"},
    ]


async def test_an_empty_page_is_not_the_end() -> None:
    client = Pages(
        page(token="1"),
        page("a", token="2"),
        {"PaginationToken": "3"},
        page("b", token="4"),
        page(),
    )
    assert await names(listing(client)) == ["a", "b"]


async def test_a_pool_without_such_users_is_an_empty_listing() -> None:
    assert await names(listing(Pages(page()))) == []


async def test_a_user_becomes_a_candidate() -> None:
    user = {
        "Username": " Ada\u00e9 ",
        "Attributes": [
            {"Name": "sub", "Value": "s-1"},
            {"Name": "email", "Value": "ada@example.com"},
            {"Name": "phone_number", "Value": "s-1"},
            {"Name": "custom:lang", "Value": 'd"e,\r'},
            {"Name": "name", "Value": "Ada"},
        ],
        "UserCreateDate": datetime(2026, 1, 2, tzinfo=UTC),
        "Enabled": False,
        "UserStatus": "UNCONFIRMED",
    }
    source = listing(Pages({"Users": [user]}), keep=frozenset({"zoneinfo", "custom:lang"}))
    assert await read(source) == [
        Candidate(
            row=1,
            username=" Ada\u00e9 ",
            attributes={"custom:lang": 'd"e,\r'},
            raw=' Ada\u00e9 ,"d""e,\r",\n',
            aliases=("s-1", "ada@example.com"),
            status="UNCONFIRMED",
            enabled=False,
            created=1767312000.0,
        )
    ]
    assert source.heading == "username,custom:lang,zoneinfo\n"
    assert source.columns is None
    assert source.name == f"user pool {POOL}"


async def test_an_alias_that_is_the_username_is_none() -> None:
    user = {"Username": "s-1", "Attributes": [{"Name": "sub", "Value": "s-1"}]}
    (candidate,) = await read(listing(Pages({"Users": [user]})))
    assert candidate.aliases == ()
    assert (candidate.status, candidate.enabled, candidate.created) == (None, None, None)


@pytest.mark.parametrize(
    ("user", "why"),
    [
        (None, "user 1 is not an object"),
        ({}, "user 1 has no Username that is text"),
        ({"Username": 5}, "user 1 has no Username that is text"),
        ({"Username": ""}, "user 1 has no Username that is text"),
        ({"Username": "a", "Attributes": None}, "Attributes that are not a list"),
        ({"Username": "a", "Attributes": [{"Name": "b", "Value": 1}]}, "an attribute that"),
        ({"Username": "a", "Enabled": "false"}, "an Enabled that is neither true nor false"),
        ({"Username": "a", "UserStatus": 1}, "a UserStatus that is not text"),
        ({"Username": "a", "UserCreateDate": "soon"}, "a UserCreateDate that is not a date"),
    ],
)
async def test_user_that_cognito_does_not_list_is_refused(user: Any, why: str) -> None:
    """Sent to on a guess, a disabled user or another one could get a code."""
    with pytest.raises(SettingsError, match=why) as refused:
        await read(listing(Pages({"Users": [user]})))
    assert "--endpoint-url" in str(refused.value)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"Users": None},
        {"Users": {}},
        {"Users": [], "PaginationToken": 5},
        {"Users": [], "PaginationToken": None},
        {"Users": [], "PaginationToken": "\ud800"},
    ],
)
async def test_page_that_cognito_does_not_send_is_refused(answer: Any) -> None:
    with pytest.raises(SettingsError, match="does not respond as Amazon Cognito"):
        await read(listing(Pages(answer)))


class Hanging(Pages):
    """A client that never answers once its pages are used up."""

    async def list_users(self, **kwargs: Any) -> Any:
        if not self.answers:
            await trio.sleep_forever()
        return await super().list_users(**kwargs)


@pytest.mark.parametrize(("pages", "limit"), [([], 60), ([page("a", token="1")], 120)])
async def test_page_that_does_not_come_is_waited_for_aloud(pages: Any, limit: int) -> None:
    notes: list[tuple[float, str]] = []
    began = trio.current_time()
    source = CognitoSource(
        Hanging(*pages),
        POOL,
        filter=UNCONFIRMED,
        keep=frozenset(),
        note=lambda text: notes.append((trio.current_time() - began, text)),
    )
    with pytest.raises(SettingsError, match=f"did not send a page within {limit} s"):
        await read(source)
    assert trio.current_time() - began == limit
    assert [at for at, _ in notes] == [10.0 * n for n in range(1, limit // 10)]
    assert notes[0][1] == (
        f"user pool {POOL}: waiting for a page of the listing for 10 s, {limit - 10} s more at"
        f" most ({len(pages)} user{'' if pages else 's'} so far)."
    )
    assert source.rows == len(pages)


async def test_first_page_that_is_throttled_is_given_up_in_time() -> None:
    began = trio.current_time()
    with pytest.raises(InputError, match=r"throttles .* after \d attempts. Run again later"):
        await read(listing(Pages(*[error("TooManyRequestsException", "Rate exceeded")] * 10)))
    assert trio.current_time() - began == 60


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # files are read in threads
async def test_the_raw_rows_are_a_csv_file_of_the_same_users(tmp_path: Path) -> None:
    users = [
        {"Username": name, "Attributes": [{"Name": "name", "Value": value}]}
        for name, value in [("a,b", "x\ny"), ('"', "x\ry"), ("é", ""), ("#", ";;;")]
    ]
    keep = frozenset({"name", "username"})
    source = listing(Pages({"Users": users}), keep=keep)
    listed = await read(source)
    path = tmp_path / "failed.csv"
    path.write_bytes((source.heading + "".join(c.raw for c in listed)).encode(source.encoding))
    file = FileSource(str(path), keep=keep)
    await file.open()
    (again,) = [batch async for batch in file.batches()]
    await file.aclose()
    assert again == listed


async def test_listing_that_does_not_advance_is_given_up() -> None:
    client = Pages(page("a", token="1"), page("b", token="2"), page("a", token="1"))
    with pytest.raises(InputError, match="does not advance") as refused:
        await read(listing(client))
    assert not isinstance(refused.value, StaleListing)


async def test_empty_pages_are_followed_as_far_as_the_largest_pool(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert cognito._MOST_PAGES * cognito.PAGE > 40_000_000  # Cognito's quota of users in a pool
    monkeypatch.setattr(cognito, "_MOST_PAGES", 5)
    empty = [page(token=str(n)) for n in range(20)]
    assert await names(
        listing(Pages(*empty[:5], page("a", token="a"), *empty[5:10], page("b")))
    ) == ["a", "b"]
    with pytest.raises(InputError, match="does not advance because its pages stay empty"):
        await read(listing(Pages(page("a", token="a"), *empty)))


@pytest.mark.parametrize(
    "stale",
    [
        error("InvalidParameterException", "Paging marker x is invalid for request y"),
        error("InvalidToken", "Invalid Token: Resource not found!"),
    ],
)
async def test_a_listing_that_became_invalid_can_begin_anew(stale: ClientError) -> None:
    client = Pages(page("a", token="1"), stale, page("b", token="1"), page("c"))
    source = listing(client)
    with pytest.raises(StaleListing, match=r"after 1 user: .*same command again, which lists from"):
        await read(source)
    assert [(c.row, c.username) for c in await read(source)] == [(1, "b"), (2, "c")]


NOT_FOUND = error("ResourceNotFoundException", f"User pool {POOL} does not exist.")


@pytest.mark.parametrize(
    ("answer", "kind", "hint"),
    [
        (NOT_FOUND, SettingsError, "--region"),
        (error("NotAuthorizedException", "no"), SettingsError, "cognito-idp:ListUsers"),
        (error("AccessDeniedException", "no"), SettingsError, "cognito-idp:ListUsers"),
        (error("UnrecognizedClientException", "no"), SettingsError, "credentials"),
        (error("InvalidSignatureException", "no"), SettingsError, "credentials"),
        (error("ExpiredTokenException", "no"), SettingsError, "credentials"),
        (error("AccessDenied", "no", 403, of="AssumeRole"), SettingsError, "credentials"),
        (botocore.exceptions.NoCredentialsError(), SettingsError, "credentials"),
        (
            botocore.exceptions.UnauthorizedSSOTokenError(),
            SettingsError,
            "UnauthorizedSSOTokenError",
        ),
        (error("InvalidParameterException", "Error while parsing filter"), InputError, "--filter"),
        (
            error("InvalidParameterException", "Value 'x' at 'userPoolId' failed to satisfy"),
            InputError,
            "--user-pool-id",
        ),
        (error("InvalidToken", "x"), SettingsError, "InvalidToken: x"),
        (error("OperationNotEnabledException", "no"), SettingsError, "primary Region"),
        (error("SomethingNew", "odd\n"), SettingsError, r"SomethingNew: odd\\n"),
        (error("403", "<html>", 403), SettingsError, "does not respond as Amazon Cognito"),
        (error("UnknownOperationException"), SettingsError, "does not respond as Amazon Cognito"),
        (ResponseParserError("<html>"), SettingsError, "does not respond as Amazon Cognito"),
        (ValueError("Invalid timestamp"), SettingsError, "does not respond as Amazon Cognito"),
        (RuntimeError("offset for 1e300"), SettingsError, "does not respond as Amazon Cognito"),
        (OverflowError("too large"), SettingsError, "does not respond as Amazon Cognito"),
        ({"ResponseMetadata": {}}, SettingsError, "does not respond as Amazon Cognito"),
        (
            botocore.exceptions.EndpointConnectionError(endpoint_url="https://x"),
            SettingsError,
            "cannot be reached",
        ),
        (
            botocore.exceptions.ReadTimeoutError(endpoint_url="https://x"),
            SettingsError,
            "cannot be reached",
        ),
        (
            botocore.exceptions.ParamValidationError(report="x"),
            SettingsError,
            "cannot be requested",
        ),
        (botocore.exceptions.NoRegionError(), SettingsError, "NoRegionError"),
    ],
)
async def test_what_fails_at_the_first_page_is_said_in_a_sentence(
    answer: Exception | dict[str, Any], kind: type[BatchResendError], hint: str
) -> None:
    client = Pages(answer)
    with pytest.raises(kind, match=hint) as refused:
        await listing(client).open()
    assert type(refused.value) is kind
    assert POOL in str(refused.value)
    assert str(refused.value).isprintable()


async def test_cognito_message_is_short_and_without_addresses() -> None:
    client = Pages(error("InvalidParameterException", "bad: ada@example.com " + 10**6 * "x"))
    with pytest.raises(InputError) as refused:
        await listing(client).open()
    assert "ada@" not in str(refused.value)
    assert "a***@e***" in str(refused.value)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    "trouble",
    [
        error("TooManyRequestsException", "Rate exceeded"),
        error("InternalErrorException", "Something went wrong", 500),
        error("503", "Service Unavailable", 503),
        botocore.exceptions.ConnectionClosedError(endpoint_url="https://x"),
        botocore.exceptions.EndpointConnectionError(endpoint_url="https://x"),
    ],
)
async def test_trouble_that_passes_is_waited_for(trouble: Exception) -> None:
    client = Pages(page("a", token="1"), *[trouble] * 9, page("b"))
    before = trio.current_time()
    assert await names(listing(client)) == ["a", "b"]
    assert 60 < trio.current_time() - before < 180


@pytest.mark.parametrize(
    ("trouble", "kind", "exit_code"),
    [
        (error("TooManyRequestsException", "Rate exceeded"), InputError, Exit.USAGE),
        (error("InternalErrorException", "", 500), InputError, Exit.USAGE),
        (
            botocore.exceptions.ConnectionClosedError(endpoint_url="https://x"),
            SettingsError,
            Exit.SETTINGS,
        ),
    ],
)
async def test_trouble_that_does_not_pass_ends_the_listing(
    trouble: Exception, kind: type[BatchResendError], exit_code: Exit
) -> None:
    client = Pages(page("a", token="1"), *[trouble] * 10)
    with pytest.raises(kind) as refused:
        await read(listing(client))
    assert type(refused.value) is kind
    assert refused.value.exit_code == exit_code
    assert client.answers == []


async def test_expired_credentials_are_not_a_stale_listing() -> None:
    client = Pages(page("a", token="1"), error("ExpiredTokenException", "expired"))
    with pytest.raises(SettingsError, match="credentials"):
        await read(listing(client))
