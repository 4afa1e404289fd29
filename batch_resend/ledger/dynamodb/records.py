"""Looking back at a ledger in a table, and erasing in it."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import anyio

from batch_resend.errors import LedgerError
from batch_resend.ledger import Forgotten, Message, PastRun
from batch_resend.ledger.dynamodb import items as kept
from batch_resend.ledger.dynamodb.connection import (
    DynamoConnection,
    new_stamp,
    unchanged,
)
from batch_resend.ledger.dynamodb.items import Found, Item
from batch_resend.ledger.dynamodb.table import Change
from batch_resend.ledger.sqlite.records import LedgerRecords

_TOGETHER = 16  #: changes at a time, where many people are erased


class DynamoRecords:
    """What a ledger in a table remembers. Every method raises `LedgerError`."""

    def __init__(self, connection: DynamoConnection) -> None:
        self._connection = connection
        self._table = connection.table

    @property
    def name(self) -> str:
        """How messages call the ledger."""
        return self._connection.name

    async def copy_into(self, copy: LedgerRecords, *, only: str | None = None) -> None:
        """Copy it into a throwaway ledger: all of it, or what is known of one person."""
        if only is not None:
            copy.gather(_parts(one.kept) for one in await self._connection.person(only))
            copy.arrange(self._connection.secret, [], simulated=self._connection.is_simulated)
            return
        runs = []
        async for page in self._table.pages():
            for item in kept.read_all(page):
                copy.gather(map(_parts, item.messages.values()))
            runs += [_run(raw) for raw in page if raw["id"]["S"].startswith(kept.RUN)]
        runs.sort(key=lambda run: run.number)
        copy.arrange(self._connection.secret, runs, simulated=self._connection.is_simulated)

    # -- erasing -------------------------------------------------------------------

    async def forget(self, names: Sequence[str]) -> Forgotten:
        """Erase people, under any of their names; what they were sent still counts."""
        count, unknown = 0, []
        for name in names:
            found = await self._connection.person(name)
            if not found:
                unknown.append(name)
            for one in found:
                count += await self._erase(one)
        return Forgotten(count, tuple(unknown))

    async def older(self, before: float, *, entirely: bool = False) -> tuple[int, int]:
        """How many messages `purge` would erase, and how many of these are unknown."""
        count = unknown = 0
        async for item in self._connection.items():
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
        names = {"#m": kept.message_name(one.token), "#n": "name"}
        return one.kept.message.name is not None and await self._table.change_in_the_end(
            Change(one.id, "REMOVE #m.#n", "attribute_exists(#m.#n)", {}, names)
        )

    async def _remove(self, one: Found) -> bool:
        # Not one that its owner has settled meanwhile: it is younger now.
        names = {"#m": kept.message_name(one.token), "#s": "state"}
        values = {":s": {"S": one.kept.message.state}, ":v": new_stamp()}
        return await self._table.change_in_the_end(
            Change(one.id, "SET v = :v REMOVE #m", "#m.#s = :s", values, names)
        )

    async def _sweep(self) -> None:
        """Delete the hashes of names under which nothing lies any more."""
        async for page in self._table.pages():
            bare = [item for item in kept.read_all(page) if not item.messages]
            theirs = await self._connection.fetch(
                {id_: None for item in bare for id_ in item.users}, {}
            )
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
                        unchanged(
                            item,
                            secrets.token_hex(12),
                            "SET v = :v DELETE #of :of",
                            {":of": {"SS": sorted(gone)}},
                            {"#of": "of"},
                        )
                    )


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
