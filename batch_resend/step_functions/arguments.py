"""What the function is set up with: the arguments of an execution, and its variables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import typer

from batch_resend import cli
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.cli import option_sources, options
from batch_resend.errors import BatchResendError, UsageError
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
    command: Any = typer.main.get_command(cli.app)
    program = typer.Context(command, info_name="batch-resend")
    try:
        context = command.commands["run"].make_context("run", list(arguments), parent=program)
        options.check_variables(context)
    except BatchResendError:
        raise
    except Exception as error:
        # What the parser finds wrong has a sentence.
        sentence = getattr(error, "format_message", None)
        raise UsageError(sentence() if sentence else type(error).__name__) from None
    if len(option_sources.pools(context)) > 1:
        raise UsageError("A state machine is for one pool: choose one with --pool.")
    fields = Settings.__dataclass_fields__
    ours = fields.keys() | {"no_header", "no_mask"}
    settings = options.read_settings({k: v for k, v in context.params.items() if k in ours})
    for name in _NOT_HERE:
        if getattr(settings, name) != fields[name].default:
            raise UsageError(f"--{name.replace('_', '-')} has no place in a state machine.")
    if settings.users == "-":
        raise UsageError("USERS -: there is no standard input here. Name an object in S3.")
    if settings.ledger is None:
        raise UsageError("--ledger is missing: nothing on this host's disk lasts. Name a table.")
    return settings


def settings_for_batch(plan: Mapping[str, Any], users: str) -> Settings:
    """Take the settings of the whole, less what the plan has decided already."""
    return replace(
        read_settings(plan["arguments"]),
        users=users,
        region=plan["region"],
        user_pool_id="",
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
    )


def whole_number(variable: str, default: int, most: int, least: int = 1) -> int:
    """Read a number from one of the variables; raises `UsageError`."""
    text = os.environ.get(variable, str(default))
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise UsageError(f"{variable} {text!r}: give a whole number from {least} to {most}.")
    return int(text)
