"""The command line: parse, assemble, run, and turn the summary into an exit code.

Anything that counts, decides or formats stands below this module and is tested there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from batch_resend.cli import config, option_sources, options
from batch_resend.cli.check import check
from batch_resend.cli.command import Command, Commands, check_variables
from batch_resend.cli.init import init
from batch_resend.cli.ledger import ledger
from batch_resend.cli.reconcile import reconcile
from batch_resend.cli.report import report
from batch_resend.cli.run import run
from batch_resend.cli.sdk_logs import quiet
from batch_resend.cli.simulate import simulate
from batch_resend.cli.status import status
from batch_resend.errors import BatchResendError, Exit, UsageError, place_of
from batch_resend.version import __version__

if TYPE_CHECKING:
    from batch_resend.settings import Settings

_NAME = "batch-resend"

app = typer.Typer(
    name=_NAME,
    cls=Commands,
    help="Resend Amazon Cognito's confirmation code to every unconfirmed user: one line per row,"
    " one message per person.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def program(arguments: Sequence[str]) -> int:
    """Run the program; return its exit code, whatever happens."""
    quiet()
    try:
        code = app(list(arguments), prog_name=_NAME, standalone_mode=False)
    except BatchResendError as error:
        _complain(str(error), arguments)
        return int(error.exit_code)
    except typer.Exit as left:
        return left.exit_code
    except typer.Abort:
        return int(Exit.INTERRUPT)
    except Exception as error:
        wrong = f"Internal error: {place_of(error)}. Please report this bug."
        _complain(wrong, arguments)
        return int(Exit.SETTINGS)
    return code if isinstance(code, int) else int(Exit.DONE)


def parse_run(arguments: Sequence[str]) -> Settings:
    """Return the settings that `batch-resend run` makes of these arguments and the variables.

    Raises `UsageError`.
    """
    program: Any = typer.main.get_command(app)
    context = program.commands["run"].make_context(
        "run", list(arguments), parent=typer.Context(program, info_name=_NAME)
    )
    check_variables(context)
    if len(option_sources.pools(context)) > 1:
        raise UsageError("Several pools are chosen, and one is expected. Choose it with --pool.")
    try:
        return options.read_settings(options.of_run(context.params))
    except UsageError as error:
        raise UsageError(f"{error}{option_sources.origins(context, str(error))}") from None


def _complain(text: str, arguments: Sequence[str]) -> None:
    masked = "--no-mask" not in arguments
    if options.wants_json(arguments):
        from batch_resend.console.console import Console

        Console(yes=True, json_lines=True, masked=masked).error(text)
    else:
        from batch_resend.console.colour import coloured, shows_colour
        from batch_resend.masking import mask_typed

        line = f"Error: {mask_typed(text) if masked else text}"
        sys.stderr.write(f"{coloured(line) if shows_colour(sys.stderr) else line}\n")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"batch-resend {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Say what holds for all commands."""
    del version


for one in (init, run, check, status, reconcile):
    app.command(cls=Command)(one)
app.add_typer(ledger, name="ledger")
for one in (report, simulate):
    app.command(cls=Command)(one)
app.add_typer(config.app, name="config")
