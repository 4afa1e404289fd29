"""Who cannot be reached, as AWS says it: what is asked, read in pages, and judged."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from batch_resend.aws import reach as lists
from batch_resend.preflight.facts import ELSEWHERE, Facts, ReachFacts, Unknown, Why
from batch_resend.preflight.probe import probe
from batch_resend.preflight.reach_findings import reach_findings
from tests.support.small_aws import CLIENT, JSON, POOL, SmallAws, refuse, small_aws

pytestmark = pytest.mark.anyio

BOTH = ("BOUNCE", "COMPLAINT")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call a second is for AWS."""
    monkeypatch.setattr(lists, "_APART", 0.0)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")


def pool(mail: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    response = JSON["DescribeUserPool"]["UserPool"]
    return {
        "UserPool": response
        | {"EmailConfiguration": response["EmailConfiguration"] | (mail or {})}
        | changes
    }


async def learned(
    monkeypatch: pytest.MonkeyPatch, aws: SmallAws, *, thorough: bool = False
) -> tuple[Facts, list[str]]:
    addresses: list[str] = []
    async with small_aws(monkeypatch, aws) as place:
        facts = await probe(
            place, user_pool_id=POOL, client_id=CLIENT, secret=None, within=300,
            keep=addresses.extend, thorough=thorough,
        )  # fmt: skip
    return facts, addresses


def entry(name: str) -> dict[str, Any]:
    return {"EmailAddress": f"{name}@x.example", "Reason": "BOUNCE", "LastUpdateTime": 1.0}


class Paged:
    """A suppression list of three pages; `breaks` is the page that is refused."""

    def __init__(self, *, breaks: int | None = None, most: bool = False) -> None:
        self.breaks, self.most = breaks, most
        self.queries: list[dict[str, str]] = []

    async def __call__(self, operation: str, request: web.Request) -> web.Response | None:
        if operation != "ListSuppressedDestinations":
            return None
        self.queries.append(dict(request.query))
        if self.most and "PageSize" in request.query:
            return web.json_response(
                {"message": "PageSize"}, status=400,
                headers={"x-amzn-ErrorType": "BadRequestException"},
            )  # fmt: skip
        page = int(request.query.get("NextToken", "0"))
        if page == self.breaks:
            return web.json_response(
                {"message": "no"}, status=403,
                headers={"x-amzn-ErrorType": "AccessDeniedException"},
            )  # fmt: skip
        more = {"NextToken": str(page + 1)} if page < 2 else {}
        return web.json_response({"SuppressedDestinationSummaries": [entry(f"u{page}")]} | more)


async def test_list_is_read_page_by_page_in_ses_s_region(monkeypatch: pytest.MonkeyPatch) -> None:
    paged = Paged()
    aws = SmallAws(instead=paged)
    facts, addresses = await learned(monkeypatch, aws)
    assert facts.reach == ReachFacts(suppressed=3, suppresses=BOTH)
    assert addresses == ["u0@x.example", "u1@x.example", "u2@x.example"]
    asked = [one for one in aws.asked if one.operation == "ListSuppressedDestinations"]
    assert {one.region for one in asked} == {"us-east-1"}
    assert [one.body.get("NextToken") for one in asked] == [None, ["1"], ["2"]]
    assert all(one.body["Reason"] == list(BOTH) for one in asked)


async def test_page_size_that_is_refused_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    paged = Paged(most=True)
    facts, addresses = await learned(monkeypatch, SmallAws(instead=paged))
    assert facts.reach.suppressed == 3
    assert len(addresses) == 3
    assert ["PageSize" in query for query in paged.queries] == [True, False, False, False]


async def test_list_that_breaks_off_counts_as_far_as_read(monkeypatch: pytest.MonkeyPatch) -> None:
    facts, addresses = await learned(monkeypatch, SmallAws(instead=Paged(breaks=1)))
    answer = facts.reach.suppressed
    assert isinstance(answer, Unknown)
    assert (answer.permission, answer.why) == (lists.LIST_SUPPRESSED, Why.FORBIDDEN)
    assert addresses == ["u0@x.example"]


async def test_account_that_may_not_be_asked_hides_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    async def instead(operation: str, request: web.Request) -> web.Response | None:
        return refuse(request, "AccessDeniedException") if operation == "GetAccount" else None

    facts, addresses = await learned(monkeypatch, SmallAws(instead=instead))
    assert (facts.reach.suppressed, addresses) == (1, ["a@x.example"])


@pytest.mark.parametrize(
    ("mail", "answers", "reasons"),
    [
        ({}, {}, BOTH),
        ({}, {"SuppressedReasons": []}, ()),
        ({}, {"SuppressedReasons": ["COMPLAINT"]}, ("COMPLAINT",)),
    ],
)
async def test_account_decides_what_is_suppressed(
    monkeypatch: pytest.MonkeyPatch,
    mail: dict[str, str],
    answers: dict[str, Any],
    reasons: tuple[str, ...],
) -> None:
    account = JSON["GetAccount"] | {"SuppressionAttributes": answers}
    aws = SmallAws(answers={"GetAccount": account, "DescribeUserPool": pool(mail)})
    facts, addresses = await learned(monkeypatch, aws)
    assert facts.reach.suppresses == reasons
    assert len(addresses) == bool(reasons)


@pytest.mark.parametrize(
    ("options", "reasons"),
    [
        (None, BOTH),
        ({"SuppressedReasons": []}, ()),
        ({"SuppressedReasons": ["BOUNCE"]}, ("BOUNCE",)),
    ],
)
async def test_configuration_set_beats_the_account(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any] | None, reasons: tuple[str, ...]
) -> None:
    response = {"ConfigurationSetName": "news"} | (
        {"SuppressionOptions": options} if options else {}
    )
    answers = {
        "DescribeUserPool": pool({"ConfigurationSet": "news"}),
        "GetConfigurationSet": response,
    }
    facts, addresses = await learned(monkeypatch, SmallAws(answers=answers))
    assert facts.reach.suppresses == reasons
    assert len(addresses) == bool(reasons)


@pytest.mark.parametrize(
    ("response", "asked"),
    [
        (pool({"EmailSendingAccount": "COGNITO_DEFAULT"}), set()),
        (pool(LambdaConfig={"CustomEmailSender": {"LambdaArn": "x"}}), set()),
        (pool(AutoVerifiedAttributes=["phone_number"]), {"ListPhoneNumbersOptedOut"}),
        (
            pool(AutoVerifiedAttributes=["email", "phone_number"]),
            {"ListPhoneNumbersOptedOut", "ListSuppressedDestinations"},
        ),
        (
            pool(
                AutoVerifiedAttributes=["phone_number"],
                LambdaConfig={"CustomSMSSender": {"LambdaArn": "x"}},
            ),
            set(),
        ),
    ],
)
async def test_only_lists_that_matter_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, response: dict[str, Any], asked: set[str]
) -> None:
    aws = SmallAws(answers={"DescribeUserPool": response})
    await learned(monkeypatch, aws)
    both = {"ListPhoneNumbersOptedOut", "ListSuppressedDestinations"}
    assert {one.operation for one in aws.asked} & both == asked


async def test_ses_of_another_account_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    other = pool({"SourceArn": "arn:aws:ses:us-east-1:999999999999:identity/example.com"})
    aws = SmallAws(answers={"DescribeUserPool": other})
    facts, addresses = await learned(monkeypatch, aws)
    assert facts.reach.suppressed == Unknown(lists.LIST_SUPPRESSED, Why.FAILED, ELSEWHERE)
    assert addresses == []


async def test_numbers_are_asked_for_where_sns_is(monkeypatch: pytest.MonkeyPatch) -> None:
    response = pool(
        AutoVerifiedAttributes=["phone_number"], SmsConfiguration={"SnsRegion": "eu-central-1"}
    )
    aws = SmallAws(answers={"DescribeUserPool": response})
    facts, numbers = await learned(monkeypatch, aws)
    assert (facts.reach.opted_out, numbers) == (1, ["+15550001"])
    assert aws.of("ListPhoneNumbersOptedOut").region == "eu-central-1"


async def test_only_check_asks_for_export_and_history(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = SmallAws()
    facts, _ = await learned(monkeypatch, aws)
    assert (facts.reach.exports, facts.reach.history) == (None, None)
    assert not {"LookupEvents", "GetLogDeliveryConfiguration"} & {o.operation for o in aws.asked}
    facts, _ = await learned(monkeypatch, SmallAws(), thorough=True)
    assert (facts.reach.exports, facts.reach.history) == (("userNotification",), True)
    assert not isinstance(facts.pool, Unknown)
    said = {one.about: one.text for one in reach_findings(facts.pool, facts.reach)}
    assert said["log export"] == "Cognito logs messages that could not be sent (log export)."
    assert said["event history"].startswith("CloudTrail's event history can be queried")


async def test_list_that_is_off_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "DescribeUserPool": pool({"ConfigurationSet": "news"}),
        "GetConfigurationSet": {"SuppressionOptions": {"SuppressedReasons": []}},
    }
    facts, _ = await learned(monkeypatch, SmallAws(answers=answers))
    assert not isinstance(facts.pool, Unknown)
    said = {
        one.about: (str(one.level), one.text) for one in reach_findings(facts.pool, facts.reach)
    }
    assert said["suppression"][0] == "warning"
    assert said["configuration set"] == (
        "ok",
        "Mails are sent with a configuration set and its own suppression list settings.",
    )
