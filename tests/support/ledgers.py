"""A ledger as a test wants it: steps that are durable when the call returns."""

from __future__ import annotations

from collections.abc import Sequence

from batch_resend.ledger import IntentRejected, Step
from batch_resend.ledger.sqlite.ledger import SqliteLedger


def apply(ledger: SqliteLedger, steps: Sequence[Step]) -> list[int]:
    """Make the steps durable; the number of each intent, 0 for the others.

    Raises `IntentRejected` after the others are durable, where an intent is not allowed any more.
    """
    answers = ledger.write(steps)
    ledger.commit()
    for answer in answers:
        if isinstance(answer, IntentRejected):
            raise answer
    return [answer for answer in answers if not isinstance(answer, IntentRejected)]
