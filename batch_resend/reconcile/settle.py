"""Reconciling one ledger with its evidence: read, search, conclude, record.

The one place that waits. The ledger and the evidence come in as `Books` and `Evidence`; all
that is decided is decided in `windows`, `search` and `findings`. Findings are written down at
the end, in pages that are durable one by one: a search that fails has concluded nothing, and
one that is killed while it writes is simply repeated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import IO, Protocol

import anyio
import anyio.lowlevel

from batch_resend.aws.cloudtrail import EventHistory
from batch_resend.model import Outcome
from batch_resend.reconcile.event_files import read_events
from batch_resend.reconcile.findings import Finding, Rules, Why, conclude
from batch_resend.reconcile.records import parse_record, read_record
from batch_resend.reconcile.search import Search
from batch_resend.reconcile.windows import Control, Controls, Doubt, Window, windows, within

PAGE = 500  #: findings that become durable together
_BREATH = 1000  #: records of a file between two moments for others


class Books(Protocol):
    """A ledger as reconciling needs it; every method raises `LedgerError`.

    `flight` is the longest that a request of it can have been under way, in seconds.
    """

    flight: float

    async def doubts(self) -> Sequence[Doubt]:
        """Return the messages of unknown outcome, but for those that may be in flight."""
        ...

    def controls(self, searched: Sequence[Window]) -> AsyncIterator[Control]:
        """Yield the messages that Cognito itself answered; at least those in the windows."""
        ...

    def hash_name(self, name: str) -> bytes:
        """Hash a name as `Doubt.names` has it."""
        ...

    async def settle(self, findings: Sequence[Finding]) -> None:
        """Make findings durable, all or none; one that no longer holds is left out."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of the search."""

    window: int  #: which one is read, from 1; files: which file
    windows: int
    records: int
    matches: int  #: doubts that have a record
    doubts: int


Watch = Callable[[Progress], None]


class Evidence(Protocol):
    """The source of records; `reaches_back` is how far, in seconds."""

    reaches_back: float

    def batches(self, search: Search, searched: Sequence[Window]) -> AsyncIterator[tuple[int, int]]:
        """Pass all records of the windows to the search; yield its progress."""
        ...


class Looked:
    """Evidence from CloudTrail's event history."""

    def __init__(self, history: EventHistory, reaches_back: float) -> None:
        self.reaches_back = reaches_back
        self._history = history

    async def batches(
        self, search: Search, searched: Sequence[Window]
    ) -> AsyncIterator[tuple[int, int]]:
        """Page through each window, to its end or until nothing more can be learned."""
        for number, window in enumerate(searched, start=1):
            async for page in self._history.pages(window.start, window.end):
                for text in page:
                    search.take(parse_record(text))
                yield number, len(searched)
                if search.is_over(window):
                    break


Opened = Callable[[], AbstractAsyncContextManager[IO[bytes]]]


class Files:
    """Evidence from files, each with its name and how it is opened; read once, one by one."""

    reaches_back = float("inf")

    def __init__(self, files: Sequence[tuple[str, Opened]]) -> None:
        self._files = files

    async def batches(
        self, search: Search, searched: Sequence[Window]
    ) -> AsyncIterator[tuple[int, int]]:
        """Read every file to its end: which times it holds is not known before."""
        del searched
        for number, (name, opened) in enumerate(self._files, start=1):
            async with opened() as file:
                for count, raw in enumerate(read_events(file, name)):
                    search.take(read_record(raw))
                    if count % _BREATH == 0:
                        await anyio.lowlevel.checkpoint()
                        yield number, len(self._files)
            yield number, len(self._files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """The result. `controls` are those around the requests that have no record."""

    findings: Sequence[Finding]
    windows: Sequence[Window] = ()
    records: int = 0
    controls: int = 0
    missing_controls: int = 0
    seconds: float = 0.0
    counts: Counter[Outcome] = field(default_factory=Counter)

    def settled(self) -> Iterator[Finding]:
        """Yield the findings that are no longer unknown."""
        return (one for one in self.findings if one.outcome is not Outcome.UNKNOWN)

    def unknown(self, why: Why | None = None) -> Iterator[Finding]:
        """Yield those that still are, for one cause or all."""
        return (one for one in self.findings if one.why and why in {None, one.why})


async def reconcile(
    books: Books,
    evidence: Evidence,
    rules: Rules,
    *,
    dry_run: bool = False,
    watch: Watch = lambda _: None,
) -> Reconciliation:
    """Search the evidence for every unknown outcome of a ledger, and settle what it proves.

    Raises what the ledger and the evidence raise; nothing has been written then, or whole
    pages of findings.
    """
    begun = anyio.current_time()
    rules = replace(rules, reaches_back=evidence.reaches_back)
    doubts = await books.doubts()
    searched = within(windows(doubts, books.flight), rules.now - rules.reaches_back, rules.now)
    controls = Controls(searched, books.flight)
    async for control in books.controls(searched):
        controls.add(control)
    search = Search(doubts, controls.marks())
    async for number, count in evidence.batches(search, searched):
        watch(Progress(number, count, search.read, search.matches, len(doubts)))
    controls.count(search.seen)
    findings = [
        conclude(doubt, search.record_of(doubt), controls.around(doubt), rules, books.hash_name)
        for doubt in doubts
    ]
    if not dry_run:
        changes = [finding for finding in findings if finding.changes]
        for start in range(0, len(changes), PAGE):
            await books.settle(changes[start : start + PAGE])
    return _result(findings, searched, controls, search, anyio.current_time() - begun)


def _result(
    findings: list[Finding],
    searched: list[Window],
    controls: Controls,
    search: Search,
    seconds: float,
) -> Reconciliation:
    # Those windows count in which a record is missing; the others may not have been read whole.
    causes = (Why.NOT_RECORDED, Why.NO_CONTROLS)
    missed = {finding.doubt.mark for finding in findings if finding.why in causes}
    open_windows = [one for one in searched if any(d.mark in missed for d in one.doubts)]
    pairs = [controls.in_window(window) for window in open_windows]
    return Reconciliation(
        findings=findings,
        windows=searched,
        records=search.read,
        controls=sum(count for count, _ in pairs),
        missing_controls=sum(missing for _, missing in pairs),
        seconds=seconds,
        counts=Counter(finding.outcome for finding in findings),
    )
