"""The progress of the preparation of a run, in words."""

from __future__ import annotations

from dataclasses import dataclass

from batch_resend.job.spool import Spool
from batch_resend.masking import printable
from batch_resend.preflight.facts import Facts, Unknown
from batch_resend.settings import Settings


@dataclass(slots=True, eq=False)
class Preparation:
    """The progress of reading: the input, the rows so far, and the users in the pool."""

    settings: Settings
    spool: Spool
    pool_users: int = 0  #: AWS's estimate; 0 where it is not known
    is_read: bool = False

    def learn(self, facts: Facts) -> None:
        """Read the size of the pool from the facts."""
        if not isinstance(facts.pool, Unknown):
            self.pool_users = facts.pool.users

    def __call__(self) -> str:
        """Return the present step."""
        if self.is_read:
            return "Checking the pool, the client and the account ..."
        if not self.settings.is_listing:
            source = "standard input" if self.settings.users == "-" else self.settings.users
            return f"Reading {printable(source or 'the users')} ... {self.spool.added:,} rows"
        pool = self.settings.user_pool_id or "the simulated pool"
        text = f"Listing users of {pool} ... {self.spool.added:,}"
        if self.pool_users:
            text += f" so far, of about {self.pool_users:,} in the pool"
        return text
