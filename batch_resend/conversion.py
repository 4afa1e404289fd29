"""The types that a setting accepts from Python, and the one type that it has.

A field of `Settings` that is a `Converted` is converted when it is set, so the rest of the
program knows one type for each setting. What cannot be converted raises `UsageError`.
"""

from __future__ import annotations

import inspect
import math
import os
import re
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Generic, TypeVar, overload

from batch_resend.errors import InputError, UsageError
from batch_resend.job.summary import MaxFailures

Given = TypeVar("Given")
Kept = TypeVar("Kept")

Path = str | os.PathLike[str]
Pattern = str | re.Pattern[str]
SecretSource = str | Callable[[], str | Awaitable[str]]

_LONGEST_NUMBER = 12  #: digits; a longer number is not a count of users


class Converted(Generic[Given, Kept]):
    """A field of a dataclass that takes more types than it keeps."""

    def __init__(self, default: Kept) -> None:
        self._default = default
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Kept: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Kept: ...
    def __get__(self, instance: object | None, owner: type) -> Kept:
        """Return the value; of the class the default, as dataclasses expect it."""
        if instance is None:
            return self._default
        value: Kept = instance.__dict__[self._name]
        return value

    def __set__(self, instance: object, value: Given) -> None:
        """Convert and keep a value; raises `UsageError`."""
        option = "--" + self._name.replace("_", "-")
        instance.__dict__[self._name] = self.convert(option, value)

    @abstractmethod
    def convert(self, option: str, value: Given) -> Kept:
        """Return what is kept; raises `UsageError`."""


class Seconds(Converted[float | timedelta, float]):
    """A duration, kept in seconds."""

    def convert(self, option: str, value: float | timedelta) -> float:
        """Return the seconds."""
        if isinstance(value, timedelta):
            return value.total_seconds()
        return _number(option, value, "a timedelta, or seconds")


class MaybeSeconds(Converted[float | timedelta | None, float | None]):
    """A duration that need not be set, kept in seconds."""

    def convert(self, option: str, value: float | timedelta | None) -> float | None:
        """Return the seconds."""
        return None if value is None else Seconds(0.0).convert(option, value)


class MaybeMoment(Converted[float | date | None, float | None]):
    """A moment that need not be set, kept in seconds since 1970; UTC without a time zone."""

    def convert(self, option: str, value: float | date | None) -> float | None:
        """Return the seconds."""
        if value is None:
            return None
        if isinstance(value, date):
            moment = value if isinstance(value, datetime) else datetime.combine(value, time())
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        return _number(option, value, "a date, a datetime, or seconds since 1970")


class MaybePath(Converted[Path | None, str | None]):
    """A path that need not be set, kept as text."""

    def convert(self, option: str, value: Path | None) -> str | None:
        """Return the text."""
        path: object = os.fspath(value) if isinstance(value, os.PathLike) else value
        if path is None or isinstance(path, str):
            return path
        raise UsageError(f"{option} {path!r} is not a valid path. Use text or a Path.")


class Pairs(Converted[Mapping[str, str] | Iterable[tuple[str, str]], tuple[tuple[str, str], ...]]):
    """Keys and texts."""

    def convert(
        self, option: str, value: Mapping[str, str] | Iterable[tuple[str, str]]
    ) -> tuple[tuple[str, str], ...]:
        """Return the pairs."""
        pairs = _items(option, value)
        for pair in pairs:
            if not all(isinstance(text, str) for text in pair):
                raise UsageError(f"{option} {pair!r} is not a pair of texts. Use str() on both.")
        return pairs


class Patterns(
    Converted[
        Mapping[str, Pattern] | Iterable[tuple[str, Pattern]],
        tuple[tuple[str, re.Pattern[str]], ...],
    ]
):
    """Names, each with the pattern that its value must match."""

    def convert(
        self, option: str, value: Mapping[str, Pattern] | Iterable[tuple[str, Pattern]]
    ) -> tuple[tuple[str, re.Pattern[str]], ...]:
        """Return the names and compiled patterns."""
        return tuple((name, compiled(option, name, text)) for name, text in _items(option, value))


class Failures(Converted[int | str | MaxFailures, MaxFailures]):
    """The number of failures that is too many."""

    def convert(self, option: str, value: int | str | MaxFailures) -> MaxFailures:
        """Return a number of users, or a part such as 5%."""
        return value if isinstance(value, MaxFailures) else max_failures(option, str(value))


class MaybeSecret(Converted["SecretSource | Secret | None", "Secret | None"]):
    """The source of the client secret, if it is not read elsewhere."""

    def convert(self, option: str, value: SecretSource | Secret | None) -> Secret | None:
        """Return the source."""
        if value is None or isinstance(value, Secret):
            return value
        if isinstance(value, str) or callable(value):
            return Secret(value)
        raise UsageError(f"{option} is neither text nor a callable that returns the secret.")


class Secret:
    """A client secret, or a callable that returns it; shown nowhere."""

    __slots__ = ("_source",)

    def __init__(self, source: SecretSource) -> None:
        self._source = source

    def __repr__(self) -> str:
        """Show nothing of it."""
        return "Secret(...)"

    async def read(self) -> str:
        """Return the secret; what a callable raises comes out as it is."""
        secret = self._source if isinstance(self._source, str) else self._source()
        if inspect.isawaitable(secret):
            secret = await secret
        if not isinstance(secret, str):
            raise InputError("client_secret did not return text. Return the client secret.")
        return secret


def compiled(option: str, name: str, pattern: Pattern) -> re.Pattern[str]:
    """Return a compiled pattern for the values of a name; raises `UsageError`."""
    try:
        return re.compile(pattern)
    except (re.error, TypeError) as error:
        raise UsageError(
            f"{option} {name}: {pattern!r} is not a valid pattern ({error})."
        ) from None


def max_failures(option: str, text: str) -> MaxFailures:
    """Return a number of users, or a part such as 5%; raises `UsageError`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)%", text, re.ASCII)
    if match and float(match[1]) <= 100:
        return MaxFailures(part=float(match[1]) / 100)
    if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER:
        return MaxFailures(number=int(text))
    raise UsageError(
        f"{option} {text!r} is not a valid limit. Use a number of users, or a percentage such"
        " as 5%."
    )


def _number(option: str, value: object, use: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise UsageError(f"{option} {value!r} is not valid. Use {use}.")
    return float(value)


def _items(
    option: str, value: Mapping[str, Kept] | Iterable[tuple[str, Kept]]
) -> tuple[tuple[str, Kept], ...]:
    try:
        items = value.items() if isinstance(value, Mapping) else value
        return tuple((key, one) for key, one in items)
    except (TypeError, ValueError):
        raise UsageError(f"{option} {value!r} is not valid. Use a mapping of texts.") from None
