"""The facts that a run reads about its pool in advance, and its estimate."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio

from batch_resend.aws import clients
from batch_resend.aws.endpoints import is_aws
from batch_resend.errors import BatchResendError, SettingsError
from batch_resend.job.engine import Job
from batch_resend.job.pace import DEFAULT_QUOTA
from batch_resend.job.reach import Lists
from batch_resend.job.request import AppClient
from batch_resend.observer import Noted, Observe
from batch_resend.preflight.check import CheckResult, check
from batch_resend.preflight.estimate import Estimate, Messages
from batch_resend.preflight.facts import Facts, Unknown
from batch_resend.preflight.finding import Level, ProposedRun, estimated
from batch_resend.run.backends import target_of
from batch_resend.run.client_secret import client_secret
from batch_resend.run.open_source import count_rows
from batch_resend.run.send import WatchUsage
from batch_resend.settings import Settings

if TYPE_CHECKING:
    from batch_resend.preflight.reach import Keep

_REPORT_EACH = 20_000  #: addresses; at one page per second that is 20 seconds

_Work = TypeVar("_Work")
_Beside = TypeVar("_Beside")


async def check_pool(settings: Settings, note: Callable[[str], None]) -> CheckResult:
    """Check a pool for `batch-resend check`; raises `InputError` and `SettingsError`."""
    secret = await client_secret(settings)
    rows = await count_rows(settings)
    async with clients.resend_client(target_of(settings), timeout=1, concurrency=1, note=note) as (
        _,
        region,
        endpoint,
    ):
        pass  # no request is made: only Region and endpoint are wanted, as a run finds them
    facts = await learn(settings, AppClient(settings.client_id, secret), thorough=True)
    run = proposed(settings, region, endpoint, rows, listed=settings.is_listing)
    return check(facts, replace(run, alone=True))


def ignore(addresses: Iterable[str]) -> None:
    """Keep none of the addresses that get nothing."""


def reporting(keep: Keep, note: Callable[[str], None]) -> Keep:
    """Return a `keep` that also notes how many addresses it has received: this takes minutes."""
    read = 0

    def keep_and_note(addresses: Iterable[str]) -> None:
        nonlocal read
        page = list(addresses)
        keep(page)
        before, read = read, read + len(page)
        if read // _REPORT_EACH > before // _REPORT_EACH:
            note(f"Reading who cannot be reached: {read:,} addresses so far.")

    return keep_and_note


async def learn(
    settings: Settings, app: AppClient, keep: Keep = ignore, *, thorough: bool = False
) -> Facts:
    """Ask AWS about pool, client and account; what cannot be learned is a value too.

    `keep` receives the addresses that get nothing; `thorough` asks what only `check` shows.
    """
    from batch_resend.preflight.probe import probe

    return await probe(
        target_of(settings),
        user_pool_id=settings.user_pool_id,
        client_id=app.client_id,
        secret=app.secret,
        keep=keep,
        thorough=thorough,
    )


def lists_of(facts: Facts) -> Lists | None:
    """Return which messages the lists of suppressed addresses are about."""
    if isinstance(facts.pool, Unknown):
        return None
    reach = facts.reach
    return Lists(
        mail=reach.suppressed is not None,
        text=reach.opted_out is not None,
        both={"email", "phone_number"} <= set(facts.pool.verifies),
    )


def proposed(
    settings: Settings, region: str, endpoint: str, users: int | None, *, listed: bool
) -> ProposedRun:
    """Return what the operator is about to do, for the check."""
    return ProposedRun(
        user_pool_id=settings.user_pool_id,
        client_id=settings.client_id,
        region=region,
        endpoint=endpoint,
        endpoint_is_aws=is_aws(endpoint),
        now=time.time(),
        listed=listed,
        users=users,
        rate=settings.rate,
        share=settings.share,
        default_quota=DEFAULT_QUOTA,
    )


def apply(checked: CheckResult, job: Job, observe: Observe) -> CheckResult:
    """Apply the facts, and return them; raises `SettingsError` if they forbid to send."""
    job.set_rate(checked.rate, quota=checked.facts.enforced)
    job.info = replace(
        job.info,
        account=checked.facts.account_id,
        quota=checked.facts.quota,
        existence_hidden=checked.facts.hides_existence,
    )
    if stops := checked.of(Level.STOP):
        raise SettingsError(" ".join([*stops, "No messages were sent."]))
    for warning in checked.of(Level.WARNING):
        observe(Noted(f"Check: {warning}"))
    return checked


def estimate(
    settings: Settings, job: Job, checked: CheckResult | None, *, listed: bool
) -> Estimate:
    """Estimate how long a planned run takes and what it costs; without a check only the pace."""
    if checked is None:
        return Estimate(
            users=job.eligible,
            rate=settings.limits.rate,
            now=job.now,
            sent=Messages(unknown=job.eligible),
            max_sent=settings.max_sent,
            deadline=settings.deadline,
        )
    return estimated(
        checked.facts,
        checked.run,
        job.eligible,
        telephones=job.spool.telephones() if listed else None,
        max_sent=settings.max_sent,
        deadline=settings.deadline,
    )


def watching_usage(settings: Settings, checked: CheckResult | None) -> WatchUsage | None:
    """Return what reports the account's usage during a run; None where it cannot be used.

    It is of use where the enforced quota is known, and is requested only where the check was
    allowed to.
    """
    if checked is None or checked.facts.enforced is None:
        return None
    usage = checked.facts.usage
    if isinstance(usage, Unknown):
        return None
    from batch_resend.aws import usage_metric

    return partial(usage_metric.watch, target_of(settings), usage.dimensions)


async def side_by_side(
    work: Callable[[Callable[[], Awaitable[_Beside]]], Awaitable[_Work]],
    beside: Callable[[], Awaitable[_Beside]],
) -> tuple[_Work, _Beside]:
    """Run both at the same time; `work` gets a function that waits for `beside`.

    An error of `work` ends `beside` and is raised as it is.
    """
    answers: list[_Beside] = []
    answered = anyio.Event()

    async def answer() -> None:
        answers.append(await beside())
        answered.set()

    async def result() -> _Beside:
        await answered.wait()
        return answers[0]

    done: _Work | BatchResendError
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answer)
        try:  # inside: what leaves a task group is a group of errors
            done = await work(result)
        except BatchResendError as error:
            done = error
            tasks.cancel_scope.cancel()
    if isinstance(done, BatchResendError):
        raise done
    return done, answers[0]
