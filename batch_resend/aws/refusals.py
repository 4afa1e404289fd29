"""What AWS's services answer when they refuse, by what it means.

The one list of codes for each meaning, and what the SDK itself raises before it asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

#: The service has no room for the request now.
THROTTLED = frozenset(
    {
        "TooManyRequestsException",
        "ThrottlingException",
        "Throttling",
        "RequestLimitExceeded",
    }
)

#: The credentials are valid, and lack a permission.
FORBIDDEN = frozenset({"NotAuthorizedException", "AccessDeniedException", "AccessDenied"})

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

#: The same in S3's answers. (What others call `InvalidToken` is a token of a page.)
BAD_CREDENTIALS_IN_S3 = BAD_CREDENTIALS | {
    "InvalidAccessKeyId",
    "InvalidToken",
    "TokenRefreshRequired",
}

#: Operations by which the SDK gets credentials before it asks for what it was told to.
_FOR_CREDENTIALS = ("AssumeRole", "GetRoleCredentials", "GetSessionToken", "CreateToken")


def is_of_credentials(error: ClientError, *, in_s3: bool = False) -> bool:
    """Whether an error says that the credentials cannot be used, or could not be fetched."""
    codes = BAD_CREDENTIALS_IN_S3 if in_s3 else BAD_CREDENTIALS
    return code_of(error) in codes or error.operation_name.startswith(_FOR_CREDENTIALS)


def no_credentials() -> tuple[type[Exception], ...]:
    """Return what the SDK raises where it finds no valid credentials to ask with."""
    from botocore import exceptions as sdk

    return (
        sdk.CredentialRetrievalError,
        sdk.NoAuthTokenError,
        sdk.NoCredentialsError,
        sdk.PartialCredentialsError,
        sdk.SSOError,
        sdk.TokenRetrievalError,
    )


def code_of(error: ClientError) -> str:
    """Return the error code of an SDK's `ClientError`, empty where it has none."""
    return str(error.response.get("Error", {}).get("Code") or "")
