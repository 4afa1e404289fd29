"""`batch-resend run`: the job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import typer

from batch_resend.cli import option_sources, options
from batch_resend.cli.event_loop import in_loop
from batch_resend.cli.supervise import supervise
from batch_resend.errors import NotConfirmed, UsageError

if TYPE_CHECKING:
    from batch_resend.console.console import Console
    from batch_resend.job.summary import RunEnd
    from batch_resend.monitoring.monitor import Monitor
    from batch_resend.run.stops import Stops

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
        return in_loop(lambda: supervise(*several))
    if pools:
        from batch_resend.cli.config_file import named

        given.update({name: named(given[name], pools[0]) for name in _FILES})
    one = _one_run(context, given, speech, metrics, ping_url)
    return in_loop(lambda: supervise(*one))


def _one_run(
    context: typer.Context,
    given: dict[str, Any],
    speech: dict[str, Any],
    metrics: str | None,
    ping_url: str | None,
) -> tuple[Callable[[Stops], Awaitable[RunEnd]], Console, list[Monitor]]:
    """Make what `supervise` needs for one run."""
    from batch_resend.console.console import Console, must_ask
    from batch_resend.monitoring import options as monitoring
    from batch_resend.monitoring.metrics import Metrics
    from batch_resend.monitoring.ping import Ping
    from batch_resend.observer import noting, together
    from batch_resend.run.prepare import prepare

    console = Console(**speech)
    warn = noting(console.observe)
    monitors: list[Monitor] = []
    if ping_url is not None:
        monitors.append(Ping(ping_url, warn))
    if metrics is not None:
        form = monitoring.read_metrics(metrics)
        monitoring.keep_apart(form, {what: given[name] for name, what in _FILES.items()})
        monitors.append(Metrics(form, warn))
    observe = together(console.observe, *(monitor.observe for monitor in monitors))

    async def work(stops: Stops) -> RunEnd:
        options.check_variables(context)
        try:
            settings = options.read_settings(given)
        except UsageError as error:
            raise UsageError(f"{error}{option_sources.told(context, str(error))}") from None
        if not speech["yes"]:
            must_ask(settings.users)
        with stops.before_sending():
            async with prepare(settings, observe=observe, stops=stops) as prepared:
                if not await console.approve(prepared.preview):
                    raise NotConfirmed
                return await prepared.carry_out()

    return work, console, monitors
