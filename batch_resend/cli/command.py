"""The commands of the parser: their options, their errors and their help.

What is wrong with a command line leaves here as a `UsageError`, in one sentence that names
the option and what was typed, and the place where it was set if that was elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from batch_resend.cli.option_sources import FileDefaults, file_defaults, origins, variables
from batch_resend.errors import Exit, UsageError

if TYPE_CHECKING:
    from batch_resend.cli.option import Option

_ON = {"true", "1", "yes", "y", "on", "t"}
_OFF = {"false", "0", "no", "n", "off", "f"}


class Command(TyperCommand):
    """A command that was made of rows."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Collect the rows of the options."""
        super().__init__(*arguments, **named)
        self.rows: dict[str, Option] = {row.name: row for row in getattr(self.callback, "rows", ())}

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters."""
        return _unconverted(super().get_params(ctx), self.rows)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line, with the file of --config for what it leaves out."""
        with _in_our_words(ctx):
            if not ctx.resilient_parsing:  # while a shell completes a word, much is missing
                _check_values(self, args)
            if ctx.obj is None and not ctx.resilient_parsing:
                parsed = self.make_parser(ctx).parse_args(list(args))[0]
                chosen = {
                    name: parameter.consume_value(ctx, parsed)[0]
                    for parameter in self.params
                    if (name := str(parameter.name)) in {"config", "pool", "all_pools"}
                }
                ctx.obj = file_defaults(ctx, args, chosen)
            if isinstance(ctx.obj, FileDefaults):
                ctx.default_map = ctx.obj.default_map(self.rows)
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _in_our_words(ctx):
            return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        of_the_parser = ("-h, --help", "Show this help.")
        formatter.write(_help(ctx, self.rows.values(), {"Help": [of_the_parser]}))


class Commands(TyperGroup):
    """A group of commands."""

    def get_params(self, ctx: Any) -> Any:
        """Return its options, all of them switches."""
        return _unconverted(super().get_params(ctx), {})

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what stands before the command."""
        with _in_our_words(ctx):
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command."""
        with _in_our_words(ctx):
            return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _in_our_words(ctx):
            return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        commands = [
            (name, " ".join((command.help or "").split("\n\n")[0].split()))
            for name, command in self.commands.items()
        ]
        options = [
            (", ".join(reversed(parameter.opts)), getattr(parameter, "help", None) or "")
            for parameter in self.get_params(ctx)
        ]
        formatter.write(_help(ctx, (), {"Commands": commands, "Options": options}))


def _help(ctx: Any, rows: Iterable[Option], others: dict[str, list[tuple[str, str]]]) -> str:
    from batch_resend.cli.help import help_text

    usage = " ".join([ctx.command_path, *ctx.command.collect_usage_pieces(ctx)])
    below = ctx
    names: list[str] = []
    while below.parent is not None:
        names.insert(0, below.info_name)
        below = below.parent
    return help_text(" ".join(names), usage, ctx.command.help or "", rows, others)


def check_variables(context: Any) -> None:
    """Refuse a variable that looks like an option's and is none: it may have meant --dry-run."""
    # Those of all commands: one environment serves them all.
    names = {"BATCH_RESEND_CLIENT_SECRET"} | variables(context.find_root().command)
    for name in sorted(os.environ):
        if name.startswith("BATCH_RESEND_") and name not in names:
            import difflib

            near = difflib.get_close_matches(name, sorted(names), 1)
            raise UsageError(
                f"{name} is set, but no option has this variable. Unset it"
                + (f", or did you mean {near[0]}?" if near else ".")
            )


def _as_typed(row: Option, _context: Any, value: Any) -> Any:
    """Return a value as text, a switch as whether it is on, several values as a list."""
    if row.repeat:
        return [] if value is None else list(value)
    if not row.is_switch or value is None or isinstance(value, bool):
        return value
    if value.lower() in _ON | _OFF:
        return value.lower() in _ON
    raise UsageError(f"{row.option} {value!r} is not a valid choice. Use true or false.")


def _unconverted(parameters: Any, rows: Mapping[str, Option]) -> Any:
    """Have the values read as they are: the parser's conversion needs pydantic, which is slow."""
    for parameter in parameters:
        row = rows.get(str(parameter.name))
        read = partial(_as_given, parameter) if row is None else partial(_as_typed, row)
        setattr(parameter, "process_value", read)  # noqa: B010 - a method, of this one alone
    return parameters


def _as_given(parameter: Any, context: Any, value: Any) -> Any:
    return value if parameter.callback is None else parameter.callback(context, parameter, value)


def _check_values(command: Command, arguments: list[str]) -> None:
    """Refuse an option without its value, also where the next option would become the value."""
    takes: dict[str, Option | None] = {"--help": None, "-h": None}
    for row in command.rows.values():
        if not row.is_argument:
            names = [*row.flag.split("/"), row.short]
            takes |= dict.fromkeys(filter(None, names), None if row.is_switch else row)
    left = iter(arguments)
    for argument in left:
        if argument == "--":
            return
        name, equals, value = argument.partition("=")
        taker = takes.get(name)
        if taker is None:
            if equals and name in takes and name.startswith("--"):
                raise UsageError(f"{name} takes no value, but {value!r} was given.")
            continue
        if equals:
            continue
        following = next(left, None)
        if following is None or following in takes:
            but = f", but {following} follows" if following else ""
            raise UsageError(f"{name} needs a value: {name} {taker.metavar}{but}.")


@contextlib.contextmanager
def _in_our_words(context: Any) -> Iterator[None]:
    """Raise an error of the command line as a `UsageError` that names its place."""
    try:
        yield
    except UsageError as error:
        more = origins(context, str(error))
        if not more:
            raise
        raise UsageError(f"{error}{more}") from error
    except Exception as error:
        sentence = getattr(error, "format_message", None)
        if sentence is None:
            raise  # not of the parser
        if type(error).__name__ == "NoArgsIsHelpError":  # no command at all
            typer.echo(context.get_help(), err=True)
            raise typer.Exit(Exit.USAGE) from None
        text = f"{_without_arguments(sentence().rstrip('.'))}. See '{context.command_path} --help'."
        raise UsageError(f"{text}{origins(context, text)}") from None


def _without_arguments(sentence: str) -> str:
    """Return the parser's sentence; arguments that are too many may be names of people."""
    match = re.fullmatch(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", sentence, re.DOTALL)
    if match is None:
        return sentence
    from batch_resend.masking import mask_argument

    shown = " ".join(map(mask_argument, match[1].split()))
    return f"There are more arguments than the command takes ({shown})"
