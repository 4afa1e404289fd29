"""The simulator's rules, held against answers that were worked out by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.model import Delivery, Reply, Wire
from batch_resend.simulator.pool import Kind, Pool, User, make_users
from batch_resend.simulator.quota import Meter, Quota, Style
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.setup import Client, Outage, PoolSettings
from tests.support.simulated import NOON, ask


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
    """Return what a careful client makes of the response."""
    return cognito.answer(parameters, now=now).reply


# In eighths of a second, which floats can say exactly.
ARRIVALS = st.lists(st.integers(0, 80).map(lambda eighths: eighths / 8), max_size=80).map(sorted)


def let_through(quota: Quota, arrivals: Iterable[float]) -> list[float]:
    cognito = Cognito(quota=quota)
    return [
        now for i, now in enumerate(arrivals) if resend(cognito, ask(f"u{i}"), now=now).delivery
    ]


@given(ARRIVALS, st.integers(1, 9), st.integers(1, 9))
def test_bucket_never_gives_more_than_size_and_refill(
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


def test_request_over_the_quota_is_a_counted_400_with_a_wait() -> None:
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


def test_no_request_is_throttled_without_a_quota() -> None:
    cognito = Cognito()
    assert all(resend(cognito, ask(f"user{i}"), now=0).delivery for i in range(500))
    assert cognito.spend(0)


# Limits


def test_sixth_resend_within_a_rolling_hour_is_refused() -> None:
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
    parameters = {} if secret_hash is None else {"SecretHash": secret_hash}
    reply = resend(
        cognito, {"ClientId": "1example23456789", "Username": username, **parameters}, now=NOON
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
def test_client_that_hides_users_pretends_an_uncounted_delivery(name: str) -> None:
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
def test_every_kind_can_be_part_of_a_name_and_is_explained(kind: Kind) -> None:
    assert Kind.of(f"ada+{kind.value}@example.com") is kind
    assert kind.sentence.endswith(".")


DELIVERED = {
    *(Kind.EMAIL, Kind.SMS, Kind.BOUNCE, Kind.COMPLAINT, Kind.OPTOUT),
    *(Kind.NODETAILS, Kind.GATEWAY, Kind.PROXY, Kind.LOST, Kind.FIN, Kind.RST, Kind.HALF),
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
    assert first == Reply(Wire.ANSWERED, 429, retry_after=1.0, request_id=first.request_id)
    assert first.of_aws
    assert code_of(second) == "sent"


def test_outage_affects_all_requests_while_it_lasts() -> None:
    cognito = Cognito(outages=[Outage(Kind.ERROR, 10, 20), Outage(Kind.LOST, 30, 40)])
    statuses = [resend(cognito, ask(f"u{now}"), now=now).status for now in (9, 10, 19, 20, 30)]
    assert statuses == [200, 500, 500, 200, 0]
    assert cognito.deliveries == {"u9": 1, "u20": 1, "u30": 1}
    cognito.outages.append(Outage(Kind.SILENT))
    assert resend(cognito, ask("bob"), now=50).wire is Wire.NO_ANSWER
    assert "bob" not in cognito.deliveries


# The pool


def test_listed_user_is_counted_by_username_under_any_name() -> None:
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


def test_pool_that_verifies_numbers_sends_text_messages() -> None:
    users = [User("ada", {"email": "ada@e.org", "phone_number": "+15550123"}), User("bob")]
    cognito = Cognito(Pool(users), settings=PoolSettings(auto_verified=("email", "phone_number")))
    assert resend(cognito, ask("ada"), now=0).delivery == Delivery(
        "SMS", "+*******0123", "phone_number"
    )
    assert resend(cognito, ask("bob"), now=0).delivery == Delivery("EMAIL", "b***@e***", "email")


def test_removed_user_and_changed_address_are_not_found() -> None:
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


# Describing


# The skin in process


# The skin of HTTP: what the contract of both skins does not cover
