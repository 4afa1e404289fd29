"""A suppression list of a million addresses beside as many users: time, and flat memory.

python -m tests.benchmarks.suppressed
"""

from __future__ import annotations

import resource
import time

from batch_resend.job.spool import Spool
from batch_resend.model import Planned, Reason

COUNT, PAGE = 1_000_000, 1000


def main() -> None:
    """Print the duration of each step."""
    before = _peak()
    with Spool() as spool:
        began = time.perf_counter()
        for start in range(0, COUNT, PAGE):
            spool.suppress(f"user{n}@example.com" for n in range(start, start + PAGE))
        _show(f"{COUNT:,} suppressed addresses", began, before)
        began = time.perf_counter()
        for start in range(0, COUNT, PAGE):
            rows = range(start + 1, start + PAGE + 1)
            spool.add((Planned(row, f"u{row}", Reason.ELIGIBLE), "", None) for row in rows)
            # A tenth of the users have a suppressed address.
            spool.note_addresses((row, f"user{row * 10}@example.com", "") for row in rows)
        _show(f"{COUNT:,} users with an address", began, before)
        began = time.perf_counter()
        spool.skip_suppressed("mail")
        _show(f"{spool.counts()[Reason.SUPPRESSED]:,} skipped", began, before)


def _show(what: str, began: float, before: float) -> None:
    print(f"{what}: {time.perf_counter() - began:.1f} s, {_peak() - before:.0f} MB more at most")


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
