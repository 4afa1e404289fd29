"""`batch-resend run`: the job."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import typer

from batch_resend.cli import option_sources, options
from batch_resend.cli.event_loop import SIGNALS, in_loop
from batch_resend.errors import BatchResendError, UsageError

if TYPE_CHECKING:
    from batch_resend.console.console import Console
    from batch_resend.monitoring.notify import Notice
    from batch_resend.pools.run import Pools
    from batch_resend.run.prepare import Run

_ONE_STORM = 1.0  #: seconds in which several signals are one wish to stop

_FILES = {
    "users": "the input",
    "exclude": "--exclude",
    "client_secret_file": "--client-secret-file",
    "ledger": "--ledger",
    "report": "--report",
    "failed": "--failed",
    "html": "--html",
    "summary": "--summary",
}  #: which metrics are kept apart from


def run(
    context: typer.Context,
    users: options.Users = None,
    *,
    user: options.User = None,
    format: options.Format = None,  # noqa: A002 - the option's name
    user_pool_id: options.UserPoolId = "",
    filter: options.Filter = None,  # noqa: A002 - the option's name is Cognito's
    username_column: options.UsernameColumn = None,
    no_header: options.NoHeader = False,
    case_sensitive: options.CaseSensitiveOrNot = None,
    one_per_address: options.OnePerAddress = False,
    delimiter: options.Delimiter = None,
    encoding: options.Encoding = None,
    older_than: options.OlderThan = None,
    newer_than: options.NewerThan = None,
    since: options.Since = None,
    match: options.Match = None,
    exclude: options.Exclude = None,
    limit: options.Limit = None,
    sample: options.Sample = None,
    waves: options.Waves = None,
    client_id: options.ClientId = "",
    client_secret_file: options.ClientSecretFile = None,
    client_secret_id: options.ClientSecretId = None,
    fetch_client_secret: options.FetchClientSecret = False,
    metadata: options.Metadata = None,
    ip_address: options.IpAddress = "",
    encoded_data: options.EncodedData = "",
    analytics_endpoint_id: options.AnalyticsEndpointId = "",
    rate: options.Rate = "auto",
    share: options.Share = 0.5,
    concurrency: options.Concurrency = 64,
    max_attempts: options.MaxAttempts = 5,
    timeout: options.Timeout = "10s",
    deadline: options.Deadline = None,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    max_sent: options.MaxSent = None,
    max_failures: options.MaxFailures = "50%",
    give_up_after: options.GiveUpAfter = "5m",
    ledger: options.Ledger = None,
    create_ledger: options.CreateLedger = False,
    require_ledger: options.RequireLedger = False,
    max_sends: options.MaxSends = 1,
    cooldown: options.Cooldown = "24h",
    resend_unknown: options.ResendUnknown = None,
    report: options.Report = None,
    overwrite: options.Overwrite = False,
    failed: options.Failed = None,
    html: options.Html = None,
    summary: options.Summary = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    log_format: options.LogFormat = "text",
    no_progress: options.NoProgress = False,
    no_mask: options.NoMask = False,
    ping_url: options.PingUrl = None,
    metrics: options.Metrics = None,
    profile: options.Profile = "",
    region: options.Region = "",
    endpoint_url: options.EndpointUrl = "",
    simulate: options.Simulate = False,
    config: options.Config = None,
    pool: options.Pool = None,
    all_pools: options.AllPools = False,
) -> int:
    """Send each unconfirmed user one code, and report what happened to each."""
    given = dict(locals())
    for name in ("context", *options.OF_THE_PROGRAM):
        del given[name]
    from batch_resend.console.console import Console, must_ask
    from batch_resend.monitoring import notify
    from batch_resend.run.prepare import Run

    if log_format not in {"text", "json"}:
        raise UsageError(f"--log-format {log_format!r}: give text or json.")
    yes = yes or dry_run or simulate
    speech: dict[str, Any] = {
        "yes": yes,
        "quiet": quiet,
        "verbose": verbose,
        "json_lines": log_format == "json",
        "live": not no_progress,
        "masked": not no_mask,
    }
    pools = option_sources.pools(context)
    if len(pools) > 1:
        from batch_resend.cli.pools import side_by_side

        several = side_by_side(context, speech, _FILES)
        return in_loop(lambda: _run(*several))
    if pools:
        from batch_resend.cli.config_file import named

        given.update({name: named(given[name], pools[0]) for name in _FILES})
    console = Console(**speech)
    notices: list[notify.Notice] = []
    if ping_url is not None:
        notices.append(notify.Ping(ping_url, console.note))
    if metrics is not None:
        form = notify.read_metrics(metrics)
        notify.keep_apart(form, {what: given[name] for name, what in _FILES.items()})
        notices.append(notify.Metrics(form, console.note))

    def begin() -> Run:
        options.check_variables(context)
        try:
            settings = options.read_settings(given)
        except UsageError as error:
            raise UsageError(f"{error}{option_sources.told(context, str(error))}") from None
        if not yes:
            must_ask(users)
        return Run(settings, observer=notify.Observers(console, notices))

    return in_loop(lambda: _run(begin, console, notices))


async def _run(
    begin: Callable[[], Run | Pools], console: Console, notices: Sequence[Notice]
) -> int:
    import anyio

    from batch_resend.job.outcome import Stop
    from batch_resend.monitoring.notify import End, tell_end

    job: Run | Pools | None = None
    end: End = BatchResendError("The program failed.")
    ended = False

    async def listen(*, task_status: anyio.abc.TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(*SIGNALS) as signals:
            task_status.started()
            first: float | None = None
            async for number in signals:
                now = time.monotonic()
                if job is None or ended:
                    os._exit(end.exit_code)  # only notices are under way
                if first is None:
                    first = now
                    if job.sending:
                        console.note(
                            f"{number.name}: settling what is in flight; again to leave at once."
                        )
                    job.stop(Stop[number.name])
                elif now - first > _ONE_STORM:
                    console.close()
                    os._exit(128 + number)  # the intents are on disk: the next run names them

    async with anyio.create_task_group() as tasks:
        await tasks.start(listen)
        for notice in notices:
            tasks.start_soon(notice.begin)
        try:
            async with console.progress():
                try:  # inside: what leaves a task group is a group of errors
                    job = begin()
                    end = await job.execute()
                except BatchResendError as error:
                    console.error(str(error))
                    end = error
                else:
                    console.ended(end)
        finally:
            ended = True
            await tell_end(notices, end)
        tasks.cancel_scope.cancel()
    return int(end.exit_code)
