"""`batch-resend ledger`: export the ledger as CSV, erase users, purge old entries.

Who is erased is not taken from the environment, and neither is the word to go on without
a question: variables that were set for `run` must not decide about that here.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import typer

from batch_resend.cli import options, parsing
from batch_resend.cli.command import Command, Commands, check_variables
from batch_resend.cli.event_loop import in_loop
from batch_resend.cli.option import Option, Values, taking
from batch_resend.errors import Exit, Refused, UsageError
from batch_resend.ledger import Extent
from batch_resend.wording import some

ledger = typer.Typer(
    cls=Commands, help="Export the ledger, erase users, purge old entries.", no_args_is_help=True
)

# fmt: off
_ONLY_SHOW = Option(
    flag="--dry-run", short="-n", panel=options.GUARDS, environment=False,
    help="Show how much would be erased; erase nothing.",
)
_YES = replace(
    options.YES, panel=options.GUARDS, environment=False, note="",
    help="Ask no question, for cron. Without a terminal it is needed.",
)
EXPORT = (
    *options.TARGET,
    Option(
        flag="--unknown", panel=options.RESULTS, environment=False,
        help="Only messages with an unknown outcome.",
    ),
    options.OUTPUT,
    options.OVERWRITE,
)
FORGET = (
    Option(
        flag="USERNAMES", metavar="USERNAME...", repeat=True,
        help="Users to erase, by any of their names; - reads a list from standard input."
        " Arguments stay in the shell's history: better use --from.",
    ),
    Option(
        flag="--from", metavar="FILE", panel=options.USERS_PANEL, environment=False,
        help="List of usernames; - for standard input.",
    ),
    *options.TARGET,
    options.ANY_CASE,
    _ONLY_SHOW,
    _YES,
    options.NO_MASK,
)
PURGE = (
    Option(
        flag="--older-than", metavar="DURATION", panel=options.USERS_PANEL, environment=False,
        parse=parsing.duration,
        help="Messages completed, or started and still open, longer ago, such as 365d. (required)",
    ),
    *options.TARGET,
    Option(
        flag="--entirely", panel=options.GUARDS, environment=False,
        help="Delete the messages too: their recipients can be messaged again.",
    ),
    _ONLY_SHOW,
    _YES,
)
# fmt: on


@ledger.command(cls=Command)
@taking(*EXPORT)
def export(context: typer.Context, typed: Values) -> int:
    """Write every message in the ledger as a CSV row, names in full."""
    check_variables(context)
    target = options.ledger_target(typed)
    output, overwrite, unknown = typed["output"] or "-", typed["overwrite"], typed["unknown"]

    async def write() -> int:
        from batch_resend.reports import ledger_csv
        from batch_resend.reports.private_file import PrivateFile
        from batch_resend.run.open_ledger import keep_apart, ledger_of, looking

        path = await ledger_of(target)
        keep_apart(path, output)
        async with looking(target, path) as opened:
            with PrivateFile(output, what="--output", overwrite=overwrite) as file:
                count = ledger_csv.write(opened.messages(unknown=unknown), file)
        if output != "-":
            _say(f"{some(count, 'message')} written to {output}.")
        return int(Exit.DONE)

    return in_loop(write)


@ledger.command(cls=Command)
@taking(*FORGET)
def forget(context: typer.Context, typed: Values) -> int:
    """Erase people's names for good. What they were sent still counts, by a keyed hash."""
    check_variables(context)
    names, from_file, no_mask = list(typed["usernames"] or ()), typed["from_"], typed["no_mask"]
    if names == ["-"] and from_file is None:
        names, from_file = [], "-"
    if bool(names) == (from_file is not None):
        raise UsageError(
            "No usernames given. Pass them as arguments or with --from FILE."
            if not names
            else "USERNAME and --from cannot be combined."
        )
    target, dry_run, yes = options.ledger_target(typed), typed["dry_run"], typed["yes"]

    async def erase() -> int:
        from batch_resend.masking import mask, printable
        from batch_resend.run.open_ledger import erasing, ledger_of
        from batch_resend.sources.names import read_names

        path = await ledger_of(target)
        if from_file is not None:
            names.extend([row[0] async for row in read_names(from_file)])
        async with erasing(target, path) as ledger:
            reach = await ledger.reach(names)
            missing = [printable(name) if no_mask else mask(name) for name in reach.missing]
            what = f"the names in {_shown(reach)} of the ledger {path}"
            if reach.messages and _goes_on(f"Erase {what}?", dry_run=dry_run, yes=yes):
                await ledger.forget(names)
        if dry_run:
            _say(f"Nothing was erased. It would erase {what}; what was sent still counts.")
        else:
            _say(
                f"Names erased in {some(reach.messages, 'message')} of the ledger {path}; what"
                " was sent still counts. Copies of the ledger, reports and failed files may hold"
                " them still."
            )
        for name in missing:
            _say(f"No record of {name}.")
        return int(Exit.SOME_FAILED if missing else Exit.DONE)

    return in_loop(erase)


@ledger.command(cls=Command)
@taking(*PURGE)
def purge(context: typer.Context, typed: Values) -> int:
    """Erase the names in old messages for good. What was sent still counts."""
    check_variables(context)
    if not typed["older_than"]:
        raise UsageError("--older-than is missing. Use an age such as 365d.")
    before = time.time() - parsing.duration("--older-than", typed["older_than"])
    target, yes, entirely = options.ledger_target(typed), typed["yes"], typed["entirely"]
    dry_run = typed["dry_run"]

    async def erase() -> int:
        from batch_resend.run.open_ledger import erasing, ledger_of

        async with erasing(target, await ledger_of(target)) as ledger:
            reach = await ledger.older(before, entirely=entirely)
            what = f"{_shown(reach)} of the {ledger.name}"
            if entirely:
                question = f"Delete {what}, so that their recipients can be messaged again?"
            else:
                question = f"Erase the names in {what}?"
            if reach.messages and _goes_on(question, dry_run=dry_run, yes=yes):
                await ledger.purge(before, entirely=entirely)
            counted = some(reach.messages, "message")
            counted += f" ({reach.unknown:,} of them unknown)" if reach.unknown else ""
            if dry_run and entirely:
                _say(f"Nothing was deleted. It would delete {what}.")
            elif dry_run:
                _say(f"Nothing was erased. It would erase the names in {what}.")
            elif entirely:
                _say(
                    f"Deleted {counted} of the {ledger.name}. Their recipients can be messaged"
                    " again."
                )
            else:
                _say(f"Names erased in {counted} of the {ledger.name}; what was sent still counts.")
        return int(Exit.DONE)

    return in_loop(erase)


def _shown(reach: Extent) -> str:
    """Return how many messages are reached, and of which days."""
    shown = some(reach.messages, "message")
    if reach.unknown:
        shown += f" ({reach.unknown:,} of them unknown)"
    if reach.oldest is not None and reach.newest is not None:
        first, last = (
            time.strftime("%Y-%m-%d", time.gmtime(at)) for at in (reach.oldest, reach.newest)
        )
        shown += f" of {first}" if first == last else f" from {first} to {last}"
    return shown


def _goes_on(question: str, *, dry_run: bool, yes: bool) -> bool:
    """Whether to erase; asks at a terminal, and raises `Refused` where the answer is no."""
    from batch_resend.console.console import can_ask, forget_typed_ahead

    if dry_run or yes:
        return not dry_run
    if not can_ask():
        raise Refused(
            f"Nothing was erased: there is no terminal to confirm at. {question} Preview it with"
            " --dry-run, then add --yes."
        )
    forget_typed_ahead()
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise Refused("Nothing was erased: it was not confirmed.")
    return True


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
