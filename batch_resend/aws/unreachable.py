"""Why a connection failed, in one sentence with what to do.

The promises: `NotSent` is raised only if it is proved that no byte of the request left, and
its text contains neither a proxy's password nor anything of the request.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

import aiohttp

from batch_resend.masking import printable

#: OpenSSL's codes for what is wrong with a certificate (`man verify`, "Diagnostics").
_CLOCK = {9: "is not valid yet", 10: "has expired"}
_UNKNOWN_ISSUER = {18, 19, 20, 21}
_OTHER_HOST = {62, 64}

#: Statuses of a proxy where another attempt may help; any other 4xx is final.
_PASSING = {408, 421, 425, 429}


class NotSent(Exception):
    """Proved: no byte of the request left. `lasting`: waiting will not change that."""

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


@dataclass(frozen=True, slots=True)
class Route:
    """The host of a connection, and its proxy, if any."""

    host: str
    proxy: str = ""  #: host and port


def explain(error: BaseException, route: Route) -> NotSent:
    """Return why a connection failed, in words."""
    certificate = _certificate_error(error)
    if certificate is not None:
        # The proxy has its own certificate if it is an https proxy.
        whose = str(getattr(error, "host", route.host))
        return NotSent(_of_certificate(certificate, whose), lasting=True)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _refused_by_proxy(error.status, route)
    cause = getattr(error, "os_error", None) or error
    text = printable(getattr(cause, "strerror", None) or type(cause).__name__)
    via = f"the proxy {route.proxy}" if route.proxy else route.host
    if isinstance(cause, socket.gaierror):
        named = route.proxy.rpartition(":")[0] if route.proxy else route.host
        return NotSent(f"no address was found for {named} ({text}): {_check(route)}")
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return NotSent(f"{via} cannot be reached ({text}): {_check(route)}")
    if isinstance(error, TimeoutError):
        return NotSent(f"{via} did not connect in time: {_check(route)}")
    if isinstance(cause, ssl.SSLError):
        reason = printable(getattr(cause, "reason", None) or text)
        return NotSent(f"no TLS connection to {route.host} ({reason}): {_check(route)}")
    if route.proxy:
        return NotSent(f"{via} broke off or gave no valid answer ({text}): {_check(route)}")
    return NotSent(f"{route.host} cannot be reached ({text}): {_check(route)}")


def _certificate_error(error: BaseException) -> ssl.SSLCertVerificationError | None:
    cause = getattr(error, "certificate_error", error)
    return cause if isinstance(cause, ssl.SSLCertVerificationError) else None


def _of_certificate(error: ssl.SSLCertVerificationError, host: str) -> str:
    what = f"the certificate of {host}"
    if error.verify_code in _CLOCK:
        return (
            f"{what} {_CLOCK[error.verify_code]}: check this machine's clock, and any proxy that"
            " replaces certificates"
        )
    if error.verify_code in _OTHER_HOST:
        return (
            f"{what} is for another host: check --endpoint-url, and any proxy that replaces"
            " certificates"
        )
    if error.verify_code in _UNKNOWN_ISSUER:
        return (
            f"{what} is self-signed or not from a known authority: if your network replaces"
            " certificates, set AWS_CA_BUNDLE to a file with its authority's certificate (PEM)"
        )
    return f"{what} is not accepted ({printable(error.verify_message)}): check AWS_CA_BUNDLE"


def _refused_by_proxy(status: int, route: Route) -> NotSent:
    if status == 407:
        return NotSent(
            f"the proxy {route.proxy} wants a user name and password (407): put them into"
            " HTTPS_PROXY, before the host",
            lasting=True,
        )
    lasting = 400 <= status < 500 and status not in _PASSING
    return NotSent(
        f"the proxy {route.proxy} answered {status} when asked for {route.host}: {_check(route)}",
        lasting=lasting,
    )


def _check(route: Route) -> str:
    if route.proxy:
        return "check HTTPS_PROXY, and what the proxy allows"
    return "check --region, --endpoint-url and the network"
