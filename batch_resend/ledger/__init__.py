"""Who was sent what, when, over all runs: the memory that keeps the promise.

The invariants, at any time, also after a crash of the process or the machine:

  1. No byte of a request for a user leaves before that user's intent is durable.
  2. Every input row ends in exactly one outcome; the counts add up to the input.
  3. `sent` only with evidence; `failed` only where it is proved that nothing was sent;
     everything else is `unknown`, is not tried again in the run, and counts as sent for
     cap and cooldown.
  4. At most one open intent per user over all runs that share a ledger, under whichever
     of their names. These become known when a listing sends to the user; before that no
     ledger can know them, and two names in a file are two people.
  5. Open intents are only those truly in flight: a request that waits for the pace, or
     pauses after a throttle, has none.

From these follows the write order of `job`: wait for a place, make the intent durable,
send, make the outcome durable, report it. An intent without an outcome means exactly
one thing: we do not know. Exactly once is impossible, because Cognito has no idempotency
token: the program never sends a second code on its own, and lists the users whose outcome
it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from batch_resend.ledger.policy import ANYBODY, SendPolicy
from batch_resend.masking import mask
from batch_resend.model import Evidence, Reason


@dataclass(frozen=True, slots=True)
class Identity:
    """One user as the ledger sees them: the name sent, and other names from a listing.

    A message notes the other names that a listing had when it was sent. From then on all
    these names belong to one person, and messages to any of them are found under each,
    also by a run that has only one of the names (a CSV). Two accounts that share an address
    are two users, also if the address of one is the Username of the other: a message that
    notes other names was sent to a listed account, and counts for this account only. Of the
    messages to an address that note no names it is not known which account got them, so
    they count for each. A row that has only the address may mean either account, so all
    messages count.
    """

    username: str
    aliases: tuple[str, ...] = ()
    listed: bool = False


@dataclass(frozen=True, slots=True)
class Intend:
    """A code is about to be requested; `make` returns the number of the intent.

    `policy` must still allow the message: others may have written since the plan.
    """

    user: Identity
    at: float
    policy: SendPolicy = ANYBODY


@dataclass(frozen=True, slots=True)
class Settle:
    """The outcome of an intent; `reason` None withdraws it: nothing was sent, try again.

    `request_id` is Cognito's ID of the request, where a response had one. It is stored if
    the outcome is unknown, because it may settle that later.
    """

    intent: int
    reason: Reason | None
    at: float
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The open intents that a dead run left for this user are now `unknown`."""

    user: Identity
    at: float


Step = Intend | Settle | Interrupted


class IntentRejected(Exception):
    """An intent is refused: since the plan a message went to this user, or is about to.

    By another machine, or by this run under another of their names.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run that the ledger remembers. Times in seconds since the epoch.

    `finished_at` is None while it is running, and remains None if it died; `summary` is the
    run's own, empty until it ends.
    """

    number: int
    started_at: float
    finished_at: float | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """One message, or an attempt at one. Times in seconds since the epoch.

    `user` is the same in all messages to one user, and remains when the name is erased
    (`name` None). `state` is an outcome, or `open`: no response has been noted yet.
    """

    run: int
    user: bytes
    name: str | None
    state: str
    reason: str | None
    intended_at: float
    settled_at: float | None
    request_id: str | None = None  #: of an unknown message whose response had one
    evidence: str | None = None  #: what settled it later; None: the response
    reconciled_at: float | None = None  #: when it was settled by evidence

    @property
    def at(self) -> float:
        """When it was settled, or else intended."""
        return self.intended_at if self.settled_at is None else self.settled_at

    @property
    def is_unknown(self) -> bool:
        """Whether it can be neither proved nor disproved that it was sent."""
        return self.state in {"open", "unknown"}

    @property
    def settled_by(self) -> Evidence | None:
        """The evidence that settled it later, if any did."""
        return (
            None
            if self.reconciled_at is None
            else Evidence(self.evidence or "", self.reconciled_at)
        )

    def __repr__(self) -> str:
        """Show a masked name, never an address."""
        name = None if self.name is None else mask(self.name)
        return f"Message(run={self.run}, name={name!r}, state={self.state!r})"


@dataclass(frozen=True, slots=True)
class Unknowns:
    """The unknown messages over all runs; `not_recorded`: without a record in CloudTrail."""

    messages: int
    not_recorded: int = 0


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The result of an erasure: how many messages lost their name, and unknown names."""

    messages: int
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Extent:
    """The extent of an erasure: the number of messages, and their time.

    `unknown` are those whose outcome is unknown; times are in seconds since the epoch;
    `missing` are names without any record.
    """

    messages: int = 0
    unknown: int = 0
    oldest: float | None = None
    newest: float | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Marked:
    """A message, the mark that its request bore, and the hashes of its user's names.

    `handle` is what a `Finding` names the message by, as long as the ledger is open. `keys`
    are the hashes of all names that were noted with the message, the name sent to included.
    """

    handle: str
    mark: str
    message: Message
    keys: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Finding:
    """The evidence about an unknown message.

    `reason` None means that nothing was sent. `at` is the time of settling according to the
    evidence; None leaves the time as it is. `evidence` names the record, or states that there
    is none.
    """

    handle: str
    reason: Reason | None
    evidence: str
    at: float | None = None
