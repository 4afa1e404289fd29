"""From a user to the request: the parameters of ResendConfirmationCode.

Pure. The SDK's own validation is off (it checks no pattern and no longest length, and
costs time on every call), so what leaves here is right by construction: every value a
string, empty ones left out.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from batch_resend.model import Request


@dataclass(frozen=True, slots=True)
class AppClient:
    """The app client that users signed up with, and its secret if it has one."""

    client_id: str
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Template:
    """The parts of a request besides the name: each value literal, or `@NAME` for the row's own.

    `@NAME` is the row's CSV column or the user's attribute of that name; a value that
    really begins with `@` is written `@@...`. `metadata` is handed to the pool's Lambda
    triggers and stored nowhere by Cognito. `ip_address` and `encoded_data` are heeded
    only with threat protection on, a client secret, and the client's
    EnablePropagateAdditionalUserContextData (Cognito Developer Guide, "adaptive
    authentication").
    """

    metadata: tuple[tuple[str, str], ...] = ()
    ip_address: str = ""
    encoded_data: str = ""
    analytics_endpoint_id: str = ""

    @property
    def names(self) -> frozenset[str]:
        """The columns or attributes that the template refers to."""
        values = (
            *(value for _, value in self.metadata),
            self.ip_address,
            self.encoded_data,
            self.analytics_endpoint_id,
        )
        return frozenset(value[1:] for value in values if _refers(value))


def _refers(value: str) -> bool:
    return value.startswith("@") and not value.startswith("@@")


def _fill(value: str, attributes: Mapping[str, str]) -> str:
    if _refers(value):
        return attributes.get(value[1:], "")
    return value[1:] if value.startswith("@@") else value


def secret_hash(username: str, app: AppClient) -> str:
    """Sign a user name: base64(HMAC-SHA256(key=secret, message=username + client id)).

    Source: Cognito Developer Guide, "Computing secret hash values". The name is signed
    byte for byte as it is sent.
    """
    assert app.secret is not None  # noqa: S101 - the caller asks only where there is one
    digest = hmac.digest(app.secret.encode(), (username + app.client_id).encode(), "sha256")
    return base64.b64encode(digest).decode("ascii")


def build(app: AppClient, template: Template, username: str, row: Mapping[str, str]) -> Request:
    """Build the request for one user; `row` holds the columns that the template needs."""
    parameters: dict[str, Any] = {"ClientId": app.client_id, "Username": username}
    if app.secret:
        parameters["SecretHash"] = secret_hash(username, app)
    context = {
        "IpAddress": _fill(template.ip_address, row),
        "EncodedData": _fill(template.encoded_data, row),
    }
    if context := {key: value for key, value in context.items() if value}:
        parameters["UserContextData"] = context
    if endpoint := _fill(template.analytics_endpoint_id, row):
        parameters["AnalyticsMetadata"] = {"AnalyticsEndpointId": endpoint}
    filled = ((key, _fill(value, row)) for key, value in template.metadata)
    if metadata := {key: value for key, value in filled if value}:
        parameters["ClientMetadata"] = metadata
    return Request(username, parameters)
