"""What a dry run's page says for the approval of the run: how long, how much, what limits it.

Pure: a preview goes in, labels and sentences come out.
"""

from __future__ import annotations

from dataclasses import dataclass

from batch_resend.masking import printable
from batch_resend.preflight.estimate import Messages
from batch_resend.preflight.preview import Preview
from batch_resend.wording import grouped, span


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the plan. `{at}` in a sentence is the time `at`, in seconds since the epoch."""

    label: str
    sentences: tuple[str, ...]
    at: float | None = None


def approval(preview: Preview) -> list[Line]:
    """Return what a person must know to approve the run."""
    estimate = preview.estimate
    lines = [Line("Messages", (_messages(estimate.sent, preview.eligible),))]
    if len(preview.waves) > 1:
        waves = ", then ".join(grouped(size, "user") for size in preview.waves)
        lines.append(Line("Waves", (waves,)))
    if preview.eligible:
        binding = estimate.binding
        how_long = [
            f"About {span(binding.finished_at - estimate.now)}, limited by {binding.words}. If it"
            " starts now, it ends {at} at the earliest."
        ]
        reached, why = estimate.reached
        if why:
            how_long.append(f"This run stops after {grouped(reached, 'user')} ({why}).")
        lines.append(Line("Duration", tuple(how_long), binding.finished_at))
    costs = estimate.costs
    if costs:
        lines.append(
            Line("Cost", tuple(f"{amount} ({assumption})" for amount, assumption in costs))
        )
    if preview.notes:
        lines.append(Line("Input", tuple(printable(note) for note in preview.notes)))
    return lines


def _messages(sent: Messages, users: int) -> str:
    media = [
        f"{count:,} {how}"
        for count, how in (
            (sent.mail, "by email"),
            (sent.text, "by SMS"),
            (sent.either, "by email or SMS"),
        )
        if count
    ]
    return f"{grouped(users, 'code')}: {', '.join(media)}" if media else grouped(users, "code")
