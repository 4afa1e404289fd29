"""Resend Amazon Cognito's confirmation code: one line per row, one message per person.

From Python::

    from batch_resend import Settings, open_run

    async with open_run(Settings(users="users.csv", client_id="...")) as running:
        async for result in running:
            print(result.row, result.outcome, result.reason)
    print(running.summary.exit_code)

Nothing is printed, no question asked and no signal handled: that is the caller's.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batch_resend.errors import BatchResendError
    from batch_resend.job.summary import Summary
    from batch_resend.model import Outcome, Reason, Result
    from batch_resend.observer import Began, Ended, Event, Noted, Planned, Settled, Waiting
    from batch_resend.preflight.preview import Preview
    from batch_resend.run.api import ActiveRun, open_run
    from batch_resend.settings import Settings
    from batch_resend.version import __version__

__all__ = [
    "ActiveRun",
    "BatchResendError",
    "Began",
    "Ended",
    "Event",
    "Noted",
    "Outcome",
    "Planned",
    "Preview",
    "Reason",
    "Result",
    "Settings",
    "Settled",
    "Summary",
    "Waiting",
    "__version__",
    "open_run",
]

_HOMES = {
    "ActiveRun": "run.api",
    "BatchResendError": "errors",
    "Began": "observer",
    "Ended": "observer",
    "Event": "observer",
    "Noted": "observer",
    "Outcome": "model",
    "Planned": "observer",
    "Preview": "preflight.preview",
    "Reason": "model",
    "Result": "model",
    "Settings": "settings",
    "Settled": "observer",
    "Summary": "job.summary",
    "Waiting": "observer",
    "__version__": "version",
    "open_run": "run.api",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that `--help` need not wait."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
