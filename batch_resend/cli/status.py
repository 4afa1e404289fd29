"""`batch-resend status`: what the ledger knows, and who has confirmed since."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from batch_resend.aws.endpoints import AwsTarget
from batch_resend.cli import options
from batch_resend.cli.event_loop import in_loop
from batch_resend.errors import Exit, UsageError

if TYPE_CHECKING:
    from batch_resend.ledger.sqlite.records import LedgerRecords
    from batch_resend.ledger.status import Confirmations
    from batch_resend.settings import Settings


def status(
    context: typer.Context,
    username: Annotated[
        str | None,
        typer.Argument(
            metavar="USERNAME",
            help="Show the history of this user only, by any of their names.",
            show_default=False,
        ),
    ] = None,
    *,
    user_pool_id: options.UserPoolId = "",
    case_sensitive: options.CaseSensitive = False,
    client_id: options.LedgerOf = "",
    ledger: options.Ledger = None,
    max_sends: options.MaxSends = 1,
    json: options.Json = False,
    no_mask: options.NoMask = False,
    profile: options.Profile = "",
    region: options.Region = "",
    endpoint_url: options.EndpointUrl = "",
    config: options.Config = None,
    pool: options.Pool = None,
) -> int:
    """Show what the ledger knows: runs, users, unknown ones, one user's history.

    With --user-pool-id also how many have confirmed since. Nothing is changed and nobody
    kept waiting: it can be asked while a run goes on.
    """
    del config, pool  # these have spoken already
    options.check_variables(context)
    if max_sends < 0:
        raise UsageError(f"--max-sends {max_sends}: give a whole number of at least 0.")
    settings = options.ledger_settings(
        ledger=ledger, client_id=client_id, user_pool_id=user_pool_id, profile=profile,
        region=region, endpoint_url=endpoint_url, case_sensitive=case_sensitive,
    )  # fmt: skip
    if username is None:
        return in_loop(lambda: _status(settings, max_sends, json=json, masked=not no_mask))
    return in_loop(lambda: _history(settings, username, json=json, masked=not no_mask))


async def _history(settings: Settings, name: str, *, json: bool, masked: bool) -> int:
    from batch_resend.ledger import status as told
    from batch_resend.run.open_ledger import ledger_of, looking

    path = await ledger_of(settings)
    async with looking(settings, path, only=name) as ledger:
        messages = ledger.person(name)
    if json:
        _print(_line(told.history_json(name, str(path), messages, masked=masked)))
    else:
        _print(*told.history_lines(name, str(path), messages, masked=masked))
    return int(Exit.DONE if messages else Exit.SOME_FAILED)


async def _status(settings: Settings, max_sends: int, *, json: bool, masked: bool) -> int:
    import shlex
    from itertools import islice
    from pathlib import Path

    from batch_resend.ledger import status as told
    from batch_resend.run.open_ledger import is_held, ledger_of, looking

    path = await ledger_of(settings)
    before = is_held(path)
    async with looking(settings, path) as ledger:
        found = told.Status(
            ledger=str(path),
            simulated=ledger.is_simulated,
            running=before or is_held(path),
            runs=ledger.runs(),
            stock=told.take_stock(ledger.users(), max_sends),
            unknown=list(islice(ledger.messages(unknown=True), told.SHOWN)),
            confirmations=await _confirmations(settings, ledger),
        )
    if json:
        _print(_line(told.as_json(found, masked=masked)))
    else:
        more = f"batch-resend ledger export --unknown --ledger {shlex.quote(str(path))}"
        if not isinstance(path, Path) and settings.pool_region:
            more += f" --region {shlex.quote(settings.pool_region)}"
        _print(*told.lines(found, more=more, masked=masked))
    return int(Exit.DONE)


async def _confirmations(settings: Settings, ledger: LedgerRecords) -> Confirmations | None:
    if not settings.user_pool_id:
        return None
    import time

    from batch_resend.aws import clients
    from batch_resend.ledger import confirmations
    from batch_resend.ledger import status as told

    place = AwsTarget(settings.pool_region, settings.profile, settings.endpoint_url)
    with confirmations.Listed() as listed:
        async with clients.signed_client(place, clients.COGNITO) as client:
            await listed.read(client, settings.user_pool_id, ledger, _say)
        return told.confirmations(ledger.users(), listed.status, settings.user_pool_id, time.time())


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _line(told: dict[str, Any]) -> str:
    import json

    return json.dumps(told)


def _print(*lines: str) -> None:
    from batch_resend.reports.private_file import PrivateFile

    with PrivateFile("-", what="The status") as out:
        out.append("".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))
