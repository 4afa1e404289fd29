"""The simulator's rules, held against answers that were worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
import anyio
import pytest
import trio.testing
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.model import Delivery, Reply, Request, Wire
from batch_resend.simulator.pool import Kind, Pool, User, make_users, parse_filter
from batch_resend.simulator.quota import Meter, Quota, Style
from batch_resend.simulator.rules import (
    DEFAULT_MAIL_QUOTA,
    ApiError,
    Client,
    Cognito,
    Outage,
    PoolSettings,
)
from batch_resend.simulator.sender import SimulatedListing, SimulatedSender
from batch_resend.simulator.server import running, serve_forever

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
POOL_ID = PoolSettings().pool_id


def ask(username: str, **more: Any) -> dict[str, Any]:
    return {"ClientId": Client().client_id, "Username": username, **more}


def code_of(reply: Reply) -> str:
    return reply.code or ("sent" if reply.delivery else "")


# Quotas


@pytest.mark.parametrize(
    ("quota", "arrivals", "taken"),
    [
        pytest.param(
            Quota(rate=2, burst=3),
            # Three at once, then one each half second.
            [0, 0, 0, 0, 0.25, 0.5, 0.75, 1.0, 10, 10, 10, 10],
            [1, 1, 1, 0, 0, 1, 0, 1, 1, 1, 1, 0],
            id="a bucket of three, filled twice a second",
        ),
        pytest.param(
            Quota(rate=0.5),
            [0, 1, 2, 3, 4],
            [1, 0, 1, 0, 1],
            id="a bucket that is filled every other second still holds one",
        ),
        pytest.param(
            Quota(rate=2, style=Style.FIXED_SECOND),
            # Twice the rate within a tenth of a second, around the full second.
            [0.9, 0.95, 0.99, 1.0, 1.0, 1.5, 2.0],
            [1, 1, 0, 1, 1, 0, 1],
            id="a fixed second begins anew",
        ),
        pytest.param(
            Quota(rate=2, style=Style.SLIDING_SECOND),
            [0.9, 0.95, 0.99, 1.0, 1.9, 1.94, 1.95, 2.0],
            [1, 1, 0, 0, 1, 0, 1, 0],
            id="a sliding second forgets each request after a second",
        ),
        pytest.param(
            Quota(rate=lambda now: 2 if now < 5 else 1, style=Style.FIXED_SECOND),
            [4, 4, 4, 5, 5, 6],
            [1, 1, 0, 1, 0, 1],
            id="the rate may change while requests come in",
        ),
        pytest.param(
            Quota(rate=lambda now: 4 if now < 1 else 1),
            [0, 0, 0, 0, 0, 1, 1, 2],
            [1, 1, 1, 1, 0, 1, 0, 1],
            id="a bucket shrinks with the rate",
        ),
        pytest.param(
            Quota(rate=10, burst=1),
            [NOON + tenth / 10 for tenth in range(8)],
            [1] * 8,
            id="who keeps exactly to the quota is never refused, in the year 2026 either",
        ),
    ],
)
def test_a_quota_lets_through_what_was_worked_out_by_hand(
    quota: Quota, arrivals: list[float], taken: list[int]
) -> None:
    meter = Meter(quota)
    assert [int(meter.take(now)) for now in arrivals] == taken


def resend(cognito: Cognito, parameters: dict[str, Any], now: float) -> Reply:
    """What a careful client makes of the answer."""
    return cognito.answer(parameters, now=now).reply


# In eighths of a second, which floats can say exactly.
ARRIVALS = st.lists(st.integers(0, 80).map(lambda eighths: eighths / 8), max_size=80).map(sorted)


def let_through(quota: Quota, arrivals: Iterable[float]) -> list[float]:
    cognito = Cognito(quota=quota)
    return [
        now for i, now in enumerate(arrivals) if resend(cognito, ask(f"u{i}"), now=now).delivery
    ]


@given(ARRIVALS, st.integers(1, 9), st.integers(1, 9))
def test_a_bucket_never_gives_more_than_its_size_and_what_came_in(
    arrivals: list[float], rate: int, burst: int
) -> None:
    accepted = let_through(Quota(rate=rate, burst=burst), arrivals)
    for first, start in enumerate(accepted):
        for last, end in enumerate(accepted[first:], first):
            assert last - first + 1 <= burst + rate * (end - start)


@given(ARRIVALS, st.integers(1, 9))
def test_no_fixed_second_gives_more_than_the_rate(arrivals: list[float], rate: int) -> None:
    accepted = let_through(Quota(rate=rate, style=Style.FIXED_SECOND), arrivals)
    for second in range(12):
        assert sum(second <= at < second + 1 for at in accepted) <= rate


@given(ARRIVALS, st.integers(1, 9))
def test_no_second_at_all_gives_more_than_a_sliding_rate(arrivals: list[float], rate: int) -> None:
    accepted = let_through(Quota(rate=rate, style=Style.SLIDING_SECOND), arrivals)
    for start in accepted:
        assert sum(start <= at < start + 1 for at in accepted) <= rate


def test_over_the_quota_is_a_400_that_says_how_long_to_wait_and_is_counted() -> None:
    cognito = Cognito(quota=Quota(rate=1, retry_after=2.5))
    assert code_of(resend(cognito, ask("ada"), now=0)) == "sent"
    refused = resend(cognito, ask("bob"), now=0)
    assert replace(refused, request_id="") == Reply(
        Wire.ANSWERED, 400, "TooManyRequestsException", "Rate exceeded", retry_after=2.5
    )
    assert (cognito.requests, cognito.throttled, dict(cognito.deliveries)) == (2, 1, {"ada": 1})


def test_other_traffic_draws_from_the_same_quota() -> None:
    cognito = Cognito(quota=Quota(rate=2))
    assert cognito.spend(0)
    assert code_of(resend(cognito, ask("ada"), now=0)) == "sent"
    assert not cognito.spend(0)
    assert code_of(resend(cognito, ask("bob"), now=0)) == "TooManyRequestsException"
    assert cognito.requests == 2


def test_without_a_quota_nobody_is_throttled() -> None:
    cognito = Cognito()
    assert all(resend(cognito, ask(f"user{i}"), now=0).delivery for i in range(500))
    assert cognito.spend(0)


# Limits


def test_the_sixth_resend_within_an_hour_is_refused_and_the_hour_rolls() -> None:
    cognito = Cognito()
    answers = {
        minute: resend(cognito, ask("ada"), now=minute * 60)
        for minute in (0, 10, 20, 30, 40, 50, 59, 60, 61, 70)
    }
    assert {minute: code_of(reply) for minute, reply in answers.items()} == {
        **dict.fromkeys((0, 10, 20, 30, 40), "sent"),
        **dict.fromkeys((50, 59), "LimitExceededException"),
        60: "sent",  # the one of minute 0 no longer counts
        61: "LimitExceededException",
        70: "sent",
    }
    assert answers[50].message == "Attempt limit exceeded, please try after some time."
    assert code_of(resend(cognito, ask("bob"), now=3000)) == "sent"
    assert cognito.deliveries == {"ada": 7, "bob": 1}


def test_the_mail_quota_begins_anew_at_nine_in_utc() -> None:
    def at(hour: int, minute: int, day: int = 23) -> float:
        return datetime(2026, 11, day, hour, minute, tzinfo=UTC).timestamp()

    cognito = Cognito(settings=PoolSettings(mail_quota=2))
    moments = [at(8, 58), at(8, 59), at(8, 59), at(9, 0), at(23, 0), at(8, 59, 24), at(9, 0, 24)]
    replies = [resend(cognito, ask(f"u{i}"), now=now) for i, now in enumerate(moments)]
    assert [bool(reply.delivery) for reply in replies] == [1, 1, 0, 1, 1, 0, 1]
    assert replies[2].code == "LimitExceededException"
    assert replies[2].message.startswith("Exceeded daily email limit for the operation or the ")


def test_text_messages_use_no_mail_quota() -> None:
    cognito = Cognito(settings=PoolSettings(mail_quota=0))
    assert code_of(resend(cognito, ask("ada+sms"), now=0)) == "sent"
    assert code_of(resend(cognito, ask("ada"), now=0)) == "LimitExceededException"


# Client and pool


@pytest.mark.parametrize(
    ("username", "secret_hash", "message"),
    [
        ("testuser", "LthmoSss1n0/Ms4uzp6sA+g2PgbCMi/mSkSSqamQ1mg=", ""),
        ("José", "JT7A4vfGALr9FzoOL3rChisZo1QRCZimbu9JUul7BdU=", ""),
        (
            "testuser",
            "JT7A4vfGALr9FzoOL3rChisZo1QRCZimbu9JUul7BdU=",
            "SecretHash does not match for the client: 1example23456789",
        ),
        ("testuser", None, "Unable to verify secret hash for client 1example23456789"),
    ],
)
def test_a_client_with_a_secret_asks_for_the_right_hash(
    username: str, secret_hash: str | None, message: str
) -> None:
    cognito = Cognito(client=Client("1example23456789", secret="9example87654321"))
    given = {} if secret_hash is None else {"SecretHash": secret_hash}
    reply = resend(
        cognito, {"ClientId": "1example23456789", "Username": username, **given}, now=NOON
    )
    assert (code_of(reply), reply.message) == (
        ("NotAuthorizedException", message) if message else ("sent", "")
    )


def test_an_unknown_client_is_not_found() -> None:
    reply = resend(Cognito(), {"ClientId": "other", "Username": "ada"}, now=0)
    assert (reply.code, reply.message) == (
        "ResourceNotFoundException",
        "User pool client other does not exist.",
    )


def test_a_pool_that_verifies_nothing_has_nothing_to_send() -> None:
    reply = resend(Cognito(settings=PoolSettings(auto_verified=())), ask("ada"), now=0)
    assert (reply.code, reply.message) == (
        "NotAuthorizedException",
        "Cannot resend codes. Auto verification not turned on.",
    )


@pytest.mark.parametrize("name", ["ada+missing@example.com", "ada+disabled@example.com"])
def test_a_client_that_hides_who_exists_pretends_a_delivery_that_does_not_count(name: str) -> None:
    cognito = Cognito(client=Client(prevent_user_existence_errors=True))
    reply = resend(cognito, ask(name), now=0)
    assert reply.delivery == Delivery("EMAIL", "a***@e***", "email")
    assert not cognito.deliveries


@pytest.mark.parametrize("name", ["", "two words", "tab\t", "a" * 129, "\ud800", "zero\u200bwidth"])
def test_names_that_no_user_can_have_are_refused(name: str) -> None:
    reply = resend(Cognito(), ask(name), now=0)
    assert reply.code == "InvalidParameterException"
    assert reply.message.startswith("1 validation error detected: ")


@pytest.mark.parametrize(
    "name", ["NA", "007", "ada@example.com", "+15551234567", "Ωμέγα", "a" * 128]
)
def test_names_that_look_odd_are_names_all_the_same(name: str) -> None:
    cognito = Cognito()
    assert code_of(resend(cognito, ask(name), now=0)) == "sent"
    assert cognito.deliveries == {name: 1}


def test_a_request_without_a_name_is_refused() -> None:
    assert resend(Cognito(), {"ClientId": "x"}, now=0).code == "InvalidParameterException"


# Kinds and outages


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ada+confirmed@example.com", Kind.CONFIRMED),
        ("bob+lost", Kind.LOST),
        ("Bob+LOST", Kind.LOST),
        ("ada+news+fin@example.com", Kind.FIN),
        ("ada+fin+news@example.com", Kind.EMAIL),
        ("ada@fin+lost", Kind.EMAIL),
        ("lost", Kind.EMAIL),
        ("lost@example.com", Kind.EMAIL),
        ("+15551234567", Kind.EMAIL),
        ("", Kind.EMAIL),
    ],
)
def test_the_marker_in_a_name_says_what_happens(name: str, kind: Kind) -> None:
    assert Kind.of(name) is kind


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_can_be_written_into_a_name_and_explains_itself(kind: Kind) -> None:
    assert Kind.of(f"ada+{kind.value}@example.com") is kind
    assert kind.sentence.endswith(".")


DELIVERED = {
    *(Kind.EMAIL, Kind.SMS),
    *(Kind.NODETAILS, Kind.GATEWAY, Kind.LOST, Kind.FIN, Kind.RST, Kind.HALF),
}


@pytest.mark.parametrize("kind", Kind)
def test_a_code_is_counted_exactly_where_one_went_out(kind: Kind) -> None:
    cognito = Cognito()
    cognito.answer(ask(f"ada+{kind}"), now=0)
    assert cognito.deliveries == ({f"ada+{kind}": 1} if kind in DELIVERED else {})


@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from(Kind)), max_size=60),
    st.integers(1, 40),
)
def test_deliveries_are_the_accepted_replies_and_the_lost_ones(
    users: list[tuple[int, Kind]], rate: int
) -> None:
    cognito = Cognito(quota=Quota(rate=rate), keep_times=True)
    accepted = 0
    for number, kind in users:
        answer = cognito.answer(ask(f"{number}+{kind}"), now=0)
        accepted += answer.reply.delivery is not None or answer.fault in DELIVERED
    assert cognito.deliveries.total() == accepted
    assert cognito.requests == len(cognito.request_times or ()) == len(users)


def test_a_busy_user_is_refused_once() -> None:
    cognito = Cognito()
    first, second = (resend(cognito, ask("ada+busy"), now=now) for now in (0, 1))
    assert first == Reply(Wire.ANSWERED, 429, retry_after=1.0)
    assert code_of(second) == "sent"


def test_an_outage_hits_everybody_for_its_time() -> None:
    cognito = Cognito(outages=[Outage(Kind.ERROR, 10, 20), Outage(Kind.LOST, 30, 40)])
    statuses = [resend(cognito, ask(f"u{now}"), now=now).status for now in (9, 10, 19, 20, 30)]
    assert statuses == [200, 500, 500, 200, 0]
    assert cognito.deliveries == {"u9": 1, "u20": 1, "u30": 1}
    cognito.outages.append(Outage(Kind.SILENT))
    assert resend(cognito, ask("bob"), now=50).wire is Wire.NO_ANSWER
    assert "bob" not in cognito.deliveries


# The pool


def test_a_listed_user_is_counted_by_username_whatever_name_was_used() -> None:
    ada = User("u-1", {"sub": "u-1", "email": "ada@example.com", "phone_number": "+15550123"})
    cognito = Cognito(Pool([ada]))
    for name in ("u-1", "ada@example.com", "+15550123"):
        assert code_of(resend(cognito, ask(name), now=0)) == "sent"
    assert cognito.deliveries == {"u-1": 3}
    assert code_of(resend(cognito, ask("bob"), now=0)) == "UserNotFoundException"


@pytest.mark.parametrize(
    ("user", "code"),
    [
        (User("ada", status="CONFIRMED"), "InvalidParameterException"),
        (User("ada", enabled=False), "NotAuthorizedException"),
        (User("ada", {"email": "ada+tired@example.com"}), "LimitExceededException"),
        (User("ada+trigger", {"email": "ada@example.com"}), "UserLambdaValidationException"),
    ],
)
def test_a_listed_user_is_treated_by_status_and_by_marker(user: User, code: str) -> None:
    assert code_of(resend(Cognito(Pool([user])), ask(user.username), now=0)) == code


def test_a_user_with_a_number_gets_a_text_message_where_the_pool_verifies_numbers() -> None:
    users = [User("ada", {"email": "ada@e.org", "phone_number": "+15550123"}), User("bob")]
    cognito = Cognito(Pool(users), settings=PoolSettings(auto_verified=("email", "phone_number")))
    assert resend(cognito, ask("ada"), now=0).delivery == Delivery(
        "SMS", "+*******0123", "phone_number"
    )
    assert resend(cognito, ask("bob"), now=0).delivery == Delivery("EMAIL", "b***@e***", "email")


def test_a_removed_user_and_a_changed_address_are_no_longer_found() -> None:
    pool = Pool([User("u-1", {"email": "ada@e.org"}), User("u-2", {"email": "bob@e.org"})])
    pool.put(User("u-1", {"email": "new@e.org"}))
    pool.remove("u-2")
    pool.remove("u-3")
    assert [pool.find(name) is not None for name in ("ada@e.org", "new@e.org", "bob@e.org")] == [
        False,
        True,
        False,
    ]
    assert [user.username for user in pool.after("")] == ["u-1"]
    assert len(pool) == 1


def test_made_up_users_are_the_same_ones_each_time() -> None:
    users = make_users(500, seed=7, now=NOON)
    assert users == make_users(500, seed=7, now=NOON)
    assert users != make_users(500, seed=8, now=NOON)
    assert len({user.username for user in users}) == 500
    assert sum(user.status == "CONFIRMED" for user in users) == 100
    assert sum(not user.enabled for user in users) == 20
    assert sum("phone_number" in user.attributes for user in users) == 50
    assert sum(NOON - user.created <= 3600 for user in users) == 50
    assert sum(NOON - user.created > 365 * 86400 for user in users) == 50
    assert all(user.created <= NOON for user in users)


def test_neither_secrets_nor_names_stand_in_a_repr() -> None:
    assert "s3cret" not in repr(Client("id", secret="s3cret"))
    assert "ada" not in repr(User("ada@example.com", {"name": "ada"}))


# ListUsers

ADA = User("ada", {"email": 'a"da@example.com', "name": "Ada"}, created=NOON)
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


UNCONFIRMED = 'cognito:user_status = "UNCONFIRMED"'


def pages(
    cognito: Cognito, between: Callable[[int], object] = lambda _: None, **parameters: Any
) -> list[list[str]]:
    """List to the end; `between` is called after each page with its number."""
    found: list[list[str]] = []
    token: dict[str, str] = {}
    while not found or token:
        page = cognito.list_users({"UserPoolId": POOL_ID, **parameters, **token}, now=NOON)
        found.append([user["Username"] for user in page["Users"]])
        token = {"PaginationToken": page["PaginationToken"]} if "PaginationToken" in page else {}
        between(len(found))
    return found


def test_a_listing_goes_through_all_users_page_by_page() -> None:
    names = [f"u{number:03}" for number in range(130)]
    cognito = Cognito(Pool(User(name) for name in names))
    assert pages(cognito) == [names[:60], names[60:120], names[120:]]
    assert pages(cognito, Limit=50) == [names[:50], names[50:100], names[100:]]
    assert pages(Cognito(Pool())) == [[]]


def test_nobody_is_skipped_when_the_first_of_the_next_page_is_confirmed_between_the_pages() -> None:
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


# Describing


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


# The skin in process


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])


@pytest.mark.anyio
async def test_time_passes_for_a_simulated_sender_as_its_settings_say() -> None:
    cognito = Cognito(keep_times=True)
    latencies = iter([2.0, 4.0, 0.0])
    async with SimulatedSender(
        cognito, epoch=NOON, latency=lambda: next(latencies), timeout=30
    ) as sender:
        for name, until in (("ada", 2), ("bob", 6), ("cy+lost", 36)):
            await sender.send(Request(name, ask(name)))
            assert sender.now() == NOON + until
    assert cognito.request_times == [NOON + 1, NOON + 4, NOON + 6]


@pytest.mark.anyio
@pytest.mark.parametrize(("patience", "delivered"), [(0.9, 0), (1.1, 1)])
async def test_who_stops_listening_halfway_has_been_sent_a_code(
    patience: float, delivered: int
) -> None:
    cognito = Cognito()
    async with SimulatedSender(cognito, latency=2) as sender:
        with anyio.move_on_after(patience) as scope:
            await sender.send(Request("ada", ask("ada")))
    assert scope.cancelled_caught
    assert cognito.deliveries["ada"] == delivered


@pytest.mark.anyio
async def test_the_simulated_listing_looks_like_a_client_of_botocore() -> None:
    listing = SimulatedListing(Cognito(Pool([ADA])), now=lambda: NOON)
    page = await listing.list_users(UserPoolId=POOL_ID, Filter=UNCONFIRMED, Limit=60)
    assert page == {
        "Users": [
            {
                "Username": "ada",
                "Attributes": [
                    {"Name": "email", "Value": 'a"da@example.com'},
                    {"Name": "name", "Value": "Ada"},
                ],
                "UserCreateDate": datetime(2026, 11, 23, 12, tzinfo=UTC),
                "UserLastModifiedDate": datetime(2026, 11, 23, 12, tzinfo=UTC),
                "Enabled": True,
                "UserStatus": "UNCONFIRMED",
            }
        ]
    }
    assert (await listing.describe_user_pool(UserPoolId=POOL_ID))["UserPool"]["Id"] == POOL_ID
    asked = {"UserPoolId": POOL_ID, "ClientId": Client().client_id}
    assert (await listing.describe_user_pool_client(**asked))["UserPoolClient"]["ClientId"]


@pytest.mark.anyio
@pytest.mark.parametrize("call", ["list_users", "describe_user_pool", "describe_user_pool_client"])
async def test_the_simulated_listing_fails_like_a_client_of_botocore(call: str) -> None:
    listing = SimulatedListing(Cognito(), now=lambda: NOON)
    with pytest.raises(ClientError) as failed:
        await getattr(listing, call)(UserPoolId="us-east-1_Other")
    assert failed.value.response["Error"] == {
        "Code": "ResourceNotFoundException",
        "Message": "User pool us-east-1_Other does not exist.",
    }


# The skin of HTTP: what the contract of both skins does not cover


def headers(operation: str) -> dict[str, str]:
    return {
        "X-Amz-Target": f"AWSCognitoIdentityProviderService.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
    }


async def post(url: str, operation: str, body: object) -> tuple[int, dict[str, Any], Any]:
    async with (
        aiohttp.ClientSession(headers=headers(operation)) as session,
        session.post(url, data=body if isinstance(body, str) else json.dumps(body)) as answer,
    ):
        return answer.status, dict(answer.headers), json.loads(await answer.read())


@ON_ASYNCIO
@pytest.mark.anyio
async def test_an_answer_and_an_error_look_as_on_the_wire_of_aws() -> None:
    async with running(Cognito(quota=Quota(rate=1, burst=1, retry_after=0.5))) as url:
        status, sent, body = await post(url, "ResendConfirmationCode", ask("ada@example.com"))
        assert (status, body) == (
            200,
            {
                "CodeDeliveryDetails": {
                    "AttributeName": "email",
                    "DeliveryMedium": "EMAIL",
                    "Destination": "a***@e***",
                }
            },
        )
        assert sent["Content-Type"] == "application/x-amz-json-1.1"
        assert len(sent["x-amzn-RequestId"]) == 36
        status, sent, body = await post(url, "ResendConfirmationCode", ask("ada"))
        assert (status, body) == (
            400,
            {"__type": "TooManyRequestsException", "message": "Rate exceeded"},
        )
        assert sent["x-amzn-ErrorType"] == "TooManyRequestsException:"
        assert sent["x-amz-retry-after"] == "500"


@ON_ASYNCIO
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("operation", "body", "code"),
    [
        ("SignUp", {}, "UnknownOperationException"),
        ("ResendConfirmationCode", "{", "SerializationException"),
        ("ResendConfirmationCode", "[]", "SerializationException"),
        ("ListUsers", {"UserPoolId": "us-east-1_Other"}, "ResourceNotFoundException"),
    ],
)
async def test_what_the_server_does_not_understand_is_a_400(
    operation: str, body: object, code: str
) -> None:
    cognito = Cognito()
    async with running(cognito) as url:
        status, _, answer = await post(url, operation, body)
    assert (status, answer["__type"]) == (400, code)
    assert cognito.requests == 0


@ON_ASYNCIO
@pytest.mark.anyio
async def test_users_and_settings_can_be_asked_for_over_http() -> None:
    async with running(Cognito(Pool([ADA]))) as url:
        asked = {"UserPoolId": POOL_ID, "ClientId": Client().client_id}
        _, _, page = await post(url, "ListUsers", {"UserPoolId": POOL_ID})
        assert [(user["Username"], user["UserCreateDate"]) for user in page["Users"]] == [
            ("ada", NOON)
        ]
        _, _, pool = await post(url, "DescribeUserPool", {"UserPoolId": POOL_ID})
        assert pool["UserPool"]["Id"] == POOL_ID
        _, _, client = await post(url, "DescribeUserPoolClient", asked)
        assert client["UserPoolClient"]["ClientId"] == Client().client_id


@ON_ASYNCIO
@pytest.mark.anyio
async def test_the_record_tells_who_was_sent_what_and_who_followed_a_redirect() -> None:
    async with running(Cognito()) as url:
        await post(url, "ResendConfirmationCode", ask("ada"))
        # aiohttp follows redirects, which a careful client does not.
        status, _, body = await post(url, "ResendConfirmationCode", ask("bob+redirect"))
        assert (status, body) == (200, {})
        async with aiohttp.ClientSession() as session, session.get(f"{url}/_simulator") as answer:
            assert await answer.json() == {
                "requests": 2,
                "throttled": 0,
                "misdirected": 1,
                "deliveries": {"ada": 1},
            }


async def raw_post(stream: anyio.abc.ByteStream, name: str) -> None:
    body = json.dumps(ask(name)).encode()
    head = "".join(
        f"{key}: {value}\r\n" for key, value in headers("ResendConfirmationCode").items()
    )
    await stream.send(
        f"POST / HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    )


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


@ON_ASYNCIO
@pytest.mark.anyio
async def test_a_connection_is_kept_for_the_next_request() -> None:
    cognito = Cognito()
    async with (
        running(cognito) as url,
        await anyio.connect_tcp("127.0.0.1", port_of(url)) as stream,
    ):
        for name in ("ada", "bob"):
            await raw_post(stream, name)
            heard = b""
            while not heard.endswith(b"}}"):
                heard += await stream.receive()
            assert heard.startswith(b"HTTP/1.1 200 OK\r\n")
    assert cognito.deliveries == {"ada": 1, "bob": 1}


@ON_ASYNCIO
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "end"), [("ada+fin", anyio.EndOfStream), ("ada+rst", anyio.BrokenResourceError)]
)
async def test_a_connection_is_closed_or_reset_for_real(name: str, end: type[Exception]) -> None:
    async with (
        running(Cognito()) as url,
        await anyio.connect_tcp("127.0.0.1", port_of(url)) as stream,
    ):
        await raw_post(stream, name)
        with pytest.raises(end):
            await stream.receive()


@ON_ASYNCIO
@pytest.mark.anyio
async def test_clients_that_die_leave_the_server_and_its_record_intact(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cognito = Cognito()
    async with running(cognito) as url:
        for name in ("ada", "bob+lost", "cy+silent", "dan+endless"):
            stream = await anyio.connect_tcp("127.0.0.1", port_of(url))
            await raw_post(stream, name)
            await anyio.aclose_forcefully(stream)
        stream = await anyio.connect_tcp("127.0.0.1", port_of(url))
        await stream.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        await anyio.aclose_forcefully(stream)
        while cognito.requests < 4:
            await anyio.sleep(0.01)
        await post(url, "ResendConfirmationCode", ask("eve"))
    assert cognito.requests == 5
    assert cognito.deliveries == {"ada": 1, "bob+lost": 1, "eve": 1}
    assert not caplog.records


@ON_ASYNCIO
@pytest.mark.anyio
async def test_serving_for_ever_ends_when_cancelled() -> None:
    cognito = Cognito()
    announced: list[str] = []
    with anyio.CancelScope() as scope:

        def announce(url: str) -> None:
            announced.append(url)
            scope.cancel()

        await serve_forever(cognito, "127.0.0.1", 0, announce)
    assert scope.cancelled_caught
    assert announced[0].startswith("http://127.0.0.1:")
    with pytest.raises(OSError, match="connect"):
        await anyio.connect_tcp("127.0.0.1", port_of(announced[0]))
