"""The configuration file that `init` writes: comments, and the keys that were answered. Pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence

_PARTS: Sequence[tuple[str, Sequence[tuple[str, str]]]] = (
    (
        "The user pool to list and to check, and the app client that sends the codes.",
        (("user-pool-id", "eu-west-1_AbCdEf123"), ("client-id", "1example23456789")),
    ),
    (
        "The AWS Region and profile, where the pool's prefix and the usual ones are not right.",
        (("region", "eu-west-1"), ("profile", "shop"), ("endpoint-url", "https://...")),
    ),
    (
        "The app client's secret: a file with nothing else in it (mode 0600), an ARN or name in"
        " Secrets\n# Manager, or true to fetch it from Cognito. The secret itself does not belong"
        " in here.",
        (
            ("client-secret-file", "~/secrets/shop"),
            ("client-secret-id", "prod/shop/client-secret"),
            ("fetch-client-secret", "true"),
        ),
    ),
    (
        "Maximum messages per user over all runs, and the minimum time between two.",
        (("max-sends", "1"), ("cooldown", "24h")),
    ),
    (
        "Which users: by the age of their sign-up. Do not remind those who are still typing.",
        (("older-than", "1h"), ("newer-than", "14d")),
    ),
    (
        "The part of the quota to use. The rest is for sign-ups.",
        (("share", "0.5"),),
    ),
    (
        "Stop when more than this part of the requests failed.",
        (("max-failures", "20%"),),
    ),
)
_SWITCHES = {"fetch-client-secret"}
_NUMBERS = {"max-sends", "share"}
_NUMBER = re.compile(r"(0|[1-9][0-9]{0,8})(\.[0-9]{0,3}[1-9])?")


def new_config(answers: Mapping[str, str], day: str) -> str:
    """Return the file's text: each key with its answer, or commented out with an example."""
    lines = [
        f"# Settings of batch-resend, written by `batch-resend init` on {day}.",
        "# A key is an option of `batch-resend run --help` without the dashes. What is typed takes",
        "# precedence. The file decides who is sent a code: let only its owner change it.",
    ]
    for comment, keys in _PARTS:
        lines += ["", f"# {comment}"]
        for key, example in keys:
            answer = answers.get(key)
            value = _value(key, example if answer is None else answer)
            lines.append(f"{'# ' if answer is None else ''}{key} = {value}")
    return "\n".join(lines) + "\n"


def _value(key: str, text: str) -> str:
    """Write a value in TOML: a number as it is, a text in quotes and escaped as JSON's are."""
    if key in _SWITCHES or (key in _NUMBERS and _NUMBER.fullmatch(text)):
        return text
    return json.dumps(text, ensure_ascii=False).replace("\x7f", r"\u007f")


def next_commands(path: str, folder: str, *, listing: bool) -> list[str]:
    """Return what to run next, in lines; the commands can be copied as they are.

    `listing`: the users come from the pool, which can be checked; else from a file.
    """
    here = shlex.quote(path)
    run = f"batch-resend run{'' if listing else ' users.csv'} --config {here}"
    # From cron the working directory is another one, and % ends the line.
    there = f"cd {shlex.quote(folder)} && {run} --yes".replace("%", r"\%")
    check = ["Next, look for mistakes:", f"  batch-resend check --config {here}"]
    return [
        *(check if listing else []),
        "Preview the run, then send:",
        f"  {run} --dry-run",
        f"  {run}",
        "After the first run, every hour from cron:",
        f"  17 * * * * {there}",
    ]
