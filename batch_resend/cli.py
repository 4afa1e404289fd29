"""The command line: parse, assemble, run, and turn the summary into an exit code.

Anything that counts, decides or formats stands below this module and is tested there.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import typer

from batch_resend import __version__
from batch_resend.errors import BatchResendError, Exit, Refused, UsageError

app = typer.Typer(
    name="batch-resend",
    help="Resend Amazon Cognito's confirmation code to every unconfirmed user: one line per row,"
    " one message per person.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ONE_STORM = 1.0  #: seconds in which several signals are one wish to stop


def program(arguments: Sequence[str]) -> int:
    """Run the program; return its exit code, whatever happens."""
    try:
        code = app(list(arguments), standalone_mode=False)
    except BatchResendError as error:
        _complain(str(error))
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
            _complain(f"{sentence().rstrip('.')}. See '{command} --help'.")
            return int(getattr(error, "exit_code", Exit.USAGE))
        _complain(f"This should not have happened: {_where(error)}. Please report it.")
        return int(Exit.SETTINGS)
    return code if isinstance(code, int) else int(Exit.DONE)


def _complain(text: str) -> None:
    sys.stderr.write(f"Error: {text}\n")


def _where(error: BaseException) -> str:
    """Name an unexpected error and its place; never its text, which may hold anything."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    code = trace.tb_frame.f_code
    return f"{type(error).__name__} in {os.path.basename(code.co_filename)}:{trace.tb_lineno}"  # noqa: PTH119


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


def _option(*names: str, panel: str, help: str, metavar: str | None = None, **more: Any) -> Any:  # noqa: A002
    variable = "BATCH_RESEND_" + names[0].split("/")[0].lstrip("-").upper().replace("-", "_")
    return typer.Option(
        *names, help=help, metavar=metavar, rich_help_panel=panel, envvar=variable,
        show_envvar=False, show_default=False, **more,
    )  # fmt: skip


def _check_variables(context: typer.Context) -> None:
    """Refuse a variable that looks like an option's and is none: it may have meant --dry-run."""
    known = {"BATCH_RESEND_CLIENT_SECRET"}
    for parameter in context.command.params:
        name = parameter.envvar
        known |= {name} if isinstance(name, str) else set(name or ())
    for name in sorted(os.environ):
        if name.startswith("BATCH_RESEND_") and name not in known:
            import difflib

            near = difflib.get_close_matches(name, sorted(known), 1)
            raise UsageError(
                f"{name} is set and is no option's variable: unset it"
                + (f", or did you mean {near[0]}?" if near else ".")
            )


@app.command()
def run(
    context: typer.Context,
    users: Annotated[
        str | None,
        typer.Argument(
            metavar="USERS",
            help="A CSV file, or - for standard input. Without it the users are listed from"
            " --user-pool-id.",
            show_default=False,
        ),
    ] = None,
    *,
    user_pool_id: Annotated[
        str,
        _option(
            "--user-pool-id",
            panel="Who",
            metavar="ID",
            help="The pool; its beginning is the default Region.",
        ),
    ] = "",
    filter: Annotated[  # noqa: A002 - the option's name is Cognito's
        str | None,
        _option(
            "--filter",
            panel="Who",
            metavar="EXPR",
            help="Passed to ListUsers as it is. (default: the unconfirmed)",
        ),
    ] = None,
    username_column: Annotated[
        str | None,
        _option(
            "--username-column",
            panel="Who",
            metavar="NAME",
            help="CSV column of the username. (default: found by name)",
        ),
    ] = None,
    no_header: Annotated[
        bool,
        _option(
            "--no-header", panel="Who", help="The CSV has no header; its columns are 1, 2, ..."
        ),
    ] = False,
    case_sensitive: Annotated[
        bool,
        _option(
            "--case-sensitive",
            panel="Who",
            help="Names that differ only in case are different users.",
        ),
    ] = False,
    one_per_address: Annotated[
        bool,
        _option(
            "--one-per-address",
            panel="Who",
            help="Only the newest account of an address (listing only).",
        ),
    ] = False,
    delimiter: Annotated[
        str | None,
        _option(
            "--delimiter",
            panel="Who",
            metavar="C",
            help="Between the CSV's cells. (default: sniffed)",
        ),
    ] = None,
    encoding: Annotated[
        str | None,
        _option("--encoding", panel="Who", metavar="E", help="Of the CSV. (default: sniffed)"),
    ] = None,
    older_than: Annotated[
        str | None,
        _option(
            "--older-than", panel="Who", metavar="D", help="Signed up longer ago (listing only)."
        ),
    ] = None,
    newer_than: Annotated[
        str | None,
        _option(
            "--newer-than", panel="Who", metavar="D", help="Signed up less long ago (listing only)."
        ),
    ] = None,
    match: Annotated[
        list[str] | None,
        _option(
            "--match",
            panel="Who",
            metavar="ATTR=REGEX",
            help="A column or attribute must match; repeatable.",
        ),
    ] = None,
    exclude: Annotated[
        str | None,
        _option("--exclude", panel="Who", metavar="FILE", help="Usernames never to write to."),
    ] = None,
    limit: Annotated[
        int | None, _option("--limit", panel="Who", metavar="N", help="Only the first N eligible.")
    ] = None,
    sample: Annotated[
        int | None,
        _option(
            "--sample", panel="Who", metavar="N", help="Only N of the eligible, drawn at random."
        ),
    ] = None,
    client_id: Annotated[
        str, _option("--client-id", panel="What", metavar="ID", help="The app client. (required)")
    ] = "",
    client_secret_file: Annotated[
        str | None,
        _option(
            "--client-secret-file",
            panel="What",
            metavar="FILE",
            help="The client's secret; or set BATCH_RESEND_CLIENT_SECRET.",
        ),
    ] = None,
    client_secret_id: Annotated[
        str | None,
        _option(
            "--client-secret-id",
            panel="What",
            metavar="ID",
            help="Its ARN or name in Secrets Manager.",
        ),
    ] = None,
    fetch_client_secret: Annotated[
        bool,
        _option(
            "--fetch-client-secret",
            panel="What",
            help="Ask Cognito for it (DescribeUserPoolClient).",
        ),
    ] = False,
    metadata: Annotated[
        list[str] | None,
        _option(
            "--metadata",
            panel="What",
            metavar="KEY=VALUE",
            help="For the pool's triggers; KEY=@NAME takes the row's column; repeatable.",
        ),
    ] = None,
    ip_address: Annotated[
        str,
        _option("--ip-address", panel="What", metavar="V", help="UserContextData; @NAME as above."),
    ] = "",
    encoded_data: Annotated[
        str,
        _option(
            "--encoded-data", panel="What", metavar="V", help="UserContextData; @NAME as above."
        ),
    ] = "",
    analytics_endpoint_id: Annotated[
        str,
        _option(
            "--analytics-endpoint-id",
            panel="What",
            metavar="V",
            help="AnalyticsMetadata; @NAME as above.",
        ),
    ] = "",
    rate: Annotated[
        str,
        _option(
            "--rate",
            panel="How fast",
            metavar="auto|N",
            help="Most requests a second. (default: auto, the --share of the quota)",
        ),
    ] = "auto",
    share: Annotated[
        float,
        _option(
            "--share",
            panel="How fast",
            metavar="F",
            help="Part of the quota to take. (default: 0.5)",
        ),
    ] = 0.5,
    concurrency: Annotated[
        int,
        _option(
            "--concurrency",
            panel="How fast",
            metavar="N",
            help="Most requests in flight. (default: 64)",
        ),
    ] = 64,
    max_attempts: Annotated[
        int,
        _option(
            "--max-attempts",
            panel="How fast",
            metavar="N",
            help="Tries per user where nothing can have been sent. (default: 5)",
        ),
    ] = 5,
    timeout: Annotated[
        str,
        _option("--timeout", panel="How fast", metavar="D", help="For one request. (default: 10s)"),
    ] = "10s",
    deadline: Annotated[
        str | None,
        _option(
            "--deadline", panel="How fast", metavar="D", help="Start no new user after so long."
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        _option(
            "--dry-run",
            panel="Guards",
            help="Everything but the sending: who, and who not and why.",
        ),
    ] = False,
    yes: Annotated[bool, _option("--yes", panel="Guards", help="Ask no question.")] = False,
    max_sent: Annotated[
        int | None,
        _option("--max-sent", panel="Guards", metavar="N", help="Stop after N accepted messages."),
    ] = None,
    max_failures: Annotated[
        str,
        _option(
            "--max-failures",
            panel="Guards",
            metavar="N|P%",
            help="Stop when more failed or are unknown. (default: 50%)",
        ),
    ] = "50%",
    give_up_after: Annotated[
        str,
        _option(
            "--give-up-after",
            panel="Guards",
            metavar="D",
            help="Stop without any definite answer for so long. (default: 5m)",
        ),
    ] = "5m",
    ledger: Annotated[
        str | None,
        _option(
            "--ledger",
            panel="Memory",
            metavar="PATH",
            help="Who was sent what. (default: one per Region and client)",
        ),
    ] = None,
    require_ledger: Annotated[
        bool,
        _option(
            "--require-ledger", panel="Memory", help="Refuse to begin with a new, empty ledger."
        ),
    ] = False,
    max_sends: Annotated[
        int,
        _option(
            "--max-sends",
            panel="Memory",
            metavar="N",
            help="Messages per user over all runs; 0: no cap. (default: 1)",
        ),
    ] = 1,
    cooldown: Annotated[
        str,
        _option("--cooldown", panel="Memory", metavar="D", help="Not again within. (default: 24h)"),
    ] = "24h",
    resend_unsettled: Annotated[
        bool,
        _option(
            "--resend-unsettled",
            panel="Memory",
            help="Send again where an answer was lost: somebody may get two.",
        ),
    ] = False,
    report: Annotated[
        str | None,
        _option(
            "--report",
            panel="Results",
            metavar="PATH",
            help="CSV of every row; - for standard output. (default: resend-report-<UTC time>.csv)",
        ),
    ] = None,
    overwrite: Annotated[
        bool, _option("--overwrite", panel="Results", help="Replace files that exist.")
    ] = False,
    failed: Annotated[
        str | None,
        _option(
            "--failed",
            panel="Results",
            metavar="PATH",
            help="The rows to try again, as they stood in the input.",
        ),
    ] = None,
    summary: Annotated[
        str | None,
        _option(
            "--summary",
            panel="Results",
            metavar="PATH",
            help="One JSON object; - for standard output.",
        ),
    ] = None,
    quiet: Annotated[
        bool, _option("--quiet", "-q", panel="Results", help="Only the summary and errors.")
    ] = False,
    verbose: Annotated[
        bool,
        _option(
            "--verbose", "-v", panel="Results", help="A line for every row that is not sent a code."
        ),
    ] = False,
    log_format: Annotated[
        str,
        _option(
            "--log-format",
            panel="Results",
            metavar="text|json",
            help="json: one object a line. (default: text)",
        ),
    ] = "text",
    no_progress: Annotated[
        bool, _option("--no-progress", panel="Results", help="No live line.")
    ] = False,
    no_mask: Annotated[
        bool, _option("--no-mask", panel="Results", help="Show names in full.")
    ] = False,
    profile: Annotated[
        str, _option("--profile", panel="AWS", metavar="NAME", help="As in the AWS CLI.")
    ] = "",
    region: Annotated[
        str, _option("--region", panel="AWS", metavar="NAME", help="As in the AWS CLI.")
    ] = "",
    endpoint_url: Annotated[
        str,
        _option(
            "--endpoint-url",
            panel="AWS",
            metavar="URL",
            help="Of Cognito; plain http only on this machine.",
        ),
    ] = "",
    simulate: Annotated[
        bool,
        _option("--simulate", panel="AWS", help="Run against the embedded Cognito instead of AWS."),
    ] = False,
) -> int:
    """Send each unconfirmed user one code, and report what happened to each."""
    given = dict(locals())
    del given["context"]
    _check_variables(context)
    from batch_resend import config
    from batch_resend.progress import Console, can_ask

    shown = ("yes", "quiet", "verbose", "no_progress", "no_mask", "log_format")
    for name in shown:
        del given[name]
    if log_format not in {"text", "json"}:
        raise UsageError(f"--log-format {log_format!r}: give text or json.")
    for name in ("older_than", "newer_than", "timeout", "deadline", "give_up_after", "cooldown"):
        if given[name] is not None:
            given[name] = config.duration("--" + name.replace("_", "-"), given[name])
    settings = config.Settings(
        **given
        | {
            "header": not given.pop("no_header"),
            "match": config.matches(match or []),
            "metadata": config.key_values("--metadata", metadata or []),
            "rate": config.rate(rate),
            "max_failures": config.max_failures(max_failures),
        }
    )
    yes = yes or dry_run or simulate
    if not yes and (users == "-" or not can_ask()):
        raise Refused(
            "Nobody was written to: there is no terminal to confirm at. Look at --dry-run first,"
            " then give --yes."
        )
    console = Console(
        yes=yes,
        quiet=quiet,
        verbose=verbose,
        json_lines=log_format == "json",
        live=not no_progress,
        masked=not no_mask,
    )
    return _in_loop(lambda: _run(settings, console))


async def _run(settings: Any, console: Any) -> int:
    import anyio

    from batch_resend.outcome import Stop
    from batch_resend.run import Run

    job = Run(settings, observer=console)

    async def listen(*, task_status: anyio.abc.TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(*_SIGNALS) as signals:
            task_status.started()
            first: float | None = None
            async for number in signals:
                now = time.monotonic()
                if first is None:
                    first = now
                    if job.sending:
                        console.note(
                            f"{number.name}: settling what is in flight; again to leave at once."
                        )
                    job.stop(Stop[number.name])
                elif now - first > _ONE_STORM:
                    os._exit(128 + number)  # the intents are on disk: the next run names them

    code = Exit.SETTINGS
    async with anyio.create_task_group() as tasks:
        await tasks.start(listen)
        async with console.progress():
            try:  # inside: what leaves a task group is a group of errors
                summary = await job.execute()
            except BatchResendError as error:
                console.error(str(error))
                code = error.exit_code
            else:
                console.ended(summary)
                code = summary.exit_code
        tasks.cancel_scope.cancel()
    return int(code)


@app.command()
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

    async def serve() -> int:
        import anyio

        from batch_resend.run import SIMULATED_CLIENT, SIMULATED_POOL
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

        with anyio.open_signal_receiver(*_SIGNALS) as signals:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(serve_forever, cognito, host, port, announce)
                async for number in signals:
                    tasks.cancel_scope.cancel()
                    return 128 + number
        return 0

    try:
        return _in_loop(serve)
    except* OSError as errors:
        raise Refused(f"--port {port} cannot be used ({errors.exceptions[0]}).") from None


def _in_loop(work: Callable[[], Awaitable[int]]) -> int:
    import importlib.util

    import anyio

    faster = importlib.util.find_spec("uvloop") is not None
    return anyio.run(work, backend_options={"use_uvloop": faster})
