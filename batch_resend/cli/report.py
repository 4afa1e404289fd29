"""`batch-resend report`: the page of one or more reports."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from batch_resend.cli import options
from batch_resend.errors import UsageError


def report(
    reports: Annotated[
        list[str],
        typer.Argument(
            metavar="REPORT.csv...",
            help="Reports that `run` wrote; several are shown as one clean-up.",
            show_default=False,
        ),
    ],
    *,
    html: Annotated[
        str | None,
        options.option(
            "--html",
            "-o",
            panel="Results",
            metavar="PATH",
            help="The page; - for standard output. (default: beside the last report)",
        ),
    ] = None,
    summary: Annotated[
        str | None,
        options.option(
            "--summary",
            panel="Results",
            metavar="FILE",
            help="What --summary of the run wrote: says the ceiling and the next command.",
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    no_mask: options.NoMask = False,
) -> int:
    """Make a page for people from reports: one HTML file that needs nothing else."""
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
    told = None if summary is None else read_summary(summary)
    data = page(reports, summary=told, masked=not no_mask)
    with PrivateFile(where, what="--html", overwrite=overwrite) as file:
        try:
            file.append(data)
        except BaseException:
            file.discard()
            raise
    if where != "-":
        typer.echo(f"Page: {where} ({len(data) / 1000:,.0f} kB)", err=True)
    return 0
