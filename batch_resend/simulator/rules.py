"""Cognito's rules, with the time as a parameter.

Every method that depends on the time takes `now`, in seconds since the epoch; nothing
here waits, reads a clock or rolls dice. `Cognito.answer` goes through the rules in one
order: what stands in front of Cognito, the request itself, the quota, the client, the
pool, the user, the user's limits. Then the code goes out and is counted, and only then
the answer can get lost.

Sources: the service model in botocore, the Cognito Developer Guide (quotas, managing error
responses, managing user accounts), and for the texts of the errors reports by users.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from batch_resend.masking import mask
from batch_resend.model import Delivery, Reply, Wire
from batch_resend.simulator.cloudtrail import EventHistory
from batch_resend.simulator.described import described_client, described_pool, described_user
from batch_resend.simulator.pool import Kind, Pool, User, parse_filter
from batch_resend.simulator.quota import Meter, Quota
from batch_resend.simulator.replies import (
    AFTERWARDS,
    INSTEAD,
    NO_MAIL_LEFT,
    NO_USER,
    REFUSED,
    TIRED,
    refused_reply,
)
from batch_resend.simulator.setup import Client, Outage, PoolSettings
from batch_resend.simulator.undelivered import Undelivered, address_of, number_of

#: Resends per user and hour; not adjustable. Cognito's quotas.
RESENDS_AN_HOUR = 5
PAGE = 60

_HOUR = 3600.0
_DAY = 86400.0
_MAIL_DAY_BEGINS = 9 * _HOUR  # 09:00 UTC. Cognito's quotas
_TOKEN_LIVES = _HOUR  # Developer Guide, managing user accounts
_NOT_RECORDED = (Kind.WAF, Kind.BUSY)  # AWS responds in Cognito's place


@dataclass(frozen=True, slots=True)
class Answer:
    """The response as a careful client reads it, and the fault on the way.

    `done` is what Cognito itself did, where the reply does not say so.
    """

    reply: Reply
    fault: Kind | None = None
    done: Reply | None = None


class ApiError(Exception):
    """An error that an administrator's call is answered with."""

    def __init__(self, code: str, message: str) -> None:
        """Store the error in Cognito's words."""
        super().__init__(message)
        self.code = code
        self.message = message


class Cognito:
    """One user pool with one app client, and the record of what it did.

    `requests` counts the resends that arrived, `throttled` those of them that found the
    quota used up, `deliveries` the codes that went out by Username, and `misdirected` the
    requests that followed a redirect (`server` counts them). `request_times` holds when
    the resends arrived, if it was asked for. `history` records each call as AWS CloudTrail
    does, `undelivered` who gets nothing. `outages` may be changed at any time.

    `keep_record=False` is for runs over millions: `deliveries` stays empty, and no
    user has a limit of five codes.
    """

    def __init__(
        self,
        pool: Pool | None = None,
        *,
        client: Client | None = None,
        settings: PoolSettings | None = None,
        quota: Quota | None = None,
        outages: Iterable[Outage] = (),
        keep_times: bool = False,
        keep_record: bool = True,
        history: EventHistory | None = None,
        undelivered: Undelivered | None = None,
    ) -> None:
        """Start without messages; by default every name is an unconfirmed user's."""
        self.pool = Pool(open_to_all=True) if pool is None else pool
        self.client = client or Client()
        self.settings = settings or PoolSettings()
        self.outages = list(outages)
        self.requests = 0
        self.throttled = 0
        self.misdirected = 0
        self.deliveries: Counter[str] = Counter()
        self.request_times: list[float] | None = [] if keep_times else None
        self.history = history
        self.undelivered = undelivered or Undelivered()
        self._quota = quota
        self._meter = Meter(quota) if quota else None
        self._keep_record = keep_record
        self._accepted: dict[str, tuple[float, ...]] = {}  # within the hour before the last one
        self._mail_day = 0
        self._mails = 0
        self._met_busy: set[str] = set()
        self._places: list[_Place] = []

    def answer(self, parameters: Mapping[str, Any], *, now: float, agent: str = "") -> Answer:
        """Resend a code; `parameters` are the keyword arguments of ResendConfirmationCode.

        `agent` is the User-Agent of the request.
        """
        self.requests += 1
        if self.request_times is not None:
            self.request_times.append(now)
        answer = self._answer(parameters, now)
        request_id = f"00000000-0000-4000-8000-{self.requests:012x}"
        marked = answer.fault in (Kind.NODETAILS, Kind.BUSY)
        if answer.reply.code or answer.reply.delivery or marked:
            # AWS itself responded, and nothing in its place.
            answer = replace(answer, reply=replace(answer.reply, request_id=request_id))
        done = answer.done
        if done is None and answer.reply.request_id and answer.fault not in _NOT_RECORDED:
            done = answer.reply
        if self.history is not None and done is not None:
            done = replace(done, request_id=request_id)
            user = self._subject(parameters)
            self.history.record(parameters, done, user=user, agent=agent, now=now)
        return answer

    def _subject(self, parameters: Mapping[str, Any]) -> User | None:
        name = parameters.get("Username")
        user = self.pool.find(name) if isinstance(name, str) else None
        return None if user is None or user.kind is Kind.MISSING else user

    def spend(self, now: float) -> bool:
        """Draw one request for other traffic, such as a live sign-up, from the same quota."""
        return self._meter is None or self._meter.take(now)

    def list_users(self, parameters: Mapping[str, Any], *, now: float) -> dict[str, Any]:
        """Return a response to ListUsers; the dates are in seconds since the epoch.

        A token names the last user of a page, not a count, so users who change
        between two pages do not shift others. The order is that of the Usernames.

        Raises:
            ApiError: what the service would answer.
        """
        self._own_pool(parameters)
        text = parameters.get("Filter") or ""
        limit = parameters.get("Limit") or PAGE
        try:
            fits = parse_filter(text)
        except ValueError as error:
            raise ApiError("InvalidParameterException", str(error)) from None
        if not 0 < limit <= PAGE:
            raise ApiError(
                "InvalidParameterException",
                f"1 validation error detected: Value '{limit}' at 'limit' failed to satisfy"
                f" constraint: Member must have value less than or equal to {PAGE}",
            )
        token = parameters.get("PaginationToken")
        place = _Place(text, now) if token is None else self._place(token, text, now)
        if self.settings.empty_pages and not place.blank:
            return {
                "Users": [],
                "PaginationToken": self._token(_Place(text, now, place.after, True)),
            }
        users = list(islice(filter(fits, self.pool.after(place.after)), limit + 1))
        page: dict[str, Any] = {"Users": [described_user(user) for user in users[:limit]]}
        if len(users) > limit:
            page["PaginationToken"] = self._token(_Place(text, now, users[limit - 1].username))
        return page

    def get_log_delivery_configuration(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return a response to GetLogDeliveryConfiguration: nothing is logged.

        Raises:
            ApiError: it is another pool's id.
        """
        self._own_pool(parameters)
        configured = {"UserPoolId": self.settings.pool_id, "LogConfigurations": []}
        return {"LogDeliveryConfiguration": configured}

    def describe_user_pool(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return a response to DescribeUserPool.

        Raises:
            ApiError: it is another pool's id.
        """
        self._own_pool(parameters)
        return {"UserPool": described_pool(self.settings, len(self.pool))}

    def describe_user_pool_client(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return a response to DescribeUserPoolClient, with the secret if there is one.

        Raises:
            ApiError: it is another pool's or client's id.
        """
        self._own_pool(parameters)
        client_id = parameters.get("ClientId")
        if client_id != self.client.client_id:
            raise ApiError(
                "ResourceNotFoundException", f"User pool client {client_id} does not exist."
            )
        return {"UserPoolClient": described_client(self.settings, self.client)}

    def _answer(self, parameters: Mapping[str, Any], now: float) -> Answer:
        name = parameters.get("Username")
        name = name if isinstance(name, str) else ""
        user = self.pool.find(name)
        kind = self._kind(name, user, now)
        if kind in INSTEAD:
            return Answer(INSTEAD[kind], kind)
        reply = self._at_the_door(parameters, name, now)
        if reply:
            return Answer(reply)
        if user is None or kind is Kind.MISSING:
            return Answer(self._kept_secret(name, NO_USER))
        if not user.enabled or kind is Kind.DISABLED:
            return Answer(
                self._kept_secret(
                    name, refused_reply("NotAuthorizedException", "User is disabled.")
                )
            )
        if user.status == "CONFIRMED" or kind is Kind.CONFIRMED:
            return Answer(refused_reply("InvalidParameterException", "User is already confirmed."))
        return self._send(user, kind, now)

    def _kind(self, name: str, user: User | None, now: float) -> Kind:
        for outage in self.outages:
            if outage.start <= now < outage.end:
                return outage.kind
        kind = user.kind if user else Kind.of(name)
        if kind is Kind.BUSY:
            if name in self._met_busy:
                return Kind.EMAIL  # a user who is always throttled would keep a run from ending
            self._met_busy.add(name)
        return kind

    def _at_the_door(self, parameters: Mapping[str, Any], name: str, now: float) -> Reply | None:
        if not _is_username(name):
            return refused_reply(
                "InvalidParameterException",
                "1 validation error detected: Value at 'username' failed to satisfy constraint:"
                r" Member must have 1 to 128 characters of [\p{L}\p{M}\p{S}\p{N}\p{P}]+",
            )
        if self._quota and not self.spend(now):
            self.throttled += 1
            refusal = refused_reply("TooManyRequestsException", "Rate exceeded")
            return replace(refusal, retry_after=self._quota.retry_after)
        client_id = parameters.get("ClientId")
        if client_id != self.client.client_id:
            return refused_reply(
                "ResourceNotFoundException", f"User pool client {client_id} does not exist."
            )
        if self.client.secret:
            secret_hash = parameters.get("SecretHash")
            if not isinstance(secret_hash, str):
                return refused_reply(
                    "NotAuthorizedException",
                    f"Unable to verify secret hash for client {client_id}",
                )
            if secret_hash != _secret_hash(self.client.secret, name, self.client.client_id):
                return refused_reply(
                    "NotAuthorizedException",
                    f"SecretHash does not match for the client: {client_id}",
                )
        if not self.settings.auto_verified:
            return refused_reply(
                "NotAuthorizedException",
                "Cannot resend codes. Auto verification not turned on.",
            )
        return None

    def _kept_secret(self, name: str, truth: Reply) -> Reply:
        """Return the error, or a pretended delivery if the client hides unknown users."""
        if not self.client.prevent_user_existence_errors:
            return truth
        return Reply(Wire.ANSWERED, 200, delivery=self._details(User(name), Kind.EMAIL))

    def _send(self, user: User, kind: Kind, now: float) -> Answer:
        if kind in REFUSED:
            return Answer(REFUSED[kind])
        # The hour rolls, and what was refused does not count: AWS does not say.
        recent = tuple(at for at in self._accepted.get(user.username, ()) if now - at < _HOUR)
        if len(recent) >= RESENDS_AN_HOUR:
            return Answer(TIRED)
        details = self._details(user, kind)
        if details.medium == "EMAIL" and not self._mail(now):
            return Answer(NO_MAIL_LEFT)
        if self._keep_record:
            self._accepted[user.username] = (*recent, now)
            self.deliveries[user.username] += 1
        self.undelivered.note(user, kind, now)
        done = Reply(Wire.ANSWERED, 200, delivery=details)
        if kind is Kind.NODETAILS:
            done = AFTERWARDS[kind]  # Cognito itself says nothing of it
        return Answer(AFTERWARDS[kind], kind, done) if kind in AFTERWARDS else Answer(done)

    def _mail(self, now: float) -> bool:
        if self.settings.mail_quota is None:
            return True
        day = math.floor((now - _MAIL_DAY_BEGINS) / _DAY)
        if day != self._mail_day:
            self._mail_day, self._mails = day, 0
        if self._mails >= self.settings.mail_quota:
            return False
        self._mails += 1
        return True

    def _details(self, user: User, kind: Kind) -> Delivery:
        number = user.attributes.get("phone_number")
        if user.username.startswith("+") and not user.attributes:
            kind = Kind.SMS  # a name of the open pool is all that is known
        # With both configured and present, Cognito prefers the text message.
        by_text = kind in {Kind.SMS, Kind.OPTOUT}
        if by_text or (number and "phone_number" in self.settings.auto_verified):
            return Delivery("SMS", f"+*******{number_of(user)[-4:]}", "phone_number")
        return Delivery("EMAIL", mask(address_of(user)), "email")

    def _own_pool(self, parameters: Mapping[str, Any]) -> None:
        pool_id = parameters.get("UserPoolId")
        if pool_id != self.settings.pool_id:
            raise ApiError("ResourceNotFoundException", f"User pool {pool_id} does not exist.")

    def _token(self, place: _Place) -> str:
        self._places.append(place)
        return f"page-{len(self._places)}"

    def _place(self, token: str, text: str, now: float) -> _Place:
        number = token.removeprefix("page-")
        if not number.isdecimal() or not 0 < int(number) <= len(self._places):
            raise ApiError("InvalidParameterException", "Invalid pagination token.")
        place = self._places[int(number) - 1]
        if place.text != text:
            raise ApiError("InvalidParameterException", "Invalid pagination token.")
        if now - place.issued >= _TOKEN_LIVES:
            raise ApiError("InvalidParameterException", "The pagination token has expired.")
        return place


@dataclass(frozen=True, slots=True)
class _Place:
    """The place where a listing continues: after which user. `blank`: after the empty page."""

    text: str
    issued: float
    after: str = ""
    blank: bool = False


def _is_username(name: str) -> bool:
    return 1 <= len(name) <= 128 and all(unicodedata.category(c)[0] in "LMSNP" for c in name)


def _secret_hash(secret: str, name: str, client_id: str) -> str:
    digest = hmac.new(secret.encode(), (name + client_id).encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
