"""`batch-resend status`: the content of the ledger, and who has confirmed since."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from batch_resend.cli import options
from batch_resend.cli.command import check_variables
from batch_resend.cli.event_loop import in_loop
from batch_resend.cli.option import Option, Values, taking
from batch_resend.errors import Exit, UsageError
from batch_resend.masking import printable

if TYPE_CHECKING:
    from pathlib import Path

    from batch_resend.ledger.days import Days
    from batch_resend.ledger.sqlite.records import LedgerRecords
    from batch_resend.ledger.status import Confirmations, Status
    from batch_resend.settings import LedgerTarget


# fmt: off
STATUS = (
    Option(
        flag="USERNAME", metavar="USERNAME",
        help="Show the history of this user only, by any of their names.",
    ),
    *options.TARGET,
    options.ANY_CASE,
    replace(
        options.MAX_SENDS, panel=options.RESULTS,
        help="The maximum to compare users with; by default the last run's.",
    ),
    Option(
        flag="--exhausted", panel=options.RESULTS, environment=False,
        help="List users with the maximum of messages who have not confirmed, as CSV.",
    ),
    options.OUTPUT,
    options.OVERWRITE,
    options.JSON,
    Option(
        flag="--html", metavar="PATH", panel=options.RESULTS, environment=False,
        help="A page over all runs: sent and confirmed by day, unknown outcomes, how each run"
        " ended; - for standard output.",
    ),
    options.NO_MASK,
)
# fmt: on


@taking(*STATUS)
def status(context: typer.Context, typed: Values) -> int:
    """Show what the ledger knows: runs, users, unknown outcomes, one user's history.

    With --user-pool-id also how many have confirmed since. Changes nothing, and can be used
    during a run.
    """
    check_variables(context)
    cap = typed["max_sends"]
    max_sends = None if cap is None else options.MAX_SENDS.read(cap)
    if max_sends is not None and max_sends < 0:
        raise UsageError(f"--max-sends {max_sends} is too low. The minimum is 0.")
    target = options.ledger_target(typed)
    json, masked, username = typed["json"], not typed["no_mask"], typed["username"]
    html, overwrite = typed["html"], typed["overwrite"]
    if typed["exhausted"]:
        from batch_resend.cli.exhausted import write_exhausted

        output = typed["output"] or "-"
        return in_loop(
            lambda: write_exhausted(target, max_sends, output=output, overwrite=overwrite)
        )
    if username is None:
        return in_loop(
            lambda: _status(
                target, max_sends, json=json, html=html, overwrite=overwrite, masked=masked
            )
        )
    if html is not None:
        raise UsageError("--html shows all runs. Leave out the username, or --html.")
    return in_loop(lambda: _history(target, username, json=json, masked=masked))


async def _history(target: LedgerTarget, name: str, *, json: bool, masked: bool) -> int:
    from batch_resend.ledger import status as ledger_status
    from batch_resend.ledger import status_lines
    from batch_resend.run.open_ledger import ledger_of, looking

    path = await ledger_of(target)
    async with looking(target, path, only=name) as ledger:
        messages = ledger.person(name)
    if json:
        _print(_line(ledger_status.history_json(name, str(path), messages, masked=masked)))
    else:
        _print(*status_lines.history_lines(name, str(path), messages, masked=masked))
    return int(Exit.DONE if messages else Exit.SOME_FAILED)


async def _status(
    target: LedgerTarget,
    max_sends: int | None,
    *,
    json: bool,
    html: str | None,
    overwrite: bool,
    masked: bool,
) -> int:
    from itertools import islice

    from batch_resend.ledger import status as ledger_status
    from batch_resend.ledger.days import count_days
    from batch_resend.ledger.next_step import last_cap
    from batch_resend.run.open_ledger import SeveralLedgers, is_held, ledger_of, looking

    try:
        path = await ledger_of(target)
    except SeveralLedgers as several:
        for line in _candidates(several.ledgers):
            _say(line)
        raise
    before = is_held(path)
    async with looking(target, path) as ledger, _pool(target, ledger) as status_of:
        runs = ledger.runs()
        cap = last_cap(runs) if max_sends is None else max_sends
        overview = ledger_status.Status(
            ledger=str(path),
            simulated=ledger.is_simulated,
            running=before or is_held(path),
            runs=runs,
            stock=ledger_status.take_stock(ledger.users(), 1 if cap is None else cap),
            unknown=list(islice(ledger.messages(unknown=True), ledger_status.SHOWN)),
            confirmations=_confirmations(target, ledger, status_of),
            client=ledger.client,
        )
        days = count_days(ledger.users(), status_of) if html is not None else None
    if html is not None and days is not None:
        _write_page(overview, days, html, overwrite=overwrite, masked=masked)
    if html == "-":
        return int(Exit.DONE)
    if json:
        _print(_line(ledger_status.as_json(overview, masked=masked)))
    else:
        _print_text(overview, target.pool_region or "", masked=masked)
    return int(Exit.DONE)


@contextlib.asynccontextmanager
async def _pool(
    target: LedgerTarget, ledger: LedgerRecords
) -> AsyncIterator[Callable[[bytes], str | None] | None]:
    """Yield the pool's status of a `Message.user`; None if no pool is given."""
    if not target.user_pool_id:
        yield None
        return
    from batch_resend.cli.listed_pool import listed_pool

    async with listed_pool(target, ledger, _say) as status_of:
        yield status_of


def _print_text(status: Status, region: str, *, masked: bool) -> None:
    """Print the status for people; `region` is that of the ledger, if it is a table."""
    import time

    from batch_resend.ledger.commands import export_command
    from batch_resend.ledger.status_lines import lines

    more = export_command(status.ledger, region)
    _print(*lines(status, more=more, masked=masked, now=time.time()))


def _confirmations(
    target: LedgerTarget,
    ledger: LedgerRecords,
    status_of: Callable[[bytes], str | None] | None,
) -> Confirmations | None:
    if status_of is None or not target.user_pool_id:
        return None
    import time

    from batch_resend.ledger import status as ledger_status

    return ledger_status.confirmations(ledger.users(), status_of, target.user_pool_id, time.time())


def _write_page(status: Status, days: Days, path: str, *, overwrite: bool, masked: bool) -> None:
    import time

    from batch_resend.reports.page.runs import runs_page
    from batch_resend.reports.private_file import PrivateFile

    data = runs_page(status, days, masked=masked, now=time.time())
    with PrivateFile(path, what="--html", overwrite=overwrite) as file:
        try:
            file.append(data)
        except BaseException:
            file.discard()
            raise
    if path != "-":
        _say(f"Page: {path} ({len(data) / 1000:,.0f} kB)")


def _candidates(ledgers: Sequence[Path]) -> list[str]:
    """Return a table of ledgers of which one is to be chosen; one that is damaged has no runs."""
    from datetime import UTC, datetime

    from batch_resend.errors import BatchResendError
    from batch_resend.ledger.sqlite.snapshot import looking_at

    lines = ["runs  last run (UTC)    ledger"]
    for path in ledgers:
        count, last = "", ""
        with contextlib.suppress(BatchResendError), looking_at(path) as ledger:
            runs = ledger.runs()
            count = f"{len(runs):,}"
            if runs:
                last = f"{datetime.fromtimestamp(runs[-1].started_at, UTC):%Y-%m-%d %H:%M}"
        lines.append(f"{count:>4}  {last:<16}  {printable(str(path))}")
    return lines


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _line(values: dict[str, Any]) -> str:
    import json

    return json.dumps(values)


def _print(*lines: str) -> None:
    from batch_resend.console.colour import coloured, shows_colour
    from batch_resend.reports.private_file import PrivateFile

    shown = map(coloured, lines) if shows_colour(sys.stdout) else lines
    with PrivateFile("-", what="The status") as out:
        out.append("".join(f"{line}\n" for line in shown).encode("utf-8", "backslashreplace"))
