"""Addresses as users: each is looked up in the pool and becomes the Username Cognito wants.

The promises: every row of the input stays one row, with its own text; an address without an
account is kept as one that was not found, and no request is made for it; an address with
several accounts is refused before anything is sent, or is its newest account that can be sent
a code where that was chosen. Lookups take half of the quota of ListUsers, which AWS does not
raise, so that those of the pool's other callers still succeed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Protocol

import anyio

from batch_resend.errors import BatchResendError, InputError
from batch_resend.model import Candidate
from batch_resend.sources.cognito import Client, CognitoSource
from batch_resend.sources.listed_user import UNCONFIRMED
from batch_resend.wording import some

_RATE = 15.0  #: lookups per second
_AT_ONCE = 8
_REPORTED_EVERY = 1000


class Source(Protocol):
    """The part of the source of the addresses that is used."""

    @property
    def name(self) -> str:
        """Its name in sentences."""
        ...

    @property
    def columns(self) -> frozenset[str] | None:
        """Its columns."""
        ...

    @property
    def username_column(self) -> str | None:
        """The column of the addresses, where it does not go without saying."""
        ...

    @property
    def heading(self) -> str:
        """What stands above its rows."""
        ...

    @property
    def encoding(self) -> str:
        """The encoding of its rows."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the input."""
        ...

    async def open(self) -> None:
        """Open it."""
        ...

    def batches(self) -> AsyncGenerator[list[Candidate], None]:
        """Yield the candidates."""
        ...

    async def aclose(self) -> None:
        """Close it."""
        ...


@dataclass(slots=True)
class ResolvedUsers:
    """The users of a source whose usernames are addresses; `note` receives the progress."""

    addresses: Source
    client: Client
    user_pool_id: str
    newest: bool  #: whether of several accounts the newest is meant
    note: Callable[[str], None]
    is_listing: bool = field(default=False, init=False)
    looked_up: int = field(default=0, init=False)
    missing: int = field(default=0, init=False)  #: addresses without an account
    shared: list[int] = field(default_factory=list, init=False)  #: rows with several accounts

    @property
    def name(self) -> str:
        """The name of the input."""
        return self.addresses.name

    @property
    def columns(self) -> frozenset[str] | None:
        """The columns of the input."""
        return self.addresses.columns

    @property
    def username_column(self) -> str | None:
        """The column of the addresses."""
        return self.addresses.username_column

    @property
    def heading(self) -> str:
        """The heading of the input."""
        return self.addresses.heading

    @property
    def encoding(self) -> str:
        """The encoding of the input."""
        return self.addresses.encoding

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the addresses, in sentences."""
        notes = list(self.addresses.notes)
        if self.missing:
            notes.append(f"Addresses without an account: {self.missing:,} of {self.looked_up:,}.")
        if self.shared:
            notes.append(
                "Addresses with several accounts, of which the newest is used:"
                f" {len(self.shared):,}."
            )
        return tuple(notes)

    async def open(self) -> None:
        """Open the input."""
        self.looked_up = self.missing = 0
        self.shared.clear()
        await self.addresses.open()

    async def batches(self) -> AsyncGenerator[list[Candidate], None]:
        """Yield the users in the order of the addresses; raises a `BatchResendError`."""
        async with aclosing(self.addresses.batches()) as batches:
            async for batch in batches:
                yield await self._resolved(batch)
        if self.shared and not self.newest:
            places = ", ".join(map(str, sorted(self.shared)[:10]))
            raise InputError(
                f"{self.name}: {some(len(self.shared), 'row')} with an address that has several"
                f" accounts (row {places}{', ...' if len(self.shared) > 10 else ''}). Use"
                " --one-per-address for the newest account of each."
            )

    async def aclose(self) -> None:
        """Close the input."""
        await self.addresses.aclose()

    async def _resolved(self, batch: list[Candidate]) -> list[Candidate]:
        users = list(batch)
        failures: list[BatchResendError] = []
        limit = anyio.CapacityLimiter(_AT_ONCE)

        async def look_up(place: int, scope: anyio.CancelScope) -> None:
            async with limit:
                try:  # inside: what leaves a task group is a group of errors
                    users[place] = await self._user(batch[place])
                except BatchResendError as error:
                    failures.append(error)
                    scope.cancel()

        async with anyio.create_task_group() as tasks:
            for place in range(len(batch)):
                tasks.start_soon(look_up, place, tasks.cancel_scope)
                await anyio.sleep(1 / _RATE)
        if failures:
            raise failures[0]
        return users

    async def _user(self, row: Candidate) -> Candidate:
        """Return the account of an address, with the row of the input."""
        accounts = await self._accounts(row.username) if row.username else []
        self.looked_up += 1
        if self.looked_up % _REPORTED_EVERY == 0:
            self.note(f"{self.name}: {self.looked_up:,} addresses looked up so far.")
        if not accounts:
            self.missing += 1
            return replace(row, exists=False)
        if len(accounts) > 1:
            self.shared.append(row.row)
        account = max(accounts, key=_preference)
        return replace(
            account,
            row=row.row,
            raw=row.raw,
            attributes=row.attributes,
            contacts=tuple(dict.fromkeys((row.username, *row.contacts))),
        )

    async def _accounts(self, address: str) -> list[Candidate]:
        source = CognitoSource(
            self.client,
            self.user_pool_id,
            filter=address_filter(address),
            keep=frozenset(),
            note=self.note,
        )
        await source.open()
        async with aclosing(source.batches()) as batches:
            return [account async for batch in batches for account in batch]


def _preference(account: Candidate) -> tuple[bool, float]:
    """Return what makes an account the better one: that it can be sent a code, then its age."""
    can_be = account.status == UNCONFIRMED and account.enabled is not False
    return can_be, account.created or 0.0


def address_filter(address: str) -> str:
    """Return ListUsers' filter for the accounts with an address."""
    name = "email" if "@" in address else "phone_number"
    escaped = address.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name} = "{escaped}"'
