"""How long a ledger of 100,000 messages takes to open, with its checks.

    python -m tests.benchmarks.ledger_start [MESSAGES] [ROUNDS]

Beside it: with SQLite's `quick_check` in place of the pages' checksums, as it was before there
were any, and with the full `integrity_check`, which is made only where the checksums are missing.
Also the time of a whole dry run over as many users, which is a start that such a ledger is
opened for. Medians in milliseconds, taken in turns.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from batch_resend.ledger import Identity, Intend, Settle
from batch_resend.ledger.sqlite.checksums import PageSums, sums_of
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.model import Reason
from tests.support.ledgers import NOW, apply

_TOGETHER = 1000


def fill(path: Path, messages: int) -> None:
    """Send to a number of users."""
    with LedgerFile(path) as ledger:
        ledger.begin(NOW)
        for start in range(0, messages, _TOGETHER):
            users = [Identity(f"user{n}@example.com") for n in range(start, start + _TOGETHER)]
            intents = apply(ledger, [Intend(user, NOW) for user in users])
            apply(ledger, [Settle(intent, Reason.ACCEPTED, NOW) for intent in intents])
        ledger.finish("{}", NOW)


def opened(path: Path) -> float:
    """Return the seconds to open it."""
    file = LedgerFile(path)
    start = time.perf_counter()
    file.__enter__()
    took = time.perf_counter() - start
    file.__exit__(None, None, None)
    return took


def opened_with(path: Path, check: str) -> float:
    """Return the seconds to open it with a check of SQLite's in place of the checksums."""
    real, sums = LedgerFile._check, sums_of(path).read_bytes()
    with (
        mock.patch.object(LedgerFile, "_check", lambda file, db, _: real(file, db, check)),
        mock.patch.object(PageSums, "read", return_value=None),
    ):
        took = opened(path)
    sums_of(path).write_bytes(sums)
    return took


def dry_run(folder: Path, path: Path, messages: int) -> float:
    """Return the seconds of a dry run whose users are all in the ledger."""
    users = folder / "users.csv"
    users.write_text(
        "username\n" + "".join(f"user{n}@example.com\n" for n in range(messages)), "utf-8"
    )
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "batch_resend", "run", str(users), "--client-id", "simulated",
         "--region", "us-east-1", "--endpoint-url", "http://127.0.0.1:9", "--dry-run",
         "--report", os.devnull, "--ledger", str(path), "--create-ledger"],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - start


def main() -> None:
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 9
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "ledger.sqlite3"
        fill(path, messages)
        ways: dict[str, Callable[[], float]] = {
            "checksums of the pages": lambda: opened(path),
            "quick_check": lambda: opened_with(path, "quick_check"),
            "integrity_check": lambda: opened_with(path, "integrity_check"),
            "a whole dry run": lambda: dry_run(Path(name), path, messages),
        }
        took: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, measure in ways.items():
                took[way].append(1000 * measure())
        size = path.stat().st_size / 1e6
    print(f"{messages} messages, {size:.0f} MB\n")
    print("| what | ms |")
    print("| --- | --- |")
    for way, times in took.items():
        print(f"| {way} | {statistics.median(times):.0f} |")


if __name__ == "__main__":
    main()
