"""A finding, the run that is proposed, and what both need to count. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from batch_resend.preflight.estimate import Estimate
from batch_resend.preflight.facts import (
    Facts,
    Unknown,
)
from batch_resend.wording import grouped


class Level(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found: how bad, about what, and a sentence for a person."""

    level: Level
    about: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedRun:
    """The run that the operator proposes. `users` is None if their number is not known."""

    user_pool_id: str
    client_id: str
    region: str
    endpoint: str
    endpoint_is_aws: bool
    now: float  #: seconds since the epoch
    listed: bool = True  #: the users come from the pool and not from a file
    users: int | None = None
    rate: float | None = None  #: None is `auto`
    share: float = 0.5
    default_quota: float = 50.0
    alone: bool = False  #: no run follows, which would wait for an endpoint to come back


def ceiling(facts: Facts, run: ProposedRun) -> float:
    """Return the limit in requests per second: --rate, else the share of the known quota."""
    if run.rate is not None:
        return run.rate
    return run.share * (facts.quota or run.default_quota)


def estimated(
    facts: Facts,
    run: ProposedRun,
    users: int,
    *,
    telephones: int | None = None,
    max_sent: int | None = None,
    deadline: float | None = None,
) -> Estimate:
    """Estimate what it takes to send so many users a code."""
    return Estimate(
        users=users,
        rate=ceiling(facts, run),
        quota=facts.quota,
        now=run.now,
        sent=facts.messages(users, telephones),
        mail=facts.mail_quota,
        max_sent=max_sent,
        deadline=deadline,
        tier="" if isinstance(facts.pool, Unknown) else facts.pool.tier,
        by_ses=facts.by_ses,
    )


def ok(about: str, text: str) -> Finding:
    """Return a finding that is fine."""
    return Finding(Level.OK, about, text)


def warning(about: str, text: str) -> Finding:
    """Return a finding to know before approving."""
    return Finding(Level.WARNING, about, text)


def stop(about: str, text: str) -> Finding:
    """Return a finding with which the run cannot work."""
    return Finding(Level.STOP, about, text)


def users_of(facts: Facts, run: ProposedRun) -> int | None:
    """Return how many users there are, or a maximum if they were not counted."""
    if run.users is not None:
        return run.users
    return None if isinstance(facts.pool, Unknown) else facts.pool.users or None


def people(facts: Facts, run: ProposedRun, *, start: bool = False) -> str:
    """Return the users in words: counted, or all of the pool."""
    users = grouped(users_of(facts, run) or 0, "user")
    if run.users is not None:
        return users
    return f"{'All' if start else 'all'} of the pool's {users}"
