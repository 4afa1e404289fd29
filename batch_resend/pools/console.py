"""What a person sees of several pools: the same lines, each with its pool's name.

At a terminal the live display shows the total, and below it a line for each pool. With
`--log-format json` the name is in `pool`. The summary of all comes last.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from batch_resend.console.console import Console
from batch_resend.console.lines import goes_on, numbers, progress_line, summary_lines
from batch_resend.job.engine import Snapshot
from batch_resend.job.summary import Summary, Tally
from batch_resend.masking import printable
from batch_resend.model import Reason
from batch_resend.pools.preview import PoolsPreview, total_lines
from batch_resend.pools.summary import PoolsSummary
from batch_resend.preflight.preview import confirmation_lines, plan_lines
from batch_resend.wording import some


class PoolsConsole(Console):
    """Tells a person, or a log, how the runs of several pools go."""

    def __init__(self, **speech: Any) -> None:
        super().__init__(**speech)
        self._speech = speech
        self._parts: list[Part] = []
        self._ceiling = 0.0  # of all quotas together, once they are known

    def part(self, name: str) -> Part:
        """Make the observer of one pool."""
        part = Part(self, name, **self._speech)
        self._parts.append(part)
        return part

    def say_of(self, name: str, event: str, text: str, *, important: bool, **more: Any) -> None:
        """Write a line about one pool."""
        if not self._json and text:
            text = f"{name}: {text}"
        self._say(event, text, important=important, pool=name, **more)

    async def approve(self, preview: PoolsPreview) -> bool:  # type: ignore[override]
        """Show the plan of each and of all; ask once, where a question is due."""
        self._ceiling = sum(quota.ceiling for quota in preview.quotas)
        for part, each in zip(self._parts, preview.pools.values(), strict=True):
            lines = plan_lines if each.info.dry_run else confirmation_lines
            if not self._json:
                self._say("plan", f"Pool {part.name}")
            for line in self._fitting(lines(each, masked=self._masked)):
                self._say("plan", line, pool=part.name)
        for line in total_lines(preview):
            self._say("plan", line)
        return await self._approved(preview)

    def _sum_up(self, summary: PoolsSummary) -> None:
        for part, end in zip(self._parts, summary.ends.values(), strict=True):
            if isinstance(end, Summary):
                lines = summary_lines(end, one_of_many=True)
            else:
                lines = [f"Error: {end}"]
            for line in lines:
                part.tell(line)
        for line in pools_summary_lines(summary):
            self._say("summary", line, important=True)

    def close(self) -> None:
        """End the progress, and leave the terminal as it was."""
        super().close()
        for part in self._parts:
            part.close()

    @property
    def in_flight(self) -> int:
        """How many requests of all pools wait for their response."""
        return sum(part.in_flight for part in self._parts)

    def _doing(self) -> str:
        texts = [f"{part.name}: {text}" for part in self._parts if (text := part.doing)]
        return "; ".join(texts)

    def _tick(self) -> None:
        if self._tell_doing():
            return
        standing = {
            part: progress for part in self._parts if (progress := part.standing()) is not None
        }
        if not standing:
            return
        if self._live:
            self._draw_all(standing)
            return
        for part, (snapshot, waiting) in standing.items():
            line = progress_line(snapshot, waiting)
            self.say_of(part.name, "progress", line, important=False, **numbers(snapshot))

    def _draw_all(self, standing: dict[Part, tuple[Snapshot, str]]) -> None:
        from rich.console import Group
        from rich.text import Text

        from batch_resend.console.live import WIDEST, Display, frame

        self._display = self._display or Display(self._stream)
        latest: dict[Reason, None] = {}
        for part in standing:
            latest |= part.latest
        drawn = frame(
            replace(total(snapshot for snapshot, _ in standing.values()), ceiling=self._ceiling),
            seconds=time.monotonic() - min(part.began_at for part in standing),
            latest=latest,
            width=self._display.width,
        )
        rows = [Text("")]
        for part, (snapshot, waiting) in standing.items():
            row = Text(f"{part.name}: {progress_line(snapshot, waiting)}", overflow="ellipsis")
            row.truncate(WIDEST, overflow="ellipsis")
            rows.append(row)
        self._display.show(Group(drawn, *rows))


class Part(Console):
    """Tells of one pool, through the console of all."""

    def __init__(self, whole: PoolsConsole, name: str, **speech: Any) -> None:
        super().__init__(**speech)
        self.name = name
        self._whole = whole

    @property
    def began_at(self) -> float:
        """When sending began, on the monotonic clock."""
        return self._began_at

    @property
    def doing(self) -> str:
        """What is done before the plan; "" from then on."""
        return self._doing()

    @property
    def latest(self) -> dict[Reason, None]:
        """Why it went wrong, in the order of the last time."""
        return self._latest

    def standing(self) -> tuple[Snapshot, str] | None:
        """Return the state of the run and what it waits for, once it sends."""
        return None if self._began is None else (self._began.snapshot(), self._wait())

    def tell(self, line: str) -> None:
        """Write a line of the summary."""
        self._say("summary", line, important=True)

    def _say(self, event: str, text: str, *, important: bool = False, **more: Any) -> None:
        self._whole.say_of(self.name, event, text, important=important, **more)


def total(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Add up how several runs stand; the ceiling is added too, as if no quota were shared."""
    running = list(snapshots)
    tally = Tally()
    for snapshot in running:
        tally.reasons.update(snapshot.tally.reasons)
        tally.requests += snapshot.tally.requests
    going_on = [snapshot for snapshot in running if snapshot.done < snapshot.eligible]
    stops = [snapshot.stopped_by for snapshot in going_on]
    return Snapshot(
        eligible=sum(snapshot.eligible for snapshot in running),
        done=sum(snapshot.done for snapshot in running),
        tally=tally,
        rate=sum(snapshot.rate for snapshot in going_on or running),
        ceiling=sum(snapshot.ceiling for snapshot in running),
        throttled=sum(snapshot.throttled for snapshot in running),
        in_flight=sum(snapshot.in_flight for snapshot in running),
        seconds=max(snapshot.seconds for snapshot in running),
        stopped_by=stops[0] if stops and all(stops) else None,
        accepting=all(snapshot.accepting for snapshot in going_on),
    )


def pools_summary_lines(summary: PoolsSummary) -> list[str]:
    """Return the results of all pools in a few lines."""
    counts = [f"{n:,} {outcome}" for outcome, n in summary.counts.items() if n] or ["no rows"]
    lines = [f"{len(summary.ends)} pools: {some(summary.rows, 'row')}: {', '.join(counts)}."]
    codes = {name: int(end.exit_code) for name, end in summary.ends.items()}
    if len(set(codes.values())) > 1:
        each = ", ".join(f"{printable(name)} {code}" for name, code in codes.items())
        lines.append(f"Exit code {int(summary.exit_code)}, the highest of {each}.")
    if any(isinstance(end, Summary) and goes_on(end) for end in summary.ends.values()):
        lines.append(
            "To resume, run the same command again, with other names for the reports if you named"
            " them: users already sent a code are skipped."
        )
    lines += [str(left) for left in summary.not_delivered]
    return lines
