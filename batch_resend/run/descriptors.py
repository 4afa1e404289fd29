"""File descriptors: whether there are enough to work, and for how many requests in flight.

Few of them make a run slower; they fail no user.
"""

from __future__ import annotations

import resource
from pathlib import Path

from batch_resend.errors import SettingsError

#: Descriptors that a small run needs (20 in fact), with some room.
NEEDED = 32
#: Descriptors for what is not a connection to Cognito: name look-ups, a report that is renamed,
#: a ledger's journal, a ping.
RESERVE = 16


def check() -> None:
    """Raise this process's soft limit to what is needed; raises `SettingsError` if it cannot."""
    allowed = _allow(NEEDED)
    if allowed is not None and allowed < NEEDED:
        raise SettingsError(
            f"Only {allowed} files may be open here (ulimit -n), and at least {NEEDED} are needed:"
            " raise the limit."
        )


def affordable(concurrency: int, *, each: int = 1) -> int:
    """Return how many of so many requests can be in flight, `each` with that many connections.

    Raises this process's soft limit first, where its hard limit allows that. At least 1.
    """
    used = _in_use()
    if used is None:
        return concurrency
    allowed = _allow(used + RESERVE + concurrency * each)
    if allowed is None:
        return concurrency
    return max(1, min(concurrency, (allowed - used - RESERVE) // each))


def _allow(needed: int) -> int | None:
    """Raise the soft limit to what is needed, if it may be; return it, None for no limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)


def _in_use() -> int | None:
    """Return how many descriptors are open; None if the system does not report it."""
    try:
        return sum(1 for _ in Path("/dev/fd").iterdir()) - 1  # less the one that lists them
    except OSError:
        return None
