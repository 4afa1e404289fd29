"""Resend Amazon Cognito's confirmation code: one line per row, one message per person.

From Python::

    import batch_resend as br

    summary = br.run(br.Settings(client_id="...", create_ledger=True), users=["ada", "bob"])
    print(summary.counts, summary.exit_code)

`arun` is the same for coroutines, `open_run` gives each result as it comes, `to_frame` makes
a DataFrame of results. Nothing is printed, no question asked and no signal handled: that is
the caller's.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batch_resend.conversion import SecretSource
    from batch_resend.errors import (
        BatchResendError,
        Exit,
        InputError,
        LedgerError,
        LedgerHeld,
        ReportError,
        SettingsError,
        UsageError,
    )
    from batch_resend.job.summary import MaxFailures, Summary
    from batch_resend.model import Candidate, Delivery, Outcome, Reason, Result, RunInfo
    from batch_resend.observer import (
        Began,
        Ended,
        Event,
        Noted,
        Observe,
        Planned,
        Settled,
        Waiting,
    )
    from batch_resend.preflight.preview import Preview
    from batch_resend.reports.frame import to_frame
    from batch_resend.run.api import ActiveRun, arun, open_run, run
    from batch_resend.settings import Settings
    from batch_resend.sources.memory_users import Users
    from batch_resend.version import __version__

__all__ = [
    "ActiveRun",
    "BatchResendError",
    "Began",
    "Candidate",
    "Delivery",
    "Ended",
    "Event",
    "Exit",
    "InputError",
    "LedgerError",
    "LedgerHeld",
    "MaxFailures",
    "Noted",
    "Observe",
    "Outcome",
    "Planned",
    "Preview",
    "Reason",
    "ReportError",
    "Result",
    "RunInfo",
    "SecretSource",
    "Settings",
    "SettingsError",
    "Settled",
    "Summary",
    "UsageError",
    "Users",
    "Waiting",
    "__version__",
    "arun",
    "open_run",
    "run",
    "to_frame",
]

_HOMES = {
    "conversion": ("SecretSource",),
    "errors": (
        *("BatchResendError", "Exit", "InputError", "LedgerError", "LedgerHeld", "ReportError"),
        *("SettingsError", "UsageError"),
    ),
    "job.summary": ("MaxFailures", "Summary"),
    "model": ("Candidate", "Delivery", "Outcome", "Reason", "Result", "RunInfo"),
    "observer": (
        *("Began", "Ended", "Event", "Noted", "Observe", "Planned", "Settled", "Waiting"),
    ),
    "preflight.preview": ("Preview",),
    "reports.frame": ("to_frame",),
    "run.api": ("ActiveRun", "arun", "open_run"),
    "settings": ("Settings",),
    "sources.memory_users": ("Users",),
    "version": ("__version__",),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that `--help` need not wait."""
    if name == "run":  # the package, which can be called
        return import_module(f"{__name__}.run")
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
