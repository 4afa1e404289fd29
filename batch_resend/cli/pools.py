"""Several pools in one command: what is said for all, and the settings of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from batch_resend.cli import option_sources, options
from batch_resend.cli.command import check_variables
from batch_resend.cli.config_file import named
from batch_resend.console.console import must_ask
from batch_resend.errors import UsageError
from batch_resend.masking import printable
from batch_resend.monitoring import notify
from batch_resend.pools.console import PoolsConsole
from batch_resend.pools.metrics import PoolsMetrics
from batch_resend.pools.run import Pools

if TYPE_CHECKING:
    from batch_resend.settings import Settings

#: What cannot be one thing for one pool and another for the next.
_FOR_ALL = (
    *("yes", "quiet", "verbose", "no_progress", "no_mask", "log_format", "ping_url", "metrics"),
    "json",
    *("dry_run", "simulate", "overwrite"),
)


def side_by_side(
    context: typer.Context, speech: dict[str, Any]
) -> tuple[Callable[[], Pools], PoolsConsole, list[notify.Notice]]:
    """Make what `run` needs for several pools: how to begin, who tells of it, who else hears.

    `speech` is how the console speaks.
    """
    console = PoolsConsole(**speech)
    names = option_sources.pools(context)
    parts = {name: console.part(printable(name)) for name in names}
    everybody = options.of_run(context.params)
    notices: list[notify.Notice] = []
    if everybody["ping_url"] is not None:
        notices.append(notify.Ping(everybody["ping_url"], console.note))
    forms: dict[str, notify.Form] = {}
    metrics: dict[str, notify.Metrics] = {}
    if (told := everybody["metrics"]) is not None:
        if told != "emf" and "{pool}" not in told:
            raise UsageError(
                f"--metrics {told}: each pool has a file of its own; write {{pool}} into its name,"
                " where the pool's name shall stand."
            )
        forms = {name: notify.read_metrics(named(told, name)) for name in names}
        metrics = {name: notify.Metrics(forms[name], parts[name].note) for name in names}
        notices.append(PoolsMetrics(metrics))

    def begin() -> Pools:
        check_variables(context)
        one = everybody["summary"]
        if one is not None and "{pool}" in one:
            one = None  # each has its own
        settings: dict[str, Settings] = {}
        for name, own in option_sources.of_each_pool(context):
            try:
                _check_for_all(everybody, name, own)
                given = _given(options.of_run(own.params), name, one)
                if name in forms:
                    paths = options.files(given)
                    notify.keep_apart(
                        forms[name], paths if one is None else paths | {"--summary": one}
                    )
                settings[name] = options.read_settings(given)
            except UsageError as error:
                told = option_sources.origins(own, str(error))
                raise UsageError(f"Pool {printable(name)}: {error}{told}") from None
        if not speech["yes"]:
            must_ask(*(each.users for each in settings.values()))
            # A person sees which ledgers are new, and is asked.
            settings = {name: replace(each, create_ledger=True) for name, each in settings.items()}
        observers = {
            name: notify.Observers(parts[name], [metrics[name]] if name in metrics else [])
            for name in names
        }
        return Pools(settings, observers=observers, ask=console.ask, note=console.note, summary=one)

    return begin, console, notices


def _given(params: Mapping[str, Any], name: str, summary: str | None) -> dict[str, Any]:
    """Take a pool's options, with its name where it shall stand and in its report's name."""
    given = dict(params)
    for row in options.FILES:
        given[row.name] = named(given[row.name], name)
    if given["summary"] == summary:
        given["summary"] = None  # the one for all
    if given["report"] is None:
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        given["report"] = named(f"resend-report-{moment}-{{pool}}.csv", name)
    return given


def _check_for_all(everybody: Mapping[str, Any], name: str, own: Any) -> None:
    for key in _FOR_ALL:
        if named(own.params[key], name) != named(everybody[key], name):
            row = own.command.rows[key]
            _, where = option_sources.origin(own, row)
            raise UsageError(
                f"{row.key} is for all pools of a run, but {where} says otherwise: put it above"
                " the tables."
            )
