"""Whether time is linear in the rows and memory flat: 100,000 rows beside 1,000,000.

    python -m tests.benchmarks.rows [ROWS]

Each is a process of its own: `run users.csv --simulate`, dry and for real, with a ledger and a
report, against the in-process simulator. So that a million does not take hours, the simulated
quota and distance are as good as none; all else is as it is.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def _child(arguments: list[str]) -> int:
    from batch_resend.cli import program
    from batch_resend.run import prepare

    vars(prepare).update(DEFAULT_QUOTA=1e6, _SIMULATED_LATENCY=0.001)
    code = program(arguments)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return code


def measure(rows: int, *more: str) -> tuple[float, float, float]:
    """Return seconds, seconds of CPU, and the peak of memory in MB."""
    with tempfile.TemporaryDirectory(dir=".", prefix=".rows-") as name:
        folder = Path(name)
        with (folder / "users.csv").open("w") as file:
            file.write("username\n")
            file.writelines(f"user{row}@example.com\n" for row in range(rows))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.rows", "--child", "run",
             str(folder / "users.csv"), "--simulate", "--rate", "90000", "--quiet",
             "--report", str(folder / "report.csv"), "--create-ledger",
             "--ledger", str(folder / "ledger.sqlite3"),
             *more],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        took = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        with (folder / "report.csv").open() as file:
            assert sum(1 for _ in file) == rows + 1
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return took, cpu, int(done.stdout) / 1024


def main() -> None:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print("| run | rows | seconds | microseconds of CPU a row | peak MB |")
    print("| --- | --- | --- | --- | --- |")
    for what, more in (("dry", ["--dry-run"]), ("for real", [])):
        for rows in (most // 10, most):
            took, cpu, peak = measure(rows, *more)
            print(f"| {what} | {rows:,} | {took:.1f} | {1e6 * cpu / rows:.0f} | {peak:.0f} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        sys.exit(_child(sys.argv[2:]))
    main()
