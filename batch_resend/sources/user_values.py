"""A value that names a user, as a candidate: a name, a mapping of columns, or a listed user.

The promise: a name that is not text is never made one, and what cannot be read raises
`NotListed`, which says what is wrong without the value. The row of a candidate is a line of
JSON, so that rows of any shape can stand in one file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from batch_resend.masking import mask_within
from batch_resend.model import Candidate
from batch_resend.sources import cells
from batch_resend.sources.cells import AROUND_NAMES
from batch_resend.sources.columns import KNOWN, Columns, headed, places_of_username
from batch_resend.sources.listed_user import NotListed, is_listed, listed_user

_SHAPES = 100  #: sets of keys that are kept in mind


class UserValues:
    """A reader of the values of one input; `source` is its name in sentences."""

    def __init__(
        self,
        source: str,
        *,
        username_column: str | None,
        keep: frozenset[str] | None,
        dates: bool,
    ) -> None:
        self.as_in_a_listing: tuple[str, ...] = ()  #: keys that decide as they do there
        self.listed = False  #: whether they are what a listing prints
        self._source = source
        self._wanted = username_column
        self._keep = None if keep is None else sorted(keep)
        self._dates = dates
        self._columns: dict[tuple[str, ...], Columns] = {}  # by the keys of an object
        self._username = ""  # the key that has the name

    def candidate(self, row: int, value: object) -> Candidate:
        """Return the value of a row as a candidate; raises `NotListed` and `InputError`."""
        return self.dated(self._candidate(row, value))

    def dated(self, user: Candidate) -> Candidate:
        """Return the user; raises `NotListed` where a date is wanted and there is none."""
        if self._dates and user.created is None:
            raise NotListed("has no UserCreateDate, and the age of the sign-up is needed")
        return user

    def _candidate(self, row: int, value: object) -> Candidate:
        if isinstance(value, str):
            name = value.strip(AROUND_NAMES)
            return Candidate(row, name, {}, as_line({"username": value}))
        if not isinstance(value, Mapping):
            raise NotListed("is neither an object nor a name in quotes")
        if is_listed(value) and self._wanted is None:
            self.listed = True
            return listed_user(row, value, keep=self._keep, raw=as_line(value))
        return self._of_keys(row, value)

    def _of_keys(self, row: int, value: Mapping[str, object]) -> Candidate:
        columns = self._columns_of(tuple(value))
        key = columns.names[columns.username]
        if self._username and self._username != key:
            raise NotListed(f"has no {self._username!r}, the key of the users before it")
        self._username = key
        username = value[key]
        if not isinstance(username, str):
            raise NotListed(f"has a {mask_within(key)!r} that is not text: put it in quotes")
        texts = {name: _text(one) for name, one in value.items()}
        try:
            created, _ = cells.created(_at(value, columns, columns.created))
            enabled = cells.enabled(_text(_at(value, columns, columns.enabled)))
        except ValueError as error:
            raise NotListed(f"has a date or an Enabled that {error}") from None
        return Candidate(
            row,
            username.strip(AROUND_NAMES),
            {name: text for name, text in texts.items() if name != key}
            if self._keep is None
            else {name: texts[name] for name in self._keep if name in texts},
            as_line(value),
            status=cells.status(_text(_at(value, columns, columns.status))),
            enabled=enabled,
            created=created,
            contacts=tuple(filter(None, (texts[columns.names[place]] for place in columns.others))),
        )

    def _columns_of(self, keys: tuple[str, ...]) -> Columns:
        columns = self._columns.get(keys)
        if columns is None:
            if self._wanted is None and not places_of_username(keys):
                raise NotListed(
                    f"has none of the keys {', '.join(KNOWN)}: name the key of the usernames"
                    " with --username-column"
                )
            if len(self._columns) >= _SHAPES:
                self._columns.clear()
            columns = self._columns[keys] = headed(self._source, keys, self._wanted)
            used = columns.as_in_a_listing(dates=self._dates)
            self.as_in_a_listing = tuple(dict.fromkeys((*self.as_in_a_listing, *used)))
        return columns


def _at(value: Mapping[str, object], columns: Columns, place: int | None) -> object:
    return None if place is None else value[columns.names[place]]


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def as_line(value: object) -> str:
    """Write a value as a line; what UTF-8 cannot hold, a lone surrogate, is escaped."""
    return json.dumps(value, separators=(",", ":")) + "\n"
