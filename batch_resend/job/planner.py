"""Steps 1 and 2 of the line for the whole input: read every row and plan it into the spool.

Nothing has been sent when it ends, so a row that cannot be read is found before the first
message. A listing that breaks off is begun again from its first page.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

import anyio.lowlevel

from batch_resend.errors import StaleListing
from batch_resend.job.attempt import names_of
from batch_resend.job.clock import Clock
from batch_resend.job.plan import Eligibility, decide
from batch_resend.job.reach import Lists, ListsRead, address_of, mail_of, number_of
from batch_resend.job.request import Template
from batch_resend.job.same_user import CaseRule, not_known, tell_apart
from batch_resend.job.spool import OF_THE_LEDGER, Spool
from batch_resend.ledger.journal import Journal
from batch_resend.ledger.policy import History, SendPolicy
from batch_resend.model import Candidate, Planned
from batch_resend.wording import some

_LISTINGS = 3  #: how often a listing that cannot be continued is begun


class Source(Protocol):
    """The source of the users; raises `InputError` and `SettingsError`."""

    @property
    def is_listing(self) -> bool:
        """Whether the users are as Cognito itself lists them."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of what was read, in sentences."""
        ...

    async def open(self) -> None:
        """Start, or start again."""
        ...

    def batches(self) -> AsyncGenerator[list[Candidate], None]:
        """Read on to the end, in lists."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The choice among eligible users that depends on the whole input."""

    limit: int | None = None  #: the first so many
    sample: int | None = None  #: so many at random
    one_per_address: bool = False  #: the newest account of each address


@dataclass(slots=True, kw_only=True)
class Planner:
    """The decisions about all rows of a source, by the ledger and the spool."""

    spool: Spool
    journal: Journal
    clock: Clock
    template: Template
    eligibility: Eligibility
    policy: SendPolicy
    rng: random.Random = field(default_factory=random.SystemRandom)
    case_sensitive: bool = field(default=False, init=False)  #: as it was found to be

    async def plan(
        self,
        source: Source,
        selection: Selection,
        case: CaseRule = not_known,
        lists: ListsRead | None = None,
    ) -> tuple[str, ...]:
        """Plan the whole input (its source is open) into the spool.

        `case` and `lists` are asked when all is read, and may take their time: by then the
        spool must know the addresses that nothing is delivered to. Returns what a person
        should know of the input before they approve, in sentences. Raises `InputError`
        and `SettingsError`.
        """
        for last in (False,) * (_LISTINGS - 1) + (True,):
            try:
                await self._read(source, reached=lists is not None)
                break
            except StaleListing:
                if last:
                    raise
                self.spool.clear()
                await source.open()
        same = await tell_apart(
            self.spool,
            self.journal,
            rule=case,
            is_listing=source.is_listing,
            policy=self.policy,
            now=self.clock.now,
        )
        self.case_sensitive = same.case_sensitive
        if lists is not None:
            self._skip_suppressed(await lists(), is_listing=source.is_listing)
        if selection.one_per_address:
            self.spool.keep_newest_of_each_address()
        if selection.limit is not None:
            self.spool.keep_first(selection.limit)
        if selection.sample is not None:
            self.spool.keep_sample(selection.sample, self.rng)
        notes = (
            *source.notes,
            *same.notes,
            self._excluded_without_match(),
            self._sharing(is_listing=source.is_listing),
            self._coming_last(),
        )
        return tuple(filter(None, notes))

    def _sharing(self, *, is_listing: bool) -> str:
        sharing = self.spool.sharing_an_address()
        if not sharing:
            return ""
        needs = "" if is_listing else ", which needs a column UserCreateDate in a file"
        return (
            f"{some(sharing, 'user')} share an address with another user. For one message per"
            f" address use --one-per-address{needs}."
        )

    def _coming_last(self) -> str:
        last = self.spool.coming_last()
        if not last:
            return ""
        come, their = ("comes", "the") if last == 1 else ("come", "their")
        return f"{some(last, 'user')} {come} last, for {their} last request failed or is unknown."

    def _excluded_without_match(self) -> str:
        unmatched, names = self.spool.excluded_without_match(), self.spool.excluded
        if not unmatched:
            return ""
        match = "matches" if unmatched == 1 else "match"
        return f"{unmatched:,} of {some(names, 'name')} in the exclude list {match} no user."

    def _skip_suppressed(self, lists: Lists | None, *, is_listing: bool) -> None:
        if lists is None:
            return
        if not lists.both:
            mail = "mail" if lists.mail else ""
        else:  # a file without a number does not say that the user has none
            mail = "iif(number IS NULL, mail, NULL)" if lists.mail and is_listing else ""
        for column in (mail, "number" if lists.text else ""):
            if column:
                self.spool.skip_suppressed(column)

    async def _read(self, source: Source, *, reached: bool) -> None:
        async with aclosing(source.batches()) as batches:
            async for batch in batches:
                if reached:
                    self.spool.note_addresses(
                        (user.row, mail_of(user), number_of(user)) for user in batch
                    )
                users = [names_of(candidate) for candidate in batch]
                histories = await self.journal.histories(users, self.clock.now())
                self.spool.add(
                    (
                        self._planned(candidate, history),
                        address_of(candidate),
                        candidate.created,
                    )
                    for candidate, history in zip(batch, histories, strict=True)
                )
                await anyio.lowlevel.checkpoint()

    def _planned(self, candidate: Candidate, history: History) -> Planned:
        names = (candidate.username, *candidate.aliases, *candidate.contacts)
        reason = decide(
            candidate,
            excluded=self.spool.is_excluded(names),
            history=history,
            eligibility=self.eligibility,
            policy=self.policy,
            now=self.clock.now(),
        )
        needed = self.template.names
        return Planned(
            candidate.row,
            candidate.username,
            reason,
            {name: text for name, text in candidate.attributes.items() if name in needed},
            candidate.raw,
            candidate.aliases,
            comes_last=history.last_failed,
            evidence=history.evidence if reason in OF_THE_LEDGER else None,
        )
