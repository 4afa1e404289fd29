"""What an answer means, held against botocore's service model and by hand."""

import botocore.session
import pytest

from batch_resend.job.outcome import (
    IN_A_ROW,
    TABLE,
    Again,
    Judge,
    Signal,
    Stop,
    Verdict,
    judge,
)
from batch_resend.model import Delivery, Outcome, Reason, Reply, Wire

DELIVERY = Delivery("EMAIL", "a***@e***", "email")


def refused(code: str, message: str = "", status: int = 400) -> Reply:
    return Reply(Wire.ANSWERED, status, code, message)


def test_every_error_that_the_service_model_knows_has_a_row() -> None:
    model = botocore.session.get_session().get_service_model("cognito-idp")
    modelled = {e.name for e in model.operation_model("ResendConfirmationCode").error_shapes}
    assert len(modelled) >= 15
    assert modelled <= {code for code, _, _ in TABLE}


def test_every_row_of_the_table_can_be_reached() -> None:
    for code, piece, verdict in TABLE:
        assert judge(refused(code, f"... {piece.upper()} ...")) == verdict, (code, piece)


THROTTLED = (Reason.STOPPED, Signal.THROTTLED, Again.FREELY, None)
UNREADABLE = (Reason.UNREADABLE_ANSWER, Signal.SILENT, Again.NEVER, None)
SERVER_ERROR = (Reason.SERVER_ERROR, Signal.SILENT, Again.NEVER, None)
BLOCKED = (Reason.BLOCKED, Signal.BLOCKED, Again.COUNTED, None)


def user(reason: Reason, stop: Stop | None = None) -> tuple[Reason, Signal, Again, Stop | None]:
    return (reason, Signal.ANSWERED, Again.NEVER, stop)


ANSWERS = [
    (Reply(Wire.ANSWERED, 200, delivery=DELIVERY), user(Reason.ACCEPTED)),
    (Reply(Wire.ANSWERED, 299, delivery=DELIVERY), user(Reason.ACCEPTED)),
    (Reply(Wire.ANSWERED, 200), UNREADABLE),
    (Reply(Wire.ANSWERED, 300), (*UNREADABLE[:3], Stop.REDIRECTED)),
    (Reply(Wire.ANSWERED, 307, delivery=DELIVERY), (*UNREADABLE[:3], Stop.REDIRECTED)),
    (Reply(Wire.ANSWERED, 399), (*UNREADABLE[:3], Stop.REDIRECTED)),
    (Reply(Wire.ANSWERED, 500), SERVER_ERROR),
    (Reply(Wire.ANSWERED, 503, "TooManyRequestsException"), SERVER_ERROR),
    (Reply(Wire.ANSWERED, 500, delivery=DELIVERY), SERVER_ERROR),
    (refused("InternalErrorException"), SERVER_ERROR),
    (
        Reply(Wire.NOT_SENT, lasting=True),
        (Reason.CONNECTION, Signal.SILENT, Again.COUNTED, Stop.UNREACHABLE),
    ),
    (
        Reply(Wire.NOT_SENT),
        (Reason.CONNECTION, Signal.SILENT, Again.COUNTED, None),
    ),
    (Reply(Wire.NO_ANSWER), (Reason.NO_ANSWER, Signal.SILENT, Again.NEVER, None)),
    (Reply(Wire.UNREADABLE), UNREADABLE),
    (refused("TooManyRequestsException", "Rate exceeded"), THROTTLED),
    (refused("TooManyRequestsException", "Too many requests"), THROTTLED),
    (refused("ThrottlingException"), THROTTLED),
    (refused("Throttling"), THROTTLED),
    (refused("ThrottledException"), THROTTLED),
    (refused("RequestThrottled"), THROTTLED),
    (refused("RequestLimitExceeded"), THROTTLED),
    (refused("", status=429), UNREADABLE),
    (refused("", status=403), UNREADABLE),
    (Reply(Wire.ANSWERED, 429, request_id="1-2-3"), THROTTLED),
    (Reply(Wire.ANSWERED, 403, request_id="1-2-3"), BLOCKED),
    (refused("ForbiddenException", "Request not allowed due to WAF block."), BLOCKED),
    (
        refused("LimitExceededException", "Attempt limit exceeded, please try after some time."),
        user(Reason.ATTEMPT_LIMIT),
    ),
    (
        refused(
            "LimitExceededException",
            "Exceeded daily email limit for the operation or the account. If a higher limit is"
            " required, please configure your user pool to use your own Amazon SES",
        ),
        user(Reason.STOPPED, Stop.MAIL_QUOTA),
    ),
    (refused("LimitExceededException", "Other"), user(Reason.ATTEMPT_LIMIT, Stop.USER_LIMITS)),
    (
        refused(
            "CodeDeliveryFailureException",
            "Cognito received the following error from Amazon SES when attempting to send email:"
            " Email address is not verified. The following identities failed the check",
        ),
        user(Reason.DELIVERY_FAILED, Stop.SENDER_IDENTITY),
    ),
    (
        refused("CodeDeliveryFailureException", "... Daily message quota exceeded."),
        user(Reason.STOPPED, Stop.MAIL_QUOTA),
    ),
    (
        refused("CodeDeliveryFailureException", "... Maximum sending rate exceeded."),
        (Reason.DELIVERY_FAILED, Signal.THROTTLED, Again.COUNTED, None),
    ),
    (refused("CodeDeliveryFailureException", "No"), user(Reason.DELIVERY_FAILED)),
    (
        refused("InvalidParameterException", "User is already confirmed."),
        user(Reason.ALREADY_CONFIRMED),
    ),
    (refused("InvalidParameterException", "Username should be an email."), user(Reason.REJECTED)),
    (
        refused("NotAuthorizedException", "Cannot resend codes. Auto verification not turned on."),
        user(Reason.STOPPED, Stop.CANNOT_VERIFY),
    ),
    *[
        (refused("NotAuthorizedException", text), user(Reason.REJECTED, Stop.WRONG_SECRET))
        for text in (
            "Unable to verify secret hash for client 1example23456789",
            "SecretHash does not match for the client: 1example23456789",
            "Client 1example23456789 is configured for secret but secret was not received",
            "Client 1 is configured with secret but SECRET_HASH was not received",
        )
    ],
    (refused("NotAuthorizedException", "User is disabled."), user(Reason.USER_DISABLED)),
    (
        refused("NotAuthorizedException", "User is already confirmed."),
        user(Reason.ALREADY_CONFIRMED),
    ),
    (refused("NotAuthorizedException", "No."), user(Reason.REJECTED, Stop.NOT_AUTHORIZED)),
    (
        refused("UserNotFoundException", "Username/client id combination not found."),
        user(Reason.USER_NOT_FOUND),
    ),
    (
        refused("ResourceNotFoundException", "User pool client x does not exist."),
        user(Reason.STOPPED, Stop.UNKNOWN_CLIENT),
    ),
    (
        refused("InvalidEmailRoleAccessPolicyException"),
        user(Reason.STOPPED, Stop.SENDER_IDENTITY),
    ),
    (refused("InvalidSmsRoleAccessPolicyException"), user(Reason.DELIVERY_FAILED, Stop.SMS_ROLE)),
    (
        refused("InvalidSmsRoleTrustRelationshipException"),
        user(Reason.DELIVERY_FAILED, Stop.SMS_ROLE),
    ),
    (refused("InvalidLambdaResponseException"), user(Reason.TRIGGER_ERROR, Stop.TRIGGER)),
    (refused("UnexpectedLambdaException"), user(Reason.TRIGGER_ERROR, Stop.TRIGGER)),
    (
        refused("UserLambdaValidationException", "CustomMessage failed with error No"),
        user(Reason.REJECTED_BY_TRIGGER),
    ),
    (refused("OperationNotEnabledException"), user(Reason.STOPPED, Stop.WRONG_REGION)),
    (refused("UnknownOperationException"), user(Reason.STOPPED, Stop.NOT_COGNITO)),
    (refused("ValidationException"), user(Reason.REJECTED)),
    (refused("SerializationException"), user(Reason.REJECTED)),
    (
        refused("InvalidParameterException", "Auto verification not turned on."),
        user(Reason.STOPPED, Stop.CANNOT_VERIFY),
    ),
    (refused("SomethingNewException"), UNREADABLE),
    (refused("SomethingNewException", status=403), UNREADABLE),
    (refused("", status=404), UNREADABLE),
]


@pytest.mark.parametrize(("reply", "expected"), ANSWERS, ids=lambda value: str(value)[:70])
def test_an_answer_means(reply: Reply, expected: tuple[Reason, Signal, Again, Stop | None]) -> None:
    verdict = judge(reply)
    assert expected == (verdict.reason, verdict.signal, verdict.again, verdict.stop)


def test_sent_is_said_only_with_delivery_details() -> None:
    for status in range(100, 600):
        for code in ("", "TooManyRequestsException", "Unheard"):
            if judge(Reply(Wire.ANSWERED, status, code)).reason is Reason.ACCEPTED:
                pytest.fail(f"{status} {code} without evidence")


def test_only_proof_that_nothing_was_sent_allows_a_retry() -> None:
    for reply, _ in ANSWERS:
        verdict = judge(reply)
        if verdict.again is not Again.NEVER:
            assert verdict.reason.outcome in {Outcome.FAILED, Outcome.NOT_ATTEMPTED}


def test_response_without_marks_of_aws_proves_nothing() -> None:
    """A proxy answered after it had passed the request on: the retry was a second code."""
    for status in range(300, 600):
        verdict = judge(refused("", "Forbidden", status))
        assert verdict.reason.outcome is Outcome.UNKNOWN, status
        assert verdict.again is Again.NEVER, status


def test_every_reason_has_an_outcome_and_the_reverse() -> None:
    assert {reason.outcome for reason in Reason} == set(Outcome)


def test_every_stop_has_a_sentence_and_an_exit_code() -> None:
    for stop in Stop:
        assert stop.sentence.endswith(".")
        assert stop.exit_code in {3, 4, 129, 130, 143}


SENT = Reply(Wire.ANSWERED, 200, delivery=DELIVERY)
SECRET = refused("NotAuthorizedException", "Unable to verify secret hash for client x")
TRIGGER = refused("UnexpectedLambdaException")
CLIENT = refused("ResourceNotFoundException")
BUSY = refused("TooManyRequestsException")
SILENCE = Reply(Wire.NO_ANSWER)
PAGE = Reply(Wire.ANSWERED, 404)
HALF = Reply(Wire.UNREADABLE)


@pytest.mark.parametrize(
    ("replies", "stop", "after"),
    [
        ([CLIENT], Stop.UNKNOWN_CLIENT, 1),
        ([SENT, CLIENT], Stop.UNKNOWN_CLIENT, 2),
        ([SECRET], Stop.WRONG_SECRET, 1),
        ([BUSY, SECRET], Stop.WRONG_SECRET, 2),
        ([SILENCE, SECRET], Stop.WRONG_SECRET, 2),
        ([SENT, SECRET, SECRET, SECRET, SECRET, SECRET, SENT], Stop.WRONG_SECRET, 6),
        ([SENT, SECRET, SECRET, SECRET, SENT, SECRET, SECRET, SECRET], None, 0),
        ([SENT, *[SECRET, BUSY] * 4, SECRET], Stop.WRONG_SECRET, 10),
        ([TRIGGER] * (IN_A_ROW - 1), None, 0),
        ([TRIGGER] * IN_A_ROW, Stop.TRIGGER, IN_A_ROW),
        ([TRIGGER, SECRET, TRIGGER, SECRET, TRIGGER, SECRET, TRIGGER], None, 0),
        ([SENT, TRIGGER, TRIGGER, SILENCE, TRIGGER, TRIGGER, TRIGGER], Stop.TRIGGER, 7),
        ([PAGE, HALF, PAGE, PAGE], None, 0),
        ([PAGE, HALF, SILENCE, PAGE, BUSY, PAGE, PAGE], Stop.NOT_COGNITO, 7),
        ([SENT, *[PAGE] * 2 * IN_A_ROW], None, 0),
        ([PAGE, SECRET, *[PAGE] * 2 * IN_A_ROW], Stop.WRONG_SECRET, 2),
        ([PAGE, PAGE, PAGE, PAGE, SENT, *[PAGE] * 2 * IN_A_ROW], None, 0),
    ],
)
def test_run_ends_where_settings_and_not_users_are_at_fault(
    replies: list[Reply], stop: Stop | None, after: int
) -> None:
    hearing = Judge()
    heard = [hearing.heard(judge(reply)) for reply in replies]
    result = next(((s, n) for n, s in enumerate(heard, 1) if s), (None, 0))
    assert (stop, after) == result


def test_each_word_of_the_table_ends_a_run_as_it_says() -> None:
    def heard(verdict: Verdict, times: int) -> list[Stop | None]:
        hearing = Judge()
        return [hearing.heard(verdict) for _ in range(times)]

    for stop in Stop:
        assert Verdict.fatal(stop).reason is Reason.STOPPED
        assert heard(Verdict.fatal(stop), 1) == [stop]
        repeated = Verdict.repeated(Reason.REJECTED, stop)
        assert repeated.reason is Reason.REJECTED
        assert heard(repeated, IN_A_ROW) == [None] * (IN_A_ROW - 1) + [stop]
        at_first = Verdict.repeated(Reason.REJECTED, stop, at_first=True)
        assert at_first.reason is Reason.REJECTED
        assert heard(at_first, IN_A_ROW) == [stop] + [None] * (IN_A_ROW - 2) + [stop]
    for reason in Reason:
        assert Verdict.user(reason).reason is reason
        assert heard(Verdict.user(reason), 2 * IN_A_ROW) == [None] * 2 * IN_A_ROW


def test_what_never_arrived_ends_only_a_run_without_an_answer() -> None:
    lasting, sent = judge(Reply(Wire.NOT_SENT, lasting=True)), Verdict.user(Reason.ACCEPTED)
    assert Judge().heard(lasting) is Stop.UNREACHABLE
    hearing = Judge()
    assert [hearing.heard(verdict) for verdict in (sent, *([lasting] * 10))] == [None] * 11


AT_ONCE = {
    "CodeDeliveryFailureException: daily message quota exceeded",
    "InvalidEmailRoleAccessPolicyException",
    "InvalidParameterException: auto verification not turned on",
    "LimitExceededException: daily email limit",
    "NotAuthorizedException: auto verification not turned on",
    "OperationNotEnabledException",
    "ResourceNotFoundException",
    "UnknownOperationException",
}
AT_FIRST = {
    "InvalidSmsRoleAccessPolicyException",
    "InvalidSmsRoleTrustRelationshipException",
    "NotAuthorizedException: secret",
}
FIVE_IN_A_ROW = AT_FIRST | {
    "CodeDeliveryFailureException: not verified",
    "InvalidLambdaResponseException",
    "LimitExceededException",
    "NotAuthorizedException",
    "UnexpectedLambdaException",
}


def test_only_listed_responses_for_one_user_end_the_run() -> None:
    at_once, at_first, in_a_row = set(), set(), set()
    for code, piece, _ in TABLE:
        verdict, name = judge(refused(code, piece)), f"{code}: {piece}".removesuffix(": ")
        later = Judge()
        later.heard(judge(SENT))
        heard = [later.heard(verdict) for _ in range(5)]
        if heard[0]:
            at_once.add(name)
        elif Judge().heard(verdict):
            at_first.add(name)
        if any(heard[1:]) and not heard[0]:
            in_a_row.add(name)
            assert heard == [None] * 4 + [verdict.stop]
    assert (at_once, at_first, in_a_row) == (AT_ONCE, AT_FIRST, FIVE_IN_A_ROW)
