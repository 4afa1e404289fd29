"""The description of the client that a ledger belongs to, written and read back. Pure."""

from __future__ import annotations

import re

_WORDS = re.compile(r"client \S+ in (?P<region>\S+)(?: at (?P<endpoint>\S+))?")


def describe(client_id: str, region: str, endpoint: str = "") -> str:
    """Return the description; `endpoint` is Cognito's, if it is not one of AWS's own."""
    return f"client {client_id} in {region}" + (f" at {endpoint}" if endpoint else "")


def place(owner: str) -> tuple[str, str]:
    """Return Region and endpoint of a description; both empty if it does not have them."""
    match = _WORDS.fullmatch(owner)
    return (match["region"], match["endpoint"] or "") if match else ("", "")
