"""The vocabulary: the name of a username at each step of its path.

A value grows by being wrapped, and no step fills in a field that an earlier one left
empty: `Candidate` (a row of the input) -> `Planned` (with the decision) -> `Request`
(what will be sent to Cognito) -> `Reply` (what came back over the wire) -> `Result`
(the outcome of the row, one line of the report).

This module imports nothing of ours but the rules of masking, so that a `repr` in a
log or a traceback never shows a whole address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any

from batch_resend.masking import mask


class Outcome(StrEnum):
    """The result of a row in a word; the report's column `outcome`."""

    SENT = "sent"
    PLANNED = "planned"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_ATTEMPTED = "not-attempted"


class Reason(StrEnum):
    """Why; the report's column `reason`. Every reason belongs to one outcome."""

    outcome: Outcome

    def __new__(cls, value: str, outcome: Outcome) -> Reason:
        """Make a member that knows the outcome it belongs to."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.outcome = outcome
        return member

    ACCEPTED = "accepted", Outcome.SENT
    ELIGIBLE = "eligible", Outcome.PLANNED

    # The order of the skips is the order in which they are judged.
    DUPLICATE = "duplicate", Outcome.SKIPPED
    SAME_ADDRESS = "same-address", Outcome.SKIPPED
    EXCLUDED = "excluded", Outcome.SKIPPED
    NOT_MATCHED = "not-matched", Outcome.SKIPPED
    NOT_UNCONFIRMED = "not-unconfirmed", Outcome.SKIPPED
    DISABLED = "disabled", Outcome.SKIPPED
    TOO_YOUNG = "too-young", Outcome.SKIPPED
    TOO_OLD = "too-old", Outcome.SKIPPED
    COOLING_DOWN = "cooling-down", Outcome.SKIPPED
    SEND_CAP = "send-cap", Outcome.SKIPPED
    OUTCOME_UNKNOWN = "outcome-unknown", Outcome.SKIPPED
    SUPPRESSED = "suppressed", Outcome.SKIPPED
    OVER_LIMIT = "over-limit", Outcome.SKIPPED
    ALREADY_CONFIRMED = "already-confirmed", Outcome.SKIPPED

    # Failed: it is proved that nothing was sent.
    INVALID_USERNAME = "invalid-username", Outcome.FAILED
    USER_NOT_FOUND = "user-not-found", Outcome.FAILED
    USER_DISABLED = "user-disabled", Outcome.FAILED
    ATTEMPT_LIMIT = "attempt-limit", Outcome.FAILED
    DELIVERY_FAILED = "delivery-failed", Outcome.FAILED
    REJECTED_BY_TRIGGER = "rejected-by-trigger", Outcome.FAILED
    REJECTED = "rejected", Outcome.FAILED
    BLOCKED = "blocked", Outcome.FAILED
    CONNECTION = "connection", Outcome.FAILED

    # Unknown: the request left, and a code may have been sent, or not.
    NO_ANSWER = "no-answer", Outcome.UNKNOWN
    SERVER_ERROR = "server-error", Outcome.UNKNOWN
    TRIGGER_ERROR = "trigger-error", Outcome.UNKNOWN
    UNREADABLE_ANSWER = "unreadable-answer", Outcome.UNKNOWN
    INTERRUPTED = "interrupted", Outcome.UNKNOWN
    NOT_RECORDED = "not-recorded", Outcome.UNKNOWN

    STOPPED = "stopped", Outcome.NOT_ATTEMPTED


REASONS = {str(reason): reason for reason in Reason}  #: by the text in the report


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """The subject of a run: the source of its users, its client, its files.

    These are the last fields of the summary's JSON, in this order. `account`, `quota` and
    `existence_hidden` are None if AWS was not queried, or did not report them.
    """

    version: str
    input: str
    username_column: str | None = None
    user_pool_id: str | None = None
    client_id: str
    account: str | None = None
    region: str
    endpoint: str
    endpoint_is_aws: bool
    quota: float | None = None  #: requests per second
    existence_hidden: bool | None = None  #: PreventUserExistenceErrors of the app client
    simulated: bool = False
    dry_run: bool = False
    max_sends: int = 1  #: maximum messages per user over all runs; 0 for no maximum
    ledger: str | None = None
    report: str | None = None
    failed: str | None = None
    html: str | None = None
    summary: str | None = None
    next_command: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row of the input, or a user from the listing.

    `row` counts data rows (or listed users) from 1. `attributes` are the other CSV
    columns or the user's attributes, as text. `raw` is the row exactly as it stood in
    the input, line end included. `aliases` are the user's other names (sub, email,
    phone_number) as a listing knows them; `contacts` are those that a file's columns claim,
    which only an exclude list is matched with. `status`, `enabled` and `created`, in seconds
    since the epoch, come from a listing or from columns that are called as in one. `exists` is
    False where the pool was searched without finding the user.
    """

    row: int
    username: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    raw: str = ""
    aliases: tuple[str, ...] = ()
    status: str | None = None
    enabled: bool | None = None
    created: float | None = None
    contacts: tuple[str, ...] = ()
    exists: bool = True

    def __repr__(self) -> str:
        """Show the row and a masked name, never an address."""
        return f"Candidate(row={self.row}, username={mask(self.username)!r})"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence that settled an unknown outcome, and its time: a record, or "" for none."""

    record: str
    at: float


@dataclass(frozen=True, slots=True)
class Planned:
    """A candidate with its decision: `reason` is ELIGIBLE, or why no request is made.

    Of the attributes only those are kept that the request will need. `comes_last`: the user's
    last request failed or is unknown, so others come first. `evidence` is that of an earlier
    message, if it is one why the user is skipped.
    """

    row: int
    username: str
    reason: Reason
    attributes: Mapping[str, str] = field(default_factory=dict)
    raw: str = ""
    aliases: tuple[str, ...] = ()
    comes_last: bool = False
    evidence: Evidence | None = None

    def __repr__(self) -> str:
        """Show the row, a masked name and the decision."""
        return f"Planned(row={self.row}, username={mask(self.username)!r}, reason={self.reason})"


@dataclass(frozen=True, slots=True)
class Request:
    """The keyword arguments of ResendConfirmationCode for one user.

    `mark` is the intent's, for the User-Agent (`marks`).
    """

    username: str
    parameters: Mapping[str, Any]
    mark: str = ""

    def __repr__(self) -> str:
        """Show a masked name; the parameters hold a SecretHash and personal data."""
        return f"Request(username={mask(self.username)!r})"


class Wire(Enum):
    """The way of a request and its response on the wire."""

    ANSWERED = "answered"  #: an HTTP answer was read to its end
    NOT_SENT = "not sent"  #: no connection: it is proved that nothing left
    NO_ANSWER = "no answer"  #: it may have left; a timeout or a broken connection followed
    UNREADABLE = "unreadable"  #: it left, and the response is not from Cognito


@dataclass(frozen=True, slots=True)
class Delivery:
    """Cognito's CodeDeliveryDetails: the only evidence that a code was sent."""

    medium: str
    destination: str  #: masked by Cognito itself, such as a***@e***
    attribute_name: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The response to one request, before it is judged.

    `status` is the HTTP status (0 without an answer), `code` and `message` Cognito's
    error, `retry_after` the seconds that the answer asks us to wait. `lasting` says that
    no connection came about, and that waiting will not change that.
    """

    wire: Wire
    status: int = 0
    code: str = ""
    message: str = ""
    delivery: Delivery | None = None
    request_id: str = ""
    retry_after: float = 0.0
    lasting: bool = False

    @property
    def of_aws(self) -> bool:
        """Whether the response has one of AWS's marks: an error type or a request ID."""
        return bool(self.code or self.request_id)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one row; a report row is a projection of it.

    `attempts` counts the requests made for it, `finished_at` is in seconds since the
    epoch, `latency` the seconds that the last request took.
    """

    row: int
    username: str
    reason: Reason
    attempts: int = 0
    delivery: Delivery | None = None
    error_code: str = ""
    error_message: str = ""
    request_id: str = ""
    finished_at: float = 0.0
    latency: float | None = None
    raw: str = ""
    evidence: Evidence | None = None  #: of an earlier message, why the user is skipped

    @property
    def outcome(self) -> Outcome:
        """The outcome that the reason belongs to."""
        return self.reason.outcome

    def __repr__(self) -> str:
        """Show row, masked name and reason."""
        return f"Result(row={self.row}, username={mask(self.username)!r}, reason={self.reason})"
