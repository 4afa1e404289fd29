"""`batch-resend config show`: every setting with its value and where it came from."""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated, Any

import typer

from batch_resend.cli import option_sources
from batch_resend.cli.options import check_variables
from batch_resend.errors import UsageError
from batch_resend.masking import printable

_SECRET = "BATCH_RESEND_CLIENT_SECRET"  # noqa: S105 - its name

_TOKENS = {"ping-url"}  #: whose value lets its reader act

app = typer.Typer(no_args_is_help=True)


@app.callback()
def config() -> None:
    """Look at the configuration."""


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    options_metavar="[any arguments of run]",
)
def show(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> int:
    """Show what a run would go by, and where each setting comes from. Secrets are hidden."""
    command: Any = context.find_root().command
    run = command.commands["run"]
    settings = run.make_context("show", list(context.args), parent=context.parent)
    check_variables(settings)
    if len(option_sources.pools(settings)) > 1:
        raise UsageError("Several pools are chosen, and this shows one: choose it with --pool.")
    shown: dict[str, dict[str, Any]] = {}
    for parameter in run.params:
        if parameter.name == "help" or parameter.name not in settings.params:
            continue
        kind, where = option_sources.origin(settings, parameter)
        value = settings.params[parameter.name]
        value = None if value in ("", [], ()) else value
        name = parameter.opts[0].lstrip("-")
        if value is not None and name in _TOKENS:
            value = "set"
        shown[name] = {"value": value, "origin": kind, "where": where or None}
        if name == "client-secret-file":
            given = _SECRET in os.environ
            shown["client-secret"] = {
                "value": "set" if given else None,
                "origin": "variable" if given else "default",
                "where": _SECRET if given else None,
            }
    # Written without a flush: a reader that is gone must not change the exit code.
    sys.stdout.write(_as_json(shown) if as_json else _as_text(shown))
    return 0


def _as_json(shown: dict[str, dict[str, Any]]) -> str:
    return json.dumps({"schema": 1, "settings": shown}) + "\n"


def _as_text(shown: dict[str, dict[str, Any]]) -> str:
    rows = [
        (name, _text(entry["value"]), " ".join(filter(None, (entry["origin"], entry["where"]))))
        for name, entry in shown.items()
    ]
    first = max(len(name) for name, _, _ in rows)
    second = min(26, max(len(value) for _, value, _ in rows))
    return "".join(f"{name:<{first}}  {value:<{second}}  {where}\n" for name, value, where in rows)


def _text(value: Any) -> str:
    """Write a value as the file would have it, a text without its quotes."""
    if value is None:
        return ""
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
