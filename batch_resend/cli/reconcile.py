"""`batch-resend reconcile`: settle unknown outcomes by CloudTrail's records."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import typer

from batch_resend.cli import options, parsing
from batch_resend.cli.command import check_variables
from batch_resend.cli.event_loop import in_loop
from batch_resend.cli.option import Option, Values, taking
from batch_resend.errors import Exit, InputError, SettingsError, UsageError
from batch_resend.masking import printable

if TYPE_CHECKING:
    from batch_resend.aws.s3 import Store
    from batch_resend.reconcile.deliveries import Deliveries
    from batch_resend.reconcile.ledger_books import LedgerBooks
    from batch_resend.reconcile.settle import Evidence, Files, Progress, Watch
    from batch_resend.run.open_ledger import Reconcilable, Where
    from batch_resend.settings import LedgerTarget

EVIDENCE = "Evidence"

_APART = 5.0  #: seconds between two lines about the progress
_LEAST_AGE = 3600.0  #: seconds

# What it has of its own takes neither variables nor keys of the file: `run` has options of the
# same names that mean something else.
# fmt: off
RECONCILE = (
    *options.TARGET,
    Option(
        flag="--events", metavar="FILE", panel=EVIDENCE, repeat=True, environment=False,
        help="Read CloudTrail's records from this file or s3:// object instead of its event"
        " history; repeatable.",
    ),
    Option(
        flag="--older-than", metavar="DURATION", panel=EVIDENCE, environment=False, default="24h",
        parse=parsing.duration,
        help="Age from which a missing record counts; at least 1h.",
    ),
    Option(
        flag="--controls", metavar="COUNT", panel=EVIDENCE, environment=False, default="20",
        parse=parsing.whole,
        help="Minimum number of answered requests around a missing record, all of them recorded.",
    ),
    Option(
        flag="--rate", metavar="N", panel=EVIDENCE, environment=False, default="1",
        parse=parsing.number,
        help="Maximum lookups per second; AWS allows an account 2.",
    ),
    Option(
        flag="--deliveries", panel=EVIDENCE, environment=False,
        help="Also list who bounced or complained since they were sent a code, by the suppression"
        " list of the account's own Amazon SES.",
    ),
    Option(
        flag="--dry-run", short="-n", panel=options.GUARDS, environment=False,
        help="Preview: show the findings, without writing them to the ledger.",
    ),
    options.JSON,
    options.NO_MASK,
)
# fmt: on


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The options that were typed, parsed."""

    events: tuple[str, ...]
    older_than: float
    controls: int
    rate: float
    deliveries: bool
    dry_run: bool
    json: bool
    masked: bool


@taking(*RECONCILE)
def reconcile(context: typer.Context, typed: Values) -> int:
    """Settle unknown outcomes by AWS CloudTrail's records of our own requests.

    Sends nothing, and changes nothing but unknown outcomes.
    """
    check_variables(context)
    values = {
        row.name: row.read(typed[row.name] or row.default) for row in RECONCILE if row.default
    }
    older_than, controls, rate = values["older_than"], values["controls"], values["rate"]
    if older_than < _LEAST_AGE:
        raise UsageError(f"--older-than {typed['older_than']} is too short. The minimum is 1h.")
    if controls < 1:
        raise UsageError(f"--controls {controls} is too few. The minimum is 1.")
    if not 0 < rate <= 2:
        raise UsageError(f"--rate {rate:g} is not valid. Use a number above 0, up to 2.")
    wanted = _Wanted(
        events=tuple(typed["events"] or ()),
        older_than=older_than,
        controls=controls,
        rate=rate,
        deliveries=typed["deliveries"],
        dry_run=typed["dry_run"],
        json=typed["json"],
        masked=not typed["no_mask"],
    )
    target = options.ledger_target(typed)
    return in_loop(lambda: _reconcile(target, wanted))


async def _reconcile(target: LedgerTarget, wanted: _Wanted) -> int:
    import json
    import time

    from batch_resend.aws.cloudtrail import NotPermitted
    from batch_resend.reconcile import deliveries, render
    from batch_resend.reconcile.findings import Rules
    from batch_resend.reconcile.ledger_books import LedgerBooks
    from batch_resend.reconcile.settle import reconcile
    from batch_resend.run.open_ledger import ledger_of, reconciling

    where = await ledger_of(target)
    now = time.time()
    async with reconciling(target, where) as opened:
        books = LedgerBooks(opened, now=now)
        rules = Rules(now, older_than=wanted.older_than, controls=wanted.controls)
        async with _evidence(target, wanted) as (evidence, region):
            scene = render.Scene(str(where), region, len(wanted.events), wanted.dry_run)
            try:
                findings = await reconcile(
                    books, evidence, rules, dry_run=wanted.dry_run, watch=_watch()
                )
            except NotPermitted as error:
                _say(*await _for_others(books, now, region, where))
                raise SettingsError(
                    f"{error} Add it to their policy, or use the commands above."
                ) from error
        undelivered, failed = None, None
        if wanted.deliveries:
            try:
                undelivered = await _undelivered(target, opened, now)
            except SettingsError as error:
                failed = error  # once it is shown what has been settled
    code = Exit.SOME_FAILED if any(findings.unknown()) else Exit.DONE
    if wanted.json:
        report = render.as_json(scene, findings, exit_code=int(code), masked=wanted.masked)
        if undelivered:
            report["deliveries"] = deliveries.as_json(undelivered, masked=wanted.masked)
        _print(json.dumps(report))
    else:
        _print(*render.lines(scene, findings))
        if undelivered:
            _print(*deliveries.lines(undelivered, masked=wanted.masked))
    if failed:
        raise failed
    return int(code)


async def _undelivered(target: LedgerTarget, opened: Reconcilable, now: float) -> Deliveries:
    """Ask the suppression list; in the Region of the pool's own SES identity, if it is known."""
    from batch_resend.aws import reach
    from batch_resend.reconcile.deliveries import find_undelivered
    from batch_resend.run.backends import target_of

    place = target_of(target)
    region = await reach.ses_region(place, target.user_pool_id) if target.user_pool_id else ""
    async with reach.open_list(place, region) as listed:
        return await find_undelivered(opened, listed, now)


@contextlib.asynccontextmanager
async def _evidence(target: LedgerTarget, wanted: _Wanted) -> AsyncIterator[tuple[Evidence, str]]:
    """Open the evidence; yield it with the Region that is asked, empty for files."""
    from batch_resend.aws import cloudtrail, s3
    from batch_resend.aws.s3_address import is_address
    from batch_resend.reconcile.findings import HISTORY
    from batch_resend.reconcile.settle import Looked
    from batch_resend.run.backends import target_of

    place, events = target_of(target), wanted.events
    async with contextlib.AsyncExitStack() as stack:
        if not events:
            history = await stack.enter_async_context(
                cloudtrail.open_history(place, rate=wanted.rate)
            )
            yield Looked(history, HISTORY), history.region
            return
        store = None
        if any(map(is_address, events)):
            store = await stack.enter_async_context(s3.open_store(place))
        yield _files(events, store), ""


def _files(events: Sequence[str], store: Store | None) -> Files:
    from functools import partial

    from batch_resend.aws.s3_address import is_address
    from batch_resend.reconcile.settle import Files

    @contextlib.asynccontextmanager
    async def fetched(store: Store, path: str) -> AsyncIterator[IO[bytes]]:
        with await store.fetch("--events", path) as file:
            yield file

    return Files(
        [
            (
                path,
                partial(fetched, store, path)
                if store is not None and is_address(path)
                else partial(_opened, path),
            )
            for path in events
        ]
    )


@contextlib.asynccontextmanager
async def _opened(path: str) -> AsyncIterator[IO[bytes]]:
    try:
        file = open(path, "rb", buffering=0)  # noqa: ASYNC230, PTH123, SIM115 - closed below
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a path"
        raise InputError(f"--events {printable(path)} cannot be read ({why}).") from error
    with file:
        yield file


async def _for_others(books: LedgerBooks, now: float, region: str, where: Where) -> list[str]:
    """Return what to run without the permission: the policy, and how the files are made."""
    from batch_resend.aws.cloudtrail import POLICY
    from batch_resend.reconcile import render
    from batch_resend.reconcile.findings import HISTORY
    from batch_resend.reconcile.windows import windows, within

    searched = within(windows(await books.doubts(), books.flight), now - HISTORY, now)
    ours = ["batch-resend", "reconcile", "--ledger", str(where), "--region", region]
    commands = render.commands(searched, region, ours) if searched else []
    return [
        "The missing permission:",
        f"  {POLICY}",
        "Or, first for a colleague who has it, then for you:",
    ] + [f"  {command}" for command in commands]


def _watch() -> Watch:
    """Report the progress from time to time."""
    import time

    from batch_resend.reconcile import render

    last = time.monotonic()

    def watch(now: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= _APART:
            last = time.monotonic()
            _say(render.progress(now))

    return watch


def _say(*lines: str) -> None:
    sys.stderr.write("".join(f"{line}\n" for line in lines))


def _print(*lines: str) -> None:
    from batch_resend.reports.private_file import PrivateFile

    with PrivateFile("-", what="The reconciliation") as out:
        out.append("".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))
