"""Where an object in S3 is: `s3://bucket/key`. Pure, and without the SDK."""

from __future__ import annotations

import re
from dataclasses import dataclass

from batch_resend.errors import (
    UsageError,
)
from batch_resend.masking import printable

_ADDRESS = re.compile(
    r"s3://([a-z0-9][a-z0-9._-]{1,61}[a-z0-9])/(.*[^/])", re.IGNORECASE | re.DOTALL
)


_LONGEST_KEY = 1024  #: bytes


@dataclass(frozen=True, slots=True)
class Address:
    """The place of an object in S3."""

    bucket: str
    key: str

    def __str__(self) -> str:
        """Return the address as it is typed."""
        return f"s3://{self.bucket}/{self.key}"


def is_address(path: str | None) -> bool:
    """Whether a path is the address of an object in S3."""
    return path is not None and path.lower().startswith("s3://")


def address(option: str, path: str) -> Address:
    """Read an address; raises `UsageError`."""
    match = _ADDRESS.fullmatch(path)
    if match is None or len(match[2].encode("utf-8", "replace")) > _LONGEST_KEY:
        raise UsageError(
            f"{option} {printable(path)!r} is not a valid S3 address. Use"
            " s3://bucket/folder/name.csv."
        )
    return Address(match[1], match[2])
