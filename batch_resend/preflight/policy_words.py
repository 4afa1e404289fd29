"""The policy of a run and the memory of its ledger, in words for the plan. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from batch_resend.wording import grouped, length, moment, some

_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Memory:
    """The content of a ledger; each value is None if it was not looked up."""

    people: int | None = None  #: who were sent a message, or may have been
    last_run: float | None = None  #: when it started, in seconds since the epoch
    is_new: bool = False


def policy_words(
    *,
    max_sends: int,
    cooldown: float,
    older_than: float | None = None,
    newer_than: float | None = None,
) -> str:
    """Return how many messages a user may get, how far apart, and who is of the right age."""
    apart = f"{length(cooldown)} apart" if cooldown else "any time apart"
    if max_sends == 0:
        words = [f"no maximum of messages, {apart}"]
    elif max_sends == 1:
        words = ["at most 1 message per user over all runs"]
    else:
        words = [f"at most {some(max_sends, 'message')} per user, {apart}"]
    if older_than and newer_than is not None:
        words.append(f"signed up {_between(older_than, newer_than)} ago")
    elif older_than:
        words.append(f"signed up at least {length(older_than)} ago")
    elif newer_than is not None:
        words.append(f"signed up at most {length(newer_than)} ago")
    return ", ".join(words)


def _between(least: float, most: float) -> str:
    if not least % _DAY and not most % _DAY:
        return f"{least / _DAY:,.0f} to {grouped(most / _DAY, 'day')}"
    return f"{length(least)} to {length(most)}"


def memory_words(memory: Memory, now: float) -> str:
    """Return the content of the ledger, for the plan."""
    if memory.is_new:
        return "new: no user counts as already sent to"
    parts = []
    if memory.people is not None:
        parts.append("1 person" if memory.people == 1 else f"{memory.people:,} people")
    if memory.last_run is not None:
        parts.append(f"last run {moment(memory.last_run, now)}")
    return ", ".join(parts)
