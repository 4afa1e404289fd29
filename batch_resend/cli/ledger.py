"""`batch-resend ledger`: the ledger as CSV; erase people; erase the old.

Who is erased is not taken from the environment, and neither is the word to go on without
a question: variables that were set for `run` must not decide about that here.
"""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from batch_resend.cli import options
from batch_resend.cli.event_loop import in_loop
from batch_resend.errors import Exit, Refused, UsageError
from batch_resend.wording import some

ledger = typer.Typer(help="The ledger as CSV; erase people; erase the old.", no_args_is_help=True)


@ledger.command()
def export(
    context: typer.Context,
    *,
    user_pool_id: options.UserPoolId = "",
    client_id: options.LedgerOf = "",
    ledger: options.Ledger = None,
    unknown: Annotated[
        bool,
        typer.Option(
            "--unknown",
            help="Only messages that nobody can prove or disprove.",
            rich_help_panel="Results",
        ),
    ] = False,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            metavar="PATH",
            help="- is standard output. (default: -)",
            rich_help_panel="Results",
            show_default=False,
        ),
    ] = "-",
    overwrite: options.Overwrite = False,
    profile: options.Profile = "",
    region: options.Region = "",
    endpoint_url: options.EndpointUrl = "",
    config: options.Config = None,
    pool: options.Pool = None,
) -> int:
    """Write every message in the ledger as a CSV row, names in full."""
    del config, pool  # these have spoken already
    options.check_variables(context)
    settings = options.ledger_settings(
        ledger=ledger, client_id=client_id, user_pool_id=user_pool_id, profile=profile,
        region=region, endpoint_url=endpoint_url,
    )  # fmt: skip

    async def write() -> int:
        from batch_resend.reports import ledger_csv
        from batch_resend.reports.private_file import PrivateFile
        from batch_resend.run.open_ledger import keep_apart, ledger_of, looking

        path = await ledger_of(settings)
        keep_apart(path, output)
        async with looking(settings, path) as opened:
            with PrivateFile(output, what="--output", overwrite=overwrite) as file:
                count = ledger_csv.write(opened.messages(unknown=unknown), file)
        if output != "-":
            _say(f"{some(count, 'message')} written to {output}.")
        return int(Exit.DONE)

    return in_loop(write)


@ledger.command()
def forget(
    context: typer.Context,
    usernames: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="USERNAME",
            help="Whom to erase, by any of their names; - reads a list from standard input."
            " Arguments stay in the shell's history: better --from.",
            show_default=False,
        ),
    ] = None,
    *,
    from_file: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="A list of usernames, or - for standard input.",
            rich_help_panel="Who",
            show_default=False,
        ),
    ] = None,
    user_pool_id: options.UserPoolId = "",
    case_sensitive: options.CaseSensitive = False,
    client_id: options.LedgerOf = "",
    ledger: options.Ledger = None,
    no_mask: options.NoMask = False,
    profile: options.Profile = "",
    region: options.Region = "",
    endpoint_url: options.EndpointUrl = "",
    config: options.Config = None,
    pool: options.Pool = None,
) -> int:
    """Erase people's names for good. What they were sent still counts, by a keyed hash."""
    del config, pool  # these have spoken already
    options.check_variables(context)
    names = list(usernames or [])
    if names == ["-"] and from_file is None:
        names, from_file = [], "-"
    if bool(names) == (from_file is not None):
        raise UsageError("Whom to forget? Give usernames, or a list of them with --from FILE.")
    settings = options.ledger_settings(
        ledger=ledger, client_id=client_id, user_pool_id=user_pool_id, profile=profile,
        region=region, endpoint_url=endpoint_url, case_sensitive=case_sensitive,
    )  # fmt: skip

    async def erase() -> int:
        from batch_resend.masking import mask, printable
        from batch_resend.run.open_ledger import erasing, ledger_of
        from batch_resend.sources.csv_file import read_names

        path = await ledger_of(settings)
        if from_file is not None:
            names.extend([name async for name in read_names(from_file)])
        async with erasing(settings, path) as found:
            forgotten = await found.forget(names)
        _say(
            f"Names erased in {some(forgotten.messages, 'message')} of the ledger {path}; what"
            " was sent still counts. Copies of the ledger, reports and failed files may hold"
            " them still."
        )
        for name in forgotten.unknown:
            _say(f"Nothing is known of {printable(name) if no_mask else mask(name)}.")
        return int(Exit.SOME_FAILED if forgotten.unknown else Exit.DONE)

    return in_loop(erase)


@ledger.command()
def purge(
    context: typer.Context,
    *,
    older_than: Annotated[
        str,
        typer.Option(
            "--older-than",
            metavar="D",
            help="Messages settled, or begun and still open, longer ago: such as 365d. (required)",
            rich_help_panel="Who",
            show_default=False,
        ),
    ] = "",
    user_pool_id: options.UserPoolId = "",
    client_id: options.LedgerOf = "",
    entirely: Annotated[
        bool,
        typer.Option(
            "--entirely",
            help="Forget the messages too: these people can be written to again.",
            rich_help_panel="Guards",
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Ask no question.", rich_help_panel="Guards")
    ] = False,
    ledger: options.Ledger = None,
    profile: options.Profile = "",
    region: options.Region = "",
    endpoint_url: options.EndpointUrl = "",
    config: options.Config = None,
    pool: options.Pool = None,
) -> int:
    """Erase the names in old messages for good. What was sent still counts."""
    del config, pool  # these have spoken already
    options.check_variables(context)
    if not older_than:
        raise UsageError("--older-than is missing: give an age such as 365d.")
    from batch_resend.cli.parsing import duration

    before = time.time() - duration("--older-than", older_than)
    settings = options.ledger_settings(
        ledger=ledger, client_id=client_id, user_pool_id=user_pool_id, profile=profile,
        region=region, endpoint_url=endpoint_url,
    )  # fmt: skip

    async def erase() -> int:
        from batch_resend.run.open_ledger import erasing, ledger_of

        async with erasing(settings, await ledger_of(settings)) as found:
            count, unknown = await found.older(before, entirely=entirely)
            told = some(count, "message")
            told += f" ({unknown} of them unknown)" if unknown else ""
            if entirely:
                _confirm(f"{told} of the {found.name}", yes=yes)
            await found.purge(before, entirely=entirely)
            _say(
                f"Forgotten for good: {told} of the {found.name}. Whoever they went to can be"
                " written to again."
                if entirely
                else f"Names erased in {told} of the {found.name}; what was sent still counts."
            )
        return int(Exit.DONE)

    return in_loop(erase)


def _confirm(what: str, *, yes: bool) -> None:
    from batch_resend.console.console import can_ask

    if yes:
        return
    if not can_ask():
        raise Refused(
            f"Nothing was forgotten: --entirely would forget {what}, so that whoever they went to"
            " can be written to again. There is no terminal to confirm at: give --yes."
        )
    question = f"Forget {what}, so that whoever they went to can be written to again? [y/N] "
    sys.stderr.write(question)
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise Refused("Nothing was forgotten: it was not confirmed.")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
