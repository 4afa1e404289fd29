"""Facts become findings: every one by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from batch_resend.preflight.check import Checked, Finding, Level, Wish, check, estimated, lines
from batch_resend.preflight.facts import (
    ClientFacts,
    Facts,
    PoolFacts,
    Secret,
    SesFacts,
    Unknown,
    Usage,
    Why,
)

POOL = PoolFacts(
    account="123456789012", verifies=("email",), by_ses=True, users=5000, tier="ESSENTIALS"
)
SES = SesFacts(a_day=50000, sent=0, a_second=100)
GOOD = Facts(
    pool=POOL,
    client=ClientFacts(secret=Secret.MATCHES),
    provisioned=50.0,
    applied=50.0,
    ses=SES,
    usage=Usage(peak=2.0),
    account="123456789012",
)
WISH = Wish(
    user_pool_id="eu-west-1_AbCdEf123",
    client_id="abc",
    region="eu-west-1",
    endpoint="https://cognito-idp.eu-west-1.amazonaws.com",
    endpoint_is_aws=True,
    now=datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp(),
    users=1200,
)


def facts(**given: Any) -> Facts:
    return replace(GOOD, **given)


def pool(**given: Any) -> Facts:
    return facts(pool=replace(POOL, **given))


def own_sender(**given: Any) -> Facts:
    return facts(pool=replace(POOL, by_ses=False, **given), ses=None)


def wish(**given: Any) -> Wish:
    return replace(WISH, **given)


def about(checked: Checked, what: str) -> list[Finding]:
    return [finding for finding in checked.findings if finding.about == what]


def test_where_nothing_stands_in_the_way_all_is_ok_and_said_so() -> None:
    checked = check(GOOD, WISH)
    assert checked.exit_code == 0
    assert lines(checked) == [
        "ok       The pool is there: eu-west-1_AbCdEf123, about 5,000 users.",
        "ok       The credentials are of account 123456789012.",
        "ok       App client abc belongs to the pool.",
        "ok       The client secret that is given is the app client's.",
        "ok       The app client says who does not exist: `sent` means sent.",
        "ok       The pool verifies email: codes go out by mail.",
        "ok       No Lambda trigger runs for a resend.",
        "ok       Amazon SES mails 50,000 a day, 50,000 of them left today: enough for",
        "         1,200 users.",
        "ok       The quota is 50 a second (enforced now), the pace 25. 1,200 users take",
        "         at least 48 s.",
        "ok       Others used up to 2 a second of it in the last hour.",
        "It can be run.",
    ]


OK, WARNING, STOP = Level.OK, Level.WARNING, Level.STOP
FORBIDDEN = Unknown("x:Y", Why.FORBIDDEN, "AccessDeniedException")
NOT_FOUND = Unknown("x:Y", Why.NOT_FOUND, "ResourceNotFoundException")

FINDINGS: dict[str, tuple[Facts, Wish, str, Level, str]] = {
    # where
    "no such pool": (
        facts(pool=NOT_FOUND, client=NOT_FOUND), WISH, "pool", STOP,
        "There is no user pool eu-west-1_AbCdEf123 in eu-west-1",
    ),
    "another Region": (
        GOOD, wish(region="eu-west-2"), "region", WARNING,
        "The pool's home is eu-west-1 and eu-west-2 is asked: a replica may refuse",
    ),
    "China": (
        GOOD, wish(region="cn-north-1"), "region", STOP, "Cognito has no user pools in China",
    ),
    "GovCloud": (
        GOOD,
        wish(
            user_pool_id="us-gov-west-1_A", region="us-gov-west-1",
            endpoint="https://cognito-idp-fips.us-gov-west-1.amazonaws.com",
        ),
        "endpoint", OK, "asked at its FIPS endpoint",
    ),
    "GovCloud without FIPS": (
        GOOD,
        wish(
            user_pool_id="us-gov-west-1_A", region="us-gov-west-1",
            endpoint="https://cognito-idp.us-gov-west-1.amazonaws.com",
        ),
        "endpoint", STOP, "GovCloud has FIPS endpoints only",
    ),
    "another endpoint": (
        GOOD, wish(endpoint="http://127.0.0.1:4570", endpoint_is_aws=False), "endpoint", WARNING,
        "not AWS's own, and gets all names: http://127.0.0.1:4570",
    ),
    # the client
    "another pool's client": (
        facts(client=NOT_FOUND), WISH, "client", STOP, "The pool has no app client abc",
    ),
    "a missing secret": (
        facts(client=ClientFacts(secret=Secret.MISSING)), WISH, "secret", STOP,
        "has a secret and none is given",
    ),
    "another secret": (
        facts(client=ClientFacts(secret=Secret.DIFFERS)), WISH, "secret", WARNING,
        "is not the one that Cognito shows",
    ),
    "a needless secret": (
        facts(client=ClientFacts(secret=Secret.SUPERFLUOUS)), WISH, "secret", WARNING,
        "the app client has none: leave it out",
    ),
    "no secret": (
        facts(client=ClientFacts()), WISH, "secret", OK, "has no secret, and none is given",
    ),
    "hidden existence, names from a file": (
        facts(client=ClientFacts(hides_existence=True)), wish(listed=False), "existence", WARNING,
        "a wrong name counts as `sent`",
    ),
    "hidden existence, listed users": (
        facts(client=ClientFacts(hides_existence=True)), WISH, "existence", OK,
        "listed users do exist",
    ),
    # the pool
    "no verification": (
        pool(verifies=()), WISH, "verification", STOP, "The pool verifies nothing",
    ),
    "telephone numbers": (
        pool(verifies=("phone_number",)), WISH, "verification", WARNING,
        "every code is a text message, which costs money",
    ),
    "both": (
        pool(verifies=("email", "phone_number")), WISH, "verification", WARNING,
        "who has a telephone number gets a text message",
    ),
    "the SNS sandbox": (
        pool(verifies=("phone_number",), sms_failure="SNSSandbox"), WISH, "sms", WARNING,
        "trouble with text messages (SNSSandbox)",
    ),
    "an alias pool and a file": (
        pool(aliases=("email", "phone_number", "preferred_username")), wish(listed=False),
        "aliases", WARNING, "addresses and telephone numbers are aliases",
    ),
    "a message trigger": (
        pool(triggers=("PreSignUp", "CustomMessage")), WISH, "triggers", WARNING,
        "CustomMessage runs for every user, up to 25 times a second",
    ),
    "two triggers": (
        pool(triggers=("CustomSMSSender", "CustomEmailSender")), WISH, "triggers", WARNING,
        "CustomEmailSender and CustomSMSSender run for every user",
    ),
    "a trigger that does not fire": (
        pool(triggers=("PreSignUp", "PostConfirmation")), WISH, "triggers", OK, "No Lambda trigger",
    ),
    # the sender
    "Cognito's own sender, too many": (
        own_sender(), WISH, "mail quota", WARNING,
        "mails 50 a day for the whole account, so 1,200 users would be done on 2026-12-16",
    ),
    "Cognito's own sender, few": (
        own_sender(), wish(users=50), "mail quota", OK, "enough for 50 users, if the account sends",
    ),
    "Cognito's own sender, users not counted": (
        own_sender(), wish(users=None), "mail quota", WARNING, "so all of the pool's 5,000 users",
    ),
    "Cognito's own sender, nobody knows how many": (
        own_sender(users=0), wish(users=None), "mail quota", WARNING, "see that this is enough",
    ),
    "SES's quota": (
        facts(ses=replace(SES, a_day=1000, sent=400)), WISH, "mail quota", WARNING,
        "mails 1,000 a day, 600 of them left today, so 1,200 users would be done on 2026-11-24",
    ),
    "no SES quota": (
        facts(ses=replace(SES, a_day=-1)), WISH, "mail quota", OK, "no daily quota",
    ),
    "SES's sandbox": (
        facts(ses=replace(SES, sandbox=True)), WISH, "ses", WARNING, "verified addresses only",
    ),
    "SES paused": (
        facts(ses=replace(SES, sending=False)), WISH, "ses", STOP, "has paused",
    ),
    "SES paused, and some get text messages": (
        facts(pool=replace(POOL, verifies=("email", "phone_number")),
              ses=replace(SES, sending=False)),
        WISH, "ses", WARNING, "has paused",
    ),
    "SES shut down": (
        facts(ses=replace(SES, status="SHUTDOWN")), WISH, "ses", STOP, "has paused",
    ),
    "SES on probation": (
        facts(ses=replace(SES, status="PROBATION")), WISH, "ses", WARNING, "under review",
    ),
    "SES's rate": (
        facts(ses=replace(SES, a_second=14)), WISH, "ses rate", WARNING,
        "14 mails a second, below the pace of 25: give --rate 14.",
    ),
    # the pace
    "a provisioned quota": (
        facts(provisioned=200.0), WISH, "pace", OK,
        "The quota is 200 a second (enforced now), the pace 100. 1,200 users take at least 12 s.",
    ),
    "Service Quotas where the enforced rate is not told": (
        facts(provisioned=FORBIDDEN, applied=80.0), wish(share=0.25), "pace", OK,
        "The quota is 80 a second (Service Quotas), the pace 20.",
    ),
    "no quota": (
        facts(provisioned=FORBIDDEN, applied=FORBIDDEN), WISH, "pace", OK,
        "The quota is taken to be Cognito's default of 50 a second; the pace is 25.",
    ),
    "a pace above the quota": (
        GOOD, wish(rate=80.0), "pace", WARNING, "--rate 80 is above the quota of 50 a second",
    ),
    "a busy hour": (
        facts(usage=Usage(peak=33.333)), WISH, "usage", WARNING,
        "Others used up to 33.3 a second of the quota in the last hour; with 25 more it is used"
        " up: give --rate 16.7.",
    ),
    "a full hour": (
        facts(usage=Usage(peak=49.9)), WISH, "usage", WARNING, "wait for a quieter hour",
    ),
    "throttled others": (
        facts(usage=Usage(peak=3.0, throttled=7)), WISH, "usage", WARNING,
        "Others were throttled 7 times",
    ),
    # what was not learnt
    "a forbidden pool": (
        facts(pool=FORBIDDEN), WISH, "pool", WARNING, "Not learnt: the pool's settings; allow x:Y",
    ),
    "a forbidden quota": (
        facts(provisioned=FORBIDDEN, applied=FORBIDDEN), WISH, "quota", WARNING,
        "Not learnt: the quota; allow x:Y and cognito-idp:GetProvisionedLimit to know.",
    ),
    "a silent SES": (
        facts(ses=Unknown("ses:GetAccount", Why.SILENT)), WISH, "ses", WARNING,
        "Not learnt: Amazon SES's quotas; no answer in time.",
    ),
    "a throttled question": (
        facts(usage=Unknown("x:Y", Why.THROTTLED, "Throttling")), WISH, "usage", WARNING,
        "AWS has no room for the question now (Throttling).",
    ),
    "an odd answer about the account": (
        facts(account=Unknown("x:Y", Why.UNREADABLE, "KeyError")), WISH, "account", WARNING,
        "the answer is none of AWS's (KeyError).",
    ),
    "a client that is not found where the pool is not known": (
        facts(pool=Unknown("x:Y", Why.SILENT), client=NOT_FOUND), WISH, "pool", WARNING,
        "Not learnt: the pool's settings; no answer in time.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FINDINGS)
def test_a_fact_becomes_a_finding(name: str) -> None:
    found, wanted, what, level, text = FINDINGS[name]
    (finding,) = about(check(found, wanted), what)
    assert (finding.level, text in finding.text) == (level, True), finding


@pytest.mark.parametrize("name", FINDINGS)
def test_every_finding_is_a_short_sentence_and_every_stop_ends_with_exit_code_4(name: str) -> None:
    found, wanted, _, level, _ = FINDINGS[name]
    checked = check(found, wanted)
    assert checked.exit_code in {WARNING: (1, 4), STOP: (4,), OK: (0, 1)}[level]
    assert all(len(line) <= 80 for line in lines(checked))
    for finding in checked.findings:
        assert finding.text[0].isupper() or finding.text.startswith("--rate")
        assert finding.text[-1] == "." or finding.text.endswith(wanted.endpoint)
        assert len(lines(Checked(found, wanted, (finding,)))) <= 3 + 1, finding.text


def test_what_has_one_cause_is_said_once() -> None:
    none = Unknown("x:Y", Why.CREDENTIALS)
    checked = check(
        Facts(
            pool=none, client=none, provisioned=none, applied=none, ses=None, usage=none,
            account=none,
        ),
        WISH,
    )  # fmt: skip
    assert [(f.about, f.level) for f in checked.findings] == [
        ("credentials", WARNING),
        ("pace", OK),
    ]
    assert checked.findings[0].text == (
        "Not learnt: the pool's settings, the app client's settings, the account, the quota and"
        " how much of the quota is in use (no valid AWS credentials); log in or choose others with"
        " --profile."
    )
    assert checked.exit_code == 1


def test_an_unreachable_cognito_stops_a_check_and_a_run_may_wait_for_it() -> None:
    none = Unknown("x:Y", Why.UNREACHABLE, "EndpointConnectionError")
    nothing = facts(pool=none, client=none)
    for alone, level in ((True, STOP), (False, WARNING)):
        judged = check(nothing, wish(alone=alone))
        (found,) = about(judged, "endpoint")
        assert found.level is level
        assert "Cognito cannot be reached" in found.text
        assert about(judged, "pool") == about(judged, "client") == []
    # One of the two that is not reached is only not known.
    assert {f.level for f in check(facts(pool=none), wish(alone=True)).findings} == {OK, WARNING}


def test_services_that_are_not_asked_behind_a_foreign_endpoint_are_named_together() -> None:
    not_asked = Unknown("x:Y", Why.NOT_ASKED)
    checked = check(
        facts(applied=not_asked, provisioned=FORBIDDEN, usage=not_asked, account=not_asked),
        wish(endpoint="http://127.0.0.1:4570", endpoint_is_aws=False),
    )
    first, second = about(checked, "endpoint")
    assert first.text.startswith("The endpoint is not AWS's own")
    assert second.text.startswith(
        "Not learnt: the account, the quota and how much of the quota is in use (not asked,"
    )


@pytest.mark.parametrize(
    "given",
    [
        {"pool": NOT_FOUND, "client": NOT_FOUND},
        {"pool": replace(POOL, verifies=())},
    ],
)
def test_one_mistake_is_one_stop(given: dict[str, Any]) -> None:
    assert len(check(facts(**given), WISH).of(STOP)) == 1


def test_a_function_that_sends_the_mail_has_no_quota_that_anybody_knows() -> None:
    found = own_sender(triggers=("CustomEmailSender",))
    assert about(check(found, WISH), "mail quota") == []
    assert estimated(found, WISH, 1200).mail is None
    assert estimated(found, WISH, 1200).costs == [
        ("up to $18.00 for active users", "Essentials at $0.015, if all confirm and none is free")
    ]


def test_the_estimate_knows_what_the_pool_says() -> None:
    estimate = estimated(own_sender(), WISH, 1200, telephones=None, max_sent=40)
    assert (estimate.rate, estimate.quota) == (25.0, 50.0)
    assert estimate.binding.words == "the mail quota of 50 a day"
    assert estimate.reached == (40, "--max-sent")
    of_unknown = estimated(facts(pool=FORBIDDEN, ses=None), WISH, 1200)
    assert (of_unknown.sent.unknown, of_unknown.costs) == (1200, [])


def test_the_account_is_that_of_the_credentials_else_the_pools() -> None:
    assert GOOD.account_id == "123456789012"
    assert facts(account=FORBIDDEN).account_id == "123456789012"
    assert facts(account=FORBIDDEN, pool=FORBIDDEN).account_id is None


def test_the_verdict_stands_at_the_end() -> None:
    assert lines(check(GOOD, wish(region="eu-west-2")))[-1] == "It can be run; 1 warning."
    paused = facts(ses=replace(SES, sending=False))
    assert lines(check(paused, WISH))[-1] == "Nobody can be written to like this: 1 stop."


def test_for_programs_it_is_one_object() -> None:
    told = json.loads(json.dumps(check(own_sender(), wish(users=None)).as_json()))
    assert told.pop("findings")[0] == {
        "level": "ok",
        "about": "pool",
        "text": "The pool is there: eu-west-1_AbCdEf123, about 5,000 users.",
    }
    assert told == {
        "schema": 1,
        "user_pool_id": "eu-west-1_AbCdEf123",
        "client_id": "abc",
        "account": "123456789012",
        "region": "eu-west-1",
        "endpoint": "https://cognito-idp.eu-west-1.amazonaws.com",
        "endpoint_is_aws": True,
        "users": 5000,
        "users_are_counted": False,
        "quota": 50.0,
        "rate": 25.0,
        "seconds": 200.0,
        "finished_on": "2027-03-02",
        "existence_hidden": False,
        "exit_code": 1,
    }
    unknown = check(facts(pool=FORBIDDEN), wish(users=None)).as_json()
    assert (unknown["users"], unknown["seconds"], unknown["finished_on"]) == (None, None, None)
