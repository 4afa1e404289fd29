"""Group commit: the steps of all waiting workers share one sync.

`make` returns when the step is durable. While one commit is on its way to the disk, other
steps gather, so a slow disk makes larger groups, not a queue. After a failed commit every
caller, then and later, gets the same error: a commit is never repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import anyio
import anyio.to_thread

from batch_resend.errors import LedgerError
from batch_resend.ledger import IntentRejected, Step

APART = 0.005  #: seconds between the starts of two commits; a request takes ten times that


class StepWriter(Protocol):
    """A ledger that makes steps durable, synchronously."""

    def write(self, steps: Sequence[Step]) -> Sequence[int | IntentRejected]:
        """Write the steps; return one result for each. Nothing is durable yet."""
        ...

    def commit(self) -> None:
        """Make what was written durable, all or none."""
        ...


@dataclass(slots=True, eq=False)
class _Group:
    """Steps that become durable together, and the event that reports it."""

    steps: list[Step] = field(default_factory=list)
    answers: Sequence[int | IntentRejected] = field(default_factory=list)
    done: anyio.Event = field(default_factory=anyio.Event)


class GroupCommit:
    """Commits for all workers, one commit at a time.

    The wait for the disk happens in a thread, so that the event loop is not blocked; or
    (`threads=False`) in place, for virtual time, whose clock would advance while a thread
    works. The writing before it happens in place: it is quick, and in a thread each
    statement would compete with a busy event loop for the interpreter.
    """

    def __init__(self, ledger: StepWriter, *, threads: bool = True) -> None:
        self._ledger = ledger
        self._threads = threads
        self._gathering = _Group()
        self._arrived = anyio.Event()
        self._broken: LedgerError | None = None
        self._began = -APART  # when the last commit began

    async def make(self, step: Step) -> int:
        """Make one step durable, together with all others that wait.

        `commit_forever` must be running. Raises `LedgerError`; then nothing may be sent
        any more; or `IntentRejected`, where this intent alone is not allowed.
        """
        if self._broken:
            raise self._broken
        group = self._gathering
        place = len(group.steps)
        group.steps.append(step)
        if place == 0:
            self._arrived.set()
        await group.done.wait()
        if self._broken:
            raise self._broken
        if isinstance(answer := group.answers[place], IntentRejected):
            raise answer
        return answer

    async def commit_forever(self) -> None:
        """Commit what gathers, until cancelled; from then on `make` raises."""
        group = _Group()
        try:
            while True:
                await self._arrived.wait()
                await self._gather()
                self._arrived = anyio.Event()
                group, self._gathering = self._gathering, _Group()
                try:
                    group.answers = await self._commit(group.steps)
                except LedgerError as error:
                    self._break(error, group)
                else:
                    group.done.set()
        finally:
            # Whatever ended it, no caller may wait for a commit that never happens.
            self._break(LedgerError("The ledger's commits have ended."), group)

    async def _gather(self) -> None:
        """Wait a few milliseconds between commits: fewer and larger groups cost less."""
        since = anyio.current_time() - self._began
        if self._threads and since < APART:
            await anyio.sleep(APART - since)
        self._began = anyio.current_time()

    def _break(self, error: LedgerError, group: _Group) -> None:
        self._broken = self._broken or error
        group.done.set()
        self._gathering.done.set()

    async def _commit(self, steps: list[Step]) -> Sequence[int | IntentRejected]:
        if self._broken:
            raise self._broken
        answers = self._ledger.write(steps)
        if self._threads:
            await anyio.to_thread.run_sync(self._ledger.commit)
        else:
            self._ledger.commit()
        return answers
