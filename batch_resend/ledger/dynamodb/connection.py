"""An open table that holds a ledger: its identity, and how a user is found in it.

`DynamoLedger` writes through it and `DynamoRecords` reads and erases through it.
"""

from __future__ import annotations

import contextlib
import email.utils
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NoReturn

from batch_resend.aws import clients
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.errors import InputError, LedgerError
from batch_resend.ledger import Identity
from batch_resend.ledger.dynamodb import items as layout
from batch_resend.ledger.dynamodb.address import TableAddress
from batch_resend.ledger.dynamodb.items import META, Hashed, Item, Match
from batch_resend.ledger.dynamodb.table import (
    ONE_TRY,
    Change,
    Refused,
    Table,
    Unclear,
)
from batch_resend.marks import make_mark


@contextlib.asynccontextmanager
async def connected(
    place: AwsTarget, address: TableAddress, *, connections: int = 10, **options: Any
) -> AsyncIterator[DynamoConnection]:
    """Open a table with the usual credentials; `options` is for `DynamoConnection`.

    Raises `LedgerError`, or `SettingsError` where no client can be made.
    """
    async with clients.signed_client(
        place, clients.DYNAMODB, attempts=1, timeout=ONE_TRY, connections=connections
    ) as client:
        connection = DynamoConnection(Table(client, address), **options)
        await connection.open()
        yield connection


class DynamoConnection:
    """An open table that holds a ledger, or is free for one."""

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
        """Prepare to open the ledger; the parameters are those of `LedgerFile`."""
        del read_only  # nothing is written before `make_ready` anyway
        self.table = table
        self.address = table.address
        self.name = f"ledger {table.address}"
        self.is_new = False  #: whether there was no ledger
        self.is_there = False
        self.client = client
        self.secret = b""  #: the key of the hashes of names
        self.mark_key = b""  #: the key of the marks of requests
        self.first_marked_run = 0
        self.latest = 0.0
        self.case_sensitive = case_sensitive
        self._simulated = simulated
        self._must_exist = must_exist
        self._version = layout.SCHEMA

    @property
    def is_simulated(self) -> bool:
        """Whether it is a ledger of simulations."""
        return bool(self._simulated)

    async def open(self) -> None:
        """Read the ledger's identity; a new ledger is created by `make_ready`."""
        meta = await self.table.get_one(META)
        if meta is None:
            if self._must_exist:
                self._refuse_new()
            self.is_new = True
            return
        self._read_meta(meta)
        if self._must_exist and "runs" not in meta:
            self._refuse_new()

    async def make_ready(self) -> None:
        """Create a new ledger, or migrate an old one."""
        if not self.is_there:
            self._read_meta(await self._begin_new())
        if self._version != layout.SCHEMA:
            await self._bring_up_to_date()

    def _read_meta(self, meta: Mapping[str, Any]) -> None:
        if "secret" not in meta:
            raise LedgerError(
                f"The {self.name} is not a ledger of batch-resend. Choose another table with"
                " --ledger."
            )
        version = int(meta["schema"]["N"])
        if version not in layout.READABLE:
            raise LedgerError(
                f"The {self.name} was written by another version of batch-resend (schema {version},"
                f" this one supports {layout.SCHEMA}). Use that version."
            )
        simulated = bool(meta["simulated"]["BOOL"])
        if self._simulated not in {None, simulated}:
            other = "a simulation" if simulated else "real runs"
            raise LedgerError(
                f"The {self.name} belongs to {other}. Choose another table with --ledger."
            )
        self.is_there = True
        self._version, self._simulated = version, simulated
        self.client = meta.get("client", {"S": self.client})["S"]  # not stored by early versions
        self.secret = bytes(meta["secret"]["B"])
        if "mark_key" in meta:
            self.mark_key = bytes(meta["mark_key"]["B"])
            self.first_marked_run = int(meta["first_marked_run"]["N"])
        self.latest = max(float(meta["latest"]["N"]), _seconds(self.table.now_there))

    async def _begin_new(self) -> Mapping[str, Any]:
        """Create the ledger, unless another machine has created it."""
        item = {
            "id": {"S": META},
            "schema": {"N": str(layout.SCHEMA)},
            "secret": {"B": secrets.token_bytes(32)},
            "mark_key": {"B": secrets.token_bytes(32)},
            "first_marked_run": {"N": "1"},
            "client": {"S": self.client},
            "simulated": {"BOOL": self.is_simulated},
            "latest": {"N": "0"},
        }

        async def begin() -> Mapping[str, Any]:
            with contextlib.suppress(Refused):  # it is there, ours or theirs
                await self.table.put_new(item)
            if (meta := await self.table.get_one(META)) is None:
                raise Unclear("its first item is gone")
            return meta

        return await self.table.patience()(begin)

    async def _bring_up_to_date(self) -> None:
        """Add what version 2 added; of several machines, one does it."""
        meta = await self.table.get_one(META) or {}
        runs = int(meta.get("runs", {"N": "0"})["N"])
        change = Change(
            META,
            "SET #schema = :new, mark_key = :key, first_marked_run = :run",
            "#schema = :old",
            {
                ":new": {"N": str(layout.SCHEMA)},
                ":old": {"N": "1"},
                ":key": {"B": secrets.token_bytes(32)},
                ":run": layout.number(runs + 1),
            },
            {"#schema": "schema"},
        )
        await self.table.change_in_the_end(change)
        self._read_meta(await self.table.get_one(META) or {})

    def mark(self, token: str) -> str:
        """Return the mark of a message's request; the token cannot be derived from it."""
        return make_mark(self.mark_key, f"{token}".encode())

    def _refuse_new(self) -> NoReturn:
        raise LedgerError(
            f"The {self.name} is empty or has no runs. Without the old one, users may be sent a"
            " second message. Restore it, or allow a new one with --create-ledger."
        )

    # -- reading -------------------------------------------------------------------

    async def read(self, users: Sequence[Hashed]) -> dict[str, Item]:
        """Read the items of all names of these users, including names noted earlier."""
        items = await self.fetch({id_: None for user in users for id_ in user.ids}, {})
        owners = {other: None for user in users for other in sorted(items[user.own[0]].users)}
        items = await self.fetch(owners, items)
        noted = {id_: None for user in users for id_, _ in self.names_of(user, items)}
        return await self.fetch(noted, items)

    async def fetch(self, ids: dict[str, None], cached: dict[str, Item]) -> dict[str, Item]:
        """Read the items that are not cached yet; return all of them."""
        wanted = [id_ for id_ in ids if id_ not in cached]
        if wanted:
            cached |= {id_: Item(id_) for id_ in wanted}
            cached |= {item.id: item for item in layout.read_all(await self.table.get(wanted))}
        return cached

    def look_up(self, user: Hashed, items: dict[str, Item]) -> list[Match]:
        """Find the messages to a user, each once; `items` as `read` has returned them."""
        return layout.look_up(user, items, case_sensitive=self.case_sensitive)

    def names_of(
        self, user: Hashed, items: dict[str, Item]
    ) -> list[tuple[str, tuple[bytes, bytes]]]:
        """Return a user's names, each once; `items` are those that `read` returned."""
        return layout.names_of(user, items, case_sensitive=self.case_sensitive)

    async def items(self) -> AsyncIterator[Item]:
        """Read all users' items."""
        async for page in self.table.pages():
            for item in layout.read_all(page):
                yield item

    async def person(self, name: str) -> list[Match]:
        """Return all messages to the users with this name, under any of their names."""
        user = layout.hashed(self.secret, Identity(name))
        return self.look_up(user, await self.read([user]))


def _seconds(date: str) -> float:
    """Read an HTTP date; 0 where there is none."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except ValueError:
        return 0.0


def unchanged(
    item: Item, stamp: str, update: str, values: dict[str, Any], names: dict[str, str]
) -> Change:
    """Return a change with the condition that the item is as it was read."""
    values = {":v": {"S": stamp}, **values}
    if item.stamp is None:
        return Change(item.id, update, "attribute_not_exists(v)", values, names)
    return Change(item.id, update, "v = :read", {":read": {"S": item.stamp}, **values}, names)


def new_stamp() -> dict[str, str]:
    """Return a stamp that no item has yet, as an attribute's value."""
    return {"S": secrets.token_hex(12)}


def must_have_begun(connection: DynamoConnection) -> DynamoConnection:
    """Raise `InputError` if the table holds no ledger yet."""
    if connection.is_new:
        raise InputError(
            f"There is no ledger in {connection.address}. If the ledger is elsewhere, specify it"
            " with --ledger."
        )
    return connection
