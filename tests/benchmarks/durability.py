"""What durable intents cost: a ledger that syncs beside one that does not, in one run.

    python -m tests.benchmarks.durability [USERS]

Each round serves the users at 1,000 requests per second with 64 workers, 20 ms away, twice:
with the ledger as it is, and with one whose `synchronous` is OFF. Prints the medians.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio

from batch_resend.job.engine import Job, Limits
from batch_resend.job.planner import Selection
from batch_resend.job.request import AppClient
from batch_resend.job.spool import Spool
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.model import Candidate, Result
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.sender import SimulatedSender
from tests.support.infos import info

RATE, ROUNDS = 1000.0, 5


class Users:
    is_listing = False
    notes: tuple[str, ...] = ()

    def __init__(self, count: int) -> None:
        self.count = count

    async def open(self) -> None:
        pass

    async def batches(self) -> AsyncGenerator[list[Candidate], None]:
        yield [Candidate(row, f"user{row}@example.com") for row in range(1, self.count + 1)]


class Nowhere:
    def write(self, result: Result) -> None:
        pass

    async def room(self) -> None:
        pass


async def serve(users: int, durable: bool) -> tuple[float, float]:
    """Return users per second, and seconds of CPU."""
    with (
        tempfile.TemporaryDirectory(dir=".") as folder,
        LedgerFile(Path(folder) / "ledger.sqlite3") as ledger,
        Spool() as spool,
    ):
        if not durable:
            ledger._db.execute("PRAGMA synchronous = OFF")
        job = Job(
            ledger=ledger,
            report=Nowhere(),
            app=AppClient("simulatedclient"),
            spool=spool,
            info=info(),
            now=time.time(),
            limits=Limits(rate=RATE, concurrency=64),
        )
        job.gate.pace.rate = RATE  # it would take some seconds to get there by itself
        await job.plan(Users(users), Selection())
        async with SimulatedSender(Cognito(), epoch=time.time(), latency=0.02) as sender:
            start, cpu = time.perf_counter(), time.process_time()
            summary = await job.run(sender)
            took = time.perf_counter() - start
        assert summary.exit_code == 0
        return users / took, time.process_time() - cpu


def main() -> None:
    users = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    rounds_by_durability: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for _ in range(ROUNDS):
        for durable, results in rounds_by_durability.items():
            result = anyio.run(serve, users, durable, backend_options={"use_uvloop": True})
            results.append(result)
    speeds = {
        d: statistics.median(speed for speed, _ in rounds)
        for d, rounds in rounds_by_durability.items()
    }
    print(f"| ledger | users per second at {RATE:g}/s | microseconds of CPU per user |")
    print("| --- | --- | --- |")
    for durable, name in ((False, "that does not sync"), (True, "as it is")):
        cpu = statistics.median(c for _, c in rounds_by_durability[durable]) / users * 1e6
        print(f"| {name} | {speeds[durable]:.0f} | {cpu:.0f} |")
    print(f"Durability costs {100 * (1 - speeds[True] / speeds[False]):.1f} % of throughput.")


if __name__ == "__main__":
    main()
