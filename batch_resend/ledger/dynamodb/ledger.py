"""The ledger in a DynamoDB table, written by any number of machines at once.

No run holds it alone, and there is no lock that somebody could die with. What decides is
the write of the intent itself: it is made under the condition that nobody has made one
for this user, under any of their names, since what is known of them was read.

    nothing  -- intend ------------------------------------------------>  open
       ^                                                                   |
       |  the owner has proof that nothing was sent                        |  the owner
       +-------------------------------------------------------------------+  settles it
                                                                           v
                                             sent | failed | skipped | unknown
                                                                           ^
    open, for longer than any request takes  -- another run -->  interrupted

  - An intent has an owner: a token that nobody else knows. Whether a write whose answer
    was lost has been made is found out by reading: the token is there, or it is not. If
    it arrives after that, its condition refuses it, or its token says whose it is.
  - Nothing turns an open intent back into "not sent" but its owner, with proof. There is
    no lease and no TTL. `interrupted` counts as sent, so it does no harm to say it of an
    owner who lives, and what the owner settles later still holds.
  - While an intent may be in flight on another machine the user is `outcome-unknown`, even for
    who wants unknown ones sent again: no user has two open intents.
  - A table out of reach means that no intent is made, and therefore nothing sent.

A user with one name costs a read and two writes. Where a listing knows other names, or an
earlier one noted them, every name is part of the condition too, so the intent is a
transaction over all of them: of machines that write to one person at the same moment,
each under another name, one is refused. What this cannot do: a transaction has room for a
hundred names, so two names that are each shared by more users than that could both be
sent to at once; and names that no listing has written to yet are not known to be one's.
"""

from __future__ import annotations

import contextlib
import email.utils
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import partial
from typing import Any

import anyio

from batch_resend.aws import clients
from batch_resend.errors import InputError, LedgerError
from batch_resend.ledger import (
    Barred,
    Forgotten,
    Intend,
    Interrupted,
    Message,
    Names,
    PastRun,
    Settle,
    Step,
)
from batch_resend.ledger.dynamodb import items as kept
from batch_resend.ledger.dynamodb.address import TableAddress
from batch_resend.ledger.dynamodb.items import META, Found, Hashed, Item
from batch_resend.ledger.dynamodb.table import (
    ONE_TRY,
    Change,
    Patience,
    Refused,
    Table,
    Unclear,
)
from batch_resend.ledger.policy import NOBODY, History, judge_history
from batch_resend.ledger.sqlite.ledger import SqliteLedger

_TOGETHER = 16  #: changes at a time, where many people are erased
_OPEN = {":open": {"S": "open"}}


@contextlib.asynccontextmanager
async def open_ledger(
    place: clients.Place, address: TableAddress, *, connections: int = 10, **given: Any
) -> AsyncIterator[DynamoLedger]:
    """Open a ledger with the usual credentials; `given` is for `DynamoLedger`.

    Raises `LedgerError`, or `SettingsError` where no client can be made.
    """
    async with clients.signed_client(
        place, "dynamodb", attempts=1, timeout=ONE_TRY, connections=connections
    ) as client:
        ledger = DynamoLedger(Table(client, address), **given)
        await ledger.open()
        yield ledger


class DynamoLedger:
    """An open ledger in a table. Every method raises `LedgerError`."""

    path = None  #: it is no file

    def __init__(
        self,
        table: Table,
        *,
        case_sensitive: bool = False,
        simulated: bool | None = False,
        client: str = "",
        must_exist: bool = False,
        read_only: bool = False,
    ) -> None:
        """Name the ledger; the rest as `SqliteLedger` has it."""
        self.address = table.address
        self.is_new = False
        self.client = client
        self._table = table
        self._case_sensitive = case_sensitive
        self._simulated = simulated
        self._must_exist = must_exist
        self._read_only = read_only
        self._secret = b""
        self._latest = 0.0
        self._run = 0
        self._intents = 0
        self._open: dict[int, tuple[str, str]] = {}  #: id and token of our open intents
        self._broken: LedgerError | None = None

    @property
    def name(self) -> str:
        """How messages call the ledger."""
        return f"ledger {self.address}"

    @property
    def is_simulated(self) -> bool:
        """Whether it belongs to simulations."""
        return bool(self._simulated)

    @property
    def _is_not_there(self) -> bool:
        return self.is_new and self._read_only

    async def open(self) -> None:
        """Read what it is, and begin it where it is new."""
        meta = await self._table.get_one(META)
        if meta is None and not self._must_exist and not self._read_only:
            meta = await self._begin_new()
        if meta is None:
            if self._must_exist:
                self._refuse_new()
            self._secret, self.is_new = secrets.token_bytes(32), True
            return
        if "secret" not in meta:
            raise LedgerError(
                f"The {self.name} is not a ledger of batch-resend: name another table with"
                " --ledger."
            )
        if (schema := meta["schema"]["N"]) != str(kept.SCHEMA):
            raise LedgerError(
                f"The {self.name} was written by another version of batch-resend (schema {schema},"
                f" this one knows {kept.SCHEMA}): use that version."
            )
        simulated = bool(meta["simulated"]["BOOL"])
        if self._simulated not in {None, simulated}:
            other = "a simulation" if simulated else "real runs"
            raise LedgerError(
                f"The {self.name} belongs to {other}: name another table with --ledger."
            )
        self._simulated = simulated
        if self._must_exist and "runs" not in meta:
            self._refuse_new()
        self.client = meta.get("client", {"S": self.client})["S"]  # ledgers did not always say
        self._secret = bytes(meta["secret"]["B"])
        self._latest = max(float(meta["latest"]["N"]), _seconds(self._table.now_there))

    async def _begin_new(self) -> Any:
        """Begin it, or let another machine have begun it."""
        secret = secrets.token_bytes(32)
        item = {
            "id": {"S": META},
            "schema": {"N": str(kept.SCHEMA)},
            "secret": {"B": secret},
            "client": {"S": self.client},
            "simulated": {"BOOL": self.is_simulated},
            "latest": {"N": "0"},
        }
        patience = Patience(self._table)
        while True:
            try:
                await self._table.put_new(item)
            except Refused:
                pass
            except Unclear as why:
                patience.why = why
            if (meta := await self._table.get_one(META)) is not None:
                self.is_new = "secret" in meta and bytes(meta["secret"]["B"]) == secret
                return meta
            await patience.pause()

    def _refuse_new(self) -> None:
        raise LedgerError(
            f"The {self.name} is empty or knows of no run, and --require-ledger forbids to begin"
            " with a new one: without the old one people may be written to again. Restore it, or"
            " leave the option out once."
        )

    # -- what a run needs ----------------------------------------------------------

    def latest(self) -> float:
        """The newest time that a run has begun or ended, or DynamoDB's own time, if later.

        So a run's time does not begin before that of a run on another machine, though its
        own clock may be late. In seconds since the epoch.
        """
        return self._latest

    async def begin(self, at: float) -> int:
        """Write down that a run begins; return its number."""
        self._run = await self._table.count_up(META, "runs")
        await self._note_run(
            at,
            "SET started_at = :at, #p = :p",
            {":p": {"N": str(os.getpid())}},
            {"#p": "process"},
        )
        return self._run

    async def finish(self, summary: str, at: float) -> None:
        """Write down how the run ended; `summary` is JSON."""
        update = "SET finished_at = :at, summary = :s"
        await self._note_run(at, update, {":s": {"S": summary}}, {})

    async def _note_run(
        self, at: float, update: str, values: dict[str, Any], names: dict[str, str]
    ) -> None:
        when = {":at": kept.number(at)}
        condition = "attribute_not_exists(finished_at)"
        run = Change(kept.run_id(self._run), update, condition, values | when, names)
        await self._table.change_in_the_end(run)
        await self._table.change_in_the_end(Change(META, "SET latest = :at", "latest < :at", when))

    async def histories(self, users: Sequence[Names], now: float) -> list[History]:
        """What is known of each of these users."""
        if self._is_not_there:
            return [NOBODY for _ in users]
        hashed = [kept.hashed(self._secret, names) for names in users]
        found = await self._read(hashed)
        return [kept.history(self._look_up(user, found), now) for user in hashed]

    async def make(self, step: Step) -> int:
        """Make a step durable. Returns an intent's number, for the others 0.

        Raises `Barred` where the policy does not allow the intent any more, or another
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
            self._broken = error  # no intent from now on
            raise
        return 0

    async def commit_forever(self) -> None:
        """Nothing goes on by itself."""

    async def unknown(self) -> int:
        """How many messages nobody can prove or disprove, over all runs: reads the table."""
        if self._broken:
            raise self._broken
        count = 0
        if not self._is_not_there:
            async for item in self._items():
                count += sum(one.message.is_unknown for one in item.messages.values())
        return count

    # -- steps ---------------------------------------------------------------------

    async def _intend(self, step: Intend) -> int:
        user = kept.hashed(self._secret, step.names)
        token = secrets.token_hex(12)
        patience = Patience(self._table)
        while True:
            if self._broken:
                raise self._broken
            items = await self._read([user])
            if token in items[user.own[0]].messages:
                break  # a try whose answer was lost
            found = self._look_up(user, items)
            history = kept.history(found, step.at)
            if reason := judge_history(history, step.policy, step.at):
                raise Barred(reason)
            if history.interrupted:
                await self._give_up(found, step.at)
                continue
            try:
                await self._table.change(*self._intent(user, items, token, step))
                break
            except Refused:
                pass
            except Unclear as why:
                patience.why = why
            await patience.pause()
        self._intents += 1
        self._open[self._intents] = (user.own[0], token)
        return self._intents

    def _intent(
        self, user: Hashed, items: dict[str, Item], token: str, step: Intend
    ) -> list[Change]:
        known = self._names_of(user, items)
        own, *others = dict.fromkeys([*user.ids, *(id_ for id_, _ in known)])
        theirs = set(user.ids)
        message = kept.intended(self._run, user, step.names.username, step.at)
        changes = [
            _unchanged(
                items[own], token, "SET v = :v, #m = :m", {":m": message}, {"#m": _name(token)}
            )
        ]
        for id_ in others[: kept.MOST_NAMES - 1]:
            # Where thousands share a name, those noted are enough to bar who is sent to by it.
            users = items[id_].users
            room = id_ in theirs and (own in users or len(users) < kept.MOST_USERS)
            update = "SET v = :v" + " ADD #of :of" * room
            values: dict[str, Any] = {":of": {"SS": [own]}} if room else {}
            changes.append(
                _unchanged(items[id_], token, update, values, {"#of": "of"} if room else {})
            )
        return changes

    async def _settle(self, step: Settle) -> None:
        id_, token = self._open[step.intent]
        names = {"#m": _name(token), "#s": "state", "#r": "reason"}
        values = {**_OPEN, ":interrupted": {"S": "interrupted"}, ":v": _stamp()}
        update = "SET v = :v REMOVE #m"
        if step.reason is not None:
            update = "SET v = :v, #m.#s = :s, #m.#r = :r, #m.settled_at = :at"
            values |= {
                ":s": {"S": str(step.reason.outcome)},
                ":r": {"S": str(step.reason)},
                ":at": kept.number(step.at),
            }
        # Whoever said `interrupted` of it has guessed; this is its owner, who knows.
        condition = "#m.#s = :open OR #m.#r = :interrupted"
        if not await self._table.change_in_the_end(Change(id_, update, condition, values, names)):
            raw = await self._table.get_one(id_)
            found = None if raw is None else kept.read(raw).messages.get(token)
            reason = None if step.reason is None else str(step.reason)
            # Refused, for an earlier try has done it; or somebody took the message away.
            if (found.message.reason if found else None) != reason:
                raise LedgerError(
                    f"In the {self.name} an open message was removed or changed by somebody else:"
                    " nobody is written to without a ledger that can be trusted."
                )
        del self._open[step.intent]

    async def _interrupt(self, step: Interrupted) -> None:
        user = kept.hashed(self._secret, step.names)
        await self._give_up(self._look_up(user, await self._read([user])), step.at)

    async def _give_up(self, found: Iterable[Found], at: float) -> None:
        for one in found:
            if kept.is_left(one.kept.message, at):
                values = {
                    **_OPEN,
                    ":s": {"S": "unknown"},
                    ":r": {"S": "interrupted"},
                    ":at": kept.number(at),
                    ":v": _stamp(),
                }
                update = "SET v = :v, #m.#s = :s, #m.#r = :r, #m.settled_at = :at"
                names = {"#m": _name(one.token), "#s": "state", "#r": "reason"}
                await self._table.change_in_the_end(
                    Change(one.id, update, "#m.#s = :open", values, names)
                )

    # -- reading -------------------------------------------------------------------

    async def _read(self, users: Sequence[Hashed]) -> dict[str, Item]:
        """Read all names of these users, given and noted."""
        items = await self._fetch({id_: None for user in users for id_ in user.ids}, {})
        owners = {other: None for user in users for other in sorted(items[user.own[0]].users)}
        items = await self._fetch(owners, items)
        noted = {id_: None for user in users for id_, _ in self._names_of(user, items)}
        return await self._fetch(noted, items)

    async def _fetch(self, ids: dict[str, None], known: dict[str, Item]) -> dict[str, Item]:
        wanted = [id_ for id_ in ids if id_ not in known]
        if wanted:
            known |= {id_: Item(id_) for id_ in wanted}
            known |= {item.id: item for item in kept.read_all(await self._table.get(wanted))}
        return known

    def _look_up(self, user: Hashed, items: dict[str, Item]) -> list[Found]:
        return kept.look_up(user, items, case_sensitive=self._case_sensitive)

    def _names_of(
        self, user: Hashed, items: dict[str, Item]
    ) -> list[tuple[str, tuple[bytes, bytes]]]:
        return kept.names_of(user, items, case_sensitive=self._case_sensitive)

    async def _items(self) -> AsyncIterator[Item]:
        async for page in self._table.pages():
            for item in kept.read_all(page):
                yield item

    async def _person(self, name: str) -> list[Found]:
        """All messages to whoever bears the name, under any of their names."""
        user = kept.hashed(self._secret, Names(name))
        return self._look_up(user, await self._read([user]))

    # -- looking back --------------------------------------------------------------

    async def copy_into(self, copy: SqliteLedger, *, only: str | None = None) -> None:
        """Copy it into a throwaway ledger: all of it, or what is known of one person."""
        if only is not None:
            copy.gather(_parts(one.kept) for one in await self._person(only))
            copy.arrange(self._secret, [], simulated=self.is_simulated)
            return
        runs = []
        async for page in self._table.pages():
            for item in kept.read_all(page):
                copy.gather(map(_parts, item.messages.values()))
            runs += [_run(raw) for raw in page if raw["id"]["S"].startswith(kept.RUN)]
        runs.sort(key=lambda run: run.number)
        copy.arrange(self._secret, runs, simulated=self.is_simulated)

    # -- erasing -------------------------------------------------------------------

    async def forget(self, names: Sequence[str]) -> Forgotten:
        """Erase people, under any of their names; what they were sent still counts."""
        count, unknown = 0, []
        for name in names:
            found = await self._person(name)
            if not found:
                unknown.append(name)
            for one in found:
                count += await self._erase(one)
        return Forgotten(count, tuple(unknown))

    async def older(self, before: float, *, entirely: bool = False) -> tuple[int, int]:
        """How many messages `purge` would erase, and how many of these are unknown."""
        count = unknown = 0
        async for item in self._items():
            for one in _old(item, before, entirely=entirely):
                count += 1
                unknown += one.kept.message.is_unknown
        return count, unknown

    async def purge(self, before: float, *, entirely: bool = False) -> None:
        """Erase the names in messages settled before then, or intended if never settled.

        `entirely` forgets that they were sent, too, but for those that may be in flight.
        """
        async for page in self._table.pages():
            olds = [
                one for item in kept.read_all(page) for one in _old(item, before, entirely=entirely)
            ]
            await _side_by_side(
                [partial(self._remove if entirely else self._erase, one) for one in olds]
            )
        if entirely:
            await self._sweep()

    async def _erase(self, one: Found) -> bool:
        names = {"#m": _name(one.token), "#n": "name"}
        return one.kept.message.name is not None and await self._table.change_in_the_end(
            Change(one.id, "REMOVE #m.#n", "attribute_exists(#m.#n)", {}, names)
        )

    async def _remove(self, one: Found) -> bool:
        # Not one that its owner has settled meanwhile: it is younger now.
        names = {"#m": _name(one.token), "#s": "state"}
        values = {":s": {"S": one.kept.message.state}, ":v": _stamp()}
        return await self._table.change_in_the_end(
            Change(one.id, "SET v = :v REMOVE #m", "#m.#s = :s", values, names)
        )

    async def _sweep(self) -> None:
        """Delete the hashes of names under which nothing lies any more."""
        async for page in self._table.pages():
            bare = [item for item in kept.read_all(page) if not item.messages]
            theirs = await self._fetch({id_: None for item in bare for id_ in item.users}, {})
            for item in bare:
                mine = {
                    other
                    for other in item.users
                    if any(
                        kept.id_of(key) == item.id
                        for message in theirs[other].messages.values()
                        for key, _ in message.others
                    )
                }
                if not mine and item.stamp is not None:
                    await self._table.delete(item.id, item.stamp)
                elif gone := item.users - mine:
                    # Only as it was read: whoever writes to one of these now needs them here.
                    await self._table.change_in_the_end(
                        _unchanged(
                            item,
                            secrets.token_hex(12),
                            "SET v = :v DELETE #of :of",
                            {":of": {"SS": sorted(gone)}},
                            {"#of": "of"},
                        )
                    )


def _unchanged(
    item: Item, stamp: str, update: str, values: dict[str, Any], names: dict[str, str]
) -> Change:
    """A change of an item that is as it was read."""
    values = {":v": {"S": stamp}, **values}
    if item.stamp is None:
        return Change(item.id, update, "attribute_not_exists(v)", values, names)
    return Change(item.id, update, "v = :read", {":read": {"S": item.stamp}, **values}, names)


def _old(item: Item, before: float, *, entirely: bool) -> list[Found]:
    now = time.time()
    return [
        Found(item.id, token, one)
        for token, one in item.messages.items()
        if one.message.at < before
        and (not kept.is_in_flight(one.message, now) if entirely else one.message.name is not None)
    ]


def _parts(one: kept.Kept) -> tuple[Message, bytes, Iterable[tuple[bytes, bytes]]]:
    return one.message, one.exact, one.others


def _name(token: str) -> str:
    return kept.MESSAGE + token


def _stamp() -> dict[str, str]:
    return {"S": secrets.token_hex(12)}


def _seconds(date: str) -> float:
    """Read an HTTP date; 0 where there is none."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except ValueError:
        return 0.0


def _run(raw: kept.Raw) -> PastRun:
    finished = raw.get("finished_at")
    return PastRun(
        int(raw["id"]["S"].removeprefix(kept.RUN)),
        float(raw["started_at"]["N"]) if "started_at" in raw else 0.0,
        None if finished is None else float(finished["N"]),
        json.loads(raw["summary"]["S"]) if "summary" in raw else {},
    )


async def _side_by_side(changes: Sequence[Any]) -> None:
    room, failed = anyio.Semaphore(_TOGETHER), []

    async def make(change: Any) -> None:
        async with room:
            try:  # inside: what leaves a task group is a group of errors
                await change()
            except LedgerError as error:
                failed.append(error)
                tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for change in changes:
            tasks.start_soon(make, change)
    if failed:
        raise failed[0]


def must_have_begun(ledger: DynamoLedger) -> DynamoLedger:
    """Refuse a table in which there is no ledger yet; raises `InputError`."""
    if ledger.is_new:
        raise InputError(
            f"There is no ledger in {ledger.address}: nobody was written to through it, or it lies"
            " elsewhere; name it with --ledger."
        )
    return ledger
