"""`batch-resend report`: the page of one or more reports."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from batch_resend.cli import options
from batch_resend.cli.option import Option, Values, taking
from batch_resend.errors import UsageError

if TYPE_CHECKING:
    from batch_resend.reports.page.confirmed import Confirmed

# fmt: off
REPORT = (
    Option(
        flag="REPORTS", metavar="REPORT.csv...", repeat=True,
        help="Reports that `run` wrote; several are shown as one clean-up.",
    ),
    Option(
        flag="--html", short="-o", metavar="PATH", panel=options.RESULTS,
        help="The page; - for standard output.", otherwise="beside the last report",
    ),
    Option(
        flag="--summary", metavar="FILE", panel=options.RESULTS,
        help="The summary that --summary of the run wrote: adds the rate and the next command.",
    ),
    options.OVERWRITE,
    options.NO_MASK,
    replace(
        options.USER_POOL_ID, panel=options.AWS, environment=False,
        help="List this pool, and show how many have confirmed since.",
    ),
    replace(options.REGION, panel=options.AWS),
    options.PROFILE,
    options.ENDPOINT_URL,
)
# fmt: on


@taking(*REPORT)
def report(context: typer.Context, typed: Values) -> int:
    """Create a self-contained HTML page from reports."""
    del context
    reports, html, summary = list(typed["reports"] or ()), typed["html"], typed["summary"]
    if not reports:
        raise UsageError("No reports given. Pass one or more files that `run` wrote.")
    from batch_resend.reports.page.render import page, page_name
    from batch_resend.reports.private_file import PrivateFile
    from batch_resend.reports.summary_file import read_summary

    where = page_name(reports[-1]) if html is None else html
    seen = {os.path.realpath(path): path for path in reports}
    if len(seen) < len(reports):
        raise UsageError("A report is given twice: leave one out, or it would count twice.")
    if summary is not None:
        seen[os.path.realpath(summary)] = f"--summary {summary}"
    if where != "-" and os.path.realpath(where) in seen:
        raise UsageError(f"--html {where} is {seen[os.path.realpath(where)]} too: name another.")
    content = None if summary is None else read_summary(summary)
    confirmed = _confirmed(reports, typed) if typed["user_pool_id"] else None
    data = page(reports, summary=content, masked=not typed["no_mask"], confirmed=confirmed)
    with PrivateFile(where, what="--html", overwrite=typed["overwrite"]) as file:
        try:
            file.append(data)
        except BaseException:
            file.discard()
            raise
    if where != "-":
        typer.echo(f"Page: {where} ({len(data) / 1000:,.0f} kB)", err=True)
    return 0


def _confirmed(reports: Sequence[str], typed: Values) -> Confirmed:
    """List the pool beside the users of the reports; raises `InputError` and `SettingsError`."""
    from contextlib import aclosing

    from batch_resend.cli.event_loop import in_loop
    from batch_resend.reports.page.confirmed import SentUsers

    target = options.ledger_target(typed)
    with SentUsers(reports) as sent:

        async def work() -> int:
            from batch_resend.aws import clients
            from batch_resend.run.backends import target_of
            from batch_resend.sources.cognito import whole_pool

            async with (
                clients.signed_client(target_of(target), clients.COGNITO) as client,
                aclosing(whole_pool(client, target.user_pool_id)) as batches,
            ):
                async for batch in batches:
                    sent.listed(batch)
            return 0

        in_loop(work)
        return sent.counted(target.user_pool_id)
