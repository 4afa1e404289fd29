"""The pace as arithmetic: how many requests per second, and when the next may leave.

Cognito never says what is left of its quota; being throttled is the only sign. `Pace` draws
what can be drawn from it, and is handed the time: it knows no clock.

**Find the limit.** The first rate is held for three seconds, since a bucket of a second's
requests is empty by then. The throttles that follow lower the rate by a quarter each, or to
less than a third where nothing at all was accepted in between.

**Measure it.** How Cognito counts a second is not documented. If it fills a bucket with
tokens, that is empty at every throttle, and what it gave in between is what it had for us,
whatever the rate was and however much others drew from it. Where we sent less than the limit the
bucket may have overflowed, and what it lost counts as given. If it counts by the second, what
was accepted in the second before the first throttle is the limit; what follows within a second
is the tail of that second and only slows. Counted are departures: a round trip would bias.

**Rest, rather than crawl.** After a throttle ten requests are left out, at most a second's; four
where the pace was above the limit or guessed it, and so emptied the bucket by itself.
Chance empties a bucket that stands near empty again at once; the next throttle comes later in
the same measure as tokens were given back, and the tokens are not lost. Then the pace returns
to just below the limit and stays there for a while, further away each time the same limit is
met again: other callers of the quota need the room.

**Believe a throttle as far as it was earned.** If 110 requests were accepted before it, or the
bucket should have been full, it is chance or a burst of other callers: the pace rests and learns
nothing. In between it learns in proportion. A quota that did sink throttles again within a few
requests, and is believed then. This is never done while the limit is a guess, and never for a
throttle above the limit: a pace that looks for more is bound to meet one.

**Look for more** slowly at first, by 0.6 % per second, and the faster the longer no throttle
comes; faster still when a bucket's worth more than the limit allows has been accepted, and the
rate is a tenth above it. If the throttle that ends this comes before more than a bucket of the
whole quota was accepted, the limit has not moved.

**Be bold alone.** A caller that shares a quota is throttled below the limit too. If the last two
throttles came above it, where they were looked for, no other caller seems to share the quota: the
pace then stays close to the limit, looks for more by 3 % per second, and follows a raised quota
at once.

**Use what is known** (`usage`). The limit never passes the enforced quota, and begins there.
While the pace is at half of the quota or less, throttles are taken for chance until they are
more than that. Where others' use is known too, the pace stays at 96 % of what they leave, a
little below with each throttle and slowly back, such that about 1 % of its requests are
throttled where a second is counted strictly, and hardly any where it is a bucket. It looks for
more when no throttle came for a minute.
"""

from __future__ import annotations

from collections import deque

from batch_resend.job.usage import Usage

DEFAULT_QUOTA = 50.0  #: requests per second; Cognito Developer Guide, "Quotas"
SLOWEST = 0.5  #: requests per second: slower than this tells nothing sooner
LATE = 0.01  #: seconds that a timer may be late without harm: 5 ms are usual, 10 ms a busy machine
SECOND = 1.0  #: the longest over which a quota "per second" may be counted

START = 3.0  #: seconds at the first rate: 50 per second on a quota of 30 empty its bucket in 1.5
RUSH = 0.3  #: growth per second, of the rate, while no limit is known, or it clearly moved
FIRST_CUT = 0.75  #: what is left of the rate while the limit is a guess: the next one measures it
EMPTY_CUT = 0.3  #: the same where nothing was accepted since: 50 on a quota of 1 is far off
CUT = 0.6  #: what is left after a throttle that was fully earned
EASE = 0.7  #: what is left after one above the limit
OVERSHOT = 0.85  #: of the rate that met a throttle: a first guess at the limit
FEW = 3  #: fewer accepted requests than that within a second say nothing about the limit
FIRST_REST = 4  #: requests left out after a throttle that was looked for, so that cuts take effect
REST, LONGEST_REST = 10, SECOND  #: requests left out then; a bucket of a second is full by then
LEAST_MEASURED = 4.0  #: seconds between two throttles, from which on the limit is measured
PRICE = 110  #: accepted requests: a throttle after so many (0.9 %) is a price and no sign
PEACE = 3.0  #: seconds that these must have taken: many a second make a price cheap
SAYING = 20  #: fewer accepted requests than that do not show that the bucket was full
RISE = 0.01  #: of the limit: up so much when the price is paid, or bursts of others wear it down
SAME = 0.5  #: a limit within so much of the last one is the same one met again
COMFORT, LEAST_COMFORT = 0.97, 0.8  #: of the limit: where the pace is held
STEP_ASIDE, MOST_STEPS = 0.04, 6  #: of the limit: further from it each time that it is met again
RETURN = 0.1  #: growth per second, of the rate, back to where it is held
HOLD, FIRST_HOLD = 10.0, 8.0  #: seconds; the second where the limit is a guess
PROBE = 0.006  #: growth per second, of the rate, when looking; twice that after two `HOLD`, ...
FIRST_PROBE = 0.01  #: the same at the least where the limit is a guess, mostly one too low
ALONE, BOLD = 2, 0.03  #: so many throttles in a row above the limit: growth per second then
MOVED, TROT = 1.1, 0.15  #: so far above the limit, and past a bucket: growth per second there
CLEAR = 1.4  #: so far above it the limit has clearly moved

UNLEARNT = 0.9  #: of the quota: a limit above that was never taught anything else
HALF = 0.55  #: of the quota: a rate below that hardly causes a throttle
SHORT_REST = 2  #: requests left out there: were the quota sunk, throttles would soon pile up
TARGET = 0.96  #: of the room that others leave: 0.1 to 0.3 % of live calls are throttled there
SHIFT = 0.03  #: of that rate: down with a throttle after `PRICE` accepted requests, up with them
MOST_SHIFT = 0.2  #: the same after fewer: more in proportion, up to this
UP = 2.0  #: times as fast up: a few early throttles weigh more than they should
FREE = 60.0  #: seconds without a throttle: others use less than the metric says


class Pace:
    """The rate, from what became of each request. Module docstring: how, and why."""

    def __init__(
        self, ceiling: float, *, start: float = DEFAULT_QUOTA, quota: float | None = None
    ) -> None:
        """Start at `start` requests per second, or the known `quota`, below the ceiling."""
        self.ceiling = ceiling
        self.usage = Usage(quota)
        self._most = ceiling if quota is None else min(ceiling, quota)
        self._slowest = min(SLOWEST, self._most)
        self.rate = min(self._most, start if quota is None else quota)
        self.limit: float | None = quota  #: what the quota has room for, as far as is known
        self._rushing = quota is None  # the limit may be anything
        self._guessed = True  # it was not measured yet
        self._met_again = 0
        self._looked = 0  # throttles in a row that came above the limit
        self._part = TARGET  # of the room that others leave
        self._next = float("-inf")
        self._met_at = float("-inf")  # when the request left that last met the limit
        self._blind_until = float("-inf")  # end of the last rest: what left before is old news
        self._accepted = 0  # of those that left since the limit was met
        self._since_cut = 1  # the same since the last throttle of any kind
        self._last_second: deque[float] = deque()  # when the accepted requests left
        self._spare, self._spare_at = 0.0, 0.0  # in a bucket of a second, were the limit right
        self._began: float | None = None
        self._grown_at: float | None = None
        self._held_since: float | None = None

    def delay(self, now: float) -> float:
        """Return the seconds until the next request may leave."""
        return self._next - now

    def leave(self, now: float) -> None:
        """Reserve the next slot. `LATE` of a timer's lateness is made good, no more."""
        self._next = (self._next if now - self._next < LATE else now) + 1 / self.rate

    def used(self, since: float, calls: float) -> None:
        """Count the accepted calls of the whole account in the minute that began at `since`."""
        self.usage.counted(since, calls)

    def throttled(self, left_at: float, now: float) -> None:
        """Slow down as far as the throttle was earned; ignore what left before the last rest."""
        if left_at < self._blind_until:
            return
        self.usage.throttled(now)
        room = self.usage.room(now)
        if room is not None:
            self._step_back(left_at, now, room)
        elif self._is_unlikely_cause(now):
            self._rest(now, SHORT_REST / self.rate)
            self._count_from(left_at)
        else:
            self._slow_down(left_at, now)

    def answered(self, left_at: float, now: float) -> None:
        """Speed up with time, where the pace is what holds the run back."""
        self.usage.accepted(left_at)
        self._last_second.append(left_at)
        self._forget(left_at - SECOND)
        if left_at <= self._met_at:
            return
        self._accepted += 1
        self._since_cut += 1
        if self.limit is not None:
            self._spare, self._spare_at = self._left_over(now) - 1, now
        since, self._grown_at = self._grown_at, now
        if since is None or now - self._next >= max(LATE, 1 / self.rate):
            return  # a slot is free, and not only because a timer that waits for it is late
        passed = min(1.0, max(0.0, now - since))
        room = self.usage.room(now)
        if room is not None:
            self._grow_within(room, left_at, passed)
            return
        growth, most = self._growth(now)
        self._set(min(most, self.rate * (1 + growth * passed)))

    # -- feeling the limit ---------------------------------------------------------

    def _slow_down(self, left_at: float, now: float) -> None:
        looked = self.limit is not None and self.rate > self.limit
        since = left_at - self._met_at
        earned = 1.0
        if since >= SECOND:
            self._looked = self._looked + 1 if looked else 0
            if not (looked or self._rushing or self._guessed):
                if self._accepted >= PRICE and since >= PEACE:
                    self._pay(left_at, now)
                    return
                earned = self._earned(left_at)
            self._meet(left_at, since, earned)
        if looked:
            left = EASE
        elif self._guessed:
            left = FIRST_CUT if self._since_cut else EMPTY_CUT
        else:
            left = 1 - (1 - CUT) * earned
        self._set(min(self.rate * left, self._comfortable()))
        self._held_since = None
        self._rest(now, self._long_rest(short=self._guessed or looked))

    def _earned(self, left_at: float) -> float:
        """Return how far our requests explain a throttle, from 0 (chance, a burst) to 1 (all)."""
        earned = max(0.0, 1 - self._accepted / PRICE)
        if self._accepted >= SAYING:
            earned *= 1 - min(1.0, max(0.0, self._left_over(left_at) / self._limit))
        return earned

    def _pay(self, left_at: float, now: float) -> None:
        """Treat a throttle as chance or a burst of others, after so many accepted requests."""
        self.limit = min(self._limit * (1 + RISE), self.usage.quota or float("inf"))
        self._met_again = max(0, self._met_again - 1)
        self._rest(now, self._long_rest())
        self._count_from(left_at, now)

    def _meet(self, left_at: float, since: float, earned: float) -> None:
        """Derive the limit from a throttle."""
        self._forget(left_at - SECOND)
        counted = len(self._last_second)
        bucket = max(self.limit or 0.0, self.usage.quota or DEFAULT_QUOTA) * SECOND
        moved = self._rushing and (self.limit is None or -self._left_over(left_at) > bucket)
        measured = not moved and since >= LEAST_MEASURED
        if measured and self.limit is not None:
            measure = self.limit - self._left_over(left_at) / since
            if self.rate > self.limit:  # a bucket that lasted, or a strict second that has grown
                measure = (measure + min(self.rate, counted)) / 2
        else:
            measure = min(self.rate * OVERSHOT, counted if counted >= FEW else self.rate)
        measure = max(self._slowest, measure)
        if self.limit is None or abs(measure / self.limit - 1) >= SAME:
            self.limit, self._met_again = measure, 0
        else:
            part = earned / 2 if measured else 1.0
            lower = measure if measured else min(self.limit, measure)
            self.limit += (lower - self.limit) * part
            self._met_again = min(MOST_STEPS, self._met_again + 1)
        self._rushing, self._guessed = False, not measured
        self._count_from(left_at)

    def _growth(self, now: float) -> tuple[float, float]:
        """Return the growth of the rate now, per second, and its present maximum."""
        if self.limit is None:
            if self._began is None:
                self._began = now
            return (RUSH if now - self._began > START else 0.0), float("inf")
        held = self._comfortable()
        if self.rate < held * 0.999:
            self._held_since = None
            return RETURN, held
        if self._held_since is None:
            self._held_since = now
        if now - self._held_since < (FIRST_HOLD if self._guessed else HOLD):
            return 0.0, float("inf")
        if not self._rushing:
            alone = self._looked >= ALONE
            if self.rate < self.limit * MOVED or (self._spare >= 0 and not alone):
                probe = PROBE * (now - self._held_since) / HOLD
                if self._guessed:
                    probe = max(FIRST_PROBE, probe)
                return BOLD if alone else probe, float("inf")
            if self.rate < self.limit * CLEAR and not alone:
                return TROT, float("inf")
        self._met_again, self._rushing = 0, True
        return RUSH, float("inf")

    def _comfortable(self) -> float:
        """Return where the pace is held: just below the limit, if one is known."""
        if self.limit is None:
            return self._most
        steps = 0 if self._looked >= ALONE else self._met_again
        return self.limit * max(LEAST_COMFORT, COMFORT - STEP_ASIDE * steps)

    # -- using what is known -------------------------------------------------------

    def _is_unlikely_cause(self, now: float) -> bool:
        """Whether we are far below a known quota, and no lower limit was measured."""
        quota = self.usage.quota
        return (
            quota is not None
            and self.usage.is_believed(now)
            and self.limit is not None
            and self.limit >= UNLEARNT * quota
            and self.rate <= HALF * quota
        )

    def _step_back(self, left_at: float, now: float, room: float) -> None:
        """Stay a little further below the room that others leave."""
        if left_at - self._met_at < SECOND:  # of the same burst, which was reckoned with already
            self._rest(now, FIRST_REST / self.rate)
            return
        shift = min(MOST_SHIFT, SHIFT * PRICE / max(1, self._accepted))
        self._part = min(TARGET, self._part * (1 - shift))
        self._stay_within(room)
        self._rest(now, FIRST_REST / self.rate)
        self._count_from(left_at)

    def _grow_within(self, room: float, left_at: float, passed: float) -> None:
        if self._part < TARGET:
            self._part = min(TARGET, self._part * (1 + UP * SHIFT / PRICE))
        elif left_at - max(self._met_at, self._first(left_at)) > FREE:
            self._part *= 1 + PROBE * passed
        self._stay_within(room)

    def _stay_within(self, room: float) -> None:
        self._set(room * self._part)
        self.limit = room * self._part
        self._rushing = self._guessed = False
        self._held_since = None

    def _first(self, left_at: float) -> float:
        if self._began is None:
            self._began = left_at
        return self._began

    @property
    def _limit(self) -> float:
        return self._most if self.limit is None else self.limit

    # -- keeping count -------------------------------------------------------------

    def _set(self, rate: float) -> None:
        self.rate = max(self._slowest, min(self._most, rate))

    def _rest(self, now: float, seconds: float) -> None:
        self._grown_at, self._since_cut = now, 0
        self._next = self._blind_until = max(self._next, now + seconds)

    def _long_rest(self, *, short: bool = False) -> float:
        """Return the seconds of rest; fewer if the pace itself emptied the bucket."""
        least = FIRST_REST / self.rate
        return least if short else max(least, min(REST / self.rate, LONGEST_REST))

    def _count_from(self, left_at: float, now: float | None = None) -> None:
        self._met_at, self._accepted = left_at, 0
        self._spare, self._spare_at = 0.0, left_at if now is None else now

    def _left_over(self, now: float) -> float:
        """Return the content of a bucket of one second by the limit; below 0 is a debt."""
        filled = self._spare + self._limit * max(0.0, now - self._spare_at)
        return min(self._limit * SECOND, filled)

    def _forget(self, before: float) -> None:
        while self._last_second and self._last_second[0] <= before:
            self._last_second.popleft()
