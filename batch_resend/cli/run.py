"""`batch-resend run`: the job."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from batch_resend.cli import option_sources, options
from batch_resend.cli.command import check_variables
from batch_resend.cli.event_loop import SIGNALS, in_loop
from batch_resend.cli.option import Values, taking
from batch_resend.errors import BatchResendError, UsageError

if TYPE_CHECKING:
    from batch_resend.console.console import Console
    from batch_resend.monitoring.notify import Notice
    from batch_resend.pools.run import Pools
    from batch_resend.run.prepare import Run

_ONE_STORM = 1.0  #: seconds in which several signals are one wish to stop
_LAST_WORDS = 5.0  #: seconds in which what was said last must be written
_AT_ONCE = 0.5  #: the same, where the program leaves at once


@taking(*options.RUN)
def run(context: typer.Context, typed: Values) -> int:
    """Send each unconfirmed user one code, and report what happened to each.

    Durations are written as 90s, 15m, 24h, 7d, 2w, 1h30m or 500ms. Each option can also be set
    by a variable, such as BATCH_RESEND_DRY_RUN, and in the file of --config.
    """
    from batch_resend.console.console import Console, must_ask
    from batch_resend.console.stream import for_people
    from batch_resend.monitoring import notify
    from batch_resend.run.prepare import Run

    options.LOG_FORMAT.read(typed["log_format"] or "text")
    ping_url, metrics = typed["ping_url"], typed["metrics"]
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
        from batch_resend.cli.pools import side_by_side

        several = side_by_side(context, speech)
        return _watched(*several)
    given = options.of_run(typed)
    if pools:
        from batch_resend.cli.config_file import named

        given.update({row.name: named(given[row.name], pools[0]) for row in options.FILES})
    console = Console(**speech)
    notices: list[notify.Notice] = []
    if ping_url is not None:
        notices.append(notify.Ping(ping_url, console.note))
    if metrics is not None:
        form = notify.read_metrics(metrics)
        notify.keep_apart(form, options.files(given))
        notices.append(notify.Metrics(form, console.note))

    def begin() -> Run:
        check_variables(context)
        try:
            settings = options.read_settings(given)
        except UsageError as error:
            raise UsageError(f"{error}{option_sources.origins(context, str(error))}") from None
        if not yes:
            must_ask(settings.users)
            settings = replace(settings, create_ledger=True)  # a person sees it and is asked
        return Run(settings, observer=notify.Observers(console, notices))

    return _watched(begin, console, notices)


def _watched(begin: Callable[[], Run | Pools], console: Console, notices: Sequence[Notice]) -> int:
    try:
        return in_loop(lambda: _run(begin, console, notices))
    finally:
        console.finish(_LAST_WORDS)


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
                    console.finish(_AT_ONCE)
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
                    console.finish(_AT_ONCE)
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
