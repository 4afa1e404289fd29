"""Group commit: one sync for all who wait, and a failed commit is never repeated."""

import threading
from collections.abc import Sequence

import anyio
import pytest

from batch_resend.errors import LedgerError
from batch_resend.ledger import Identity, Intend, Step
from batch_resend.ledger.sqlite.group_commit import GroupCommit

pytestmark = pytest.mark.anyio
STEP = Intend(Identity("ada"), 0.0)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Disk:
    """A ledger whose sync waits until it is released."""

    def __init__(self, fail_at: int = 0) -> None:
        self.groups: list[int] = []
        self.go = threading.Semaphore(0)
        self.fail_at = fail_at
        self.total = 0

    def write(self, steps: Sequence[Step]) -> list[int]:
        self.groups.append(len(steps))
        self.total += len(steps)
        return list(range(self.total - len(steps), self.total))

    def commit(self) -> None:
        assert self.go.acquire(timeout=300)
        if len(self.groups) == self.fail_at:
            raise LedgerError("disk full")


async def test_who_waits_while_the_disk_is_busy_shares_the_next_sync() -> None:
    disk = Disk()
    journal = GroupCommit(disk)
    answers: list[int] = []

    async def make() -> None:
        answers.append(await journal.make(STEP))

    async with anyio.create_task_group() as around:
        around.start_soon(journal.commit_forever)
        async with anyio.create_task_group() as makers:
            makers.start_soon(make)
            while not disk.groups:
                await anyio.sleep(0.001)
            for _ in range(20):
                makers.start_soon(make)
            await anyio.wait_all_tasks_blocked()
            assert not answers, "no caller returns before it is durable"
            disk.go.release(2)
        around.cancel_scope.cancel()
    assert disk.groups == [1, 20]
    assert sorted(answers) == list(range(21))


async def test_failed_commit_reaches_all_callers_and_is_not_repeated() -> None:
    disk = Disk(fail_at=1)
    journal = GroupCommit(disk)
    errors: list[str] = []

    async def make() -> None:
        try:
            await journal.make(STEP)
        except LedgerError as error:
            errors.append(str(error))

    async with anyio.create_task_group() as around:
        around.start_soon(journal.commit_forever)
        async with anyio.create_task_group() as makers:
            makers.start_soon(make)
            while not disk.groups:
                await anyio.sleep(0.001)
            for _ in range(5):
                makers.start_soon(make)
            await anyio.wait_all_tasks_blocked()
            disk.go.release(1)
        await make()
        around.cancel_scope.cancel()
    assert errors == ["disk full"] * 7
    assert disk.groups == [1]


async def test_in_place_each_step_is_durable_when_its_maker_goes_on() -> None:
    disk = Disk()
    disk.go.release(10)
    journal = GroupCommit(disk, threads=False)
    async with anyio.create_task_group() as around:
        around.start_soon(journal.commit_forever)
        assert [await journal.make(STEP) for _ in range(3)] == [0, 1, 2]
        around.cancel_scope.cancel()
    assert disk.groups == [1, 1, 1]


async def test_unexpected_end_of_commits_leaves_no_caller_waiting() -> None:
    class Odd(Disk):
        def commit(self) -> None:
            super().commit()
            raise ValueError("a mistake of ours")

    disk = Odd()
    journal = GroupCommit(disk)
    errors: list[str] = []
    ended: list[str] = []

    async def make() -> None:
        with pytest.raises(LedgerError) as error:
            await journal.make(STEP)
        errors.append(str(error.value))

    async def commit() -> None:
        with pytest.raises(ValueError, match="of ours") as error:
            await journal.commit_forever()
        ended.append(str(error.value))

    with anyio.fail_after(300):
        async with anyio.create_task_group() as around:
            around.start_soon(commit)
            around.start_soon(make)
            while not disk.groups:
                await anyio.sleep(0.001)
            around.start_soon(make)
            await anyio.wait_all_tasks_blocked()
            disk.go.release()
        await make()
    assert ended == ["a mistake of ours"]
    assert errors == ["The ledger's commits have ended."] * 3
    assert disk.groups == [1]


async def test_step_after_the_end_raises_instead_of_waiting() -> None:
    journal = GroupCommit(Disk())
    async with anyio.create_task_group() as around:
        around.start_soon(journal.commit_forever)
        await anyio.wait_all_tasks_blocked()
        around.cancel_scope.cancel()
    with pytest.raises(LedgerError, match="have ended"):
        await journal.make(STEP)
