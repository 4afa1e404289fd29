"""Several pools in one command: the messages for all, and the settings of each."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from batch_resend.cli import option_sources, options
from batch_resend.cli.command import check_variables
from batch_resend.cli.config_file import named
from batch_resend.console.console import must_ask
from batch_resend.errors import UsageError
from batch_resend.masking import printable
from batch_resend.monitoring import options as monitoring
from batch_resend.monitoring.metrics import Form, Metrics
from batch_resend.monitoring.monitor import Monitor
from batch_resend.monitoring.ping import Ping
from batch_resend.observer import Observe, noting, together
from batch_resend.pools.console import PoolsConsole
from batch_resend.pools.run import run_pools

if TYPE_CHECKING:
    from batch_resend.job.summary import RunEnd
    from batch_resend.run.stops import Stops
    from batch_resend.settings import Settings

#: What cannot be one thing for one pool and another for the next.
_FOR_ALL = (
    *("yes", "quiet", "verbose", "no_progress", "no_mask", "log_format", "ping_url", "metrics"),
    "json",
    *("dry_run", "simulate", "overwrite"),
)


def side_by_side(
    context: typer.Context, speech: dict[str, Any]
) -> tuple[Callable[[Stops], Awaitable[RunEnd]], PoolsConsole, list[Monitor]]:
    """Make what `supervise` needs for several pools.

    `speech` is how the console speaks.
    """
    console = PoolsConsole(**speech)
    names = option_sources.pools(context)
    parts = {name: console.part(printable(name)) for name in names}
    everybody = options.of_run(context.params)
    warn = noting(console.observe)
    monitors: list[Monitor] = []
    if everybody["ping_url"] is not None:
        monitors.append(Ping(everybody["ping_url"], warn))
    forms = _forms(everybody["metrics"], names)
    observers: dict[str, Observe] = {name: part.observe for name, part in parts.items()}
    for name, form in forms.items():
        metrics = Metrics(form, noting(parts[name].observe), pool=name)
        monitors.append(metrics)
        observers[name] = together(parts[name].observe, metrics.observe)

    async def work(stops: Stops) -> RunEnd:
        check_variables(context)
        one = everybody["summary"]
        if one is not None and "{pool}" in one:
            one = None  # each has its own
        settings = _settings(context, everybody, forms, one)
        if not speech["yes"]:
            must_ask(*(each.users for each in settings.values()))
            # A person sees which ledgers are new, and is asked.
            settings = {name: replace(each, create_ledger=True) for name, each in settings.items()}
        console.starts("of each pool")
        return await run_pools(
            settings,
            observers=observers,
            approve=console.approve,
            note=warn,
            stops=stops,
            summary=one,
        )

    return work, console, monitors


def _settings(
    context: typer.Context,
    everybody: Mapping[str, Any],
    forms: Mapping[str, Form],
    summary: str | None,
) -> dict[str, Settings]:
    """Read the settings of each pool; raises `UsageError`."""
    settings: dict[str, Settings] = {}
    for name, own in option_sources.of_each_pool(context):
        try:
            _check_for_all(everybody, name, own)
            values = _values(options.of_run(own.params), name, summary)
            if name in forms:
                paths = options.files(values)
                monitoring.keep_apart(
                    forms[name], paths if summary is None else paths | {"--summary": summary}
                )
            settings[name] = options.read_settings(values)
        except UsageError as error:
            where = option_sources.origins(own, str(error))
            raise UsageError(f"Pool {printable(name)}: {error}{where}") from None
    return settings


def _forms(metrics: str | None, names: Iterable[str]) -> dict[str, Form]:
    """Read --metrics for each pool; raises `UsageError`."""
    if metrics is None:
        return {}
    if metrics != "emf" and "{pool}" not in metrics:
        raise UsageError(
            f"--metrics {metrics}: each pool has a file of its own; write {{pool}} into its name,"
            " where the pool's name shall stand."
        )
    return {name: monitoring.read_metrics(named(metrics, name)) for name in names}


def _values(params: Mapping[str, Any], name: str, summary: str | None) -> dict[str, Any]:
    """Take a pool's options, with its name where it shall stand and in its report's name."""
    values = dict(params)
    for row in options.FILES:
        values[row.name] = named(values[row.name], name)
    if values["summary"] == summary:
        values["summary"] = None  # the one for all
    if values["report"] is None:
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        values["report"] = named(f"resend-report-{moment}-{{pool}}.csv", name)
    return values


def _check_for_all(everybody: Mapping[str, Any], name: str, own: Any) -> None:
    for key in _FOR_ALL:
        if named(own.params[key], name) != named(everybody[key], name):
            row = own.command.rows[key]
            _, where = option_sources.origin(own, row)
            raise UsageError(
                f"{row.key} is for all pools of a run, but {where} says otherwise: put it above"
                " the tables."
            )
