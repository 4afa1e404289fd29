"""AWS CloudTrail's event history of the simulated account: what Cognito did, as it is recorded.

`Cognito.answer` feeds it: one record for each resend that reached Cognito itself, the ones
whose response was lost included, and none for a request that something else answered. The
records have the shape of the public ones of unauthenticated calls (SignUp, InitiateAuth,
RespondToAuthChallenge): identity `Anonymous`, names and destinations
HIDDEN_DUE_TO_SECURITY_REASONS, the User-Agent and the client's ID in clear. No public record
of ResendConfirmationCode itself is known; its shape is that of SignUp, with the same result.

`lookup` answers LookupEvents by the rules of its documentation: newest first, at most 50 on a
page, a token bound to its parameters, 90 days, 2 requests per second. `Recording` says how
well the history is kept. AWS promises little of that: about 5 minutes on average, no
guarantee, the same event more than once, and outages in which events are not recorded.

As everywhere in the simulator the time is handed in, and chance comes from a seed.
"""

from __future__ import annotations

import json
import math
import random
import uuid
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from batch_resend.model import Reply
from batch_resend.simulator.pool import User
from batch_resend.simulator.quota import Meter, Quota

EVENT_NAME = "ResendConfirmationCode"
EVENT_SOURCE = "cognito-idp.amazonaws.com"
HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
#: Events on a page, at most; requests per second; and how far back it goes. CloudTrail API
#: reference, LookupEvents.
PAGE = 50
LOOKUPS_A_SECOND = 2.0
LOOKS_BACK = 90 * 86400.0
#: Seconds from a call to its record, on average. CloudTrail user guide.
DELAY = 300.0

_LONGEST_AGENT = 1024  # record contents, `userAgent`
_IN_CLEAR = {"clientId": "ClientId", "clientMetadata": "ClientMetadata"}
_HIDDEN = {
    "username": "Username",
    "secretHash": "SecretHash",
    "userContextData": "UserContextData",
}
_ATTRIBUTES = {
    "EventId": "eventID",
    "EventName": "eventName",
    "EventSource": "eventSource",
}
_OTHER_ATTRIBUTES = {"AccessKeyId", "ReadOnly", "ResourceName", "ResourceType", "Username"}


class LookupRefused(Exception):
    """An error that a lookup is answered with."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Recording:
    """The quality of the records; the defaults are CloudTrail on a good day.

    Seconds and shares from 0 to 1. An event can be looked up `delay` after the call, and
    `lateness` at most later than that, so that events arrive out of order. `loss` is the
    share that is never recorded, `duplicates` the share that is listed twice.
    `without_results` records no `responseElements`. `agent` replaces the User-Agent, as a
    proxy does. `throttles` records throttled requests too; AWS services differ in that.
    `denied`: the caller lacks the permission.
    """

    delay: float = DELAY
    lateness: float = 0.0
    loss: float = 0.0
    duplicates: float = 0.0
    without_results: bool = False
    agent: str | None = None
    throttles: bool = False
    denied: bool = False
    lookups_a_second: float = LOOKUPS_A_SECOND
    seed: int = 0


@dataclass(frozen=True, slots=True, order=True)
class _Event:
    """A record, ordered by its time; `visible_at` is when a lookup first shows it."""

    at: int
    number: int
    visible_at: float = field(compare=False)
    record: Mapping[str, Any] = field(compare=False)


@dataclass(frozen=True, slots=True)
class _Token:
    """The place where a listing continues: its parameters, and before which event."""

    parameters: str
    before: tuple[int, int]


class EventHistory:
    """The event history of one account and Region; `recording` may be changed at any time."""

    def __init__(
        self, recording: Recording | None = None, *, region: str = "us-east-1", pool_id: str = ""
    ) -> None:
        self.recording = recording or Recording()
        self.lookups = 0  #: requests that were answered with a page
        self._region = region
        self._pool_id = pool_id
        self._random = random.Random(self.recording.seed)  # noqa: S311 - repeatable on purpose
        self._events: list[_Event] = []
        self._numbers = 0
        self._tokens: list[_Token] = []
        self._meter = Meter(Quota(self.recording.lookups_a_second))

    def record(
        self,
        parameters: Mapping[str, Any],
        reply: Reply,
        *,
        user: User | None,
        agent: str,
        now: float,
    ) -> None:
        """Record one call: the request, what Cognito did, the user, and the user agent.

        `reply` is Cognito's own, even if it was lost on its way back.
        """
        keeping, chance = self.recording, self._random
        # Drawn whether needed or not, so that one knob does not change the fate by another.
        lost, twice, late = chance.random(), chance.random(), chance.random()
        if lost < keeping.loss or (_is_throttle(reply) and not keeping.throttles):
            return
        visible_at = now + keeping.delay + late * keeping.lateness
        record = self._shape(parameters, reply, user, agent, now)
        for _ in range(2 if twice < keeping.duplicates else 1):
            self._numbers += 1
            insort(self._events, _Event(math.floor(now), self._numbers, visible_at, record))

    def records(self) -> Iterator[Mapping[str, Any]]:
        """Yield all records, the oldest first, as a trail writes them to its files."""
        for event in self._events:
            yield event.record

    def lookup(self, parameters: Mapping[str, Any], *, now: float) -> dict[str, Any]:
        """Return a response to LookupEvents; times are in seconds since the epoch.

        Raises:
            LookupRefused: what the service would answer.
        """
        if self.recording.denied:
            raise LookupRefused(
                "AccessDeniedException",
                "User: arn:aws:iam::123456789012:user/simulated is not authorized to perform:"
                " cloudtrail:LookupEvents because no identity-based policy allows the"
                " cloudtrail:LookupEvents action",
            )
        if not self._meter.take(now):
            raise LookupRefused("ThrottlingException", "Rate exceeded")
        start, end = _times(parameters, now)
        wanted = _wanted(parameters.get("LookupAttributes") or [])
        size = parameters.get("MaxResults") or PAGE
        if not 1 <= size <= PAGE:
            raise LookupRefused("InvalidMaxResultsException", f"MaxResults must be 1 to {PAGE}.")
        before = self._before(parameters)
        self.lookups += 1
        events = list(islice(self._newest_first(start, end, before, wanted, now), size + 1))
        page: dict[str, Any] = {"Events": [_listed(event) for event in events[:size]]}
        if len(events) > size:
            last = events[size - 1]
            page["NextToken"] = self._token(parameters, (last.at, last.number))
        return page

    def _newest_first(
        self,
        start: float,
        end: float,
        before: tuple[int, int] | None,
        wanted: list[tuple[str, Any]],
        now: float,
    ) -> Iterator[_Event]:
        first = bisect_left(self._events, start, key=lambda event: event.at)
        after = bisect_right(self._events, end, key=lambda event: event.at)
        if before is not None:
            after = min(after, bisect_left(self._events, before, key=_place))
        for index in range(after - 1, first - 1, -1):
            event = self._events[index]
            if event.visible_at <= now and all(event.record.get(k) == v for k, v in wanted):
                yield event

    def _shape(
        self,
        parameters: Mapping[str, Any],
        reply: Reply,
        user: User | None,
        agent: str,
        now: float,
    ) -> Mapping[str, Any]:
        extra = {"sub": sub_of(user)} if user else {}
        request = {
            ours: parameters[theirs]
            for ours, theirs in _IN_CLEAR.items()
            if parameters.get(theirs) is not None
        }
        request |= {ours: HIDDEN for ours, theirs in _HIDDEN.items() if theirs in parameters}
        if isinstance(analytics := parameters.get("AnalyticsMetadata"), Mapping):
            request["analyticsMetadata"] = {
                "analyticsEndpointId": analytics.get("AnalyticsEndpointId")
            }
        if self.recording.agent is not None:
            agent = self.recording.agent
        record: dict[str, Any] = {
            "eventVersion": "1.10",
            "userIdentity": {"type": "Unknown", "principalId": "Anonymous"},
            "eventTime": datetime.fromtimestamp(math.floor(now), UTC).strftime(
                "%Y-%m-%dT%H:%M:%SZ"
            ),
            "eventSource": EVENT_SOURCE,
            "eventName": EVENT_NAME,
            "awsRegion": self._region,
            "sourceIPAddress": "192.0.2.1",
            "userAgent": agent[:_LONGEST_AGENT],
        }
        if reply.code:
            record |= {"errorCode": reply.code, "errorMessage": reply.message}
        record |= {
            "requestParameters": request,
            "responseElements": None if self.recording.without_results else _result(reply),
            "additionalEventData": {**extra, "userPoolId": self._pool_id},
            "requestID": reply.request_id,
            "eventID": str(uuid.UUID(int=self._random.getrandbits(128), version=4)),
            "readOnly": False,
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "recipientAccountId": "123456789012",
            "eventCategory": "Management",
        }
        return record

    def _token(self, parameters: Mapping[str, Any], before: tuple[int, int]) -> str:
        self._tokens.append(_Token(_bound(parameters), before))
        return f"events-{len(self._tokens)}"

    def _before(self, parameters: Mapping[str, Any]) -> tuple[int, int] | None:
        next_token = parameters.get("NextToken")
        if next_token is None:
            return None
        number = str(next_token).removeprefix("events-")
        if not number.isdecimal() or not 0 < int(number) <= len(self._tokens):
            raise LookupRefused("InvalidNextTokenException", "The token is not valid.")
        token = self._tokens[int(number) - 1]
        if token.parameters != _bound(parameters):
            raise LookupRefused(
                "InvalidNextTokenException", "The token belongs to other parameters."
            )
        return token.before


def _place(event: _Event) -> tuple[int, int]:
    return event.at, event.number


def sub_of(user: User) -> str:
    """Return the user's `sub`; a user without one gets one that is always the same."""
    return user.attributes.get("sub") or str(uuid.uuid5(uuid.NAMESPACE_OID, user.username))


def _result(reply: Reply) -> dict[str, Any] | None:
    if reply.delivery is None:
        return None
    return {
        "codeDeliveryDetails": {
            "destination": HIDDEN,
            "deliveryMedium": reply.delivery.medium,
            "attributeName": reply.delivery.attribute_name,
        }
    }


def _is_throttle(reply: Reply) -> bool:
    return reply.code == "TooManyRequestsException"


def _times(parameters: Mapping[str, Any], now: float) -> tuple[float, float]:
    start, end = parameters.get("StartTime"), parameters.get("EndTime")
    oldest = now - LOOKS_BACK
    start = oldest if start is None else max(oldest, float(start))
    end = now if end is None else float(end)
    if start > end:
        raise LookupRefused("InvalidTimeRangeException", "The start is later than the end.")
    return start, end


def _wanted(attributes: list[Mapping[str, Any]]) -> list[tuple[str, Any]]:
    keys = [attribute.get("AttributeKey") for attribute in attributes]
    if len(keys) > 1 or any(key not in {*_ATTRIBUTES, *_OTHER_ATTRIBUTES} for key in keys):
        raise LookupRefused("InvalidLookupAttributesException", "Give one lookup attribute.")
    # No record has any of the other attributes: the calls are anonymous.
    return [
        (_ATTRIBUTES.get(str(one.get("AttributeKey")), "-"), one.get("AttributeValue"))
        for one in attributes
    ]


def _bound(parameters: Mapping[str, Any]) -> str:
    """Return what a token belongs to."""
    return json.dumps({k: v for k, v in parameters.items() if k != "NextToken"}, sort_keys=True)


def _listed(event: _Event) -> dict[str, Any]:
    record = event.record
    return {
        "EventId": record["eventID"],
        "EventName": record["eventName"],
        "ReadOnly": "false",
        "EventTime": event.at,
        "EventSource": record["eventSource"],
        "Resources": [],
        "CloudTrailEvent": json.dumps(record),
    }
