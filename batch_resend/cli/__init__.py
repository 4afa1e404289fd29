"""The command line: parse, assemble, run, and turn the summary into an exit code.

Anything that counts, decides or formats stands below this module and is tested there.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from batch_resend.cli import config, option_sources, options
from batch_resend.cli.check import check
from batch_resend.cli.ledger import ledger
from batch_resend.cli.report import report
from batch_resend.cli.run import run
from batch_resend.cli.simulate import simulate
from batch_resend.cli.status import status
from batch_resend.errors import BatchResendError, Exit, place_of
from batch_resend.version import __version__

app = typer.Typer(
    name="batch-resend",
    cls=option_sources.Commands,
    help="Resend Amazon Cognito's confirmation code to every unconfirmed user: one line per row,"
    " one message per person.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def program(arguments: Sequence[str]) -> int:
    """Run the program; return its exit code, whatever happens."""
    for name in ("aiobotocore", "botocore"):  # what they have to say ends in a sentence of ours
        logging.getLogger(name).addHandler(logging.NullHandler())
    try:
        code = app(list(arguments), standalone_mode=False)
    except BatchResendError as error:
        _complain(str(error), arguments)
        return int(error.exit_code)
    except typer.Exit as left:
        return left.exit_code
    except typer.Abort:
        return int(Exit.INTERRUPT)
    except Exception as error:
        # What the parser finds wrong has a sentence; anything else is a mistake of ours.
        sentence = getattr(error, "format_message", None)
        if sentence is not None and not sentence():
            return int(Exit.USAGE)  # no command at all: the help has been shown
        if sentence is not None:
            context = getattr(error, "ctx", None)
            command = context.command_path if context else "batch-resend"
            told = f"{sentence().rstrip('.')}."
            told += f"{option_sources.told(context, told)} See '{command} --help'."
            _complain(told, arguments)
            return int(getattr(error, "exit_code", Exit.USAGE))
        wrong = f"This should not have happened: {place_of(error)}. Please report it."
        _complain(wrong, arguments)
        return int(Exit.SETTINGS)
    return code if isinstance(code, int) else int(Exit.DONE)


def _complain(text: str, arguments: Sequence[str]) -> None:
    if options.wants_json(arguments):
        from batch_resend.console.console import Console

        Console(yes=True, json_lines=True).error(text)
    else:
        sys.stderr.write(f"Error: {text}\n")


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


app.command()(run)
app.command()(check)
app.command()(status)
app.add_typer(ledger, name="ledger")
app.command()(report)
app.command()(simulate)
app.add_typer(config.app, name="config")
