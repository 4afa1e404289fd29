"""`batch-resend check`: what would go wrong, and why, before any message is sent."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import IO, TYPE_CHECKING

import typer

from batch_resend.cli import options
from batch_resend.cli.command import check_variables
from batch_resend.cli.event_loop import in_loop
from batch_resend.cli.option import Option, Values, taking
from batch_resend.errors import UsageError

if TYPE_CHECKING:
    from batch_resend.preflight.check import CheckResult


# fmt: off
USERS = Option(
    flag="USERS", metavar="USERS",
    help="A file of users, or - for standard input: its rows are counted. Without it, the pool's"
    " own estimate is used.",
)
# fmt: on
STRICT = Option(flag="--strict", panel=options.RESULTS, help="Exit with 1 if there are warnings.")
CHECK = (
    USERS,
    *(
        options.CLIENT_ID,
        replace(options.USER_POOL_ID, note="Required."),
        options.CLIENT_SECRET_FILE,
    ),
    *(options.REGION, options.FORMAT, options.USERNAME_COLUMN, options.NO_HEADER),
    *(options.DELIMITER, options.ENCODING, options.CLIENT_SECRET_ID, options.FETCH_CLIENT_SECRET),
    *(options.RATE, options.SHARE, STRICT, options.JSON, options.PROFILE, options.ENDPOINT_URL),
    *(options.CONFIG, options.POOL),
)


@taking(*CHECK)
def check(context: typer.Context, typed: Values) -> int:
    """Check settings, permissions and quotas without sending anything."""
    check_variables(context)
    if not typed["user_pool_id"]:
        raise UsageError("--user-pool-id is missing. A check is about a pool, so specify it.")
    settings = options.read_settings(typed)
    as_json = typed["json"]

    async def work() -> int:
        from batch_resend.run.preflight import check_pool

        checked = await check_pool(settings, lambda text: typer.echo(text, err=True))
        checked = replace(checked, strict=typed["strict"])
        typer.echo(shown(checked, as_json=as_json, coloured_for=sys.stdout))
        return int(checked.exit_code)

    return in_loop(work)


def shown(checked: CheckResult, *, as_json: bool, coloured_for: IO[str]) -> str:
    """Return a check as text for people, in colour where that stream shows it, or as JSON."""
    from batch_resend.console.colour import coloured, shows_colour
    from batch_resend.preflight import render

    if as_json:
        return json.dumps(render.as_json(checked))
    lines = render.lines(checked)
    return "\n".join(map(coloured, lines) if shows_colour(coloured_for) else lines)
