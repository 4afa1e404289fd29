"""What a CloudTrail record says, and what it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.model import Reason
from batch_resend.reconcile.records import EVENT_NAME, EVENT_SOURCE, parse_record, read_record

MARK = "a2bcdefghijklmnopqrstuvw37"

#: The record of a SignUp as a user of AWS Amplify has published it
#: (https://github.com/aws-amplify/amplify-js/issues/10374), under the name of our call and with
#: our User-Agent; what was redacted there is made up.
SIGN_UP: dict[str, Any] = {
    "eventVersion": "1.08",
    "userIdentity": {"type": "Unknown", "principalId": "Anonymous"},
    "eventTime": "2022-09-21T16:31:57Z",
    "eventSource": EVENT_SOURCE,
    "eventName": EVENT_NAME,
    "awsRegion": "us-east-1",
    "sourceIPAddress": "198.51.100.7",
    "userAgent": f"batch-resend/0.1.0 botocore/1.40.61 intent/{MARK}",
    "requestParameters": {
        "clientId": "example",
        "username": "HIDDEN_DUE_TO_SECURITY_REASONS",
    },
    "responseElements": {
        "codeDeliveryDetails": {
            "destination": "HIDDEN_DUE_TO_SECURITY_REASONS",
            "deliveryMedium": "EMAIL",
            "attributeName": "email",
        },
    },
    "additionalEventData": {"sub": "8d2b"},
    "requestID": "85d12606-0000-4000-8000-000000000001",
    "eventID": "0b5e6a2a-7ef5-4c3b-9a0b-1d4e4f6c7a01",
    "readOnly": False,
    "eventType": "AwsApiCall",
    "managementEvent": True,
}


def reason_of(**changes: Any) -> Reason:
    record = read_record({**SIGN_UP, **changes})
    assert record is not None
    return record.reason


def test_real_record_is_read() -> None:
    record = read_record(SIGN_UP)
    assert record is not None
    assert record.mark == MARK
    assert record.request_id == "85d12606-0000-4000-8000-000000000001"
    assert record.event_id == "0b5e6a2a-7ef5-4c3b-9a0b-1d4e4f6c7a01"
    assert record.sub == "8d2b"
    assert record.at == 1663777917.0
    assert record.reason is Reason.ACCEPTED


def error(code: Any, message: Any = None) -> dict[str, Any]:
    return {"errorCode": code, "errorMessage": message, "responseElements": None}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (error("LimitExceededException", "Attempt limit exceeded"), Reason.ATTEMPT_LIMIT),
        (error("UserNotFoundException", "not found"), Reason.USER_NOT_FOUND),
        (error("UserNotFoundException"), Reason.USER_NOT_FOUND),
        (error("NotAuthorizedException", "User is disabled."), Reason.USER_DISABLED),
        (error("InvalidParameterException", "already confirmed."), Reason.ALREADY_CONFIRMED),
        (error("CodeDeliveryFailureException", "suppressed"), Reason.DELIVERY_FAILED),
        (error("TooManyRequestsException", "Rate exceeded"), Reason.STOPPED),
        (error("ForbiddenException", "WAF"), Reason.BLOCKED),
        (error("InternalErrorException", "oops"), Reason.SERVER_ERROR),
        (error("UnexpectedLambdaException", "failed"), Reason.TRIGGER_ERROR),
        (error("SomethingNewException", "?"), Reason.UNREADABLE_ANSWER),
        ({"responseElements": None}, Reason.UNREADABLE_ANSWER),
        ({"responseElements": {}}, Reason.UNREADABLE_ANSWER),
        ({"responseElements": {"codeDeliveryDetails": {}}}, Reason.UNREADABLE_ANSWER),
        ({"responseElements": {"codeDeliveryDetails": "yes"}}, Reason.UNREADABLE_ANSWER),
        ({"responseElements": [1]}, Reason.UNREADABLE_ANSWER),
        # Contradictory fields give no result.
        ({"errorCode": "LimitExceededException"}, Reason.UNREADABLE_ANSWER),
        ({"errorCode": 400}, Reason.UNREADABLE_ANSWER),
        ({"errorCode": ""}, Reason.UNREADABLE_ANSWER),
        ({"errorMessage": "oops"}, Reason.UNREADABLE_ANSWER),
        # Nor is what cannot be referred to.
        ({"eventID": ""}, Reason.UNREADABLE_ANSWER),
        ({"eventID": "x\x1b[2J"}, Reason.UNREADABLE_ANSWER),
        ({"eventID": 7}, Reason.UNREADABLE_ANSWER),
        ({"eventTime": "yesterday"}, Reason.UNREADABLE_ANSWER),
        ({"eventTime": "2022-09-21T16:31:57"}, Reason.UNREADABLE_ANSWER),
        ({"eventTime": 1663777917}, Reason.UNREADABLE_ANSWER),
    ],
)
def test_result_is_judged_as_the_lost_response(changes: dict[str, Any], reason: Reason) -> None:
    assert reason_of(**changes) is reason


@pytest.mark.parametrize(
    "changes",
    [
        {"eventName": "SignUp"},
        {"eventSource": "sso.amazonaws.com"},
        {"eventName": None},
        {"userAgent": "Mozilla/5.0", "requestID": None},
        {"userAgent": None, "requestID": ["x"]},
    ],
)
def test_record_of_something_else_is_none(changes: dict[str, Any]) -> None:
    assert read_record({**SIGN_UP, **changes}) is None


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", "null", '"x"', "[" * 100_000])
def test_text_that_is_not_a_record_is_none(text: str) -> None:
    assert parse_record(text) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(SIGN_UP)), JSON))
def test_any_field_may_be_anything(changes: dict[str, Any]) -> None:
    """Nothing is raised, and `sent` needs the details of a delivery and no error."""
    raw = {**SIGN_UP, **changes}
    record = read_record(raw)
    assert record == parse_record(json.dumps(raw))
    if record is not None and record.reason is Reason.ACCEPTED:
        details = raw["responseElements"]["codeDeliveryDetails"]
        assert details["deliveryMedium"] or details["destination"]
        assert raw.get("errorCode") is None


@pytest.mark.parametrize(
    ("careful", "other"),
    [
        ({}, error("LimitExceededException", "Attempt limit exceeded")),
        ({}, error("InternalErrorException")),
        (error("InternalErrorException"), error("UserNotFoundException")),
        (error("UserNotFoundException"), error("TooManyRequestsException")),
    ],
)
def test_of_two_records_the_more_careful_prevails(
    careful: dict[str, Any], other: dict[str, Any]
) -> None:
    """Two requests with one mark come from a proxy that repeated one; either may have sent."""
    one, two = read_record({**SIGN_UP, **careful}), read_record({**SIGN_UP, **other})
    assert one is not None
    assert two is not None
    assert one.prevails_over(two)
    assert not two.prevails_over(one)
