"""`batch-resend simulate`: a local Cognito to try things against."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from batch_resend.cli.event_loop import SIGNALS, in_loop
from batch_resend.errors import Refused, UsageError


def simulate(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Loopback address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="Port; 0 is any free one.")] = 4570,
    users: Annotated[int, typer.Option(metavar="N", help="How many users the pool has.")] = 500,
    rate: Annotated[float, typer.Option(metavar="N", help="Quota in requests a second.")] = 50.0,
    mail_quota: Annotated[
        int,
        typer.Option(metavar="N", help="Mails a day, as Cognito's own sender has 50; 0: no limit."),
    ] = 0,
) -> int:
    """Run a local Cognito to try things against. Ends with Ctrl-C."""
    if host not in {"127.0.0.1", "::1", "localhost"}:
        raise Refused(f"--host {host} is not a loopback address: the simulator serves nobody else.")
    if not 0 <= port <= 65535:
        raise UsageError(f"--port {port}: give a port up to 65535, or 0 for any free one.")
    for option, number in (("--users", users), ("--mail-quota", mail_quota)):
        if number < 0:
            raise UsageError(f"{option} {number}: give a number of at least 0.")
    if not rate > 0:
        raise UsageError(f"--rate {rate:g}: give requests a second, above 0.")

    async def serve() -> int:
        import anyio

        from batch_resend.run.backends import SIMULATED_CLIENT, SIMULATED_POOL
        from batch_resend.simulator.pool import Pool, make_users
        from batch_resend.simulator.quota import Quota
        from batch_resend.simulator.rules import Client, Cognito, PoolSettings
        from batch_resend.simulator.server import serve_forever

        cognito = Cognito(
            Pool(make_users(users, now=time.time()), open_to_all=True),
            client=Client(SIMULATED_CLIENT),
            settings=PoolSettings(SIMULATED_POOL, mail_quota=mail_quota or None),
            quota=Quota(rate),
        )

        def announce(url: str) -> None:
            typer.echo(f"Simulated Cognito at {url}, {users} users in {SIMULATED_POOL}. Try:")
            typer.echo("  export AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x")
            typer.echo(
                f"  batch-resend run --user-pool-id {SIMULATED_POOL} --client-id {SIMULATED_CLIENT}"
                f" --endpoint-url {url} --yes"
            )

        with anyio.open_signal_receiver(*SIGNALS) as signals:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(serve_forever, cognito, host, port, announce)
                async for number in signals:
                    tasks.cancel_scope.cancel()
                    return 128 + number
        return 0

    try:
        return in_loop(serve)
    except* OSError as errors:
        raise Refused(f"--port {port} cannot be used ({errors.exceptions[0]}).") from None
