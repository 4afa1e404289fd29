"""What the job asks of a ledger, whichever it is, without being held up by the waiting.

A ledger in one file is held by one run alone: what the plan has read of it stays true
until the run itself writes. One that several machines share is written by others
meanwhile. So a ledger judges once more as it makes an intent durable, and may say
`Barred`; the file only where it knows other names of anybody, for then two rows of one
input can be one person.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from batch_resend.ledger import Identity, Step
from batch_resend.ledger.policy import History
from batch_resend.ledger.sqlite.group_commit import GroupCommit, StepWriter


class ExclusiveLedger(StepWriter, Protocol):
    """A ledger that one run holds alone; every method raises `LedgerError`."""

    def distinguish_case(self) -> bool:
        """Tell names apart that differ only in case; return whether that changes anything."""
        ...

    def latest(self) -> float:
        """The newest time it knows, in seconds since the epoch."""
        ...

    def history(self, names: Identity) -> History:
        """What it knows of a user."""
        ...

    def begin(self, at: float) -> int:
        """A run begins."""
        ...

    def mark(self, intent: int, at: float) -> str:
        """The mark that the request of an intent bears."""
        ...

    def unknown(self) -> int:
        """How many messages nobody can prove or disprove."""
        ...

    def finish(self, summary: str, at: float) -> None:
        """The run ended."""
        ...


@runtime_checkable
class Journal(Protocol):
    """A ledger as the job uses it; every method raises `LedgerError`."""

    def distinguish_case(self) -> bool:
        """Tell names apart that differ only in case; return whether that changes anything."""
        ...

    def latest(self) -> float:
        """The newest time it knows, in seconds since the epoch."""
        ...

    async def histories(self, users: Sequence[Identity], now: float) -> list[History]:
        """What it knows of each of these users."""
        ...

    async def begin(self, at: float) -> int:
        """A run begins."""
        ...

    async def make(self, step: Step) -> int:
        """Make one step durable; an intent is answered by its number.

        Raises `Barred` where an intent is not allowed any more.
        """
        ...

    def mark(self, intent: int, at: float) -> str:
        """The mark that the request of an open intent bears; `at` is when it was intended.

        A record of the request that others make, and that holds the mark, is one of this
        intent's request and of no other.
        """
        ...

    async def commit_forever(self) -> None:
        """Do what has to go on while steps are made, until cancelled."""
        ...

    async def unknown(self) -> int:
        """How many messages nobody can prove or disprove."""
        ...

    async def finish(self, summary: str, at: float) -> None:
        """The run ended."""
        ...


class OwnJournal:
    """The journal of a ledger that this run holds alone."""

    def __init__(self, ledger: ExclusiveLedger, *, threads: bool = True) -> None:
        """Use a ledger that is open; `threads` as `GroupCommit` has it."""
        self._ledger = ledger
        self._commits = GroupCommit(ledger, threads=threads)

    def distinguish_case(self) -> bool:
        """Tell names apart that differ only in case; return whether that changes anything."""
        return self._ledger.distinguish_case()

    def latest(self) -> float:
        """The newest time it knows, in seconds since the epoch."""
        return self._ledger.latest()

    async def make(self, step: Step) -> int:
        """Make one step durable, in a commit shared with others; see `GroupCommit.make`."""
        return await self._commits.make(step)

    def mark(self, intent: int, at: float) -> str:
        """The mark that the request of an open intent bears."""
        return self._ledger.mark(intent, at)

    async def commit_forever(self) -> None:
        """Commit what gathers, until cancelled."""
        await self._commits.commit_forever()

    async def histories(self, users: Sequence[Identity], now: float) -> list[History]:
        """What it knows of each; nobody else is under way, so the time does not matter."""
        del now
        return [self._ledger.history(names) for names in users]

    async def begin(self, at: float) -> int:
        """A run begins."""
        return self._ledger.begin(at)

    async def unknown(self) -> int:
        """How many messages nobody can prove or disprove."""
        return self._ledger.unknown()

    async def finish(self, summary: str, at: float) -> None:
        """The run ended."""
        self._ledger.finish(summary, at)
