"""`batch-resend config show`: every setting with its value and where it came from."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any

import typer

from batch_resend.cli import option_sources, options, parsing
from batch_resend.cli.command import Command, Commands, check_variables
from batch_resend.cli.option import Option, Values, taking
from batch_resend.errors import BatchResendError, UsageError
from batch_resend.masking import printable

_SECRET = "BATCH_RESEND_CLIENT_SECRET"  # noqa: S105 - its name

_TOKENS = {"ping-url"}  #: whose value lets its reader act

app = typer.Typer(cls=Commands, no_args_is_help=True)

# fmt: off
SHOW = (
    Option(
        flag="--changed", environment=False,
        help="Only the settings that are not the default, and what they come to.",
    ),
    Option(flag="--json", environment=False, help="One JSON object."),
)
# fmt: on


@app.callback()
def config() -> None:
    """Show the configuration."""


@app.command(
    cls=Command,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    options_metavar="[any arguments of run]",
)
@taking(*SHOW)
def show(context: typer.Context, typed: Values) -> int:
    """Show the settings of a run, and where each comes from. Secrets are hidden."""
    command: Any = context.find_root().command
    run = command.commands["run"]
    settings = run.make_context("show", list(context.args), parent=context.parent)
    check_variables(settings)
    if len(option_sources.pools(settings)) > 1:
        raise UsageError("Several pools are chosen, and this shows one. Choose it with --pool.")
    shown: dict[str, dict[str, Any]] = {}
    for row in run.rows.values():
        kind, where = option_sources.origin(settings, row)
        value = _value(row, settings.params[row.name])
        if value is not None and row.key in _TOKENS:
            value = "set"
        shown[row.key] = {"value": value, "origin": kind, "where": where or None}
        if row is options.CLIENT_SECRET_FILE:
            is_set = _SECRET in os.environ
            shown["client-secret"] = {
                "value": "set" if is_set else None,
                "origin": "variable" if is_set else "default",
                "where": _SECRET if is_set else None,
            }
        if value is None:
            shown[row.key]["otherwise"] = row.otherwise or None
    _resolve(shown)
    if typed["changed"]:
        shown = {
            name: entry
            for name, entry in shown.items()
            if entry["origin"] != "default" or "resolved" in entry
        }
    # Written without a flush: a reader that is gone must not change the exit code.
    sys.stdout.write(_as_json(shown) if typed["json"] else _as_text(shown))
    return 0


def _resolve(shown: dict[str, dict[str, Any]]) -> None:
    """Add what Region and ledger come to, where no value names them. Nothing is requested."""
    values = {name: entry["value"] for name, entry in shown.items()}
    if not values["client-id"] or values["simulate"]:
        return
    from batch_resend.cli.event_loop import in_loop

    async def work() -> int:
        from batch_resend.aws import clients
        from batch_resend.run.backends import target_of
        from batch_resend.run.open_ledger import default_ledger
        from batch_resend.settings import LedgerTarget

        fields = ("client-id", "user-pool-id", "region", "profile", "endpoint-url")
        arguments: dict[str, Any] = {name.replace("-", "_"): values[name] or "" for name in fields}
        target = LedgerTarget(**arguments)
        async with clients.resend_client(target_of(target), timeout=1.0, concurrency=1) as client:
            _, region, endpoint = client
        defaults = {
            "region": region,
            "ledger": str(default_ledger(region, values["client-id"], endpoint)),
        }
        for name, value in defaults.items():
            if values[name] is None:
                shown[name]["resolved"] = value
        return 0

    with contextlib.suppress(BatchResendError):  # the run will complain
        in_loop(work)


def _value(row: Option, typed: Any) -> Any:
    """Return what was typed, or the default; numbers as numbers."""
    if typed is None or typed in ("", []):
        typed = row.default_text() or None
    if typed is not None and row.parse in (parsing.whole, parsing.number):
        with contextlib.suppress(UsageError):  # shown as it stands: the run will complain
            return row.read(typed)
    return typed


def _as_json(shown: dict[str, dict[str, Any]]) -> str:
    settings = {
        name: {key: value for key, value in entry.items() if key != "otherwise"}
        for name, entry in shown.items()
    }
    return json.dumps({"schema": 1, "settings": settings}) + "\n"


def _as_text(shown: dict[str, dict[str, Any]]) -> str:
    rows = [
        (name, _shown(entry), " ".join(filter(None, (entry["origin"], entry["where"]))))
        for name, entry in shown.items()
    ]
    first = max((len(name) for name, _, _ in rows), default=0)
    second = min(26, max((len(value) for _, value, _ in rows), default=0))
    return "".join(f"{name:<{first}}  {value:<{second}}  {where}\n" for name, value, where in rows)


def _shown(entry: dict[str, Any]) -> str:
    """Write the value, else what it comes to, else in parentheses what happens without one."""
    if entry["value"] is not None or entry["origin"] != "default":
        return _text(entry["value"])
    if "resolved" in entry:
        return _text(entry["resolved"])
    return f"({entry['otherwise']})" if entry.get("otherwise") else ""


def _text(value: Any) -> str:
    """Write a value as the file would have it, a text without its quotes."""
    if value is None:
        return ""
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
