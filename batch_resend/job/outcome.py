"""What a response means: one table of error code *and message*.

Cognito uses one code for different things: `LimitExceededException` is one tired user
or the whole account's mail quota, `NotAuthorizedException` a disabled user, a wrong
secret or a pool that cannot verify. So rows match by code and by a piece of the message, the
first matching row counts, and a code without a row is treated with care: the outcome is
unknown, and there is no further attempt.

The promise: `sent` only with parsed CodeDeliveryDetails; a reason of the outcome
`failed` only where it is proved that nothing was sent; all else is `unknown`. A response
proves it only with AWS's own marks, an error type or a request ID: a proxy may answer 403
or 429 after it has passed the request on.

Sources: the service model of botocore (its modelled errors are held against this table
by a test), the Cognito Developer Guide's pages on error handling and quotas, and, for
the texts, reports by users: AWS does not document them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, StrEnum

from batch_resend.errors import Exit
from batch_resend.model import Reason, Reply, Wire


class Signal(Enum):
    """The effect of a response on the pace."""

    ANSWERED = "answered"  #: a definite response; Cognito is reachable
    THROTTLED = "throttled"  #: the account's quota is used up: all requests slow down
    BLOCKED = "blocked"  #: a firewall (AWS WAF) stands in the way: all requests pause
    SILENT = "silent"  #: no definite response: silence, 5xx, no connection


class Again(Enum):
    """Whether the same user is worth another attempt in this run."""

    NEVER = "never"
    COUNTED = "counted"  #: yes, up to --max-attempts: proved that nothing was sent
    FREELY = "freely"  #: yes, and the attempt does not count: throttling fails no user


class Stop(StrEnum):
    """A cause that ends a run early; the summary's `stopped_by`."""

    sentence: str
    exit_code: Exit

    def __new__(cls, value: str, exit_code: Exit, sentence: str) -> Stop:
        """Return a member with its exit code and its sentence for a person."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.exit_code = exit_code
        member.sentence = sentence
        return member

    MAX_SENT = (
        "max-sent",
        Exit.STOPPED,
        "The number of messages that --max-sent allows was accepted.",
    )
    MAX_FAILURES = (
        "max-failures",
        Exit.STOPPED,
        "More users failed or are unknown than --max-failures allows. Read the reasons in the"
        " report before you resume.",
    )
    DEADLINE = "deadline", Exit.STOPPED, "The time that --deadline allows has passed."
    GIVE_UP = (
        "give-up-after",
        Exit.STOPPED,
        "Cognito accepted no request for as long as --give-up-after allows.",
    )
    MAIL_QUOTA = (
        "mail-quota",
        Exit.STOPPED,
        "The daily mail quota is used up. Cognito's own sender sends 50 mails per day for the whole"
        " account and resets at 09:00 UTC; Amazon SES counts the last 24 hours.",
    )
    USER_LIMITS = (
        "unknown-limit",
        Exit.STOPPED,
        "Cognito reports an unknown limit for one user after another. See error_message in the"
        " report.",
    )
    UNKNOWN_CLIENT = (
        "unknown-client",
        Exit.SETTINGS,
        "The app client does not exist in this Region. Check --client-id and --region.",
    )
    WRONG_SECRET = (
        "client-secret",
        Exit.SETTINGS,
        "The client secret is missing, wrong or was rotated. Pass the app client's current secret"
        " with --client-secret-file or BATCH_RESEND_CLIENT_SECRET.",
    )
    CANNOT_VERIFY = (
        "cannot-verify",
        Exit.SETTINGS,
        "Automatic verification is off, so the user pool has no code to send. Turn on automatic"
        " verification of email or phone number (AutoVerifiedAttributes).",
    )
    SENDER_IDENTITY = (
        "sender-identity",
        Exit.SETTINGS,
        "The user pool cannot send mail: its Amazon SES identity is not verified, is in the SES"
        " sandbox, or lacks the policy that lets Cognito use it.",
    )
    SMS_ROLE = (
        "sms-role",
        Exit.SETTINGS,
        "The user pool cannot send text messages. Check its SMS role, and the role's trust policy"
        " and external ID.",
    )
    TRIGGER = (
        "trigger",
        Exit.SETTINGS,
        "The user pool's Lambda trigger fails for one user after another. See error_message in"
        " the report, and the function's log.",
    )
    NOT_AUTHORIZED = (
        "not-authorized",
        Exit.SETTINGS,
        "Cognito refuses one user after another. See error_message in the report.",
    )
    WRONG_REGION = (
        "wrong-region",
        Exit.SETTINGS,
        "This Region's copy of the user pool does not send codes. Use the primary Region.",
    )
    NOT_COGNITO = (
        "endpoint",
        Exit.SETTINGS,
        "The endpoint does not respond like Amazon Cognito. Check --endpoint-url, the Region and"
        " any proxy.",
    )
    REDIRECTED = (
        "redirected",
        Exit.SETTINGS,
        "The endpoint redirects to another URL, which would receive usernames and secret hashes."
        " Check --endpoint-url and any proxy.",
    )
    UNREACHABLE = (
        "unreachable",
        Exit.SETTINGS,
        "Could not connect to the endpoint.",
    )
    LEDGER = "ledger", Exit.SETTINGS, "The ledger could not be written, so sending stopped."
    REPORT = "report", Exit.SETTINGS, "The report could not be written, so sending stopped."
    INTERNAL = (
        "internal-error",
        Exit.SETTINGS,
        "Internal error in this program. Please report this bug.",
    )
    CALLER = "caller", Exit.STOPPED, "Stopped by the calling program."
    SIGHUP = "SIGHUP", Exit.HANGUP, "Stopped because the terminal was closed (SIGHUP)."
    SIGINT = "SIGINT", Exit.INTERRUPT, "Stopped by Ctrl-C."
    SIGTERM = "SIGTERM", Exit.TERMINATED, "Stopped by SIGTERM."


#: From this many equal verdicts in a row, the cause is not the single user.
IN_A_ROW = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """The meaning of a reply: for the user, for the pace, and for the run.

    `reason` is final when `again` is NEVER or the attempts are used up. `stop` is what ends
    the run: at once if `in_a_row` is 1, else after that many verdicts with the same `stop`
    and no other definite response between them; with `at_first`, also when it is the first
    definite response of the run.
    """

    reason: Reason
    signal: Signal = Signal.ANSWERED
    again: Again = Again.NEVER
    stop: Stop | None = None
    in_a_row: int = 1
    at_first: bool = False

    @classmethod
    def user(cls, reason: Reason) -> Verdict:
        """Return a verdict about this user alone, final for this run."""
        return cls(reason)

    @classmethod
    def fatal(cls, stop: Stop) -> Verdict:
        """Return a verdict that ends the run at once: the settings are wrong, nothing was sent."""
        return cls(Reason.STOPPED, stop=stop)

    @classmethod
    def repeated(cls, reason: Reason, stop: Stop, *, at_first: bool = False) -> Verdict:
        """Return a verdict that ends the run if it applies to one user after another."""
        return cls(reason, stop=stop, in_a_row=IN_A_ROW, at_first=at_first)


_SENT = Verdict(Reason.ACCEPTED)
_THROTTLED = Verdict(Reason.STOPPED, Signal.THROTTLED, Again.FREELY)
_BLOCKED = Verdict(Reason.BLOCKED, Signal.BLOCKED, Again.COUNTED)
_SERVER_ERROR = Verdict(Reason.SERVER_ERROR, Signal.SILENT)
_UNREADABLE = Verdict(Reason.UNREADABLE_ANSWER, Signal.SILENT)

_WIRE = {
    Wire.NOT_SENT: Verdict(Reason.CONNECTION, Signal.SILENT, Again.COUNTED),
    Wire.NO_ANSWER: Verdict(Reason.NO_ANSWER, Signal.SILENT),
    Wire.UNREADABLE: _UNREADABLE,
}

# Wrong settings, such as a certificate that is not accepted; they end a run without any response.
_UNREACHABLE = replace(_WIRE[Wire.NOT_SENT], stop=Stop.UNREACHABLE, at_first=True)

#: (code, a piece of the message in lower case, verdict): the first that fits counts.
TABLE: tuple[tuple[str, str, Verdict], ...] = (
    # The category quota of the account and Region; the only sign of congestion.
    ("TooManyRequestsException", "", _THROTTLED),
    ("ThrottlingException", "", _THROTTLED),
    ("Throttling", "", _THROTTLED),
    ("ThrottledException", "", _THROTTLED),
    ("RequestThrottled", "", _THROTTLED),
    ("RequestLimitExceeded", "", _THROTTLED),
    # The same code for a spent mail quota and for a tired user; only the text differs.
    ("LimitExceededException", "daily email limit", Verdict.fatal(Stop.MAIL_QUOTA)),
    ("LimitExceededException", "attempt limit", Verdict.user(Reason.ATTEMPT_LIMIT)),
    ("LimitExceededException", "", Verdict.repeated(Reason.ATTEMPT_LIMIT, Stop.USER_LIMITS)),
    # Cognito passes on Amazon SES's errors; the first two texts are SES's own.
    (
        "CodeDeliveryFailureException",
        "daily message quota exceeded",
        Verdict.fatal(Stop.MAIL_QUOTA),
    ),
    (
        "CodeDeliveryFailureException",
        "maximum sending rate exceeded",
        Verdict(Reason.DELIVERY_FAILED, Signal.THROTTLED, Again.COUNTED),
    ),
    (
        "CodeDeliveryFailureException",
        "not verified",
        Verdict.repeated(Reason.DELIVERY_FAILED, Stop.SENDER_IDENTITY),
    ),
    ("CodeDeliveryFailureException", "", Verdict.user(Reason.DELIVERY_FAILED)),
    ("InvalidParameterException", "already confirmed", Verdict.user(Reason.ALREADY_CONFIRMED)),
    (
        "InvalidParameterException",
        "auto verification not turned on",
        Verdict.fatal(Stop.CANNOT_VERIFY),
    ),
    # Also the documented response for an unknown user where PreventUserExistenceErrors is on.
    ("InvalidParameterException", "", Verdict.user(Reason.REJECTED)),
    ("ValidationException", "", Verdict.user(Reason.REJECTED)),
    ("SerializationException", "", Verdict.user(Reason.REJECTED)),
    (
        "NotAuthorizedException",
        "auto verification not turned on",
        Verdict.fatal(Stop.CANNOT_VERIFY),
    ),
    # A wrong secret fails the first user already; later it may be one odd user name.
    (
        "NotAuthorizedException",
        "secret",
        Verdict.repeated(Reason.REJECTED, Stop.WRONG_SECRET, at_first=True),
    ),
    ("NotAuthorizedException", "disabled", Verdict.user(Reason.USER_DISABLED)),
    ("NotAuthorizedException", "already confirmed", Verdict.user(Reason.ALREADY_CONFIRMED)),
    ("NotAuthorizedException", "", Verdict.repeated(Reason.REJECTED, Stop.NOT_AUTHORIZED)),
    ("UserNotFoundException", "", Verdict.user(Reason.USER_NOT_FOUND)),
    ("ResourceNotFoundException", "", Verdict.fatal(Stop.UNKNOWN_CLIENT)),
    ("InvalidEmailRoleAccessPolicyException", "", Verdict.fatal(Stop.SENDER_IDENTITY)),
    # Only users with a telephone number meet these two; others may still be mailed.
    (
        "InvalidSmsRoleAccessPolicyException",
        "",
        Verdict.repeated(Reason.DELIVERY_FAILED, Stop.SMS_ROLE, at_first=True),
    ),
    (
        "InvalidSmsRoleTrustRelationshipException",
        "",
        Verdict.repeated(Reason.DELIVERY_FAILED, Stop.SMS_ROLE, at_first=True),
    ),
    # A custom sender is such a trigger: it may have sent before it failed.
    ("InvalidLambdaResponseException", "", Verdict.repeated(Reason.TRIGGER_ERROR, Stop.TRIGGER)),
    ("UnexpectedLambdaException", "", Verdict.repeated(Reason.TRIGGER_ERROR, Stop.TRIGGER)),
    ("UserLambdaValidationException", "", Verdict.user(Reason.REJECTED_BY_TRIGGER)),
    ("ForbiddenException", "", _BLOCKED),
    ("OperationNotEnabledException", "", Verdict.fatal(Stop.WRONG_REGION)),
    ("UnknownOperationException", "", Verdict.fatal(Stop.NOT_COGNITO)),
    # Modelled with HTTP 500; whatever its status, it proves nothing.
    ("InternalErrorException", "", _SERVER_ERROR),
)


def judge(reply: Reply) -> Verdict:
    """Return what a reply means.

    The order is the order of what can be proved: the wire first, then the HTTP status
    that proves nothing (3xx, 5xx), then the evidence of success, then the table. A status
    alone counts only in a response that AWS made.
    """
    if reply.wire in _WIRE:
        return _UNREACHABLE if reply.lasting else _WIRE[reply.wire]
    if reply.status >= 500:
        return _SERVER_ERROR
    if 300 <= reply.status < 400:
        return replace(_UNREADABLE, stop=Stop.REDIRECTED)
    if reply.status < 300:
        return _SENT if reply.delivery else _UNREADABLE
    message = reply.message.lower()
    for code, piece, verdict in TABLE:
        if code == reply.code and piece in message:
            return verdict
    if reply.status == 429 and reply.of_aws:
        return _THROTTLED
    if reply.status == 403 and reply.of_aws and not reply.code:
        return _BLOCKED  # AWS WAF responds for Cognito, in its own words
    return _UNREADABLE


class Judge:
    """The decision, over the responses of a run, whether one of them ends it."""

    def __init__(self) -> None:
        self._answered = False
        self._stop: Stop | None = None
        self._in_a_row = 0
        self._unreadable = 0

    def heard(self, verdict: Verdict) -> Stop | None:
        """Count a verdict; return what ends the run now, or None."""
        if verdict.signal is Signal.THROTTLED:
            return None  # says nothing about the settings
        if verdict.stop is not None and verdict.again is Again.COUNTED:
            return None if self._answered else verdict.stop  # it never arrived: not counted
        if verdict.stop is None:
            if verdict.signal is Signal.ANSWERED:
                self._answered, self._stop, self._in_a_row = True, None, 0
            elif verdict.reason is Reason.UNREADABLE_ANSWER and not self._answered:
                # The endpoint has never responded as Cognito does.
                self._unreadable += 1
                if self._unreadable >= IN_A_ROW:
                    return Stop.NOT_COGNITO
            return None
        first, self._answered = not self._answered, True
        self._in_a_row = self._in_a_row + 1 if verdict.stop is self._stop else 1
        self._stop = verdict.stop
        if (verdict.at_first and first) or self._in_a_row >= verdict.in_a_row:
            return verdict.stop
        return None
