"""Who was sent what, when, over all runs: the memory that keeps the promise.

The invariants, at any time, through any death of the process or the machine:

  1. No byte of a request for a user leaves before that user's intent is durable.
  2. Every input row ends in exactly one outcome; the counts add up to the input.
  3. `sent` only with evidence; `failed` only where it is proved that nothing was sent;
     everything else is `unknown`, is not tried again in the run, and counts as sent for
     cap and cooldown.
  4. At most one open intent per user over all runs that share a ledger, under whichever
     of their names.
  5. Open intents are only those truly in flight: whoever waits for the pace, or rests
     after a throttle, has none.

From these follows the write order of `job`: wait for a place, make the intent durable,
send, make the outcome durable, report it. An intent without an outcome means exactly
one thing: we do not know. Exactly once is impossible, for Cognito has no idempotency
token: nobody is sent a second code by ourselves, and those we are not sure about are
named.
"""

from __future__ import annotations

from dataclasses import dataclass

from batch_resend.model import Reason


@dataclass(frozen=True, slots=True)
class Names:
    """One user as the ledger sees them: the name sent, and other names from a listing.

    A message is found under the name that it was sent to, and, by a run that knows only
    one name (a CSV), also under the other names known when it was sent. Two accounts
    that share an address are two users: of a listed user's other names only messages
    sent *to* that name count.
    """

    username: str
    aliases: tuple[str, ...] = ()
    listed: bool = False


@dataclass(frozen=True, slots=True)
class Intend:
    """About to ask for a code. Answered by the number of the intent."""

    names: Names
    at: float


@dataclass(frozen=True, slots=True)
class Settle:
    """What came of an intent; `reason` None takes it back: nothing was sent, try again."""

    intent: int
    reason: Reason | None
    at: float


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The open intents that a dead run left for this user are now `unknown`."""

    names: Names
    at: float


Step = Intend | Settle | Interrupted
