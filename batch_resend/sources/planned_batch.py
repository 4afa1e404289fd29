"""Users who were planned elsewhere: a batch, one JSON array a line.

The promise: what is read is what was planned, with the number of its row and the row
verbatim, so that whoever works on a part of an input tells the same of each user as one
who works on all of it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence

from batch_resend.model import Candidate, Planned


def line(planned: Planned) -> bytes:
    """Write a user as a line; what JSON cannot hold as it is, a lone surrogate, is escaped."""
    return (
        json.dumps(
            [
                planned.row,
                planned.username,
                dict(planned.attributes),
                planned.raw,
                list(planned.aliases),
            ]
        )
        + "\n"
    ).encode("ascii")


def read(data: bytes) -> list[Candidate]:
    """Read a whole batch."""
    users = map(json.loads, data.splitlines())
    return [
        Candidate(row, username, attributes, raw, tuple(aliases))
        for row, username, attributes, raw, aliases in users
    ]


class BatchSource:
    """Users who are known already; `name` says where they come from."""

    columns: frozenset[str] | None = None
    username_column: str | None = None
    heading = ""
    is_listing = False
    notes: tuple[str, ...] = ()
    encoding = "utf-8"

    def __init__(self, name: str, users: Sequence[Candidate]) -> None:
        """Take the users, in the order of their rows."""
        self.name = name
        self._users = users

    async def open(self) -> None:
        """Begin, or begin again."""

    async def batches(self) -> AsyncGenerator[list[Candidate], None]:
        """Give them all."""
        yield list(self._users)

    async def aclose(self) -> None:
        """Let go of nothing."""
