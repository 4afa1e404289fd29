"""What the job needs of a ledger of either kind, without waiting in the event loop.

A ledger in one file is held by one run alone: what the plan has read of it stays true
until the run itself writes. A ledger that several machines share changes during the run.
So a ledger judges again as it makes an intent durable, and may raise `IntentRejected`; a
file does so only if it has other names of some user, because then two rows of one input
can be one person.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from batch_resend.ledger import Identity, Step, Unknowns
from batch_resend.ledger.policy import History
from batch_resend.ledger.sqlite.group_commit import GroupCommit, StepWriter


class ExclusiveLedger(StepWriter, Protocol):
    """A ledger that one run holds alone; every method raises `LedgerError`."""

    def distinguish_case(self) -> bool:
        """Distinguish names that differ only in case; return whether that changes anything."""
        ...

    def latest(self) -> float:
        """Return the newest time in it, in seconds since the epoch."""
        ...

    def history(self, names: Identity) -> History:
        """Return the history of a user."""
        ...

    def begin(self, at: float) -> int:
        """Record the start of a run."""
        ...

    def mark(self, intent: int, at: float) -> str:
        """Return the mark that the request of an intent carries."""
        ...

    def unknown(self) -> Unknowns:
        """Return how many messages are unknown, over all runs."""
        ...

    def finish(self, summary: str, at: float) -> None:
        """Record the end of the run."""
        ...


@runtime_checkable
class Journal(Protocol):
    """A ledger as the job uses it; every method raises `LedgerError`."""

    def distinguish_case(self) -> bool:
        """Distinguish names that differ only in case; return whether that changes anything."""
        ...

    def latest(self) -> float:
        """Return the newest time in it, in seconds since the epoch."""
        ...

    async def histories(self, users: Sequence[Identity], now: float) -> list[History]:
        """Return the history of each of these users."""
        ...

    async def begin(self, at: float) -> int:
        """Record the start of a run."""
        ...

    async def make(self, step: Step) -> int:
        """Make one step durable; return the number of an intent, 0 for other steps.

        Raises `IntentRejected` if an intent is not allowed any more.
        """
        ...

    def mark(self, intent: int, at: float) -> str:
        """Return the mark of an open intent's request; `at` is the time of the intent.

        A record by others (CloudTrail) that holds the mark is a record of this intent's
        request.
        """
        ...

    async def commit_forever(self) -> None:
        """Do the background work that steps need, until cancelled."""
        ...

    async def unknown(self) -> Unknowns:
        """Return how many messages are unknown, over all runs."""
        ...

    async def finish(self, summary: str, at: float) -> None:
        """Record the end of the run."""
        ...


class OwnJournal:
    """The journal of a ledger that this run holds alone."""

    def __init__(self, ledger: ExclusiveLedger, *, threads: bool = True) -> None:
        """Wrap an open ledger; `threads` is that of `GroupCommit`."""
        self._ledger = ledger
        self._commits = GroupCommit(ledger, threads=threads)

    def distinguish_case(self) -> bool:
        """Distinguish names that differ only in case; return whether that changes anything."""
        return self._ledger.distinguish_case()

    def latest(self) -> float:
        """Return the newest time in it, in seconds since the epoch."""
        return self._ledger.latest()

    async def make(self, step: Step) -> int:
        """Make one step durable, in a commit shared with others; see `GroupCommit.make`."""
        return await self._commits.make(step)

    def mark(self, intent: int, at: float) -> str:
        """Return the mark that the request of an open intent carries."""
        return self._ledger.mark(intent, at)

    async def commit_forever(self) -> None:
        """Commit the steps that gather, until cancelled."""
        await self._commits.commit_forever()

    async def histories(self, users: Sequence[Identity], now: float) -> list[History]:
        """Return the history of each; no other run writes, so the time does not matter."""
        del now
        return [self._ledger.history(names) for names in users]

    async def begin(self, at: float) -> int:
        """Record the start of a run."""
        return self._ledger.begin(at)

    async def unknown(self) -> Unknowns:
        """Return how many messages are unknown, over all runs."""
        return self._ledger.unknown()

    async def finish(self, summary: str, at: float) -> None:
        """Record the end of the run."""
        self._ledger.finish(summary, at)
