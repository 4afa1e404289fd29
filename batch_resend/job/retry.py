"""Whether a user gets another attempt, and when: tenacity, one object per row.

The pace and tenacity divide the work. The pace (`pacing`) decides when *anybody* may
ask; being throttled slows it, and a throttled user simply queues there again, as often
as it takes. tenacity decides whether *this user* asks again, and lets a user whose
connection failed rest before that. It judges results, not exceptions, so that what
happened to one user stays a value to the end.

One object per row: an `AsyncRetrying` shared by several tasks mixes up their attempts
and hands one user another's result.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import tenacity

from batch_resend.job.outcome import Again, Verdict

FIRST_REST = 0.5  #: seconds before the second try of a user; doubles from there on
LONGEST_REST = 20.0


class Judged(Protocol):
    """The result of one try."""

    @property
    def verdict(self) -> Verdict:
        """What the answer means."""
        ...


T = TypeVar("T", bound=Judged)


async def retry(
    attempt: Callable[[], Awaitable[T]],
    *,
    enough: Callable[[], bool],
    sleep: Callable[[float], Awaitable[None]],
) -> T:
    """Try until the answer is final or there were tries enough; return the last result.

    `enough` is asked after every try that might be repeated; `sleep` must return early
    when the run ends. What `attempt` raises passes through.
    """
    first = await attempt()
    if first.verdict.again is Again.NEVER:
        return first  # as nearly all are: there is nothing to decide, and nothing to pay for
    last, queue = first, [first]

    async def attempt_again() -> T:
        nonlocal last
        last = queue.pop() if queue else await attempt()
        return last

    jitter = tenacity.wait_random_exponential(multiplier=2 * FIRST_REST, max=LONGEST_REST)
    retrying = tenacity.AsyncRetrying(
        sleep=sleep,
        stop=lambda _state: enough(),
        wait=lambda state: jitter(state) if last.verdict.again is Again.COUNTED else 0.0,
        retry=tenacity.retry_if_result(lambda tried: tried.verdict.again is not Again.NEVER),
        retry_error_callback=lambda _state: last,
    )
    return await retrying(attempt_again)
