"""Ledgers as tests want them: opened by one run after another, durable when a call returns."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from batch_resend.aws.endpoints import AwsTarget
from batch_resend.ledger import (
    Forgotten,
    Identity,
    Intend,
    IntentRejected,
    Interrupted,
    Message,
    Settle,
    Step,
)
from batch_resend.ledger.dynamodb.address import is_table, table_address
from batch_resend.ledger.dynamodb.ledger import open_ledger
from batch_resend.ledger.journal import Journal, OwnJournal
from batch_resend.ledger.policy import ANYBODY, History, SendPolicy
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.ledger.sqlite.ledger import SqliteLedger
from batch_resend.ledger.sqlite.lockfile import files_of
from batch_resend.model import Reason
from batch_resend.run.open_ledger import erasing, ledger_of, looking
from batch_resend.settings import LedgerTarget
from tests.support.dynamodb import REGION

NOW = 1_800_000_000.0
MUCH_LATER = NOW + 3600  #: no request is in flight for so long


def apply(ledger: SqliteLedger, steps: Sequence[Step]) -> list[int]:
    """Make the steps durable; the number of each intent, 0 for the others.

    Raises `IntentRejected` after the others are durable, where an intent is not allowed any more.
    """
    answers = ledger.write(steps)
    ledger.commit()
    for answer in answers:
        if isinstance(answer, IntentRejected):
            raise answer
    return [answer for answer in answers if not isinstance(answer, IntentRejected)]


@contextlib.contextmanager
def opened_file(path: Path | None, **options: Any) -> Iterator[SqliteLedger]:
    with LedgerFile(path, **options) as opened:
        if not options.get("read_only"):
            opened.begin(NOW)
        yield opened


def remember(path: Path, *names: str, at: float = NOW, reason: Reason = Reason.ACCEPTED) -> None:
    with opened_file(path) as opened:
        for intent in apply(opened, [Intend(Identity(name), at) for name in names]):
            apply(opened, [Settle(intent, reason, at)])


def everything(path: Path) -> bytes:
    """Return all bytes of all files of a ledger."""
    return b"".join(file.read_bytes() for file in files_of(path) if file.exists())


@dataclass
class Opened:
    """A ledger opened by one run."""

    journal: Journal
    is_new: bool
    client: str

    async def history(self, *names: str, listed: bool = False, now: float = NOW) -> History:
        users = [Identity(names[0], names[1:], listed)]
        return (await self.journal.histories(users, now))[0]

    async def intend(
        self, *names: str, at: float = NOW, listed: bool = False, policy: SendPolicy = ANYBODY
    ) -> int:
        return await self.journal.make(Intend(Identity(names[0], names[1:], listed), at, policy))

    async def settle(
        self, intent: int, reason: Reason | None, at: float = NOW, request_id: str = ""
    ) -> None:
        await self.journal.make(Settle(intent, reason, at, request_id))

    async def send(
        self, *names: str, at: float = NOW, listed: bool = False, reason: Reason = Reason.ACCEPTED
    ) -> None:
        await self.settle(await self.intend(*names, at=at, listed=listed), reason, at)

    async def interrupt(self, name: str, at: float) -> None:
        await self.journal.make(Interrupted(Identity(name), at))


@dataclass
class Ledger:
    """A ledger that one run after another opens."""

    at: str

    def settings(self, **options: Any) -> LedgerTarget:
        return LedgerTarget(client_id="abc", region=REGION, ledger=self.at, **options)

    @contextlib.asynccontextmanager
    async def run(self, *, begin: bool = True, **options: Any) -> AsyncIterator[Opened]:
        """Start a run that, as if it died, does not end."""
        async with contextlib.AsyncExitStack() as stack:
            journal: Journal
            if is_table(self.at):
                address = table_address(self.at)
                opening = open_ledger(AwsTarget(REGION), address, **options)
                journal = shared = await stack.enter_async_context(opening)
                is_new, client = shared.is_new, shared.client
            else:
                ledger = stack.enter_context(LedgerFile(Path(self.at), **options))
                journal = OwnJournal(ledger, threads=False)
                is_new, client = ledger.is_new, ledger.client
            if begin:
                await journal.begin(NOW)
            async with anyio.create_task_group() as around:
                around.start_soon(journal.commit_forever)
                try:
                    yield Opened(journal, is_new, client)
                finally:
                    around.cancel_scope.cancel()

    async def messages(self, *, unknown: bool = False) -> list[Message]:
        settings = self.settings()
        async with looking(settings, await ledger_of(settings)) as copy:
            return list(copy.messages(unknown=unknown))

    async def names(self) -> list[str | None]:
        return [message.name for message in await self.messages()]

    async def person(self, name: str, **options: Any) -> list[str | None]:
        settings = self.settings(**options)
        async with looking(settings, await ledger_of(settings), only=name) as copy:
            return [message.name for message in copy.person(name)]

    async def forget(self, *names: str) -> Forgotten:
        settings = self.settings()
        async with erasing(settings, await ledger_of(settings)) as ledger:
            return await ledger.forget(names)

    async def older(self, before: float, **options: Any) -> tuple[int, int]:
        settings = self.settings()
        async with erasing(settings, await ledger_of(settings)) as ledger:
            extent = await ledger.older(before, **options)
            return extent.messages, extent.unknown

    async def purge(self, before: float, **options: Any) -> None:
        settings = self.settings()
        async with erasing(settings, await ledger_of(settings)) as ledger:
            await ledger.purge(before, **options)


def times_of(history: History) -> tuple[list[float], list[float], bool]:
    return sorted(history.sent), sorted(history.unknown), history.interrupted
