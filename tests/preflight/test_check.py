"""Facts become findings: every one by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from batch_resend.preflight.check import CheckResult, check
from batch_resend.preflight.facts import (
    Facts,
    Unknown,
    Why,
)
from batch_resend.preflight.finding import Finding, Level, estimated
from batch_resend.preflight.render import as_json, lines
from tests.support.findings import (
    FINDINGS,
    FORBIDDEN,
    GOOD,
    NOT_FOUND,
    POOL,
    SES,
    WISH,
    facts,
    own_sender,
    wish,
)


def about(checked: CheckResult, what: str) -> list[Finding]:
    return [finding for finding in checked.findings if finding.about == what]


def test_good_facts_give_only_ok_findings() -> None:
    checked = check(GOOD, WISH)
    assert checked.exit_code == 0
    assert lines(checked) == [
        "ok       Pool eu-west-1_AbCdEf123 exists, with about 5,000 users.",
        "ok       The credentials belong to account 123456789012.",
        "ok       App client abc belongs to the pool.",
        "ok       The client secret matches.",
        "ok       The app client reports unknown users, so `sent` is reliable.",
        "ok       The pool verifies email: codes are sent by mail.",
        "ok       The pool is case-sensitive: a file must spell each username exactly as",
        "         the pool does.",
        "ok       No Lambda trigger runs for a resend.",
        "ok       Amazon SES sends 50,000 mails per day, 50,000 left today: enough for",
        "         1,200 users.",
        "ok       The quota is 50 per second (enforced now), the rate limit 25. 1,200",
        "         users take at least 48 s.",
        "ok       Other traffic peaked at 2 per second in the last hour.",
        "Ready to run.",
    ]


OK, WARNING, STOP = Level.OK, Level.WARNING, Level.STOP


@pytest.mark.parametrize("name", FINDINGS)
def test_fact_becomes_its_finding(name: str) -> None:
    state, wanted, what, level, text = FINDINGS[name]
    (finding,) = about(check(state, wanted), what)
    assert (finding.level, text in finding.text) == (level, True), finding


@pytest.mark.parametrize("name", FINDINGS)
def test_findings_are_short_sentences_with_an_exit_code(name: str) -> None:
    state, wanted, _, level, _ = FINDINGS[name]
    checked = check(state, wanted)
    assert checked.exit_code in {WARNING: (0, 4), STOP: (4,), OK: (0,)}[level]
    assert all(len(line) <= 80 for line in lines(checked))
    for finding in checked.findings:
        assert finding.text[0].isupper() or finding.text.startswith("--rate")
        assert finding.text[-1] == "." or finding.text.endswith(wanted.endpoint)
        assert len(lines(CheckResult(state, wanted, (finding,)))) <= 3 + 1, finding.text


def test_findings_of_one_cause_are_one_sentence() -> None:
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
        "Could not determine the pool's settings, the app client's settings, the account, the"
        " quota and how much of the quota is in use (no valid AWS credentials); log in, or choose"
        " others with --profile."
    )
    assert checked.exit_code == 0
    assert replace(checked, strict=True).exit_code == 1


def test_unreachable_cognito_stops_a_check_but_not_a_run() -> None:
    none = Unknown("x:Y", Why.UNREACHABLE, "EndpointConnectionError")
    nothing = facts(pool=none, client=none)
    for alone, level in ((True, STOP), (False, WARNING)):
        judged = check(nothing, wish(alone=alone))
        (finding,) = about(judged, "endpoint")
        assert finding.level is level
        assert "Cognito cannot be reached" in finding.text
        assert about(judged, "pool") == about(judged, "client") == []
    # One of the two that is not reached is only not known.
    assert {f.level for f in check(facts(pool=none), wish(alone=True)).findings} == {OK, WARNING}


def test_services_not_requested_are_named_together() -> None:
    not_asked = Unknown("x:Y", Why.NOT_ASKED)
    checked = check(
        facts(applied=not_asked, provisioned=FORBIDDEN, usage=not_asked, account=not_asked),
        wish(endpoint="http://127.0.0.1:4570", endpoint_is_aws=False),
    )
    first, second = about(checked, "endpoint")
    assert first.text.startswith("Custom endpoint")
    assert second.text.startswith(
        "Could not determine the account, the quota and how much of the quota is in use (not asked,"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"pool": NOT_FOUND, "client": NOT_FOUND},
        {"pool": replace(POOL, verifies=())},
    ],
)
def test_one_mistake_is_one_stop(changes: dict[str, Any]) -> None:
    assert len(check(facts(**changes), WISH).of(STOP)) == 1


def test_custom_sender_has_no_known_mail_quota() -> None:
    state = own_sender(triggers=("CustomEmailSender",))
    assert about(check(state, WISH), "mail quota") == []
    assert estimated(state, WISH, 1200).mail is None
    assert estimated(state, WISH, 1200).costs == [
        (
            "up to $18.00 in monthly active users",
            "Essentials, $0.015 each, if all confirm and none is free",
        )
    ]


def test_estimate_uses_the_facts_of_the_pool() -> None:
    estimate = estimated(own_sender(), WISH, 1200, telephones=None, max_sent=40)
    assert (estimate.rate, estimate.quota) == (25.0, 50.0)
    assert estimate.binding.words == "the mail quota of 50 per day"
    assert estimate.reached == (40, "--max-sent")
    of_unknown = estimated(facts(pool=FORBIDDEN, ses=None), WISH, 1200)
    assert (of_unknown.sent.unknown, of_unknown.costs) == (1200, [])


def test_account_is_of_the_credentials_else_of_the_pool() -> None:
    assert GOOD.account_id == "123456789012"
    assert facts(account=FORBIDDEN).account_id == "123456789012"
    assert facts(account=FORBIDDEN, pool=FORBIDDEN).account_id is None


def test_verdict_is_the_last_line() -> None:
    assert lines(check(GOOD, wish(region="eu-west-2")))[-1] == "Ready to run, with 1 warning."
    paused = facts(ses=replace(SES, sending=False))
    assert lines(check(paused, WISH))[-1] == "The run cannot start: 1 blocking problem."


def test_check_json_is_one_object() -> None:
    content = json.loads(json.dumps(as_json(check(own_sender(), wish(users=None)))))
    assert content.pop("findings")[0] == {
        "level": "ok",
        "about": "pool",
        "text": "Pool eu-west-1_AbCdEf123 exists, with about 5,000 users.",
    }
    assert content == {
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
        "exit_code": 0,
    }
    unknown = as_json(check(facts(pool=FORBIDDEN), wish(users=None)))
    assert (unknown["users"], unknown["seconds"], unknown["finished_on"]) == (None, None, None)
