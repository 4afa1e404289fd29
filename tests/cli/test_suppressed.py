"""Who cannot be reached is not sent to: real processes, against the simulator's lists."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from anyio.from_thread import BlockingPortal

from batch_resend.simulator.pool import Pool, User
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.setup import Client, PoolSettings
from batch_resend.simulator.undelivered import Undelivered
from tests.support.program import AGAIN, CLIENT, REPORT, SUMMARY, Program, became, serving

POOL = "us-east-1_Simulated"
USERS = [
    User("u-1", {"sub": "u-1", "email": "ada@example.com", "phone_number": "+15550001"}),
    User("u-2", {"sub": "u-2", "email": "Bounced@Example.com"}),
    User("u-3", {"sub": "u-3", "email": "spam@example.com", "phone_number": "+15550003"}),
    User("u-4", {"sub": "u-4", "email": "dan@example.com", "phone_number": "+15550004"}),
]
MAIL = ("email",)
BOTH = ("email", "phone_number")


@pytest.fixture
def lists() -> Undelivered:
    instance = Undelivered()
    instance.suppressed = {
        "bounced@example.com": ("BOUNCE", 1.0),
        "spam@example.com": ("COMPLAINT", 2.0),
    }
    instance.opted_out = ["+15550004"]
    return instance


@pytest.fixture(params=[MAIL])
def cognito(request: pytest.FixtureRequest, lists: Undelivered) -> Cognito:
    return Cognito(
        Pool(USERS, open_to_all=True),
        client=Client(CLIENT),
        settings=PoolSettings(POOL, auto_verified=request.param),
        undelivered=lists,
    )


@pytest.fixture
def at(program: Program, elsewhere: BlockingPortal, cognito: Cognito) -> Iterator[tuple[str, ...]]:
    with serving(elsewhere, cognito) as url:
        names = ("SESV2", "SNS", "CLOUDTRAIL")
        program.env |= {f"AWS_ENDPOINT_URL_{name}": url for name in names}
        program.env |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        yield ("--user-pool-id", POOL, "--client-id", CLIENT, "--endpoint-url", url)


def test_listed_users_with_suppressed_address_are_skipped(
    program: Program, at: tuple[str, ...], cognito: Cognito
) -> None:
    dry = program("run", *at, "--dry-run", *REPORT)
    plan = " ".join(dry.err.split())
    assert "2 nothing would arrive: suppressed by SES or SNS (suppressed)" in plan
    done = program("run", *at, "--yes", *AGAIN, *SUMMARY)
    assert done.code == 0, done.err
    assert became(program.report()) == {
        "u-1": "sent/accepted",
        "u-2": "skipped/suppressed",
        "u-3": "skipped/suppressed",
        "u-4": "sent/accepted",
    }
    assert program.summary()["reasons"]["skipped/suppressed"] == 2
    assert cognito.deliveries == {"u-1": 1, "u-4": 1}


@pytest.mark.parametrize("cognito", [BOTH], indirect=True)
def test_text_messages_go_by_number_and_mails_by_address(
    program: Program, at: tuple[str, ...], cognito: Cognito
) -> None:
    """A user with a number gets a text message, so a suppressed address does not matter."""
    done = program("run", *at, "--yes", *REPORT)
    assert done.code == 0, done.err
    assert became(program.report()) == {
        "u-1": "sent/accepted",
        "u-2": "skipped/suppressed",
        "u-3": "sent/accepted",
        "u-4": "skipped/suppressed",
    }


def test_addresses_of_a_file_are_looked_up(program: Program, at: tuple[str, ...]) -> None:
    """In a column, or as the username; before --limit counts, and after the ledger judged."""
    (program.folder / "users.csv").write_text(
        "username,email\n"
        "x-1,BOUNCED@example.com\n"
        "spam@example.com,\n"
        "no name,spam@example.com\n"
        "x-2,fine@example.com\n"
        "x-3,other@example.com\n"
    )
    done = program("run", "users.csv", *at, "--yes", "--limit", "1", *REPORT)
    assert done.code == 0, done.err
    assert became(program.report()) == {
        "x-1": "skipped/suppressed",
        "spam@example.com": "skipped/suppressed",
        "no name": "skipped/suppressed",
        "x-2": "sent/accepted",
        "x-3": "skipped/over-limit",
    }


def test_missing_permission_is_a_warning_and_no_stop(
    program: Program, at: tuple[str, ...], lists: Undelivered
) -> None:
    lists.denied = ("ListSuppressedDestinations",)
    done = program("run", *at, "--yes", *REPORT)
    assert done.code == 0, done.err
    assert (
        "Check: Could not determine which addresses Amazon SES suppresses; allow"
        " ses:ListSuppressedDestinations." in done.err
    )
    assert set(became(program.report()).values()) == {"sent/accepted"}


@pytest.mark.parametrize("cognito", [BOTH], indirect=True)
def test_check_counts_them_and_names_what_is_on(
    program: Program, at: tuple[str, ...], lists: Undelivered
) -> None:
    done = program("check", *at, "--json")
    assert done.code == 0, done.err
    content = {
        one["about"]: (one["level"], one["text"]) for one in json.loads(done.out)["findings"]
    }
    assert content["suppression"] == (
        "ok",
        "Amazon SES suppresses 2 recipients after bounces and complaints; users with such an"
        " address are skipped.",
    )
    assert content["opted out"] == (
        "ok",
        "SNS sends nothing to 1 number that opted out; users with such a number are skipped.",
    )
    assert content["configuration set"] == ("ok", "Mails are sent without a configuration set.")
    assert content["log export"] == (
        "ok",
        "Cognito does not log messages that could not be sent.",
    )
    # This Cognito has no event history.
    assert content["event history"][0] == "warning"
    lists.denied = ("ListSuppressedDestinations", "ListPhoneNumbersOptedOut")
    again = " ".join(program("check", *at).out.split())
    assert "allow ses:ListSuppressedDestinations." in again
    assert "have opted out of text messages; allow sns:ListPhoneNumbersOptedOut." in again


def test_bounce_of_one_run_is_skipped_by_the_next(
    program: Program, at: tuple[str, ...], cognito: Cognito
) -> None:
    users = program.users(["eve+bounce@example.com"])
    assert program("run", users, *at, "--yes", *REPORT).code == 0
    again = program("run", users, *at, "--yes", *AGAIN, "--max-sends", "2", "--cooldown", "0s")
    assert again.code == 0, again.err
    assert became(program.report()) == {"eve+bounce@example.com": "skipped/suppressed"}
    assert cognito.deliveries == {"eve+bounce@example.com": 1}


def test_reconcile_names_who_bounced_since(program: Program, at: tuple[str, ...]) -> None:
    users = program.users(["eve+bounce@example.com", "joe+complaint@example.com", "ada@x.example"])
    pool, client = at[:2], at[2:4]
    ledger = ("--ledger", "l.sqlite3")
    assert program("run", users, *at, "--yes", *ledger, *REPORT).code == 0
    done = program("reconcile", *ledger, *client, *pool, *at[4:], "--deliveries")
    assert (done.code, done.err) == (0, "")
    assert "Nothing to settle." in done.out
    assert "of 3 codes since" in done.out
    assert "2 users suppressed since (bounced 1, complained 1)" in done.out
    assert "e***@e***" in done.out
    content = json.loads(program("reconcile", *ledger, *at, "--deliveries", "--json").out)
    assert content["deliveries"]["counts"] == {"bounced": 1, "complained": 1}
    assert {user["outcome"] for user in content["deliveries"]["users"]} == {"sent"}


def test_deliveries_without_permission_end_after_the_report(
    program: Program, at: tuple[str, ...], lists: Undelivered
) -> None:
    users = program.users(["ada@x.example"])
    assert program("run", users, *at, "--yes", "--ledger", "l.sqlite3", *REPORT).code == 0
    lists.denied = ("ListSuppressedDestinations",)
    done = program("reconcile", "--ledger", "l.sqlite3", *at, "--deliveries")
    assert done.code == 4
    assert "Nothing to settle." in done.out
    assert done.errors == [
        "Error: Amazon SES refused the suppression list (AccessDeniedException): the credentials"
        " need ses:ListSuppressedDestinations."
    ]
