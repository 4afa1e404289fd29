"""The ledger in a DynamoDB table, written by any number of machines at once.

No run holds it alone, and there is no lock that a crash could leave behind. The write of
the intent itself decides: its condition is that no intent for this user, under any of their
names, was written since the user's items were read.

    nothing  -- intend ------------------------------------------------>  open
       ^                                                                   |
       |  the owner has proof that nothing was sent                        |  the owner
       +-------------------------------------------------------------------+  settles it
                                                                           v
                                             sent | failed | skipped | unknown
                                                                           ^
    open, for longer than any request takes  -- another run -->  interrupted

  - An intent has an owner: the run that knows its token. Whether a write whose response
    was lost has happened is decided by reading: the token is there, or it is not. If the
    write arrives after that, its condition refuses it, or its token shows the owner.
  - Only its owner, with proof, turns an open intent back into "not sent". There is no
    lease and no TTL. `interrupted` counts as sent, so a wrong guess about a living owner
    does no harm, and what the owner settles later still applies.
  - While an intent may be in flight on another machine the user is `outcome-unknown`, also
    with --resend-unknown: no user has two open intents.
  - If the table cannot be reached, no intent is made, and therefore nothing is sent.

A user with one name costs a read and two writes. Where a listing has other names, or an
earlier one noted them, every name is part of the condition too, so the intent is a
transaction over all of them: if machines send to one person at the same moment, each under
another name, all but one are refused. The limits: a transaction has room for a hundred
names, so two names that are each shared by more users than that could both be sent to at
the same time; and names to which no listing has sent yet are not known to be one person's.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import tenacity

from batch_resend.aws.endpoints import AwsTarget
from batch_resend.errors import LedgerError
from batch_resend.ledger import (
    Identity,
    Intend,
    IntentRejected,
    Interrupted,
    Settle,
    Step,
    Unknowns,
)
from batch_resend.ledger.dynamodb import items as layout
from batch_resend.ledger.dynamodb.address import TableAddress
from batch_resend.ledger.dynamodb.connection import (
    DynamoConnection,
    connected,
    new_stamp,
    unchanged,
)
from batch_resend.ledger.dynamodb.items import META, Hashed, Item, Match
from batch_resend.ledger.dynamodb.records import DynamoRecords
from batch_resend.ledger.dynamodb.table import Change, Refused, Unclear
from batch_resend.ledger.policy import NO_HISTORY, History, judge_history
from batch_resend.model import Outcome, Reason

_OPEN = {":open": {"S": "open"}}


@contextlib.asynccontextmanager
async def open_ledger(
    place: AwsTarget, address: TableAddress, *, connections: int = 10, **options: Any
) -> AsyncIterator[DynamoLedger]:
    """Open a ledger with the usual credentials; `options` is for `DynamoConnection`.

    Raises `LedgerError`, or `SettingsError` where no client can be made.
    """
    async with connected(place, address, connections=connections, **options) as connection:
        yield DynamoLedger(connection)


class DynamoLedger:
    """An open ledger in a table, as one run writes it. Every method raises `LedgerError`."""

    path = None  #: it is not a file

    def __init__(self, connection: DynamoConnection) -> None:
        self._connection = connection
        self._table = connection.table
        self.records = DynamoRecords(connection)  #: to read and to erase messages
        self._run = 0
        self._intents = 0
        self._open: dict[int, tuple[str, str]] = {}  #: id and token of our open intents
        self._broken: LedgerError | None = None

    @property
    def address(self) -> TableAddress:
        """The table's address."""
        return self._connection.address

    @property
    def name(self) -> str:
        """The ledger's name in messages."""
        return self._connection.name

    @property
    def is_new(self) -> bool:
        """Whether there was no ledger; it is created when the run starts."""
        return self._connection.is_new

    @property
    def client(self) -> str:
        """The client for which it was created."""
        return self._connection.client

    def distinguish_case(self) -> bool:
        """Distinguish names that differ only in case; return whether that changes anything."""
        changes = not self._connection.case_sensitive
        self._connection.case_sensitive = True
        return changes

    def latest(self) -> float:
        """Return the newest start or end of a run, or DynamoDB's own time, if later.

        So a run never starts before a run on another machine, even if its own clock is late.
        In seconds since the epoch.
        """
        return self._connection.latest

    async def begin(self, at: float) -> int:
        """Note the start of a run; return its number."""
        await self._connection.make_ready()
        self._run = await self._table.count_up(META, "runs")
        await self._note_run(
            at,
            "SET started_at = :at, #p = :p",
            {":p": {"N": str(os.getpid())}},
            {"#p": "process"},
        )
        return self._run

    async def finish(self, summary: str, at: float) -> None:
        """Note how the run ended; `summary` is JSON."""
        update = "SET finished_at = :at, summary = :s"
        await self._note_run(at, update, {":s": {"S": summary}}, {})

    async def _note_run(
        self, at: float, update: str, values: dict[str, Any], names: dict[str, str]
    ) -> None:
        when = {":at": layout.number(at)}
        condition = "attribute_not_exists(finished_at)"
        run = Change(layout.run_id(self._run), update, condition, values | when, names)
        await self._table.change_in_the_end(run)
        await self._table.change_in_the_end(Change(META, "SET latest = :at", "latest < :at", when))

    async def histories(self, users: Sequence[Identity], now: float) -> list[History]:
        """Return the history of each of these users."""
        if not self._connection.is_there:
            return [NO_HISTORY for _ in users]
        hashed = [layout.hashed(self._connection.secret, names) for names in users]
        items = await self._connection.read(hashed)
        return [layout.history(self._connection.look_up(user, items), now) for user in hashed]

    async def make(self, step: Step) -> int:
        """Make a step durable; return the number of an intent, 0 for other steps.

        Raises `IntentRejected` where the policy does not allow the intent any more, or another
        machine has one open.
        """
        try:
            if isinstance(step, Intend):
                return await self._intend(step)
            if isinstance(step, Interrupted):
                await self._interrupt(step)
            else:
                await self._settle(step)
        except LedgerError as error:
            self._broken = error  # no more intents
            raise
        return 0

    def mark(self, intent: int, at: float) -> str:
        """Return the mark that the request of an intent carries."""
        del at
        return self._connection.mark(self._open[intent][1])

    async def commit_forever(self) -> None:
        """Return at once: every step is committed by itself."""

    async def unknown(self) -> Unknowns:
        """Return how many messages are unknown, over all runs: reads the whole table."""
        if self._broken:
            raise self._broken
        reasons: list[str | None] = []
        if self._connection.is_there:
            async for item in self._connection.items():
                messages = [one.message for one in item.messages.values()]
                reasons += [message.reason for message in messages if message.is_unknown]
        return Unknowns(len(reasons), reasons.count(Reason.NOT_RECORDED))

    # -- steps ---------------------------------------------------------------------

    async def _intend(self, step: Intend) -> int:
        user = layout.hashed(self._connection.secret, step.user)
        token = secrets.token_hex(12)

        async def note() -> None:
            if self._broken:
                raise self._broken
            items = await self._connection.read([user])
            if token in items[user.own[0]].messages:
                return  # an attempt whose response was lost
            messages = self._connection.look_up(user, items)
            history = layout.history(messages, step.at)
            if reason := judge_history(history, step.policy, step.at):
                raise IntentRejected(reason)
            if history.interrupted:
                await self._give_up(messages, step.at)
                await note()
            else:
                await self._table.change(*self._intent(user, items, token, step))

        await self._table.patience(tenacity.retry_if_exception_type((Refused, Unclear)))(note)
        self._intents += 1
        self._open[self._intents] = (user.own[0], token)
        return self._intents

    def _intent(
        self, user: Hashed, items: dict[str, Item], token: str, step: Intend
    ) -> list[Change]:
        noted = self._connection.names_of(user, items)
        own, *others = dict.fromkeys([*user.ids, *(id_ for id_, _ in noted)])
        theirs = set(user.ids)
        message = layout.intended(self._run, user, step.user.username, step.at)
        changes = [
            unchanged(
                items[own],
                token,
                "SET v = :v, #m = :m",
                {":m": message},
                {"#m": layout.message_name(token)},
            )
        ]
        for id_ in others[: layout.MOST_NAMES - 1]:
            # If thousands share a name, those noted are enough to bar a message to it.
            users = items[id_].users
            room = id_ in theirs and (own in users or len(users) < layout.MOST_USERS)
            update = "SET v = :v" + " ADD #of :of" * room
            values: dict[str, Any] = {":of": {"SS": [own]}} if room else {}
            changes.append(
                unchanged(items[id_], token, update, values, {"#of": "of"} if room else {})
            )
        return changes

    async def _settle(self, step: Settle) -> None:
        id_, token = self._open[step.intent]
        names = {"#m": layout.message_name(token), "#s": "state", "#r": "reason"}
        values = {
            **_OPEN,
            ":interrupted": {"S": "interrupted"},
            ":not_recorded": {"S": "not-recorded"},
            ":v": new_stamp(),
        }
        update = "SET v = :v REMOVE #m"
        if step.reason is not None:
            update = "SET v = :v, #m.#s = :s, #m.#r = :r, #m.settled_at = :at"
            values |= {
                ":s": {"S": str(step.reason.outcome)},
                ":r": {"S": str(step.reason)},
                ":at": layout.number(step.at),
            }
            if step.request_id and step.reason.outcome is Outcome.UNKNOWN:
                update += ", #m.request_id = :q"
                values[":q"] = {"S": step.request_id}
        # `interrupted` was another run's guess; this is the owner, who has the response.
        condition = "#m.#s = :open OR #m.#r IN (:interrupted, :not_recorded)"
        if not await self._table.change_in_the_end(Change(id_, update, condition, values, names)):
            raw = await self._table.get_one(id_)
            stored = None if raw is None else layout.read(raw).messages.get(token)
            reason = None if step.reason is None else str(step.reason)
            # Refused because an earlier attempt was written, or the message was removed.
            if (stored.message.reason if stored else None) != reason:
                raise LedgerError(
                    f"An open message in the {self.name} was removed or changed from outside."
                    " No messages are sent without a trusted ledger."
                )
        del self._open[step.intent]

    async def _interrupt(self, step: Interrupted) -> None:
        user = layout.hashed(self._connection.secret, step.user)
        await self._give_up(
            self._connection.look_up(user, await self._connection.read([user])), step.at
        )

    async def _give_up(self, messages: Iterable[Match], at: float) -> None:
        for one in messages:
            if layout.is_left(one.record.message, at):
                values = {
                    **_OPEN,
                    ":s": {"S": "unknown"},
                    ":r": {"S": "interrupted"},
                    ":at": layout.number(at),
                    ":v": new_stamp(),
                }
                update = "SET v = :v, #m.#s = :s, #m.#r = :r, #m.settled_at = :at"
                names = {"#m": layout.message_name(one.token), "#s": "state", "#r": "reason"}
                await self._table.change_in_the_end(
                    Change(one.id, update, "#m.#s = :open", values, names)
                )
