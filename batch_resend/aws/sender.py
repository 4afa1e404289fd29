"""The call itself, through aioboto3: one request is sent, a `Reply` is returned.

No exception of the SDK or the network leaves this module. A request that left is never sent
again, and an unexpected exception counts as "it left": the careful reading. An error code and
a request ID come from a server that may be hostile, and are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from batch_resend.aws.transport import MARK, NoAnswer, Unreadable
from batch_resend.aws.unreachable import NotSent
from batch_resend.model import Delivery, Reply, Request, Wire

LONGEST_CODE = 100  #: characters of an error code that are kept; AWS's have up to 50

_REQUEST_ID = re.compile(r"[0-9A-Za-z-]{1,64}")  #: a UUID, or what stands for one


class AwsSender:
    """A sender through an open aioboto3 client for `cognito-idp` (`aws.resend_client`)."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def send(self, request: Request) -> Reply:
        """Request one code. Never raises for a user; a cancellation passes through."""
        MARK.set(request.mark)
        try:
            answer = await self._client.resend_confirmation_code(**request.parameters)
        except ClientError as error:
            return _without(request.parameters.get("SecretHash"), _refusal(error.response))
        except NotSent as error:
            return Reply(Wire.NOT_SENT, message=str(error), lasting=error.lasting)
        except NoAnswer as error:
            return Reply(Wire.NO_ANSWER, message=str(error))
        except Unreadable as error:
            return Reply(Wire.UNREADABLE, message=str(error))
        except Exception as error:
            return Reply(Wire.UNREADABLE, message=f"unreadable response ({type(error).__name__})")
        metadata = _dict(answer.get("ResponseMetadata"))
        return Reply(
            Wire.ANSWERED,
            status=int(metadata.get("HTTPStatusCode", 0)),
            delivery=_delivery(answer.get("CodeDeliveryDetails")),
            request_id=_request_id(metadata),
        )


def _refusal(response: Mapping[str, Any]) -> Reply:
    error, metadata = _dict(response.get("Error")), _dict(response.get("ResponseMetadata"))
    headers = _dict(metadata.get("HTTPHeaders"))
    code = _text(error.get("Code"))
    if code.isdigit():  # the SDK uses the status if the body has no code
        # The form of the header is `Code:` or `namespace#Code:URL`.
        code = _text(headers.get("x-amzn-errortype")).partition(":")[0].rpartition("#")[2]
    status, message = int(metadata.get("HTTPStatusCode", 0)), _text(error.get("Message"))
    reply = Reply(
        Wire.ANSWERED,
        status=status,
        code=code[:LONGEST_CODE],
        message=message,
        request_id=_request_id(metadata),
        retry_after=_retry_after(headers),
    )
    if reply.of_aws:
        return reply
    what = f"the response has none of AWS's marks (HTTP {status})"
    return replace(reply, message=f"{what}: {message}" if message else what)


def _request_id(metadata: Mapping[str, Any]) -> str:
    """Return the request ID; what does not look like one is none."""
    text = _text(metadata.get("RequestId"))
    return text if _REQUEST_ID.fullmatch(text) else ""


def _without(secret_hash: str | None, reply: Reply) -> Reply:
    """Remove the secret hash from the reply: a response that echoes the request contains it."""
    if not secret_hash:
        return reply
    code, message, request_id = (
        text.replace(secret_hash, "***") for text in (reply.code, reply.message, reply.request_id)
    )
    return replace(reply, code=code, message=message, request_id=request_id)


def _delivery(details: object) -> Delivery | None:
    """Read CodeDeliveryDetails; evidence only if it has a medium or a destination."""
    if not isinstance(details, dict):
        return None
    medium, destination = _text(details.get("DeliveryMedium")), _text(details.get("Destination"))
    if not (medium or destination):
        return None
    return Delivery(medium, destination, _text(details.get("AttributeName")))


def _retry_after(headers: dict[str, Any]) -> float:
    """Return the seconds to wait by the response: x-amz-retry-after is in milliseconds."""
    for name, unit in (("x-amz-retry-after", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(_text(headers.get(name))) * unit)
        except ValueError:
            continue
    return 0.0


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
