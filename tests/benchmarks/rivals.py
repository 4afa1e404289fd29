"""Other ways to set a pace, to compare ours with.

Each is what `tests.benchmarks.lab.Paced` asks for: arithmetic, with the time handed in.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from botocore.retries.adaptive import ClientRateLimiter, RateClocker
from botocore.retries.bucket import TokenBucket
from botocore.retries.throttling import CubicCalculator

from batch_resend.job.pace import DEFAULT_QUOTA


class Fixed:
    """Cognito's default quota, whatever the response."""

    concurrency = 64

    def __init__(self) -> None:
        self.rate = DEFAULT_QUOTA
        self._next = float("-inf")

    def delay(self, now: float) -> float:
        return self._next - now

    def leave(self, now: float) -> None:
        self._next = max(self._next, now) + 1 / self.rate

    def throttled(self, left_at: float, now: float) -> None:
        pass

    def answered(self, left_at: float, now: float) -> None:
        pass


class Aimd(Fixed):
    """Additive increase (one per second, each second), multiplicative decrease (half), like TCP."""

    def __init__(self) -> None:
        super().__init__()
        self._cut_at = float("-inf")
        self._grown_at = 0.0

    def throttled(self, left_at: float, now: float) -> None:
        if left_at >= self._cut_at:
            self.rate, self._cut_at, self._grown_at = max(0.5, self.rate / 2), now, now

    def answered(self, left_at: float, now: float) -> None:
        if now - self._next < 1 / self.rate:  # else it is not what holds the run back
            self.rate += min(1.0, now - self._grown_at)
        self._grown_at = now


class SdkAdaptive:
    """The SDK's adaptive mode: CUBIC and a token bucket, in botocore's own classes.

    Its rate control alone. The SDK also sleeps before it tries again, and gives a user up
    after a few attempts; here no user is given up.
    """

    concurrency = 32  #: one a thread

    def __init__(self) -> None:
        self._now = 0.0
        clock: Any = SimpleNamespace(current_time=lambda: self._now)
        # The SDK's own moving parts, which no stub has.
        self._bucket: Any = TokenBucket(max_rate=1, clock=clock)
        detector: Any = SimpleNamespace(is_throttling_error=lambda throttled: throttled)
        self._limiter: Any = ClientRateLimiter(
            rate_adjustor=CubicCalculator(starting_max_rate=0, start_time=0.0),
            rate_clocker=RateClocker(clock),
            token_bucket=self._bucket,
            throttling_detector=detector,
            clock=clock,
        )

    @property
    def rate(self) -> float:
        return float(self._bucket.max_rate)

    def delay(self, now: float) -> float:
        self._now = now
        if not self._limiter._enabled:  # it runs free until the first throttle
            return 0.0
        self._bucket._refill()
        return float(self._bucket._sleep_amount(1))

    def leave(self, now: float) -> None:
        self._now = now
        if self._limiter._enabled:
            self._bucket._refill()
            self._bucket._current_capacity -= 1

    def throttled(self, left_at: float, now: float) -> None:
        self._now = now
        self._limiter.on_receiving_response(throttled=True)

    def answered(self, left_at: float, now: float) -> None:
        self._now = now
        self._limiter.on_receiving_response(throttled=False)
