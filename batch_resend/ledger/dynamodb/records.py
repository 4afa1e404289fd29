"""Reading and erasing the records of a ledger in a table."""

from __future__ import annotations

import json
import math
import secrets
import time
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from functools import partial
from typing import Any

import anyio

from batch_resend.errors import LedgerError
from batch_resend.ledger import Extent, Finding, Forgotten, Marked, Message, PastRun
from batch_resend.ledger.dynamodb import items as layout
from batch_resend.ledger.dynamodb.connection import (
    DynamoConnection,
    new_stamp,
    unchanged,
)
from batch_resend.ledger.dynamodb.items import Item, Match
from batch_resend.ledger.dynamodb.table import Change
from batch_resend.ledger.hashing import hashes
from batch_resend.ledger.sqlite.records import LedgerRecords

_SETTLED_AT = "if_not_exists(#m.settled_at, #m.intended_at)"
_TOGETHER = 16  #: concurrent changes while many people are erased


class DynamoRecords:
    """The records of a ledger in a table. Every method raises `LedgerError`."""

    def __init__(self, connection: DynamoConnection) -> None:
        self._connection = connection
        self._table = connection.table

    @property
    def name(self) -> str:
        """The ledger's name in messages."""
        return self._connection.name

    async def copy_into(self, copy: LedgerRecords, *, only: str | None = None) -> None:
        """Copy it into a throwaway ledger: all of it, or the records of one person."""
        if only is not None:
            copy.gather(_parts(one.record) for one in await self._connection.person(only))
            copy.arrange(self._connection.secret, [], simulated=self._connection.is_simulated)
            return
        runs = []
        async for page in self._table.pages():
            for item in layout.read_all(page):
                copy.gather(map(_parts, item.messages.values()))
            runs += [_run(raw) for raw in page if raw["id"]["S"].startswith(layout.RUN)]
        runs.sort(key=lambda run: run.number)
        copy.arrange(self._connection.secret, runs, simulated=self._connection.is_simulated)

    # -- settling by evidence ------------------------------------------------------

    async def marked(
        self, now: float, *, since: float = 0.0, until: float = math.inf, unknown: bool = False
    ) -> AsyncIterator[Marked]:
        """Yield the messages intended in a span of time that carry a mark, in any order.

        `unknown` leaves out those whose outcome is known, or that may be in flight now.
        """
        connection = self._connection
        async for item in connection.items():
            for token, one in item.messages.items():
                message = one.message
                if not since <= message.intended_at <= until:
                    continue
                if not connection.mark_key or message.run < connection.first_marked_run:
                    continue
                if unknown and (not message.is_unknown or layout.is_in_flight(message, now)):
                    continue
                keys = frozenset([message.user, *(key for key, _ in one.others)])
                yield Marked(f"{item.id} {token}", connection.mark(token), message, keys)

    def key_of(self, name: str) -> bytes:
        """Return the hash of a name, as in `Marked.keys`."""
        return hashes(self._connection.secret, name)[0]

    async def settle_unknown(self, findings: Sequence[Finding], now: float) -> int:
        """Note what evidence shows about unknown messages, one by one; return the changes.

        Messages with a known outcome, or that may be in flight, are not changed, and the
        same finding changes nothing when it is repeated.
        """
        await self._connection.make_ready()
        return sum([await self._settle(finding, now) for finding in findings])

    async def _settle(self, finding: Finding, now: float) -> bool:
        id_, _, token = finding.handle.partition(" ")
        names = {"#m": layout.message_name(token), "#s": "state"}
        values = {
            ":v": new_stamp(),
            ":unknown": {"S": "unknown"},
            ":open": {"S": "open"},
            ":left": layout.number(now - layout.IN_FLIGHT),
        }
        condition = "(#m.#s = :unknown OR (#m.#s = :open AND #m.intended_at <= :left))"
        update = "SET v = :v REMOVE #m"
        if finding.reason is not None:
            names["#r"] = "reason"
            condition += (
                " AND (attribute_not_exists(#m.#r) OR #m.#r <> :r"
                " OR attribute_not_exists(#m.evidence) OR #m.evidence <> :e)"
            )
            update = (
                "SET v = :v, #m.#s = :s, #m.#r = :r, #m.evidence = :e, #m.reconciled_at = :now,"
                " #m.settled_at = "
            ) + (":at" if finding.at is not None else _SETTLED_AT)
            values |= {
                ":s": {"S": str(finding.reason.outcome)},
                ":r": {"S": str(finding.reason)},
                ":e": {"S": finding.evidence},
                ":now": layout.number(now),
            }
            if finding.at is not None:
                values[":at"] = layout.number(finding.at)
        if await self._table.change_in_the_end(Change(id_, update, condition, values, names)):
            return True
        # Refused because an earlier attempt was written, or nothing is to be done.
        raw = await self._table.get_one(id_)
        return raw is not None and raw.get("v") == values[":v"]

    # -- erasing -------------------------------------------------------------------

    async def forget(self, names: Sequence[str]) -> Forgotten:
        """Erase people, under any of their names; what they were sent still counts."""
        count, unknown = 0, []
        for name in names:
            matches = await self._connection.person(name)
            if not matches:
                unknown.append(name)
            for one in matches:
                count += await self._erase(one)
        return Forgotten(count, tuple(unknown))

    async def reach(self, names: Sequence[str]) -> Extent:
        """Return what `forget` would erase."""
        missing: list[str] = []
        messages: dict[str, Message] = {}
        for name in names:
            matches = await self._connection.person(name)
            if not matches:
                missing.append(name)
            messages |= {
                one.token: one.record.message for one in matches if one.record.message.name
            }
        return _extent(messages.values(), missing)

    async def older(self, before: float, *, entirely: bool = False) -> Extent:
        """Return what `purge` would erase."""
        return _extent(
            [
                one.record.message
                async for item in self._connection.items()
                for one in _old(item, before, entirely=entirely)
            ]
        )

    async def purge(self, before: float, *, entirely: bool = False) -> None:
        """Erase the names in messages settled before then, or intended if never settled.

        `entirely` forgets that they were sent, too, but for those that may be in flight.
        """
        async for page in self._table.pages():
            olds = [
                one
                for item in layout.read_all(page)
                for one in _old(item, before, entirely=entirely)
            ]
            await _side_by_side(
                [partial(self._remove if entirely else self._erase, one) for one in olds]
            )
        if entirely:
            await self._sweep()

    async def _erase(self, one: Match) -> bool:
        names = {"#m": layout.message_name(one.token), "#n": "name"}
        return one.record.message.name is not None and await self._table.change_in_the_end(
            Change(one.id, "REMOVE #m.#n", "attribute_exists(#m.#n)", {}, names)
        )

    async def _remove(self, one: Match) -> bool:
        # Unless its owner has settled it in the meantime: then it is newer.
        names = {"#m": layout.message_name(one.token), "#s": "state"}
        values = {":s": {"S": one.record.message.state}, ":v": new_stamp()}
        return await self._table.change_in_the_end(
            Change(one.id, "SET v = :v REMOVE #m", "#m.#s = :s", values, names)
        )

    async def _sweep(self) -> None:
        """Delete the hashes of names under which nothing is stored any more."""
        async for page in self._table.pages():
            bare = [item for item in layout.read_all(page) if not item.messages]
            theirs = await self._connection.fetch(
                {id_: None for item in bare for id_ in item.users}, {}
            )
            for item in bare:
                mine = {
                    other
                    for other in item.users
                    if any(
                        layout.id_of(key) == item.id
                        for message in theirs[other].messages.values()
                        for key, _ in message.others
                    )
                }
                if not mine and item.stamp is not None:
                    await self._table.delete(item.id, item.stamp)
                elif unused := item.users - mine:
                    # Only if unchanged: a run that sends to one of these now needs them here.
                    await self._table.change_in_the_end(
                        unchanged(
                            item,
                            secrets.token_hex(12),
                            "SET v = :v DELETE #of :of",
                            {":of": {"SS": sorted(unused)}},
                            {"#of": "of"},
                        )
                    )


def _extent(messages: Collection[Message], missing: Sequence[str] = ()) -> Extent:
    times = [message.at for message in messages]
    unknown = sum(message.is_unknown for message in messages)
    oldest, newest = min(times, default=None), max(times, default=None)
    return Extent(len(times), unknown, oldest, newest, tuple(missing))


def _old(item: Item, before: float, *, entirely: bool) -> list[Match]:
    now = time.time()
    return [
        Match(item.id, token, one)
        for token, one in item.messages.items()
        if one.message.at < before
        and (
            not layout.is_in_flight(one.message, now) if entirely else one.message.name is not None
        )
    ]


def _parts(one: layout.Record) -> tuple[Message, bytes, Iterable[tuple[bytes, bytes]]]:
    return one.message, one.exact, one.others


def _run(raw: layout.Raw) -> PastRun:
    finished = raw.get("finished_at")
    return PastRun(
        int(raw["id"]["S"].removeprefix(layout.RUN)),
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
