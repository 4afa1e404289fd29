"""Where an option's value comes from: the command line, a variable, the file, a default.

A flag beats its variable, which beats the file of --config, which beats the default. The
parser itself does the beating: what the file says is its `default_map`. So the file speaks
for the options that have a variable, and for USERS; what has none (the age of what a
`purge` erases, say) is taken from the command line alone.

Where several pools are chosen the parser first reads what is for all of them: what stands
above the tables. `of_each_pool` then has it read the same command line once for each pool.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperGroup

from batch_resend.errors import UsageError
from batch_resend.masking import printable

_CONTEXT = f"{__name__}.context"  #: whose options these are
_CHOSEN = f"{__name__}.chosen"  #: the values of --config and --pool
_FOUND = f"{__name__}.found"  #: what the file says, by key
_TYPED = f"{__name__}.typed"  #: the arguments of the command
_POOLS = f"{__name__}.pools"  #: the names of the pools that are chosen
_ONE = f"{__name__}.one"  #: the one of them that the file speaks for now
_OF_THE_FILE = {"config", "pool", "all_pools"}


def take(context: typer.Context, parameter: typer.CallbackParam, value: Any) -> Any:
    """Take --config, --pool or --all-pools; once all are known, let the file speak."""
    if value is None and parameter.multiple:
        value = []  # older releases of typer cannot read None here
    if context.resilient_parsing:  # completing a word at the shell
        return value
    context.meta[_CONTEXT] = context
    chosen = context.meta.setdefault(_CHOSEN, {})
    chosen[parameter.name] = value
    if chosen.keys() == _OF_THE_FILE & {known.name for known in context.command.params}:
        found = _found(context, chosen["config"], chosen["pool"], chosen.get("all_pools"))
        context.meta[_FOUND] = found
        context.default_map = {
            parameter.name: found[key].value
            for key, parameter in _keyed(context.command)
            if key in found and parameter.name
        }
    return value


def _found(
    context: typer.Context, config: str | None, pools: list[str], all_pools: bool | None
) -> dict[str, Any]:
    if all_pools and pools:
        raise UsageError("--all-pools and --pool exclude each other: give one of them.")
    if config is None:
        if all_pools:
            raise UsageError("--all-pools needs --config: the file with a table for each pool.")
        if pools:
            name = printable(pools[0])
            raise UsageError(f"--pool {name} needs --config: the file with a table [pools.{name}].")
        return {}
    from batch_resend.cli import config_file

    keys: dict[str, config_file.Kind] = {}
    for key, parameter in _keyed(context.find_root().command):
        keys.setdefault(key, _kind(parameter))
    file = config_file.read(config, keys)
    if all_pools and not file.pools:
        raise UsageError(f"--all-pools finds no table [pools.NAME] in {file.path}.")
    if (one := context.meta.get(_ONE)) is not None:
        return dict(file.values(one))
    chosen = list(dict.fromkeys(file.pools if all_pools else pools))
    if len(chosen) > 1 and all_pools is None:
        raise UsageError(f"--pool is given {len(pools)} times, and this is about one pool.")
    context.meta[_POOLS] = chosen
    values = [file.values(name) for name in chosen]  # all of them are there
    if len(chosen) > 1:
        return dict(file.common)
    return dict(values[0] if values else file.values(None))


def pools(context: typer.Context) -> list[str]:
    """Name the pools that are chosen."""
    return list(context.meta.get(_POOLS, []))


def of_each_pool(context: typer.Context) -> Iterator[tuple[str, Any]]:
    """Read the command line once for each of the pools; yield its name and its context."""
    for name in pools(context):
        context.meta[_CHOSEN], context.meta[_ONE] = {}, name
        typed = list(context.meta[_TYPED])
        try:
            own = context.command.make_context(context.info_name, typed, parent=context.parent)
        except Exception as error:
            sentence = getattr(error, "format_message", None)
            if sentence is None:
                raise
            wrong = f"Pool {printable(name)}: {sentence().rstrip('.')}."
            of = getattr(error, "ctx", None) or context
            raise UsageError(f"{wrong}{told(of, wrong)}") from None
        yield name, own


def _kind(parameter: Any) -> Any:
    from batch_resend.cli.config_file import Kind

    shown = (parameter.metavar or "").split("|")
    if getattr(parameter, "is_flag", False):
        return Kind.SWITCH
    if getattr(parameter, "multiple", False):
        return Kind.PAIRS if "=" in shown[0] else Kind.LIST
    return Kind.PATH if {"FILE", "PATH", "USERS"} & set(shown) else Kind.TEXT


def _keyed(command: Any) -> Iterator[tuple[str, Any]]:
    """Yield what the file can speak of, in a command and the ones below it, by key."""
    for parameter in command.params:
        if parameter.name == "users" and parameter.param_type_name == "argument":
            yield "users", parameter
        elif parameter.envvar and parameter.name not in _OF_THE_FILE:
            yield parameter.opts[0].lstrip("-"), parameter
    for below in getattr(command, "commands", {}).values():
        yield from _keyed(below)


def variables(command: Any) -> set[str]:
    """Name the variables of a command and of the ones below it."""
    found = {parameter.envvar for parameter in command.params if parameter.envvar}
    for below in getattr(command, "commands", {}).values():
        found |= variables(below)
    return found


def origin(context: Any, parameter: Any) -> tuple[str, str]:
    """Say where a value comes from: `flag`, `variable`, `file` or `default`, and which."""
    source = context.get_parameter_source(parameter.name)
    name = source.name if source else "DEFAULT"
    if name == "COMMANDLINE":
        return "flag", ""
    if name == "ENVIRONMENT":
        return "variable", parameter.envvar
    if name == "DEFAULT_MAP":
        return "file", context.meta[_FOUND][parameter.opts[0].lstrip("-")].where
    return "default", ""


def told(context: Any, sentence: str) -> str:
    """Say where the options that a sentence complains of were set, if nobody typed them."""
    more = []
    for parameter in context.command.params:
        option = parameter.opts[0]
        if re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", sentence):
            kind, where = origin(context, parameter)
            if kind in {"variable", "file"}:
                more.append(f" {option} is set {'by' if kind == 'variable' else 'in'} {where}.")
    return "".join(more)


class Commands(TyperGroup):
    """The commands. What they complain of is told with the place where it was set."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; keep what was typed after it."""
        name, command, typed = super().resolve_command(ctx, args)
        ctx.meta[_TYPED] = list(typed)
        return name, command, typed

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except UsageError as error:
            context = ctx.meta.get(_CONTEXT)
            if context is None:
                raise
            raise UsageError(f"{error}{told(context, str(error))}") from error
