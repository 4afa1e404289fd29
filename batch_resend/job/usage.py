"""The quota as known from other sources than throttles: its size, and what others use of it.

`Usage` holds the enforced quota, where AWS could be asked for it, and the account's usage
metric, if it is requested during a run: the accepted calls of a minute, one to three
minutes late, with gaps. What others used is that less our own. From it follows the room that
is left for us. Pure: times are handed in.

Knowledge is believed until throttles speak against it. Each adds to the `doubt`, each accepted
request takes a sixtieth of one away; so up to 1.7 % of throttles are borne, more are not: with
six more throttles than that the knowledge is put aside, and the pace feels its way as if
nothing were known. A metric that is missing, stale or wrong therefore costs some seconds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

MINUTE = 60  #: seconds
MINUTES = 5  #: over which others' use is averaged: at 35 per second the mean errs by 1 % then
STALE = 600.0  #: seconds after which a minute says nothing about now
LEAST_ROOM = 0.1  #: of the quota: where others seem to leave less, feeling is the better guide
BORNE = 60  #: accepted requests that make up for one throttle
DOUBT = 6.0  #: more throttles than that is borne: the knowledge is wrong
PUT_ASIDE = 300.0  #: seconds for which it is


@dataclass(slots=True)
class Usage:
    """The quota in requests per second, if known, and the use that others make of it."""

    quota: float | None = None
    doubt: float = 0.0
    _own: Counter[int] = field(default_factory=Counter)  # accepted, of each second
    _others: list[tuple[float, float]] = field(default_factory=list)  # the latest minutes'
    _aside_until: float = float("-inf")

    def accepted(self, left_at: float) -> None:
        """Count a request of ours."""
        self._own[int(left_at)] += 1
        self.doubt = max(0.0, self.doubt - 1 / BORNE)

    def counted(self, since: float, calls: float) -> None:
        """Count the accepted calls of the minute that began at `since`, ours included.

        A minute that comes again, in whatever order, replaces what was said of it before.
        """
        ours = sum(self._own[int(since) + second] for second in range(MINUTE))
        others = max(0.0, calls - ours) / MINUTE
        earlier = [one for one in self._others if abs(one[0] - since) >= MINUTE / 2]
        self._others = sorted([*earlier, (since, others)])[-MINUTES:]
        for second in [second for second in self._own if second < since - STALE]:
            del self._own[second]

    def throttled(self, now: float) -> None:
        """Doubt more; with too much of it, put aside what is known."""
        self.doubt += 1
        if self.doubt >= DOUBT:
            self.doubt, self._aside_until = 0.0, now + PUT_ASIDE

    def is_believed(self, now: float) -> bool:
        """Whether throttles do not speak against what is known."""
        return now >= self._aside_until

    def room(self, now: float) -> float | None:
        """Return what is left for us in requests per second, if that is known."""
        if self.quota is None or not self._others or not self.is_believed(now):
            return None
        if now - self._others[-1][0] > STALE:
            return None
        left = self.quota - sum(used for _, used in self._others) / len(self._others)
        return left if left >= LEAST_ROOM * self.quota else None
