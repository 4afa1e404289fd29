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
from collections.abc import Iterable, Iterator
from typing import Any

from batch_resend.errors import InputError
from batch_resend.model import Candidate
from batch_resend.sources.listed_user import NotListed
from batch_resend.sources.text_input import LONGEST_RECORD
from batch_resend.sources.user_values import UserValues

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
        except Malformed:
            raise
        except (ValueError, RecursionError):
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
            except Malformed:
                raise
            except json.JSONDecodeError:
                end = -1
            except ValueError:  # Python limits the digits that it converts
                raise Malformed("has a number with too many digits") from None
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
        self._file = file
        self._values = Values(pieces)
        self._users = UserValues(file, username_column=username_column, keep=keep, dates=dates)

    @property
    def as_in_a_listing(self) -> tuple[str, ...]:
        """The keys that decide as they do in a listing."""
        return self._users.as_in_a_listing

    @property
    def listed(self) -> bool:
        """Whether the users are what a listing prints."""
        return self._users.listed

    def __iter__(self) -> Iterator[Candidate]:
        """Yield the candidates; raises `InputError`."""
        try:
            for value in self._values:
                self.count += 1
                yield self._users.candidate(self.count, value)
        except Malformed as error:
            raise InputError(
                f"{self._file}: what follows user {self.count} (line {self._values.line})"
                f" {error}. Correct it, or use --format csv if it is not JSON."
            ) from None
        except NotListed as error:
            raise InputError(
                f"{self._file}: user {self.count} (line {self._values.line}) {error}. Correct it."
            ) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise Malformed("has a key twice in one object")
    return value
