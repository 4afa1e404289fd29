"""The replies of the simulated Cognito: one for each kind of user, in Cognito's own words."""

from __future__ import annotations

from batch_resend.model import Reply, Wire
from batch_resend.simulator.pool import Kind


def refused_reply(code: str, message: str) -> Reply:
    """Return a refusal with the code and message that Cognito uses."""
    return Reply(Wire.ANSWERED, 400, code, message)


# Something else answers in Cognito's place: no quota is used, and nothing goes out.
INSTEAD = {
    Kind.WAF: refused_reply("ForbiddenException", "Request not allowed due to WAF block."),
    Kind.BUSY: Reply(Wire.ANSWERED, 429, retry_after=1.0),
    Kind.ERROR: Reply(Wire.ANSWERED, 500, "InternalErrorException", "Something went wrong."),
    Kind.UNAVAILABLE: Reply(Wire.ANSWERED, 503),
    Kind.HTML: Reply(Wire.ANSWERED, 200),
    Kind.EMPTY: Reply(Wire.ANSWERED, 200),
    Kind.REDIRECT: Reply(Wire.ANSWERED, 307),
    Kind.ENDLESS: Reply(Wire.UNREADABLE),
    Kind.SILENT: Reply(Wire.NO_ANSWER),
}


# The code goes out, and the answer does not say so.
AFTERWARDS = {
    Kind.NODETAILS: Reply(Wire.ANSWERED, 200),
    Kind.GATEWAY: Reply(Wire.ANSWERED, 504),
    Kind.PROXY: Reply(Wire.ANSWERED, 403),
    Kind.LOST: Reply(Wire.NO_ANSWER),
    Kind.FIN: Reply(Wire.NO_ANSWER),
    Kind.RST: Reply(Wire.NO_ANSWER),
    Kind.HALF: Reply(Wire.UNREADABLE),
}


TIRED = refused_reply(
    "LimitExceededException", "Attempt limit exceeded, please try after some time."
)


REFUSED = {
    Kind.TIRED: TIRED,
    Kind.UNDELIVERABLE: refused_reply(
        "CodeDeliveryFailureException",
        "Cognito received the following error from Amazon SES when attempting to send email:"
        " Address is on the suppression list for your account",
    ),
    Kind.TRIGGER: refused_reply(
        "UserLambdaValidationException",
        "CustomMessage failed with error This domain is not allowed.",
    ),
    Kind.LAMBDA: refused_reply(
        "UnexpectedLambdaException",
        "CustomMessage invocation failed due to error TooManyRequestsException.",
    ),
}


NO_USER = refused_reply("UserNotFoundException", "Username/client id combination not found.")


NO_MAIL_LEFT = refused_reply(
    "LimitExceededException",
    "Exceeded daily email limit for the operation or the account. If a higher limit is required,"
    " please configure your user pool to use your own Amazon SES configuration for sending email.",
)
