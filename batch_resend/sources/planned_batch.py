"""Users who were planned elsewhere: a batch, one JSON array per line.

The promise: what is read is what was planned, with the row's number and its verbatim text,
so that a part of an input yields the same results for its users as the whole input.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence

from batch_resend.model import Candidate, Planned


def line(planned: Planned) -> bytes:
    """Return a user as a line of JSON; a lone surrogate is escaped."""
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
    """Users who are in memory already; `name` says where they come from."""

    columns: frozenset[str] | None = None
    username_column: str | None = None
    heading = ""
    is_listing = False
    notes: tuple[str, ...] = ()
    encoding = "utf-8"

    def __init__(self, name: str, users: Sequence[Candidate]) -> None:
        """Store the users, in the order of their rows."""
        self.name = name
        self._users = users

    async def open(self) -> None:
        """Start, or start again."""

    async def batches(self) -> AsyncGenerator[list[Candidate], None]:
        """Yield all users as one batch."""
        yield list(self._users)

    async def aclose(self) -> None:
        """Do nothing: no resource is open."""
