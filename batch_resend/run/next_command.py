"""The command with these settings: what to type to resume. Pure.

It is complete: what came from variables or from Python is in it. It holds no secret, for
`Settings` holds none: one that was given by a variable must be given so again. And it holds no
name, unless --no-mask allows it: in its place stands what to fill in, such as `<NAME>`. A shell
that is handed such a command as it is refuses it and runs nothing.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from batch_resend.job.summary import ABOUT_PEOPLE, MaxFailures
from batch_resend.masking import mask_within
from batch_resend.settings import Settings
from batch_resend.sources import columns
from batch_resend.wording import duration

_DURATIONS = {"older_than", "newer_than", "timeout", "deadline", "give_up_after", "cooldown"}
_PYTHON_ONLY = {"client_secret"}
#: What comes first: who is messaged, and what keeps others from it. A command that is cut off
#: when it is copied should not lose its guards.
_FIRST = (
    *("users", "ledger", "create_ledger", "endpoint_url", "simulate", "exclude", "older_than"),
    *("newer_than", "since", "match", "max_sends", "cooldown", "resend_unknown", "limit", "sample"),
)
_PAIRS = ("--match", "--metadata")
_NAMES_OF_PEOPLE = {
    *columns.KNOWN,
    *columns.OTHER_NAMES,
    *("name", "given_name", "family_name", "middle_name", "nickname", "preferred_username"),
    *("address", "birthdate", "profile", "picture", "website"),
}
_ON_STATUS = re.compile(r"\s*(?:cognito:user_status|status)\s*\^?=\s*\"[^\"]*\"\s*")
_NEGATED = {"header": "--no-header", "mask": "--no-mask"}


def next_command(settings: Settings) -> str:
    """Return the command, ready for a shell, that resumes a run of these settings.

    A dry run is followed by a real one. The files that this run has written are never
    named again, `--overwrite` or not: `report.csv` is followed by `report-2.csv`.
    """
    following: dict[str, Any] = {"dry_run": False, "overwrite": False}
    if not settings.dry_run:
        following["create_ledger"] = False  # it is there now
    for option, path in settings.outputs():
        following[option.removeprefix("--")] = following_name(path)
    settings = dataclasses.replace(settings, **following)
    words = arguments(settings)
    words = without_names(words) if settings.mask else list(map(shlex.quote, words))
    return " ".join(["batch-resend", "run", *words])


def without_names(words: Sequence[str]) -> list[str]:
    """Return arguments, quoted for a shell, with what may be about single people left out."""
    hidden: list[str] = []
    left = iter(words)
    for word in left:
        option, equals, text = word.partition("=")
        if option not in ABOUT_PEOPLE:
            hidden.append(shlex.quote(word))
            continue
        text = _hidden(option, text if equals else next(left, ""))
        hidden += [f"{option}={text}"] if equals else [option, text]
    return hidden


def _hidden(option: str, text: str) -> str:
    """Return the value of an option, quoted, without what may be about single people."""
    place = ABOUT_PEOPLE[option]
    key, equals, value = text.partition("=") if option in _PAIRS else ("", "", text)
    if option == "--metadata":
        about = mask_within(value) != value
    elif option == "--match":
        about = not value.startswith("@") and (
            key.casefold() in _NAMES_OF_PEOPLE or mask_within(value) != value
        )
    elif option == "--filter":
        about = _ON_STATUS.fullmatch(value) is None
    else:  # an @NAME is a column
        about = option == "--user" or not value.startswith("@")
    if not about:
        return shlex.quote(text)
    return (shlex.quote(key + equals) if key else "") + place


def arguments(settings: Settings) -> list[str]:
    """Return the arguments of `batch-resend run` for all that is not the default, guards first."""
    arguments: list[str] = []
    fields = dataclasses.fields(settings)
    for field in sorted(fields, key=lambda one: (*_FIRST, one.name).index(one.name)):
        value = getattr(settings, field.name)
        if value == field.default or field.name in _PYTHON_ONLY:
            continue
        if field.name == "users":
            arguments.append(value if value == "-" or not value.startswith("-") else f"./{value}")
        elif isinstance(value, bool):
            name = field.name if value or field.name in _NEGATED else f"no_{field.name}"
            arguments.append(_NEGATED.get(name, _option(name)))
        else:
            for text in as_typed(field.name, value):
                # A value that looks like an option is tied to its own.
                tied = text.startswith("-") and text != "-"
                name = _option(field.name)
                arguments += [f"{name}={text}"] if tied else [name, text]
    return arguments


def following_name(path: str) -> str:
    """Name the file after this one: a number before the ending, one higher each time."""
    if path == "-" or path.startswith("/dev/"):
        return path
    match = re.fullmatch(r"(.*?)(?:(?<!\d)-(\d{1,3}))?((?:\.[^./]+){0,2})", path, re.DOTALL)
    if match is None or not match[1] or match[1].endswith("/"):
        return f"{path}-2"
    return f"{match[1]}-{int(match[2] or 1) + 1}{match[3]}"


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def as_typed(name: str, value: Any) -> list[str]:
    """Return what is typed for a value of a setting: one text, or one for each time."""
    if name == "waves":
        return [",".join("rest" if size is None else str(size) for size in value)]
    if name == "user":
        return list(value)
    if name == "since":
        return [datetime.fromtimestamp(value, UTC).isoformat().removesuffix("T00:00:00+00:00")]
    if isinstance(value, tuple):  # pairs, of which the second can be a pattern
        return [f"{key}={getattr(text, 'pattern', text)}" for key, text in value]
    if isinstance(value, MaxFailures):
        part = value.part
        return [str(value.number) if part is None else f"{_plain(part * 100)}%"]
    if name in _DURATIONS:
        return [duration(value)]
    return [_plain(value) if isinstance(value, float) else str(value)]


def _plain(number: float) -> str:
    """Write a number in full and without an exponent."""
    return f"{number:.10f}".rstrip("0").rstrip(".")
