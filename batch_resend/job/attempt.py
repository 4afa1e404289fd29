"""Steps 3 to 7 of the line for one user: build, wait, intend, send, settle.

The order is the promise. A place in the pace comes first, so that no waiting user has an
open intent; the intent is durable before a byte of the request leaves; and the outcome is
durable before it is reported. Between intend and settle nothing can be cancelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import anyio

from batch_resend.errors import LedgerError, place_of
from batch_resend.job.clock import Clock
from batch_resend.job.outcome import Again, Judge, Stop, Verdict, judge
from batch_resend.job.pacing import Closed, Gate, Place
from batch_resend.job.request import AppClient, Template, build
from batch_resend.job.retry import retry
from batch_resend.job.stopping import LONGEST_MESSAGE, Stopping
from batch_resend.ledger import Identity, Intend, IntentRejected, Interrupted, Settle
from batch_resend.ledger.journal import Journal
from batch_resend.ledger.policy import SendPolicy
from batch_resend.masking import mask_within
from batch_resend.model import Candidate, Outcome, Planned, Reason, Reply, Request, Result, Wire


class Sender(Protocol):
    """The maker of requests to Cognito."""

    async def send(self, request: Request) -> Reply:
        """Send one request, and never raise for a user."""
        ...


@dataclass(slots=True, kw_only=True, eq=False)
class Sending:
    """The parts that all attempts of a run share."""

    app: AppClient
    template: Template
    policy: SendPolicy
    max_attempts: int
    gate: Gate
    journal: Journal
    sender: Sender
    stopping: Stopping
    clock: Clock
    judge: Judge = field(default_factory=Judge)

    async def note_interrupted(self, planned: Planned) -> None:
        """Record that a dead run left this user's outcome unknown."""
        if self.stopping.cause is Stop.LEDGER:
            return
        try:
            await self.journal.make(Interrupted(names_of(planned), self.clock.now()))
        except LedgerError as error:
            self.stopping.stop(Stop.LEDGER, str(error))
        except Exception as error:
            self.stopping.fail(error)

    async def send(self, request: Request) -> Reply:
        """Send one request; an error that nothing foresaw may have come after it had left."""
        try:
            return await self.sender.send(request)
        except Exception as error:
            self.stopping.fail(error)
            return Reply(Wire.UNREADABLE, message=place_of(error))

    def free(self, place: Place) -> None:
        """Give a place back to the pace; an error there changes nothing for the user."""
        with self.stopping.guarded():
            self.gate.free(place, anyio.current_time())


@dataclass(frozen=True, slots=True)
class Tried:
    """One request for one user, and what its reply means."""

    verdict: Verdict
    reply: Reply
    latency: float


@dataclass(slots=True, eq=False)
class Attempt:
    """The attempt to send one user a code, in as many requests as the replies allow."""

    run: Sending
    planned: Planned
    request: Request = field(init=False)
    tries: list[Tried] = field(default_factory=list, init=False)
    counted: int = field(default=0, init=False)  #: tries that use up one of `max_attempts`
    in_doubt: bool = field(default=False, init=False)  #: an intent is open

    def __post_init__(self) -> None:
        run, planned = self.run, self.planned
        self.request = build(run.app, run.template, planned.username, planned.attributes)  # 3

    async def result(self) -> Result:
        """Request until the reply is final or the run ends; return what became of the user."""
        return result_of(self.planned, await self._reason(), self.run.clock.now(), self.tries)

    async def _reason(self) -> Reason:
        run = self.run
        try:
            tried = await retry(self._request, enough=self._enough, sleep=run.stopping.rest)
        except Closed:
            return Reason.STOPPED
        except IntentRejected as barred:
            if barred.reason is Reason.INTERRUPTED:
                await run.note_interrupted(self.planned)
            return barred.reason
        except LedgerError as error:
            # Without an intent nothing was sent; with one, its outcome cannot be known.
            run.stopping.stop(Stop.LEDGER, str(error))
            return Reason.INTERRUPTED if self.in_doubt else Reason.STOPPED
        except Exception as error:
            run.stopping.fail(error)
            return Reason.INTERRUPTED if self.in_doubt else Reason.STOPPED
        is_final = tried.verdict.again is Again.NEVER or self.counted >= run.max_attempts
        return tried.verdict.reason if is_final else Reason.STOPPED

    async def _request(self) -> Tried:
        run = self.run
        place = await run.gate.place()  # 4
        with anyio.CancelScope(shield=True):
            try:
                intend = Intend(names_of(self.planned), run.clock.at(place.left_at), run.policy)
                intent = await run.journal.make(intend)  # 5
                place.left_at, self.in_doubt = anyio.current_time(), True
                mark = run.journal.mark(intent, intend.at)
                reply = await run.send(replace(self.request, mark=mark))  # 6
                ended = anyio.current_time()
                verdict = judge(reply)
                self.tries.append(Tried(verdict, reply, ended - place.left_at))
                self.counted += verdict.again is Again.COUNTED
                place.signal = verdict.signal
                place.connected = reply.wire is not Wire.NOT_SENT
                place.retry_after = reply.retry_after
                place.spent = verdict.reason.outcome in {Outcome.SENT, Outcome.UNKNOWN}
                message = mask_within(reply.message, self.planned.username)
                run.stopping.refusals.heard(verdict.signal, place.left_at, message)
                # Before the place is free: the next user must not repeat a wrong setting.
                if stop := run.judge.heard(verdict):
                    run.stopping.stop(stop, message)
            finally:
                run.free(place)
            settle = Settle(intent, _settled(verdict), run.clock.at(ended), reply.request_id)
            await run.journal.make(settle)  # 7
        self.in_doubt = False
        return self.tries[-1]

    def _enough(self) -> bool:
        return self.run.stopping.cause is not None or self.counted >= self.run.max_attempts


def names_of(user: Candidate | Planned) -> Identity:
    """Return a user as the ledger sees them."""
    return Identity(user.username, user.aliases, listed=bool(user.aliases))


def result_of(planned: Planned, reason: Reason, at: float, tries: Sequence[Tried] = ()) -> Result:
    """Return the result of a row, with the text of the last reply."""
    result = Result(
        planned.row,
        planned.username,
        reason,
        attempts=len(tries),
        finished_at=at,
        raw=planned.raw,
        evidence=planned.evidence,
    )
    if not tries:
        return result
    reply = tries[-1].reply
    return replace(
        result,
        delivery=reply.delivery if reason is Reason.ACCEPTED else None,
        error_code=reply.code,
        error_message=reply.message[:LONGEST_MESSAGE],
        request_id=reply.request_id,
        latency=tries[-1].latency,
    )


def _settled(verdict: Verdict) -> Reason | None:
    """Return what the ledger keeps: nothing where nothing was sent and a retry may follow."""
    if verdict.again is not Again.NEVER or verdict.reason is Reason.STOPPED:
        return None
    return verdict.reason
