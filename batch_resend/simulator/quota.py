"""Quotas: requests per second, enforced in one of three ways.

AWS documents how many, not how they are counted. So there are the three common ways, and a
client that works with all of them will work with Cognito.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

#: A clock that counts seconds from 1970 in a float has steps of 0.24 microseconds. A request
#: that is early by so little is on time.
_ON_TIME = 1e-6


class Style(StrEnum):
    """The way a quota is enforced."""

    TOKEN_BUCKET = "token-bucket"  # noqa: S105 - the name of an algorithm
    FIXED_SECOND = "fixed-second"  #: counted anew at each full second
    SLIDING_SECOND = "sliding-second"  #: counted over the second before each request


@dataclass(frozen=True, slots=True)
class Quota:
    """A number of requests per second.

    `rate` may be a function of the time, for a quota that changes during a run.
    `burst` is the size of the token bucket, by default one second's worth. The two
    seconds know whole requests only. A refusal asks to wait for `retry_after` seconds
    (0: it does not say).
    """

    rate: float | Callable[[float], float] = 50.0  # UserResourceRead by default, Cognito's quotas
    burst: float | None = None
    style: Style = Style.TOKEN_BUCKET
    retry_after: float = 0.0

    def rate_at(self, now: float) -> float:
        """Return the requests per second that are allowed now."""
        return self.rate(now) if callable(self.rate) else self.rate


class Meter:
    """The use of a quota."""

    def __init__(self, quota: Quota) -> None:
        """Start with an unused quota."""
        self._quota = quota
        self._tokens = math.inf  # cut to the bucket's size by the first request
        self._at = 0.0
        self._taken: deque[float] = deque()

    def take(self, now: float) -> bool:
        """Count one request; return whether the quota had room. A refusal costs nothing."""
        rate = self._quota.rate_at(now)
        if self._quota.style is Style.TOKEN_BUCKET:
            return self._take_token(rate, now)
        while self._taken and self._is_over(self._taken[0], now):
            self._taken.popleft()
        if len(self._taken) + 1 > rate:
            return False
        self._taken.append(now)
        return True

    def _take_token(self, rate: float, now: float) -> bool:
        # What came in since the last request counts at the rate of this moment.
        size = max(1.0, rate) if self._quota.burst is None else self._quota.burst
        self._tokens = min(size, self._tokens + rate * max(0.0, now - self._at))
        self._at = max(self._at, now)
        if self._tokens + rate * _ON_TIME < 1:
            return False
        self._tokens -= 1
        return True

    def _is_over(self, taken: float, now: float) -> bool:
        if self._quota.style is Style.FIXED_SECOND:
            return math.floor(taken) < math.floor(now)
        return now - taken > 1 - _ON_TIME
