"""The event loop under a command, and the signals that end one."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def in_loop(work: Callable[[], Awaitable[int]]) -> int:
    """Run it in an event loop, in uvloop's where that is installed.

    Raises `SettingsError` where too few files may be open even for the loop.
    """
    import gc
    import importlib.util

    import anyio

    from batch_resend.run import descriptors

    descriptors.check()
    # Requests make thousands of short-lived objects a second and no cycles: the usual
    # threshold of 700 has a tenth of the CPU look for what is not there.
    gc.set_threshold(20_000, 20, 50)
    faster = importlib.util.find_spec("uvloop") is not None
    return anyio.run(work, backend_options={"use_uvloop": faster})
