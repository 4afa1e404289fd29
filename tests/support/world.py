"""A simulated Cognito, a ledger and a report for the engine, on a clock that jumps."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from typing import Any

import anyio
import trio.testing

from batch_resend.errors import ReportError, StaleListing
from batch_resend.job.attempt import Sender
from batch_resend.job.engine import Job, Limits
from batch_resend.job.plan import Eligibility
from batch_resend.job.planner import Selection
from batch_resend.job.request import AppClient
from batch_resend.job.spool import Spool
from batch_resend.job.summary import Summary
from batch_resend.ledger.policy import SendPolicy
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.model import Candidate, Reason, Result
from batch_resend.observer import Event, Noted, Waiting
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.sender import SimulatedSender
from tests.support.infos import info

EPOCH = 1_800_000_000.0


CLIENT = AppClient("simulatedclient")


def virtually(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run on a clock that jumps to the next thing that happens."""
    clock = trio.testing.MockClock(autojump_threshold=0)
    return trio.run(work, clock=clock)


class Listed:
    """A source of a list of names."""

    is_listing = False
    notes: tuple[str, ...] = ()

    def __init__(self, names: Iterable[str | Candidate], *, stale: int = 0) -> None:
        self.candidates = [
            name if isinstance(name, Candidate) else Candidate(row, name, raw=f"{name}\n")
            for row, name in enumerate(names, 1)
        ]
        self.stale = stale

    async def open(self) -> None:
        pass

    async def batches(self) -> AsyncGenerator[list[Candidate], None]:
        for start in range(0, len(self.candidates), 1000):
            yield self.candidates[start : start + 1000]
            if self.stale:
                self.stale -= 1
                raise StaleListing("the listing broke off")


class Kept:
    """A report that keeps its results."""

    def __init__(self, *, room: int | None = None) -> None:
        self.results: list[Result] = []
        self.most = room

    def write(self, result: Result) -> None:
        if self.most is not None and len(self.results) >= self.most:
            raise ReportError("no space left")
        self.results.append(result)

    async def room(self) -> None:
        pass

    @property
    def reasons(self) -> Counter[Reason]:
        return Counter(result.reason for result in self.results)

    def of(self, username: str) -> Result:
        (result,) = [result for result in self.results if result.username == username]
        return result


class World:
    """A Cognito, a ledger that outlives runs, and the report of the last one."""

    def __init__(self, cognito: Cognito | None = None, **latency: Any) -> None:
        self.cognito = cognito or Cognito()
        self.latency = {"latency": 0.06, "timeout": 10.0} | latency
        self._file = LedgerFile(None)
        self.ledger = self._file.__enter__()
        self.report = Kept()
        self.now = EPOCH
        self.waits: list[tuple[str, float]] = []
        self.notes: list[str] = []
        self.job: Job

    def __del__(self) -> None:
        self._file.__exit__(None, None, None)

    def hear(self, event: Event) -> None:
        if isinstance(event, Waiting):
            self.waits.append((event.why, event.seconds))
        elif isinstance(event, Noted):
            self.notes.append(event.text)

    def go(self, names: Iterable[str | Candidate] | Listed, **options: Any) -> Summary:
        """Run in virtual time."""
        summary: Summary = virtually(lambda: self.run(names, **options))
        return summary

    async def run(
        self,
        names: Iterable[str | Candidate] | Listed,
        *,
        sender: Sender | None = None,
        during: Callable[[Job], Coroutine[Any, Any, None]] | None = None,
        policy: SendPolicy | None = None,
        eligibility: Eligibility | None = None,
        selection: Selection | None = None,
        dry: bool = False,
        room: int | None = None,
        ledger: Any = None,
        **limits: Any,
    ) -> Summary:
        self.report = Kept(room=room)
        source = names if isinstance(names, Listed) else Listed(names)
        async with (
            SimulatedSender(self.cognito, epoch=self.now, **self.latency) as simulated,
            contextlib.AsyncExitStack() as stack,
        ):
            began = anyio.current_time()
            self.job = job = Job(
                ledger=ledger or self.ledger,
                report=self.report,
                app=CLIENT,
                spool=stack.enter_context(Spool()),
                info=info(),
                now=self.now,
                policy=policy or SendPolicy(),
                eligibility=eligibility or Eligibility(),
                limits=Limits(**({"rate": 25.0} | limits)),
                observe=self.hear,
                threads=False,
            )
            await job.plan(source, selection or Selection())
            if dry:
                return await job.dry_run()
            async with anyio.create_task_group() as tasks:
                if during is not None:
                    tasks.start_soon(during, job)
                summary = await job.run(sender or simulated)
                tasks.cancel_scope.cancel()
            self.now += anyio.current_time() - began
        counted = len(source.candidates)
        if room is None:
            rows = sorted(result.row for result in self.report.results)
            assert rows == list(range(1, counted + 1)), "every row exactly once"
        assert summary.rows == counted
        return summary


def users(count: int, kind: str = "") -> list[str]:
    return [f"user{n}{kind}@example.com" for n in range(count)]
