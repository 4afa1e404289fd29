"""How fast it starts: `--help`, `config show`, and the first request of a small CSV run.

    python -m tests.benchmarks.start [ROUNDS]

The first two beside an interpreter that only imports asyncio; the first request from the start of
the process until its first byte has arrived at a socket of this process. Medians, taken in turns.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_PROGRAM = [sys.executable, "-m", "batch_resend"]


def ended(arguments: list[str]) -> float:
    """Return the seconds that a process took."""
    start = time.perf_counter()
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def first_request(folder: Path) -> float:
    """Return the seconds from the start of a run to the first byte of its first request."""
    (folder / "users.csv").write_text("username\nmia@example.com\nnoah@example.com\n")
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        start = time.perf_counter()
        run = subprocess.Popen(
            [*_PROGRAM, "run", str(folder / "users.csv"), "--client-id", "simulated", "--yes",
             "--region", "us-east-1", "--endpoint-url", url, "--report", os.devnull,
             "--ledger", str(folder / "ledger.sqlite3"), "--create-ledger"],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        connection, _ = server.accept()
        connection.recv(1)
        took = time.perf_counter() - start
        run.kill()
        run.wait()
        connection.close()
    return took


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    bare, help_, show, first = [], [], [], []
    for _ in range(rounds):
        bare.append(ended([sys.executable, "-c", "import asyncio"]))
        help_.append(ended([*_PROGRAM, "--help"]))
        show.append(ended([*_PROGRAM, "config", "show"]))
        with tempfile.TemporaryDirectory() as name:
            first.append(first_request(Path(name)))
    print("| what | seconds |")
    print("| --- | --- |")
    print(f"| an interpreter that imports asyncio | {statistics.median(bare):.3f} |")
    for name, took in (("--help", help_), ("config show", show)):
        ratio = statistics.median(took) / statistics.median(bare)
        print(f"| `batch-resend {name}` | {statistics.median(took):.3f} ({ratio:.1f} times that) |")
    print(f"| first request of a small CSV run | {statistics.median(first):.2f} |")


if __name__ == "__main__":
    main()
