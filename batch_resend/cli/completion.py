"""The values that a shell offers for an option."""

from __future__ import annotations

from collections.abc import Callable

import typer


def _of(*values: str) -> Callable[[str], list[str]]:
    def offered(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return offered


FORMATS = _of("csv", "json", "jsonl", "xlsx")
UNKNOWN = _of("not-recorded", "all")
LOG_FORMATS = _of("text", "json")
METRICS = _of("emf", "textfile:")


def profiles(incomplete: str) -> list[str]:
    """Return the profiles of AWS's own files, which are read without the SDK: it is slow."""
    import configparser
    import os

    names = set()
    for variable, default in (
        ("AWS_CONFIG_FILE", "~/.aws/config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    ):
        file = configparser.RawConfigParser(strict=False)
        try:
            file.read(os.path.expanduser(os.environ.get(variable, default)))  # noqa: PTH111
        except (configparser.Error, UnicodeDecodeError):
            continue
        names |= {name.removeprefix("profile ").strip() for name in file.sections()}
    return sorted(name for name in names if name.startswith(incomplete))


def pools(context: typer.Context, incomplete: str) -> list[str]:
    """Return the tables [pools.NAME] of the file that --config names."""
    import tomllib
    from pathlib import Path

    path = context.params.get("config")
    if not path:
        return []
    try:
        tables = tomllib.loads(Path(path).read_text("utf-8-sig")).get("pools", {})
    except (OSError, ValueError):
        return []
    return [name for name in tables if name.startswith(incomplete)]
