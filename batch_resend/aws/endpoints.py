"""Where requests go: Region, profile and endpoint URL, and which endpoints are AWS's own.

The promise: names and secret hashes go over plain http only to an endpoint on this machine,
whatever the endpoint was set by.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from batch_resend.errors import SettingsError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})  #: hosts that are this machine itself

_COGNITO_VARIABLE = "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER"

# The partitions' names for hosts (botocore's `partitions.json`), and those of interface
# VPC endpoints.
_AMAZON = re.compile(r"\.(amazonaws\.com(\.cn)?|api\.aws|amazonaws\.eu)(?=[:/]|\Z)")
_COGNITO = re.compile(
    r"(vpce-[a-z0-9-]+\.)?cognito-idp(-fips)?\.[a-z0-9-]+\.(vpce\.)?"
    r"(amazonaws\.com(\.cn)?|api\.aws|amazonaws\.eu)"
)


@dataclass(frozen=True, slots=True)
class AwsTarget:
    """Region, profile and Cognito's endpoint; empty values mean AWS's own defaults.

    Raises `SettingsError` for an endpoint that must not be used.
    """

    region: str = ""
    profile: str = ""
    endpoint_url: str = ""

    def __post_init__(self) -> None:
        """Check the endpoint."""
        check_endpoint(self.endpoint_url, "--endpoint-url")

    @property
    def cognito_endpoint(self) -> str:
        """Cognito's endpoint URL where one is set: by the option, else by AWS's variable."""
        return self.endpoint_url or os.environ.get(_COGNITO_VARIABLE, "")

    @property
    def cognito_is_elsewhere(self) -> bool:
        """Whether Cognito's endpoint is set, and is not AWS's own."""
        return bool(self.cognito_endpoint) and not is_aws(self.cognito_endpoint)


def check_endpoint(endpoint: str, origin: str) -> None:
    """Refuse what is not an endpoint URL, and plain http to any host but this machine.

    `origin` is what the endpoint was set by. Raises `SettingsError`.
    """
    try:
        parts = urlsplit(endpoint)
        _ = parts.port
    except ValueError as error:
        raise SettingsError(f"{origin} is not a valid URL ({error}).") from error
    if endpoint and (parts.scheme not in {"http", "https"} or not parts.hostname):
        raise SettingsError(
            f"{origin} {endpoint!r} is not a valid URL. Use"
            " https://host or, on this machine, http://127.0.0.1:PORT."
        )
    if parts.username or parts.password:
        raise SettingsError(f"{origin} holds a user name or password: leave them out.")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise SettingsError(
            f"{origin} {endpoint} would send names and secret hashes"
            " unencrypted: use https (plain http only to 127.0.0.1)."
        )


def check_proxy(endpoint: str) -> None:
    """Refuse a proxy setting that no connection to this endpoint could use.

    Raises `SettingsError`, which does not show the setting: it may hold a password.
    """
    from botocore.utils import get_environ_proxies

    if urlsplit(endpoint).scheme != "https":
        return  # plain http stays on this machine, and uses no proxy
    setting = str(get_environ_proxies(endpoint).get("https") or "")
    if not setting:
        return
    # Like the SDK: without a scheme, http is assumed.
    address = setting if "://" in setting else f"http://{setting.removeprefix('//')}"
    try:
        parts = urlsplit(address)
        valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid, parts = False, urlsplit("")
    if parts.scheme.startswith("socks"):
        raise SettingsError(
            "HTTPS_PROXY names a SOCKS proxy, which is not supported: use an HTTP proxy"
            " (http://HOST:PORT), or unset it."
        )
    if not valid or parts.scheme not in {"http", "https"}:
        raise SettingsError(
            "HTTPS_PROXY is not a valid proxy address: write it as http://HOST:PORT, or unset it."
        )


def origin_of(target: AwsTarget, service_id: str) -> str:
    """Return the source of a service's endpoint: option, variable, or AWS's own files."""
    variable = variable_of(service_id)
    if target.endpoint_url and variable == _COGNITO_VARIABLE:
        return "--endpoint-url"
    names = (name for name in (variable, "AWS_ENDPOINT_URL") if os.environ.get(name))
    return next(names, "endpoint_url in AWS's own settings")


def variable_of(service_id: str) -> str:
    """Return the variable that sets a service's endpoint in all AWS SDKs."""
    return "AWS_ENDPOINT_URL_" + service_id.upper().replace(" ", "_")


def same_endpoint(endpoint: str) -> str:
    """Return an endpoint URL in its canonical spelling."""
    parts = urlsplit(endpoint)
    host = (parts.hostname or "").rstrip(".")
    if host in LOOPBACK:
        host = "127.0.0.1"
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/')}"


def is_aws(endpoint: str) -> bool:
    """Whether an endpoint URL is one of AWS's own for Cognito user pools.

    Not every host below amazonaws.com is AWS's: customers have such hosts (EC2, API Gateway).
    """
    return _COGNITO.fullmatch(urlsplit(endpoint).hostname or "") is not None


def is_below_amazon(endpoint: str) -> bool:
    """Whether an endpoint URL is below one of Amazon's domains."""
    return _AMAZON.search(endpoint) is not None
