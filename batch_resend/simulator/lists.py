"""SES and SNS over HTTP: who gets nothing, and an account in good standing."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from aiohttp import web

from batch_resend.simulator.undelivered import Undelivered

_ACCOUNT = {
    "ProductionAccessEnabled": True,
    "SendingEnabled": True,
    "EnforcementStatus": "HEALTHY",
    "SendQuota": {"Max24HourSend": 50000.0, "MaxSendRate": 50.0, "SentLast24Hours": 0.0},
    "SuppressionAttributes": {"SuppressedReasons": ["BOUNCE", "COMPLAINT"]},
}
_SNS = "http://sns.amazonaws.com/doc/2010-03-31/"


async def account(_: web.Request) -> web.Response:
    """Return a response to SES's GetAccount."""
    return web.json_response(_ACCOUNT)


def suppressed(lists: Undelivered, request: web.Request) -> web.Response:
    """Return a response to SES's ListSuppressedDestinations."""
    if "ListSuppressedDestinations" in lists.denied:
        return web.json_response(
            {"message": "not authorized to perform: ses:ListSuppressedDestinations"},
            status=403,
            headers={"x-amzn-ErrorType": "AccessDeniedException"},
        )
    query = {name: request.query.getall(name) for name in request.query}
    return web.json_response(lists.list_suppressed(query))


def opted_out(lists: Undelivered, body: bytes) -> web.Response:
    """Return a response to SNS's ListPhoneNumbersOptedOut, in its forms and XML."""
    asked: Mapping[str, list[str]] = parse_qs(body.decode("utf-8", "replace"))
    action = asked["Action"][0]
    if action != "ListPhoneNumbersOptedOut":
        return _refused("InvalidAction", 400)
    if action in lists.denied:
        return _refused("AuthorizationError", 403)
    numbers, token = lists.list_opted_out(asked.get("nextToken", [""])[0])
    members = "".join(f"<member>{escape(number)}</member>" for number in numbers)
    more = f"<nextToken>{token}</nextToken>" if token else ""
    return _xml(
        f'<{action}Response xmlns="{_SNS}"><{action}Result><phoneNumbers>{members}</phoneNumbers>'
        f"{more}</{action}Result></{action}Response>"
    )


def _refused(code: str, status: int) -> web.Response:
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error>"
    return _xml(f'<ErrorResponse xmlns="{_SNS}">{error}</ErrorResponse>', status)


def _xml(text: str, status: int = 200) -> web.Response:
    return web.Response(status=status, text=text, content_type="text/xml")
