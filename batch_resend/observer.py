"""Who watches a run, and answers its one question."""

from __future__ import annotations

from collections.abc import Iterable

from batch_resend.job.engine import Job
from batch_resend.model import Planned, Result
from batch_resend.preflight.preview import Preview


class Observer:
    """Watches a run and answers its one question. This one is silent and says yes."""

    def note(self, text: str) -> None:
        """Hear of something worth knowing."""

    def planned(self, rows: Iterable[Planned], heading: str, encoding: str) -> None:
        """Hear the whole plan, in the order of the rows; heading and encoding are the input's."""

    async def confirm(self, preview: Preview) -> bool:
        """Say whether to go on; asked once, after the plan and before the first message."""
        del preview
        return True

    def waiting(self, why: str, seconds: float) -> None:
        """Hear that nobody is asked for so many seconds."""

    def settled(self, result: Result) -> None:
        """Hear what became of a row."""

    def began(self, job: Job) -> None:
        """Hear that sending begins; `job.snapshot()` tells how it stands."""
