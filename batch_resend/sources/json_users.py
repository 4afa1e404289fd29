"""Users from JSON: what `aws cognito-idp list-users` prints, an array, or JSON Lines.

The promises: memory stays flat, because one value is read at a time; a value that cannot
be read, is too long or has a duplicate key is refused, and the message names the row; a
name that is not text is never converted.

A value is an object as Cognito lists it, an object whose keys are columns, or a name. An
object with `Users` is a page: several may follow one another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from batch_resend.errors import InputError
from batch_resend.masking import mask_within
from batch_resend.model import Candidate
from batch_resend.sources import cells
from batch_resend.sources.cells import AROUND_NAMES
from batch_resend.sources.columns import KNOWN, Columns, headed, places_of_username
from batch_resend.sources.listed_user import NotListed, is_listed, listed_user
from batch_resend.sources.text_input import LONGEST_RECORD

_SHAPES = 100  #: sets of keys that are kept in mind
_PIECE = 1 << 16  #: characters to decode from at a time
_BLANK = re.compile(r"[ \t\r\n\ufeff]*")
_A_PAGE = re.compile(r'\{[ \t\r\n]*"Users"')
_BEGINS = re.compile(r'[ \t\r\n\ufeff]*(?:\{\s*(?:["}]|$)|\[\s*(?:[\[\]{"]|$))')


def looks_like_json(first: str) -> bool:
    """Whether a text starts like JSON, and not like a header."""
    return _BEGINS.match(first) is not None


class Malformed(ValueError):
    """The text is not valid JSON, or does not hold users."""


class Values:
    """The values of users in a text of JSON, one at a time."""

    def __init__(self, pieces: Iterable[str]) -> None:
        self.line = 1  #: the line of the present value
        self._pieces = iter(pieces)
        self._text = ""
        self._at = 0
        self._ended = False
        self._decode = json.JSONDecoder(object_pairs_hook=_object).raw_decode

    def __iter__(self) -> Iterator[Any]:
        """Yield the values; raises `Malformed`."""
        while self._peek():
            if self._peek() == "[":
                yield from self._array()
            elif self._peek() == "{":
                yield from self._page_or_user()
            else:
                yield self._value()
            if self._peek() == ",":
                raise Malformed("has a comma between two values outside an array")

    def _array(self) -> Iterator[Any]:
        self._expect("[")
        if self._peek() == "]":
            self._expect("]")
            return
        while True:
            yield self._value()
            if self._peek() == "]":
                self._expect("]")
                return
            self._expect(",")

    def _page_or_user(self) -> Iterator[Any]:
        """Read an object that may be a page: its users one at a time, or itself as one."""
        self._fill(self._at + _PIECE)
        if not _A_PAGE.match(self._text, self._at) and (user := self._ahead()) is not None:
            yield user
            return
        self._expect("{")
        others: list[tuple[str, Any]] = []
        is_page = False
        while True:
            key = self._value()
            self._expect(":")
            if key == "Users" and self._peek() == "[" and not is_page:
                is_page = True
                yield from self._array()
            else:
                others.append((key, self._value()))
            if self._peek() == "}":
                break
            self._expect(",")
        self._expect("}")
        if not is_page:
            yield _object(others)

    def _ahead(self) -> dict[str, Any] | None:
        """Return the object if it is in memory whole and is not a page; else None."""
        try:
            value, end = self._decode(self._text, self._at)
        except (json.JSONDecodeError, RecursionError):
            return None
        if not isinstance(value, dict) or isinstance(value.get("Users"), list):
            return None
        self._advance(end)
        return value

    def _value(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError:
                end = -1
            except RecursionError:
                raise Malformed("is nested too deeply") from None
            if end >= 0 and (end < len(self._text) or self._ended):
                self._advance(end)
                return value
            if self._ended:
                raise Malformed("is not valid JSON")
            size = len(self._text) - self._at
            if size > LONGEST_RECORD:
                raise Malformed("is not valid JSON, or is too long")
            self._fill(self._at + 2 * max(size, _PIECE))

    def _expect(self, sign: str) -> None:
        if self._peek() != sign:
            raise Malformed(f"is not valid JSON: {sign!r} is missing")
        self._advance(self._at + 1)

    def _peek(self) -> str:
        """Skip whitespace and return the next character; empty at the end."""
        while True:
            blank = _BLANK.match(self._text, self._at)
            self._advance(blank.end() if blank else self._at)
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._fill(self._at + _PIECE)

    def _advance(self, to: int) -> None:
        self.line += self._text.count("\n", self._at, to)
        self._at = to

    def _fill(self, until: int) -> None:
        """Read until the text has `until` characters, and drop what was decoded."""
        if until <= len(self._text) or self._ended:
            return
        pieces, size = [self._text[self._at :]], len(self._text) - self._at
        until, self._at = until - self._at, 0
        while size < until:
            piece = next(self._pieces, None)
            if piece is None:
                self._ended = True
                break
            pieces.append(piece)
            size += len(piece)
        self._text = "".join(pieces)


class JsonUsers:
    """The users of a text of JSON as candidates."""

    def __init__(
        self,
        file: str,
        pieces: Iterable[str],
        *,
        username_column: str | None,
        keep: frozenset[str] | None,
        dates: bool,
    ) -> None:
        self.count = 0  #: users read so far
        self.as_in_a_listing: tuple[str, ...] = ()  #: keys that decide as they do there
        self.listed = False  #: whether they are what a listing prints
        self.username_column: str | None = None
        self._file = file
        self._values = Values(pieces)
        self._wanted = username_column
        self._keep = None if keep is None else sorted(keep)
        self._dates = dates
        self._columns: dict[tuple[str, ...], Columns] = {}  # by the keys of an object
        self._username = ""  # the key that has the name

    def __iter__(self) -> Iterator[Candidate]:
        """Yield the candidates; raises `InputError`."""
        try:
            for value in self._values:
                self.count += 1
                yield self._dated(self._candidate(value))
        except Malformed as error:
            raise InputError(
                f"{self._file}: what follows user {self.count} (line {self._values.line})"
                f" {error}. Correct it, or use --format csv if it is not JSON."
            ) from None
        except NotListed as error:
            raise InputError(
                f"{self._file}: user {self.count} (line {self._values.line}) {error}. Correct it."
            ) from None

    def _dated(self, user: Candidate) -> Candidate:
        if self._dates and user.created is None:
            raise NotListed("has no UserCreateDate, and the age of the sign-up is needed")
        return user

    def _candidate(self, value: object) -> Candidate:
        if isinstance(value, str):
            name = value.strip(AROUND_NAMES)
            return Candidate(self.count, name, {}, _raw({"username": value}))
        if not isinstance(value, Mapping):
            raise NotListed("is neither an object nor a name in quotes")
        if is_listed(value) and self._wanted is None:
            self.listed = True
            return listed_user(self.count, value, keep=self._keep, raw=_raw(value))
        return self._of_keys(value)

    def _of_keys(self, value: Mapping[str, object]) -> Candidate:
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
            self.count,
            username.strip(AROUND_NAMES),
            {name: text for name, text in texts.items() if name != key}
            if self._keep is None
            else {name: texts[name] for name in self._keep if name in texts},
            _raw(value),
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
            columns = self._columns[keys] = headed(self._file, keys, self._wanted)
            used = columns.as_in_a_listing(dates=self._dates)
            self.as_in_a_listing = tuple(dict.fromkeys((*self.as_in_a_listing, *used)))
        return columns


def _at(value: Mapping[str, object], columns: Columns, place: int | None) -> object:
    return None if place is None else value[columns.names[place]]


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _raw(value: object) -> str:
    """Write a value as a line; what UTF-8 cannot hold, a lone surrogate, is escaped."""
    return json.dumps(value, separators=(",", ":")) + "\n"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise Malformed("has a key twice in one object")
    return value
