"""The configuration file: TOML, read whole and checked whole before any of it counts.

Keys above the tables apply to every pool; a table `[pools.NAME]` applies to that pool and
takes precedence. A value is what would be typed after the option: a text or a number; true
or false for a switch; a list for a repeatable option; a table in place of a list of
`KEY=VALUE`. Paths are relative to the working directory, as they are when typed, and `~` at
their start is the home directory, as in the shell. `{pool}` in a text is replaced by the
name of the chosen pool.

The file decides who is sent a code, so a world-writable file is refused. It holds no secret,
so a world-readable file is accepted.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from batch_resend.errors import UsageError
from batch_resend.masking import printable

_LARGEST = 1 << 20  #: bytes; a file of settings is never so large
_POOLS = "pools"
_SECRETS = {"client-secret", "client_secret"}


class Kind(Enum):
    """The kind of value that an option accepts."""

    TEXT = "a text or a number"
    PATH = "a path"
    SWITCH = "true or false"
    LIST = "a list of texts"
    PAIRS = "a list of texts, or a table"


Value = str | bool | list[str]


@dataclass(frozen=True, slots=True)
class Entry:
    """A value of the file, as the option would take it, and where it stands."""

    value: Value
    where: str  #: such as `batch-resend.toml [pools.shop]`


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A file that was read and found right."""

    path: str
    common: Mapping[str, Entry]  #: for every pool, by key
    pools: Mapping[str, Mapping[str, Entry]]

    def values(self, pool: str | None) -> dict[str, Entry]:
        """Return the file's values for a pool, or without one; raises `InputError`."""
        if pool is None and self.pools:
            names = ", ".join(map(printable, self.pools))
            raise UsageError(f"{self.path} is for several pools: choose with --pool ({names}).")
        if pool is None:
            return dict(self.common)
        if pool not in self.pools:
            has = f" (it has {', '.join(map(printable, self.pools))})" if self.pools else ""
            raise UsageError(
                f"{self.path} has no table [{_POOLS}.{printable(pool)}]{has}"
                f"{_near(pool, self.pools) or '.'}"
            )
        values = {**self.common, **self.pools[pool]}
        return {
            key: replace(entry, value=named(entry.value, pool)) for key, entry in values.items()
        }


def named(value: Any, pool: str) -> Any:
    """Put a pool's name in place of `{pool}` in a text, as far as a file can be called so."""
    if not isinstance(value, str):
        return value
    return value.replace("{pool}", re.sub(r"[^\w.-]", "-", pool))


def read(path: str, keys: Mapping[str, Kind]) -> ConfigFile:
    """Read a file with these keys; raises `UsageError` for mistakes in it."""
    shown = printable(path)
    try:
        tables = tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"--config {shown} is not TOML: {printable(str(error))}.") from None
    except RecursionError:
        raise UsageError(f"--config {shown} is not TOML: nested too deeply.") from None
    pools = tables.pop(_POOLS, {})
    if not isinstance(pools, dict) or not all(isinstance(t, dict) for t in pools.values()):
        raise UsageError(
            f"{shown}: '{_POOLS}' holds a table for each pool: write [pools.NAME], and its"
            " options below."
        )
    if odd := next((name for name in pools if not name.isprintable()), None):
        raise UsageError(
            f"{shown} [pools.{printable(odd)}] has a name that cannot be shown: give it another."
        )
    return ConfigFile(
        shown,
        _checked(tables, keys, shown),
        {
            name: _checked(table, keys, f"{shown} [pools.{printable(name)}]")
            for name, table in pools.items()
        },
    )


def _text(path: str) -> str:
    shown = printable(path)
    try:
        with Path(path).open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no path"
        raise UsageError(
            f"--config {shown} cannot be read ({why}): name a file of settings."
        ) from None
    if stat.S_ISREG(mode) and mode & stat.S_IWOTH:
        raise UsageError(
            f"--config {shown} can be changed by every user of this machine, and it decides"
            " who is sent a code. Run chmod o-w on it."
        )
    if len(content) > _LARGEST:
        raise UsageError(f"--config {shown} is larger than a file of settings can be (1 MiB).")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UsageError(f"--config {shown} is not UTF-8 (at line {line}).") from None


def _checked(table: Mapping[str, Any], keys: Mapping[str, Kind], where: str) -> dict[str, Entry]:
    entries = {}
    for key, value in table.items():
        if key in _SECRETS:
            raise UsageError(
                f"{where}: a secret does not belong here. Put it in a file of its own that"
                " client-secret-file names, and take it out of this one."
            )
        if key not in keys:
            near = _near(key, [*keys, _POOLS])
            if not near and isinstance(value, dict):
                near = f": a table for a pool is written [{_POOLS}.{printable(key)}]."
            raise UsageError(f"{where}: '{printable(key)}' is not an option{near or '.'}")
        try:
            entries[key] = Entry(_value(value, keys[key]), where)
        except TypeError:
            raise UsageError(f"{where}: {key} takes {keys[key].value}.") from None
    return entries


def _value(value: Any, kind: Kind) -> Value:
    """Bring a value into the form the option takes; raises `TypeError`."""
    if kind is Kind.SWITCH:
        if isinstance(value, bool):
            return value
        raise TypeError
    if kind is Kind.PAIRS and isinstance(value, dict):
        if any("=" in name for name in value):
            raise TypeError
        return [f"{name}={_typed(one)}" for name, one in value.items()]
    if kind in {Kind.LIST, Kind.PAIRS}:
        if isinstance(value, list):
            return [_typed(one) for one in value]
        raise TypeError
    text = _typed(value)
    return os.path.expanduser(text) if kind is Kind.PATH else text  # noqa: PTH111 - keeps ./


def _typed(value: Any) -> str:
    """Write a value as it would be typed; raises `TypeError` if it cannot be typed."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError
    return value if isinstance(value, str) else repr(value)


def _near(name: str, names: Iterable[str]) -> str:
    """Return a question that names a similar name, or an empty text."""
    near = difflib.get_close_matches(name, list(names), 1)
    return f": did you mean {printable(near[0])}?" if near else ""
