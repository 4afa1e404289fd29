"""Names as a ledger looks them up, and marks of its requests: keyed hashes.

A name is looked up by its hash, so that a person can be erased. A mark ties a record of a
request, made by others, to the intent that announced it, and tells them nothing.
"""

from __future__ import annotations

import base64
import hmac

MARK_LENGTH = 26  #: characters, 130 bits


def hashes(secret: bytes, name: str) -> tuple[bytes, bytes]:
    """Hash a name, first with its case folded, then as it is."""
    exact = _hash(secret, name)
    folded = name.casefold()
    return (exact if folded == name else _hash(secret, folded)), exact


def mark(key: bytes, intent: bytes) -> str:
    """Return the mark of an intent: letters and digits, the same each time."""
    digest = hmac.digest(key, intent, "sha256")
    return base64.b32encode(digest).decode("ascii")[:MARK_LENGTH].lower()


def _hash(secret: bytes, name: str) -> bytes:
    return hmac.digest(secret, name.encode("utf-8", "surrogatepass"), "sha256")[:16]
