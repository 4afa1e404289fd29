"""All benchmarks as tables: `python -m tests.benchmarks` (a quarter of an hour)."""

from __future__ import annotations

import subprocess
import sys

ALL = (
    ("Pace against a quota, in virtual time", ["pace"]),
    ("The same over HTTP", ["pace", "--real"]),
    ("What a message costs", ["engine"]),
    ("What durable intents cost", ["durability"]),
    ("Rows, time and memory", ["rows"]),
    ("Start", ["start"]),
)


def main() -> None:
    for title, (module, *arguments) in ALL:
        print(f"\n## {title}\n", flush=True)
        subprocess.run([sys.executable, "-m", f"tests.benchmarks.{module}", *arguments], check=True)


if __name__ == "__main__":
    main()
