"""The error codes of AWS's services, by their meaning.

One list of codes for each meaning, and the exceptions that the SDK raises before a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_resend.masking import printable

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

#: The service throttles the request.
THROTTLED = frozenset(
    {
        "TooManyRequestsException",
        "ThrottlingException",
        "Throttling",
        "RequestLimitExceeded",
    }
)

#: The credentials are valid, but lack a permission.
FORBIDDEN = frozenset(
    {"NotAuthorizedException", "AccessDeniedException", "AccessDenied", "AuthorizationError"}
)

#: The credentials are missing, invalid or expired.
BAD_CREDENTIALS = frozenset(
    {
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "AuthFailure",
        "RequestTimeTooSkewed",
    }
)

#: The same in S3's responses. (In other services `InvalidToken` is a token of a page.)
BAD_CREDENTIALS_IN_S3 = BAD_CREDENTIALS | {
    "InvalidAccessKeyId",
    "InvalidToken",
    "TokenRefreshRequired",
}

#: Codes and texts for a request whose time AWS does not accept. A wrong key has some of the
#: same codes.
_OF_TIME = frozenset({"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"})
_TIMES = ("signature expired", "signature not yet current")

#: Operations by which the SDK gets credentials before the actual request.
_FOR_CREDENTIALS = ("AssumeRole", "GetRoleCredentials", "GetSessionToken", "CreateToken")


def is_of_credentials(error: ClientError, *, in_s3: bool = False) -> bool:
    """Whether an error means that the credentials cannot be used, or could not be fetched."""
    codes = BAD_CREDENTIALS_IN_S3 if in_s3 else BAD_CREDENTIALS
    return code_of(error) in codes or error.operation_name.startswith(_FOR_CREDENTIALS)


def clock_is_off(error: ClientError) -> str:
    """Return a sentence if AWS refuses the time of a request; else an empty text."""
    message = str(error.response.get("Error", {}).get("Message") or "")
    of_time = code_of(error) in _OF_TIME or any(text in message.lower() for text in _TIMES)
    if not of_time:
        return ""
    # AWS's own text names both times.
    return f"This machine's clock is off, says AWS ({printable(message)}): set it, then run again."


def no_credentials() -> tuple[type[Exception], ...]:
    """Return the exceptions that the SDK raises if it finds no valid credentials."""
    from botocore import exceptions as sdk

    return (
        sdk.CredentialRetrievalError,
        sdk.NoAuthTokenError,
        sdk.NoCredentialsError,
        sdk.PartialCredentialsError,
        sdk.RefreshWithMFAUnsupportedError,
        sdk.SSOError,
        sdk.TokenRetrievalError,
    )


def code_of(error: ClientError) -> str:
    """Return the error code of an SDK's `ClientError`, empty if it has none."""
    return str(error.response.get("Error", {}).get("Code") or "")
