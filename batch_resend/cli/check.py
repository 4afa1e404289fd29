"""`batch-resend check`: what would go wrong, and why, before anybody is written to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from batch_resend.cli import options
from batch_resend.cli.event_loop import in_loop
from batch_resend.errors import UsageError

if TYPE_CHECKING:
    from batch_resend.preflight.check import Checked


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
        from batch_resend.run.preflight import check_pool

        checked = await check_pool(settings, lambda text: typer.echo(text, err=True))
        typer.echo(_told(checked, as_json=as_json))
        return int(checked.exit_code)

    return in_loop(work)


def _told(checked: Checked, *, as_json: bool) -> str:
    from batch_resend.preflight.check import lines

    return json.dumps(checked.as_json()) if as_json else "\n".join(lines(checked))
