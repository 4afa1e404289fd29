"""`batch-resend simulate`: a local Cognito to try things against."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from batch_resend.cli import parsing
from batch_resend.cli.event_loop import SIGNALS, in_loop
from batch_resend.cli.option import Option, Values, taking
from batch_resend.errors import Refused, UsageError
from batch_resend.wording import grouped

if TYPE_CHECKING:
    from batch_resend.simulator.rules import Cognito

# fmt: off
SIMULATE = (
    Option(
        flag="--host", metavar="ADDRESS", default="127.0.0.1", environment=False,
        help="Loopback address to listen on.",
    ),
    Option(
        flag="--port", metavar="PORT", default="4570", environment=False, parse=parsing.whole,
        help="Port; 0 for any free one.",
    ),
    Option(
        flag="--users", metavar="COUNT", default="500", environment=False, parse=parsing.whole,
        help="Number of users in the pool.",
    ),
    Option(
        flag="--rate", metavar="N", default="50", environment=False, parse=parsing.number,
        help="Quota in requests per second.",
    ),
    Option(
        flag="--mail-quota", metavar="COUNT", default="0", environment=False, parse=parsing.whole,
        help="Daily mail quota: Cognito's own sender has 50; 0 for none.",
    ),
    Option(
        flag="--event-delay", metavar="DURATION", default="10s", environment=False,
        parse=parsing.duration,
        help="Time until CloudTrail's event history shows a call.",
    ),
    Option(
        flag="--text-messages", environment=False,
        help="Send text messages to users with a telephone number.",
    ),
)
# fmt: on


@taking(*SIMULATE)
def simulate(context: typer.Context, typed: Values) -> int:
    """Run a local Cognito to try things against. Ends with Ctrl-C."""
    del context
    values = _checked(typed)
    host, port, users = values["host"], values["port"], values["users"]

    async def serve() -> int:
        import anyio

        from batch_resend.aws.tls import check_key_log

        check_key_log()  # before the server's libraries are imported
        from batch_resend.simulator.server import serve_forever

        with anyio.open_signal_receiver(*SIGNALS) as signals:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(
                    serve_forever, _cognito(values), host, port, partial(_announce, users)
                )
                async for number in signals:
                    tasks.cancel_scope.cancel()
                    return 128 + number
        return 0

    try:
        return in_loop(serve)
    except* OSError as errors:
        raise Refused(f"--port {port} cannot be used ({errors.exceptions[0]}).") from None


def _checked(typed: Values) -> dict[str, Any]:
    values = {row.name: row.read(typed[row.name] or row.default) for row in SIMULATE if row.default}
    values["text_messages"] = typed["text_messages"]
    if values["host"] not in {"127.0.0.1", "::1", "localhost"}:
        raise Refused(
            f"--host {values['host']} is not a loopback address: the simulator serves this machine"
            " only."
        )
    if not 0 <= values["port"] <= 65535:
        raise UsageError(f"--port {values['port']}: use a port up to 65535, or 0 for any free one.")
    for name in ("users", "mail_quota"):
        if values[name] < 0:
            raise UsageError(f"--{name.replace('_', '-')} {values[name]}: the minimum is 0.")
    if not values["rate"] > 0:
        raise UsageError(f"--rate {values['rate']:g}: requests per second must be above 0.")
    return values


def _cognito(values: Values) -> Cognito:
    from batch_resend.run.backends import SIMULATED_CLIENT, SIMULATED_POOL
    from batch_resend.simulator.cloudtrail import EventHistory, Recording
    from batch_resend.simulator.pool import Pool, make_users
    from batch_resend.simulator.quota import Quota
    from batch_resend.simulator.rules import Cognito
    from batch_resend.simulator.setup import Client, PoolSettings
    from batch_resend.simulator.undelivered import unreachable

    now = time.time()
    users = make_users(values["users"], now=now)
    verified = ("email", "phone_number") if values["text_messages"] else ("email",)
    return Cognito(
        Pool(users, open_to_all=True),
        client=Client(SIMULATED_CLIENT),
        settings=PoolSettings(SIMULATED_POOL, verified, values["mail_quota"] or None),
        undelivered=unreachable(users, now),
        quota=Quota(values["rate"]),
        history=EventHistory(Recording(delay=values["event_delay"]), pool_id=SIMULATED_POOL),
    )


def _announce(users: int, url: str) -> None:
    from batch_resend.run.backends import SIMULATED_CLIENT, SIMULATED_POOL

    typer.echo(f"Simulated Cognito at {url}, {grouped(users, 'user')} in {SIMULATED_POOL}.")
    typer.echo("Ctrl-C stops it. In another terminal, try:")
    typer.echo("  export AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x")
    services = " ".join(f"AWS_ENDPOINT_URL_{name}={url}" for name in ("CLOUDTRAIL", "SESV2", "SNS"))
    typer.echo(f"  export {services}")
    typer.echo(
        f"  batch-resend run --endpoint-url {url} --user-pool-id {SIMULATED_POOL}"
        f" --client-id {SIMULATED_CLIENT}"
    )
    typer.echo(
        f"  batch-resend reconcile --endpoint-url {url} --client-id {SIMULATED_CLIENT}"
        " --region us-east-1"
    )
