"""`batch-resend run`: the job."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from batch_resend.cli import option_sources, options
from batch_resend.cli.command import check_variables
from batch_resend.cli.event_loop import in_loop
from batch_resend.cli.option import Values, taking
from batch_resend.cli.supervise import supervise
from batch_resend.errors import NotConfirmed, UsageError

if TYPE_CHECKING:
    from batch_resend.console.console import Console
    from batch_resend.job.summary import RunEnd
    from batch_resend.monitoring.monitor import Monitor
    from batch_resend.run.stops import Stops
    from batch_resend.settings import Settings

_LAST_WORDS = 5.0  #: seconds in which what was said last must be written


@taking(*options.RUN)
def run(context: typer.Context, typed: Values) -> int:
    """Send each unconfirmed user one code, and report what happened to each.

    Durations are written as 90s, 15m, 24h, 7d, 2w, 1h30m or 500ms. Each option can also be set
    by a variable, such as BATCH_RESEND_DRY_RUN, and in the file of --config.
    """
    from batch_resend.console.stream import for_people

    options.LOG_FORMAT.read(typed["log_format"] or "text")
    yes = typed["yes"] or typed["dry_run"] or typed["simulate"]
    speech: dict[str, Any] = {
        "yes": yes,
        "quiet": typed["quiet"],
        "verbose": typed["verbose"],
        "json_lines": typed["log_format"] == "json",
        "live": not typed["no_progress"],
        "masked": not typed["no_mask"],
        "stream": for_people(sys.stderr),
    }
    pools = option_sources.pools(context)
    if len(pools) > 1:
        if typed["debug"]:
            raise UsageError("--debug is for one pool. Choose it with --pool.")
        from batch_resend.cli.pools import side_by_side

        several = side_by_side(context, speech)
        return _watched(*several)
    values = options.of_run(typed)
    if pools:
        from batch_resend.cli.config_file import named

        values.update({row.name: named(values[row.name], pools[0]) for row in options.FILES})
    return _watched(*_one_run(context, values, speech))


def _one_run(
    context: typer.Context, values: Mapping[str, Any], speech: Mapping[str, Any]
) -> tuple[Callable[[Stops], Awaitable[RunEnd]], Console, list[Monitor]]:
    """Make what `supervise` needs for one run."""
    from batch_resend.console.console import Console
    from batch_resend.monitoring import options as monitoring
    from batch_resend.monitoring.metrics import Metrics
    from batch_resend.monitoring.ping import Ping
    from batch_resend.observer import noting, together
    from batch_resend.run.open_ledger import ledger_words
    from batch_resend.run.outputs import failure_summarized
    from batch_resend.run.prepare import prepare
    from batch_resend.run.send import approved

    console = Console(**speech)
    warn = noting(console.observe)
    monitors: list[Monitor] = []
    if values["ping_url"] is not None:
        monitors.append(Ping(values["ping_url"], warn))
    if values["metrics"] is not None:
        form = monitoring.read_metrics(values["metrics"])
        monitoring.keep_apart(form, options.files(values))
        monitors.append(Metrics(form, warn))
    observe = together(console.observe, *(monitor.observe for monitor in monitors))

    async def work(stops: Stops) -> RunEnd:
        summary = "-" if values["json"] else values["summary"]
        with failure_summarized(summary, overwrite=values["overwrite"]), stops.before_sending():
            settings = _settings(context, values, ask=not speech["yes"])
            console.starts(ledger_words(settings))
            async with prepare(settings, observe=observe, stops=stops) as prepared:
                if not await approved([prepared], console.approve(prepared.preview)):
                    raise NotConfirmed
                if values["debug"]:
                    prepared.debug()
                return await prepared.carry_out()

    return work, console, monitors


def _settings(context: typer.Context, values: Mapping[str, Any], *, ask: bool) -> Settings:
    """Read the settings, and make sure that a person can be asked; raises `UsageError`."""
    from batch_resend.console.console import must_ask

    check_variables(context)
    try:
        settings = options.read_settings(values)
    except UsageError as error:
        raise UsageError(f"{error}{option_sources.origins(context, str(error))}") from None
    if not ask:
        return settings
    must_ask(settings.users)
    return replace(settings, create_ledger=True)  # a person sees it and is asked


def _watched(
    work: Callable[[Stops], Awaitable[RunEnd]],
    console: Console,
    monitors: Sequence[Monitor],
) -> int:
    try:
        return in_loop(lambda: supervise(work, console, monitors))
    finally:
        console.finish(_LAST_WORDS)
