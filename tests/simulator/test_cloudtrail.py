"""The simulated event history, held against the rules of CloudTrail's documentation."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from botocore.exceptions import ClientError

from batch_resend.aws import clients
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.aws.sender import AwsSender
from batch_resend.marks import find_mark
from batch_resend.model import Request
from batch_resend.simulator.cloudtrail import (
    EVENT_NAME,
    HIDDEN,
    LOOKS_BACK,
    PAGE,
    EventHistory,
    LookupRefused,
    Recording,
)
from batch_resend.simulator.pool import Pool, User
from batch_resend.simulator.quota import Quota
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.sender import SimulatedEventHistory, SimulatedSender
from batch_resend.simulator.server import running
from batch_resend.simulator.setup import Client

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
BY_NAME = [{"AttributeKey": "EventName", "AttributeValue": EVENT_NAME}]
MARK = "a2bcdefghijklmnopqrstuvw37"


def keeping(**knobs: Any) -> tuple[Cognito, EventHistory]:
    """A Cognito whose history can be looked up without a rate, so that tests need not wait."""
    history = EventHistory(
        Recording(**{"delay": 0.0, "lookups_a_second": 1e9, **knobs}), pool_id="us-east-1_Shop"
    )
    return Cognito(history=history), history


def resend(cognito: Cognito, name: str, now: float = NOON, **more: Any) -> None:
    agent = more.pop("agent", "batch-resend/1.0")
    cognito.answer({"ClientId": "simulatedclient", "Username": name, **more}, now=now, agent=agent)


def listed(history: EventHistory, *, now: float = NOON, **parameters: Any) -> list[dict[str, Any]]:
    """Return all events of a listing, page by page."""
    events: list[dict[str, Any]] = []
    while True:
        page = history.lookup(parameters, now=now)
        events += page["Events"]
        if "NextToken" not in page:
            return events
        parameters["NextToken"] = page["NextToken"]


def records(history: EventHistory, **more: Any) -> list[dict[str, Any]]:
    return [json.loads(event["CloudTrailEvent"]) for event in listed(history, **more)]


def test_record_has_the_shape_of_public_ones() -> None:
    """Field by field as in the public records of SignUp and InitiateAuth."""
    history = EventHistory(Recording(delay=0.0), pool_id="us-east-1_Shop")
    pool = Pool([User("ada", {"sub": "3f7c", "email": "ada@example.com"})])
    cognito = Cognito(pool, client=Client("web"), history=history)
    asked = {
        "ClientId": "web",
        "Username": "ada",
        "SecretHash": "x",
        "UserContextData": {"IpAddress": "10.0.0.1"},
        "ClientMetadata": {"locale": "de"},
        "AnalyticsMetadata": {"AnalyticsEndpointId": "e1"},
    }
    cognito.answer(asked, now=NOON + 0.9, agent=f"batch-resend/1.0 intent/{MARK}")
    (event,) = history.lookup({"LookupAttributes": BY_NAME}, now=NOON + 1)["Events"]
    record = json.loads(event.pop("CloudTrailEvent"))
    assert event == {
        "EventId": record["eventID"],
        "EventName": "ResendConfirmationCode",
        "ReadOnly": "false",
        "EventTime": NOON,
        "EventSource": "cognito-idp.amazonaws.com",
        "Resources": [],
    }
    assert len(record.pop("eventID")) == 36
    assert record == {
        "eventVersion": "1.10",
        "userIdentity": {"type": "Unknown", "principalId": "Anonymous"},
        "eventTime": "2026-11-23T12:00:00Z",
        "eventSource": "cognito-idp.amazonaws.com",
        "eventName": "ResendConfirmationCode",
        "awsRegion": "us-east-1",
        "sourceIPAddress": "192.0.2.1",
        "userAgent": f"batch-resend/1.0 intent/{MARK}",
        "requestParameters": {
            "clientId": "web",
            "clientMetadata": {"locale": "de"},
            "username": HIDDEN,
            "secretHash": HIDDEN,
            "userContextData": HIDDEN,
            "analyticsMetadata": {"analyticsEndpointId": "e1"},
        },
        "responseElements": {
            "codeDeliveryDetails": {
                "destination": HIDDEN,
                "deliveryMedium": "EMAIL",
                "attributeName": "email",
            }
        },
        "additionalEventData": {"sub": "3f7c", "userPoolId": "us-east-1_Shop"},
        "requestID": "00000000-0000-4000-8000-000000000001",
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": "123456789012",
        "eventCategory": "Management",
    }


DELIVERED = ("ada+lost", "ada+fin", "ada+rst", "ada+half", "ada+gateway", "ada+proxy", "ada")
REFUSED = {
    "ada+confirmed": "InvalidParameterException",
    "ada+disabled": "NotAuthorizedException",
    "ada+tired": "LimitExceededException",
    "ada+undeliverable": "CodeDeliveryFailureException",
    "ada+trigger": "UserLambdaValidationException",
    "ada+lambda": "UnexpectedLambdaException",
    "ada+error": "InternalErrorException",
}
NOT_COGNITO = ("waf", "busy", "unavailable", "html", "empty", "redirect", "endless", "silent")


@pytest.mark.parametrize("name", DELIVERED)
def test_lost_answer_is_recorded_as_what_cognito_did(name: str) -> None:
    cognito, history = keeping()
    resend(cognito, name)
    (record,) = records(history)
    assert "errorCode" not in record
    assert record["responseElements"]["codeDeliveryDetails"]["deliveryMedium"] == "EMAIL"
    assert cognito.deliveries[name] == 1


@pytest.mark.parametrize(("name", "code"), REFUSED.items())
def test_refusal_is_recorded_with_its_code(name: str, code: str) -> None:
    cognito, history = keeping()
    resend(cognito, name)
    (record,) = records(history)
    assert record["errorCode"] == code
    assert record["errorMessage"]
    assert record["responseElements"] is None


@pytest.mark.parametrize("kind", NOT_COGNITO)
def test_request_answered_by_others_is_not_recorded(kind: str) -> None:
    cognito, history = keeping()
    resend(cognito, f"ada+{kind}")
    assert records(history) == []


def test_answer_without_details_is_recorded_without() -> None:
    cognito, history = keeping()
    resend(cognito, "ada+nodetails")
    (record,) = records(history)
    assert record["responseElements"] is None
    assert "errorCode" not in record


def test_unknown_user_has_no_sub_and_known_one_always_the_same() -> None:
    cognito, history = keeping()
    for name in ("ada+missing", "ada", "ada"):
        resend(cognito, name)
    *subs, unknown = (record["additionalEventData"].get("sub") for record in records(history))
    assert unknown is None
    assert subs[0] == subs[1] is not None


@pytest.mark.parametrize("throttles", [False, True])
def test_throttled_call_is_recorded_only_where_asked(*, throttles: bool) -> None:
    history = EventHistory(Recording(delay=0.0, throttles=throttles))
    cognito = Cognito(quota=Quota(rate=1), history=history)
    for name in ("ada", "bob"):
        resend(cognito, name)
    codes = [record.get("errorCode") for record in records(history)]
    assert codes == (["TooManyRequestsException"] if throttles else []) + [None]


def test_event_is_listed_after_its_delay_only() -> None:
    cognito, history = keeping(delay=300.0)
    resend(cognito, "ada")
    assert listed(history, now=NOON + 299) == []
    assert len(listed(history, now=NOON + 300)) == 1


def test_late_events_arrive_out_of_order() -> None:
    cognito, history = keeping(lateness=600.0)
    for second in range(20):
        resend(cognito, f"user{second}", now=NOON + second)
    early = [event["EventTime"] for event in listed(history, now=NOON + 300)]
    everything = [event["EventTime"] for event in listed(history, now=NOON + 620)]
    assert everything == [NOON + second for second in reversed(range(20))]
    assert 0 < len(early) < 20
    assert early != everything[-len(early) :]


@pytest.mark.parametrize(
    ("loss", "expected"), [(0.0, range(1000, 1001)), (1.0, range(1)), (0.2, range(750, 850))]
)
def test_lost_records_are_never_listed(loss: float, expected: range) -> None:
    """Four standard deviations of a thousand draws: 50."""
    cognito, history = keeping(loss=loss)
    for number in range(1000):
        resend(cognito, f"user{number}")
    assert len(listed(history)) in expected
    assert sum(cognito.deliveries.values()) == 1000


def test_duplicates_have_the_same_event_id() -> None:
    cognito, history = keeping(duplicates=1.0)
    resend(cognito, "ada")
    one, two = listed(history)
    assert one == two


def test_proxy_rewrites_the_agent_and_results_can_be_missing() -> None:
    cognito, history = keeping(agent="squid", without_results=True)
    resend(cognito, "ada", agent=f"batch-resend/1.0 intent/{MARK}")
    (record,) = records(history)
    assert record["userAgent"] == "squid"
    assert record["responseElements"] is None


def test_long_agent_is_cut_at_one_kilobyte() -> None:
    cognito, history = keeping()
    resend(cognito, "ada", agent="x" * 2000)
    assert len(records(history)[0]["userAgent"]) == 1024


# Listing


def test_listing_is_newest_first_in_pages_of_fifty() -> None:
    cognito, history = keeping()
    for second in range(120):
        resend(cognito, f"user{second}", now=NOON + second)
    now = NOON + 120
    first = history.lookup({}, now=now)
    assert len(first["Events"]) == PAGE
    times = [event["EventTime"] for event in listed(history, now=now)]
    assert times == sorted(times, reverse=True)
    assert len(times) == 120
    assert len(history.lookup({"MaxResults": 7}, now=now)["Events"]) == 7


def test_listing_of_a_time_includes_both_ends() -> None:
    cognito, history = keeping()
    for second in range(10):
        resend(cognito, f"user{second}", now=NOON + second + 0.5)
    events = listed(history, now=NOON + 60, StartTime=NOON + 2, EndTime=NOON + 4)
    assert [event["EventTime"] - NOON for event in events] == [4, 3, 2]


def test_listing_goes_back_ninety_days() -> None:
    cognito, history = keeping()
    resend(cognito, "ada")
    assert len(listed(history, now=NOON + LOOKS_BACK)) == 1
    assert listed(history, now=NOON + LOOKS_BACK + 1) == []


@pytest.mark.parametrize(
    ("key", "value", "count"),
    [
        ("EventName", "ResendConfirmationCode", 1),
        ("EventName", "SignUp", 0),
        ("EventSource", "cognito-idp.amazonaws.com", 1),
        ("Username", "ada", 0),
    ],
)
def test_listing_by_attribute(key: str, value: str, count: int) -> None:
    cognito, history = keeping()
    resend(cognito, "ada")
    wanted = [{"AttributeKey": key, "AttributeValue": value}]
    assert len(listed(history, LookupAttributes=wanted)) == count


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"MaxResults": 51}, "InvalidMaxResultsException"),
        ({"StartTime": NOON, "EndTime": NOON - 1}, "InvalidTimeRangeException"),
        ({"LookupAttributes": BY_NAME * 2}, "InvalidLookupAttributesException"),
        ({"LookupAttributes": [{"AttributeKey": "x"}]}, "InvalidLookupAttributesException"),
        ({"NextToken": "events-1"}, "InvalidNextTokenException"),
        ({"NextToken": "nonsense"}, "InvalidNextTokenException"),
    ],
)
def test_wrong_lookup_gets_the_modelled_error(parameters: dict[str, Any], code: str) -> None:
    _, history = keeping()
    with pytest.raises(LookupRefused) as refused:
        history.lookup(parameters, now=NOON)
    assert refused.value.code == code


def test_token_holds_for_its_own_parameters_only() -> None:
    cognito, history = keeping()
    for second in range(3):
        resend(cognito, f"user{second}", now=NOON + second)
    asked = {"MaxResults": 1, "EndTime": NOON + 5}
    token = history.lookup(asked, now=NOON + 5)["NextToken"]
    with pytest.raises(LookupRefused, match="other parameters"):
        history.lookup({**asked, "EndTime": NOON + 6, "NextToken": token}, now=NOON + 6)
    (event,) = history.lookup({**asked, "NextToken": token}, now=NOON + 6)["Events"]
    assert event["EventTime"] == NOON + 1


def test_third_lookup_of_a_second_is_throttled() -> None:
    history = EventHistory()
    for _ in range(2):
        history.lookup({}, now=NOON)
    with pytest.raises(LookupRefused) as refused:
        history.lookup({}, now=NOON)
    assert refused.value.code == "ThrottlingException"
    history.lookup({}, now=NOON + 0.5)
    assert history.lookups == 3


def test_caller_without_the_permission_is_refused() -> None:
    _, history = keeping(denied=True)
    with pytest.raises(LookupRefused) as refused:
        history.lookup({}, now=NOON)
    assert refused.value.code == "AccessDeniedException"
    assert "cloudtrail:LookupEvents" in refused.value.message


# In process and over HTTP


@asynccontextmanager
async def in_process(cognito: Cognito) -> AsyncIterator[tuple[Any, Any]]:
    assert cognito.history is not None
    async with SimulatedSender(cognito, epoch=NOON) as sender:
        yield sender, SimulatedEventHistory(cognito.history, sender.now)


@asynccontextmanager
async def over_http(cognito: Cognito) -> AsyncIterator[tuple[Any, Any]]:
    async with running(cognito) as url:
        place = AwsTarget("us-east-1", endpoint_url=url)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", "x")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "x")
            patch.setenv("AWS_ENDPOINT_URL_CLOUDTRAIL", url)
            async with (
                clients.resend_client(place, timeout=5, concurrency=4) as (client, *_),
                clients.signed_client(place, clients.CLOUDTRAIL, attempts=1) as trail,
            ):
                yield AwsSender(client), trail


Skin = Callable[[Cognito], AbstractAsyncContextManager[tuple[Any, Any]]]


@pytest.fixture(params=[in_process, over_http])
def skin(request: pytest.FixtureRequest) -> Skin:
    chosen: Skin = request.param
    return chosen


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_marked_request_is_found_by_its_mark(skin: Skin) -> None:
    """Twenty requests side by side, each with a mark of its own, through the real client."""
    cognito, _ = keeping()
    marks = {f"user{n}": MARK[:-2] + "abcdefghijklmnopqrstuvwxyz"[n % 26] * 2 for n in range(20)}
    async with skin(cognito) as (sender, trail):
        async with anyio.create_task_group() as tasks:
            for name, mark in marks.items():
                parameters = {"ClientId": "simulatedclient", "Username": name}
                tasks.start_soon(sender.send, Request(name, parameters, mark))
        await sender.send(Request("bob", {"ClientId": "simulatedclient", "Username": "bob"}))
        page = await trail.lookup_events(LookupAttributes=BY_NAME, MaxResults=50)
    agents = [json.loads(event["CloudTrailEvent"])["userAgent"] for event in page["Events"]]
    assert all(agent.startswith("batch-resend/") for agent in agents)
    assert sorted(filter(None, map(find_mark, agents))) == sorted(marks.values())
    assert len(agents) == len(marks) + 1
    assert page["Events"][0]["EventTime"].tzinfo is not None


@pytest.mark.anyio
async def test_refused_lookup_raises_the_sdk_s_error(skin: Skin) -> None:
    cognito, _ = keeping(denied=True)
    async with skin(cognito) as (_, trail):
        with pytest.raises(ClientError) as refused:
            await trail.lookup_events(StartTime=datetime.now(UTC), EndTime=datetime.now(UTC))
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"


@pytest.mark.anyio
async def test_mark_of_one_request_is_not_left_for_the_next() -> None:
    cognito, history = keeping()
    asked = {"ClientId": "simulatedclient", "Username": "ada"}
    async with over_http(cognito) as (sender, _):
        await sender.send(Request("ada", asked, MARK))
        await sender.send(Request("ada", asked))
    marks = [find_mark(record["userAgent"]) for record in history.records()]
    assert marks == [MARK, ""]
