"""Names as a ledger looks them up: by a keyed hash, so that a person can be erased."""

from __future__ import annotations

import hmac


def hashes(secret: bytes, name: str) -> tuple[bytes, bytes]:
    """Hash a name, first with its case folded, then as it is."""
    exact = _hash(secret, name)
    folded = name.casefold()
    return (exact if folded == name else _hash(secret, folded)), exact


def _hash(secret: bytes, name: str) -> bytes:
    return hmac.digest(secret, name.encode("utf-8", "surrogatepass"), "sha256")[:16]
