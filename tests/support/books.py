"""A ledger in a dictionary, and a day of a program's requests to the simulated Cognito."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

from batch_resend.job.outcome import judge
from batch_resend.ledger.hashing import hashes
from batch_resend.marks import make_mark, with_mark
from batch_resend.model import Outcome, Reason, Reply
from batch_resend.reconcile.findings import Finding
from batch_resend.reconcile.windows import Control, Doubt, Window
from batch_resend.simulator.rules import Cognito

KEY = b"k" * 32


@dataclass(frozen=True)
class Kept:
    """A stored message; `delivered` is the simulator's result, for the judge."""

    number: int
    name: str
    intended_at: float
    reason: Reason | None = None  #: None while it is open
    settled_at: float = 0.0
    request_id: str = ""
    evidence: str = ""
    delivered: bool = False
    record_id: str = ""  #: of Cognito's own record, also if no response had it
    names: frozenset[bytes] = frozenset()

    @property
    def is_unknown(self) -> bool:
        return self.reason is None or self.reason.outcome is Outcome.UNKNOWN


class Killed(Exception):
    """A death of the process at this point."""


@dataclass
class FakeBooks:
    """A ledger in memory; after `dies_after` writes it dies, once."""

    key: bytes = KEY
    flight: float = 300.0
    messages: dict[int, Kept] = field(default_factory=dict)
    taken_back: list[Kept] = field(default_factory=list)
    dies_after: int | None = None
    writes: int = 0

    def mark(self, message: Kept) -> str:
        return make_mark(self.key, f"{message.number} {message.intended_at!r}".encode())

    def hash_name(self, name: str) -> bytes:
        return hashes(self.key, name)[1]

    async def doubts(self) -> Sequence[Doubt]:
        return [
            Doubt(
                str(one.number),
                self.mark(one),
                one.intended_at,
                one.reason,
                one.request_id,
                one.names,
                recorded=bool(one.evidence),
            )
            for one in self.messages.values()
            if one.is_unknown
        ]

    async def controls(self, searched: Sequence[Window]) -> AsyncIterator[Control]:
        del searched
        for one in self.messages.values():
            if not one.is_unknown and not one.evidence and one.reason is not Reason.BLOCKED:
                yield Control(self.mark(one), one.intended_at, one.settled_at)

    async def settle(self, findings: Sequence[Finding]) -> None:
        if self.dies_after == self.writes:
            self.dies_after = None
            raise Killed
        self.writes += 1
        for finding in findings:
            message = self.messages[int(finding.doubt.id)]
            assert message.is_unknown
            if finding.reason is not None and finding.reason.outcome is Outcome.NOT_ATTEMPTED:
                self.taken_back.append(self.messages.pop(message.number))
                continue
            self.messages[message.number] = replace(
                message, reason=finding.reason, settled_at=finding.at, evidence=finding.evidence
            )


Fate = Callable[[Reply], Reply | None]  #: what the program gets to see of a reply


@dataclass
class Program:
    """A program that makes requests and keeps its ledger, as a run does."""

    cognito: Cognito
    books: FakeBooks = field(default_factory=FakeBooks)
    agent: str = "batch-resend/1.0"

    def request(self, name: str, now: float, *, dies: str = "") -> Kept | None:
        """Make one request; `dies` before or after it. None: it was taken back."""
        message = Kept(len(self.books.messages) + len(self.books.taken_back) + 1, name, now)
        if dies != "before":
            message = self._ask(message, now)
        if dies:
            message = replace(message, reason=None, settled_at=0.0, request_id="")
        elif message.reason is not None and message.reason.outcome is Outcome.NOT_ATTEMPTED:
            self.books.taken_back.append(message)
            return None
        self.books.messages[message.number] = message
        return message

    def _ask(self, message: Kept, now: float) -> Kept:
        before = self.cognito.deliveries[message.name]
        agent = with_mark(self.agent, self.books.mark(message))
        asked = {"ClientId": "simulatedclient", "Username": message.name}
        reply = self.cognito.answer(asked, now=now, agent=agent).reply
        return replace(
            message,
            reason=judge(reply).reason,
            settled_at=now + 1,
            request_id=reply.request_id,
            delivered=self.cognito.deliveries[message.name] > before,
            record_id=f"00000000-0000-4000-8000-{self.cognito.requests:012x}",
        )
