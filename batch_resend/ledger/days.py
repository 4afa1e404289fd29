"""Users by the day on which they were last sent a code, and how many have confirmed. Pure.

Days are those of UTC, counted from 1970-01-01. Cognito does not keep when a user confirmed,
so each user counts on the day of the last code: the part of a day that has confirmed grows
from look to look. Who has confirmed is what the pool says now, or what Cognito answered in
a later run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from batch_resend.ledger import Message
from batch_resend.model import Reason

_DAY = 86400


@dataclass(slots=True)
class Days:
    """Users by day: sent a code, of these confirmed, and those whose outcome is unknown."""

    sent: Counter[int] = field(default_factory=Counter)
    confirmed: Counter[int] = field(default_factory=Counter)
    unknown: Counter[int] = field(default_factory=Counter)

    def add(self, messages: Sequence[Message], status: str | None) -> None:
        """Count a user by all messages to them, the oldest first, and their status now."""
        sent = [message.at for message in messages if message.state == "sent"]
        if sent:
            day = int(max(sent) // _DAY)
            self.sent[day] += 1
            if status == "CONFIRMED" or messages[-1].reason == Reason.ALREADY_CONFIRMED:
                self.confirmed[day] += 1
        elif unknown := [message.at for message in messages if message.is_unknown]:
            self.unknown[int(max(unknown) // _DAY)] += 1


def count_days(
    users: Iterable[Sequence[Message]], status_of: Callable[[bytes], str | None] | None
) -> Days:
    """Count all users; `status_of` is the pool's status of a `Message.user`, if it is known."""
    days = Days()
    for messages in users:
        days.add(messages, status_of(messages[0].user) if status_of is not None else None)
    return days
