"""Users from the memory of a program: names, mappings, candidates or a DataFrame.

The promises: one candidate per item, in the order given, and memory stays flat where the
items come one by one; a name that is not text is never made one; what cannot be read is
refused, naming the item. An object that can be iterated over both ways, as a Django
queryset, is iterated over asynchronously; any other is read by the caller's own thread.
"""

from __future__ import annotations

import sys
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Iterable,
    Iterator,
    Mapping,
)
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any, TypeGuard, Union
from uuid import UUID

from anyio.lowlevel import checkpoint

from batch_resend.errors import InputError, UsageError
from batch_resend.model import Candidate
from batch_resend.sources.listed_user import NotListed
from batch_resend.sources.user_values import UserValues, as_line

if TYPE_CHECKING:
    import pandas as pd

User = str | UUID | Mapping[str, Any] | Candidate
#: What `users` can be.
Users = Union[Iterable[User], AsyncIterable[User], "pd.DataFrame"]

_BATCH = 1000
_NAME = "users"


class MemoryUsers:
    """Users of a program as candidates.

    `username_column`, `keep` and `dates` mean what they do for a file.
    """

    def __init__(
        self,
        users: Users,
        *,
        username_column: str | None = None,
        keep: frozenset[str] | None = None,
        dates: bool = False,
    ) -> None:
        self.name = _NAME
        self.columns: frozenset[str] | None = None
        self.username_column = username_column
        self.heading = ""
        self.encoding = "utf-8"
        self.is_listing = False
        self._users = users
        self._count = 0
        self._values = UserValues(_NAME, username_column=username_column, keep=keep, dates=dates)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the users read so far, in sentences."""
        used = self._values.as_in_a_listing
        return (f"Counts as in a listing: {', '.join(used)}.",) if used else ()

    async def open(self) -> None:
        """Find out what the users are; raises `UsageError`."""
        users: object = self._users
        if _is_frame(users):
            self.columns = frozenset(map(str, users.columns))
        elif isinstance(users, str | bytes | Mapping) or not isinstance(
            users, Iterable | AsyncIterable
        ):
            raise UsageError(
                f"users= is {type(users).__name__}. Use an iterable of names or mappings, or a"
                " DataFrame; a file is named by the settings' users."
            )

    async def batches(self) -> AsyncGenerator[list[Candidate], None]:
        """Yield the candidates in order, about a thousand at a time; raises `InputError`."""
        batch: list[Candidate] = []
        async for user in _one_by_one(self._users):
            self._count += 1
            batch.append(self._candidate(user))
            if len(batch) == _BATCH:
                yield batch
                batch = []
                await checkpoint()
        if batch:
            yield batch

    async def aclose(self) -> None:
        """Leave the users to the caller."""

    def _candidate(self, user: object) -> Candidate:
        try:
            if isinstance(user, Candidate):
                line = user.raw or as_line({"username": user.username})
                return self._values.dated(replace(user, row=self._count, raw=line))
            return self._values.candidate(self._count, _plain(user))
        except NotListed as error:
            raise InputError(f"{_NAME}: user {self._count} {error}.") from None


def _is_frame(users: object) -> TypeGuard[pd.DataFrame]:
    """Whether it is a DataFrame; pandas is not imported to find out."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(users, pandas.DataFrame)


async def _one_by_one(users: object) -> AsyncIterator[object]:
    if _is_frame(users):
        for row in _rows(users):
            yield row
    elif isinstance(users, AsyncIterable):
        async for user in users:
            yield user
    elif isinstance(users, Iterable):
        for user in users:
            yield user


def _rows(frame: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield the rows of a frame; a missing value, whatever it is called, is None."""
    names = [str(name) for name in frame.columns]
    for start in range(0, len(frame), _BATCH):
        part = frame.iloc[start : start + _BATCH]
        part = part.astype(object).where(part.notna(), None)
        for values in part.itertuples(index=False, name=None):
            yield dict(zip(names, values, strict=True))


def _plain(user: object) -> object:
    """Return a user with the values that JSON has; dates and IDs become text."""
    if isinstance(user, str | UUID):
        return str(user)
    if isinstance(user, Mapping):
        return {str(key): _plain_value(value) for key, value in user.items()}
    raise NotListed(f"is {type(user).__name__}. Use a name that is text, or a mapping")


def _plain_value(value: object) -> object:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return None if value != value else value  # noqa: PLR0124 - NaN is a missing value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain_value(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_value(one) for one in value]
    return str(value)
