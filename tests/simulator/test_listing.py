"""Listing the simulated pool: filters, pages, tokens, descriptions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from batch_resend.simulator.pool import Pool, User, parse_filter
from batch_resend.simulator.rules import ApiError, Cognito
from batch_resend.simulator.setup import DEFAULT_MAIL_QUOTA, Client, PoolSettings
from tests.support.simulated import ADA, NOON, POOL_ID, UNCONFIRMED

BOB = User("bob", {"email": "bob@example.com"}, status="CONFIRMED")


CY = User("Cy", {"email": "cy@example.com", "custom:x": "1"}, enabled=False)


@pytest.mark.parametrize(
    ("text", "fitting"),
    [
        ("", [ADA, BOB, CY]),
        ('cognito:user_status = "UNCONFIRMED"', [ADA, CY]),
        ('cognito:user_status="unconfirmed"', [ADA, CY]),
        ('cognito:user_status ^= "conf"', [BOB]),
        ('username = "ada"', [ADA]),
        ('username = "ADA"', []),
        ('username ^= "C"', [CY]),
        ('status = "Disabled"', [CY]),
        ('status = "disabled"', []),
        (r'email = "a\"da@example.com"', [ADA]),
        ('name ^= ""', [ADA]),
        (' name = "Ada" ', [ADA]),
    ],
)
def test_a_filter_fits_these_users(text: str, fitting: list[User]) -> None:
    assert [user for user in (ADA, BOB, CY) if parse_filter(text)(user)] == fitting


@pytest.mark.parametrize(
    "text",
    [
        "username",
        "username = ada",
        'username != "ada"',
        'username = "ada',
        'username = "a"da"',
        'username = "ada" AND status = "Enabled"',
        'custom:x = "1"',
        " ",
    ],
)
def test_a_filter_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        Cognito().list_users({"UserPoolId": POOL_ID, "Filter": text}, now=0)
    assert refused.value.code == "InvalidParameterException"


def pages(
    cognito: Cognito, between: Callable[[int], object] = lambda _: None, **parameters: Any
) -> list[list[str]]:
    """List to the end; `between` is called after each page with its number."""
    listing: list[list[str]] = []
    token: dict[str, str] = {}
    while not listing or token:
        page = cognito.list_users({"UserPoolId": POOL_ID, **parameters, **token}, now=NOON)
        listing.append([user["Username"] for user in page["Users"]])
        token = {"PaginationToken": page["PaginationToken"]} if "PaginationToken" in page else {}
        between(len(listing))
    return listing


def test_a_listing_goes_through_all_users_page_by_page() -> None:
    names = [f"u{number:03}" for number in range(130)]
    cognito = Cognito(Pool(User(name) for name in names))
    assert pages(cognito) == [names[:60], names[60:120], names[120:]]
    assert pages(cognito, Limit=50) == [names[:50], names[50:100], names[100:]]
    assert pages(Cognito(Pool())) == [[]]


def test_confirmation_between_pages_skips_no_user() -> None:
    """The first user of the next page is confirmed between the pages."""
    pool = Pool(User(name) for name in "abcdef")

    def confirm(page: int) -> None:
        if page == 1:
            pool.put(User("c", status="CONFIRMED"))  # the first of the next page
            pool.remove("b")  # the last of this one
            pool.put(User("aa"))  # too late

    assert pages(Cognito(pool), confirm, Limit=2, Filter=UNCONFIRMED) == [
        ["a", "b"],
        ["d", "e"],
        ["f"],
    ]


def test_empty_pages_may_come_in_between_and_carry_a_token() -> None:
    cognito = Cognito(Pool(User(name) for name in "abc"), settings=PoolSettings(empty_pages=True))
    assert pages(cognito, Limit=2) == [[], ["a", "b"], [], ["c"]]


@pytest.mark.parametrize(
    "changed",
    [
        {"Filter": ""},
        {"PaginationToken": "page-99"},
        {"PaginationToken": "page-0"},
        {"PaginationToken": "nonsense"},
        {"Limit": 61},
        {"Limit": -1},
    ],
)
def test_a_token_is_good_for_its_own_listing_only(changed: dict[str, Any]) -> None:
    cognito = Cognito(Pool(User(name) for name in "abc"))
    asked = {"UserPoolId": POOL_ID, "Limit": 2, "Filter": UNCONFIRMED}
    token = cognito.list_users(asked, now=0)["PaginationToken"]
    with pytest.raises(ApiError) as refused:
        cognito.list_users({**asked, "PaginationToken": token, **changed}, now=0)
    assert refused.value.code == "InvalidParameterException"


def test_a_token_expires_after_an_hour() -> None:
    cognito = Cognito(Pool(User(name) for name in "abc"))
    asked = {"UserPoolId": POOL_ID, "Limit": 2}
    asked |= {"PaginationToken": cognito.list_users(asked, now=0)["PaginationToken"]}
    assert len(cognito.list_users(asked, now=3599)["Users"]) == 1
    with pytest.raises(ApiError, match="expired"):
        cognito.list_users(asked, now=3600)


def test_pool_and_client_are_described_as_the_api_does() -> None:
    cognito = Cognito(
        Pool([ADA]),
        client=Client("id", secret="s3cret", prevent_user_existence_errors=True),
        settings=PoolSettings("eu-west-1_X", mail_quota=DEFAULT_MAIL_QUOTA),
    )
    pool = cognito.describe_user_pool({"UserPoolId": "eu-west-1_X"})["UserPool"]
    assert pool["Id"] == "eu-west-1_X"
    assert pool["AutoVerifiedAttributes"] == ["email"]
    assert pool["EmailConfiguration"] == {"EmailSendingAccount": "COGNITO_DEFAULT"}
    assert pool["EstimatedNumberOfUsers"] == 1
    asked = {"UserPoolId": "eu-west-1_X", "ClientId": "id"}
    assert cognito.describe_user_pool_client(asked)["UserPoolClient"] == {
        "UserPoolId": "eu-west-1_X",
        "ClientId": "id",
        "ClientName": "simulated",
        "PreventUserExistenceErrors": "ENABLED",
        "ClientSecret": "s3cret",
    }


def test_a_client_without_a_secret_shows_none() -> None:
    asked = {"UserPoolId": POOL_ID, "ClientId": Client().client_id}
    client = Cognito().describe_user_pool_client(asked)["UserPoolClient"]
    assert "ClientSecret" not in client
    assert client["PreventUserExistenceErrors"] == "LEGACY"


def test_another_client_is_not_described() -> None:
    with pytest.raises(ApiError, match="User pool client other does not exist"):
        Cognito().describe_user_pool_client({"UserPoolId": POOL_ID, "ClientId": "other"})
