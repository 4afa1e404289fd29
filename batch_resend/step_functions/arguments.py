"""What the function is set up with: the arguments of an execution, and its variables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from batch_resend import cli
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.errors import UsageError
from batch_resend.settings import Settings

HERE = AwsTarget()  #: the function's own Region and role

# What the state machine decides itself. (--fetch-client-secret would ask for each batch.)
_NOT_HERE = (
    "report", "failed", "html", "summary", "overwrite", "waves", "deadline", "max_sent",
    "profile", "fetch_client_secret",
)  # fmt: skip


def read_settings(arguments: Sequence[str]) -> Settings:
    """Make the settings that `batch-resend run` would make of these arguments and the variables.

    Raises `UsageError`, also for what has no place here.
    """
    settings = cli.parse_run(arguments)
    fields = Settings.__dataclass_fields__
    for name in _NOT_HERE:
        if getattr(settings, name) != fields[name].default:
            raise UsageError(f"--{name.replace('_', '-')} has no place in a state machine.")
    if settings.users == "-":
        raise UsageError("USERS -: there is no standard input here. Name an object in S3.")
    if settings.ledger is None:
        raise UsageError("--ledger is missing: nothing on this host's disk lasts. Name a table.")
    return settings


def settings_for_batch(plan: Mapping[str, Any], users: str) -> Settings:
    """Return the settings of the whole run, without what the plan has decided already."""
    return replace(
        read_settings(plan["arguments"]),
        users=users,
        region=plan["region"],
        user_pool_id="",
        case_sensitive=plan["case_sensitive"],
        filter=None,
        match=(),
        older_than=None,
        newer_than=None,
        since=None,
        user=(),
        format=None,
        one_per_address=False,
        exclude=None,
        limit=None,
        sample=None,
        create_ledger=True,  # the stack makes the table, and keeps it
    )


def whole_number(variable: str, default: int, most: int, least: int = 1) -> int:
    """Read a number from one of the variables; raises `UsageError`."""
    text = os.environ.get(variable, str(default))
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise UsageError(f"{variable} {text!r}: give a whole number from {least} to {most}.")
    return int(text)
