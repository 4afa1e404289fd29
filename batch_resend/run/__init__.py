"""One run, put together: prepared, approved, sent.

The package is also the function of its name: `batch_resend.run(settings)` is `api.run`,
and the modules below it stay where `batch_resend.run.prepare` says that they are.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batch_resend.job.summary import Summary
    from batch_resend.observer import Observe
    from batch_resend.settings import Settings
    from batch_resend.sources.memory_users import Users


class _Run(ModuleType):
    """A package that can be called."""

    def __call__(
        self, settings: Settings, users: Users | None = None, *, observe: Observe | None = None
    ) -> Summary:
        """Run a job to its end and return its summary; see `batch_resend.run.api.run`."""
        from batch_resend.observer import ignore
        from batch_resend.run.api import run

        return run(settings, users, observe=observe or ignore)


sys.modules[__name__].__class__ = _Run
