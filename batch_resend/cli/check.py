"""`batch-resend check`: what would go wrong, and why, before anybody is written to."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from batch_resend.cli import options
from batch_resend.cli.event_loop import in_loop
from batch_resend.errors import UsageError

if TYPE_CHECKING:
    from batch_resend.preflight.check import Checked
    from batch_resend.settings import Settings


def check(
    context: typer.Context,
    users: Annotated[
        str | None,
        typer.Argument(
            metavar="USERS",
            help="A CSV file, or - for standard input: its rows are counted. Without it the pool's"
            " own estimate is taken.",
            show_default=False,
        ),
    ] = None,
    *,
    config: options.Config = None,
    pool: options.Pool = None,
    user_pool_id: options.UserPoolId = "",
    username_column: options.UsernameColumn = None,
    no_header: options.NoHeader = False,
    delimiter: options.Delimiter = None,
    encoding: options.Encoding = None,
    client_id: options.ClientId = "",
    client_secret_file: options.ClientSecretFile = None,
    client_secret_id: options.ClientSecretId = None,
    fetch_client_secret: options.FetchClientSecret = False,
    rate: options.Rate = "auto",
    share: options.Share = 0.5,
    json: Annotated[
        bool, options.option("--json", panel="Results", help="One JSON object, for programs.")
    ] = False,
    profile: options.Profile = "",
    region: options.Region = "",
    endpoint_url: options.EndpointUrl = "",
) -> int:
    """Say what would go wrong, and why, before anybody is written to."""
    given = dict(locals())
    for name in ("context", "config", "pool"):
        del given[name]
    options.check_variables(context)
    as_json = given.pop("json")
    if not user_pool_id:
        raise UsageError("--user-pool-id is missing: a check is about a pool, so name it.")
    settings = options.read_settings(given)

    async def work() -> int:
        checked = await _checked(settings)
        typer.echo(_told(checked, as_json=as_json))
        return int(checked.exit_code)

    return in_loop(work)


def _told(checked: Checked, *, as_json: bool) -> str:
    from batch_resend.preflight.check import lines

    return json.dumps(checked.as_json()) if as_json else "\n".join(lines(checked))


async def _checked(settings: Settings) -> Checked:
    from batch_resend.aws import clients
    from batch_resend.preflight.check import check
    from batch_resend.preflight.probe import probe
    from batch_resend.run.prepare import client_secret, count_rows, place_of, wish_of

    place = place_of(settings)
    secret = await client_secret(settings)
    rows = await count_rows(settings)
    async with clients.resend_client(
        place, timeout=1, concurrency=1, note=lambda text: typer.echo(text, err=True)
    ) as (_, region, endpoint):
        pass  # nobody is asked: only where Cognito is, as a run would find it
    facts = await probe(
        place, user_pool_id=settings.user_pool_id, client_id=settings.client_id, secret=secret
    )
    return check(facts, replace(wish_of(settings, region, endpoint, rows), alone=True))
