"""Group commit: the steps of all waiting workers share one sync.

Whoever calls `make` returns when their step is durable. While one commit is on its way
to the disk the others' steps gather, so a slow disk makes larger groups, not a queue.
After a failed commit every caller, then and later, gets the same error: a commit is
never repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import anyio
import anyio.to_thread

from batch_resend.errors import LedgerError
from batch_resend.ledger import Step


class Durable(Protocol):
    """A ledger that makes steps durable, synchronously."""

    def apply(self, steps: Sequence[Step]) -> list[int]:
        """Make the steps durable, all or none; one answer for each."""
        ...


@dataclass(slots=True, eq=False)
class _Waiting:
    step: Step
    done: anyio.Event = field(default_factory=anyio.Event)
    answer: int = 0


class GroupCommit:
    """Commits for all workers, one commit at a time.

    In a thread, so that the sync holds up nobody; or (`threads=False`) in place, for
    virtual time, whose clock would run on while a thread works.
    """

    def __init__(self, ledger: Durable, *, threads: bool = True) -> None:
        """Stand before a ledger that is open."""
        self._ledger = ledger
        self._threads = threads
        self._gathered: list[_Waiting] = []
        self._arrived = anyio.Event()
        self._broken: LedgerError | None = None

    async def make(self, step: Step) -> int:
        """Make one step durable, together with whatever else waits.

        `commit_forever` must be running. Raises `LedgerError`; then nothing may be sent
        any more.
        """
        if self._broken:
            raise self._broken
        waiting = _Waiting(step)
        self._gathered.append(waiting)
        self._arrived.set()
        await waiting.done.wait()
        if self._broken:
            raise self._broken
        return waiting.answer

    async def commit_forever(self) -> None:
        """Commit what gathers, until cancelled; from then on `make` raises."""
        group: list[_Waiting] = []
        try:
            while True:
                await self._arrived.wait()
                self._arrived = anyio.Event()
                group, self._gathered = self._gathered, []
                try:
                    answers = await self._commit([waiting.step for waiting in group])
                except LedgerError as error:
                    self._break(error, group)
                    continue
                for waiting, answer in zip(group, answers, strict=True):
                    waiting.answer = answer
                    waiting.done.set()
                group = []
        finally:
            # Whatever ended it: nobody may be left waiting for a commit that never comes.
            self._break(LedgerError("The ledger's commits came to an end."), group)

    def _break(self, error: LedgerError, group: list[_Waiting]) -> None:
        self._broken = self._broken or error
        for waiting in group + self._gathered:
            waiting.done.set()
        self._gathered = []

    async def _commit(self, steps: list[Step]) -> list[int]:
        if self._broken:
            raise self._broken
        if self._threads:
            return await anyio.to_thread.run_sync(self._ledger.apply, steps)
        return self._ledger.apply(steps)
