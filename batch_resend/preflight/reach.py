"""Who cannot be reached: the addresses that Amazon SES or SNS deliver nothing to.

They are asked for where they decide: SES's suppression list where the pool sends mail by the
account's own SES, the opted-out numbers where it sends text messages by SNS. As everywhere in
the check, a call that fails is an `Unknown` and never ends a run; what was read before it
failed counts. `Keep` receives the addresses page by page, so memory stays flat.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio

from batch_resend.aws import clients
from batch_resend.aws.cloudtrail import EVENT_NAME, PERMISSION
from batch_resend.aws.reach import LIST_OPTED_OUT, LIST_SUPPRESSED, opted_out, suppressed
from batch_resend.preflight.facts import (
    CUSTOM_MAIL,
    CUSTOM_TEXT,
    ELSEWHERE,
    SUPPRESSES,
    Facts,
    PoolFacts,
    ReachFacts,
    SesFacts,
    Unknown,
    Why,
)

if TYPE_CHECKING:
    from batch_resend.preflight.probe import Probe

#: What has met SES's other call will meet this one too.
_AS_BEFORE = {
    Why.CREDENTIALS,
    Why.SILENT,
    Why.UNREACHABLE,
    Why.UNREADABLE,
    Why.NOT_ASKED,
}

Keep = Callable[[Iterable[str]], None]  #: receives addresses and numbers that get nothing


async def find_out(
    asked: Probe, facts: Facts, *, user_pool_id: str, keep: Keep, thorough: bool
) -> Facts:
    """Return the facts with those about reach; `thorough` asks also what only `check` shows."""
    pool = facts.pool
    if isinstance(pool, Unknown):
        return facts
    reach = ReachFacts()
    if facts.ses is not None and CUSTOM_MAIL not in pool.triggers:
        reach = await _by_mail(asked, pool, facts.ses, keep)
    if "phone_number" in pool.verifies and CUSTOM_TEXT not in pool.triggers:
        reach = replace(reach, opted_out=await _opted_out(asked, pool, keep))
    if thorough:
        reach = replace(
            reach,
            exports=await _exports(asked, user_pool_id),
            history=await _history(asked),
        )
    return replace(facts, reach=reach)


async def _by_mail(
    asked: Probe, pool: PoolFacts, ses: SesFacts | Unknown, keep: Keep
) -> ReachFacts:
    if isinstance(ses, Unknown) and (ses.detail == ELSEWHERE or ses.why in _AS_BEFORE):
        return ReachFacts(suppressed=replace(ses, permission=LIST_SUPPRESSED))
    of_set: tuple[str, ...] | Unknown | None = None
    if pool.configuration_set:
        of_set = await _of_set(asked, pool)
    reasons = SUPPRESSES if isinstance(ses, Unknown) else ses.suppresses
    if isinstance(of_set, tuple):
        reasons = of_set
    reach = ReachFacts(suppresses=reasons, of_set=of_set)
    if not reasons:
        return reach

    async def pages() -> AsyncGenerator[list[str]]:
        async with asked.client_of(clients.SES, asked.ses_region(pool)) as client:
            async for page in suppressed(client, reasons=reasons):
                yield [one.address for one in page]

    return replace(reach, suppressed=await _count(asked, LIST_SUPPRESSED, pages, keep))


async def _of_set(asked: Probe, pool: PoolFacts) -> tuple[str, ...] | Unknown | None:
    """Return what a configuration set suppresses; None if that is left to the account."""

    async def ask() -> tuple[str, ...] | None:
        async with asked.client_of(clients.SES, asked.ses_region(pool)) as client:
            answer = await client.get_configuration_set(ConfigurationSetName=pool.configuration_set)
        reasons = (answer.get("SuppressionOptions") or {}).get("SuppressedReasons")
        return None if reasons is None else tuple(map(str, reasons))

    return await asked.ask("ses:GetConfigurationSet", ask)


async def _opted_out(asked: Probe, pool: PoolFacts, keep: Keep) -> int | Unknown:
    async def pages() -> AsyncGenerator[list[str]]:
        async with asked.client_of(clients.SNS, pool.sms_region) as client:
            async for page in opted_out(client):
                yield page

    return await _count(asked, LIST_OPTED_OUT, pages, keep)


async def _count(
    asked: Probe, permission: str, pages: Callable[[], AsyncGenerator[list[str]]], keep: Keep
) -> int | Unknown:
    async def ask() -> int:
        count, reading = 0, pages()
        async with contextlib.aclosing(reading):
            while True:
                with anyio.fail_after(asked.within):
                    page = await anext(reading, None)
                if page is None:
                    return count
                keep(page)
                count += len(page)

    return await asked.ask(permission, ask, within=float("inf"))


async def _exports(asked: Probe, user_pool_id: str) -> tuple[str, ...] | Unknown:
    async def ask() -> tuple[str, ...]:
        async with asked.client_of(clients.COGNITO) as client:
            answer = await client.get_log_delivery_configuration(UserPoolId=user_pool_id)
        configured: Any = answer["LogDeliveryConfiguration"].get("LogConfigurations") or ()
        return tuple(str(one["EventSource"]) for one in configured)

    return await asked.ask("cognito-idp:GetLogDeliveryConfiguration", ask)


async def _history(asked: Probe) -> bool | Unknown:
    async def ask() -> bool:
        now = datetime.now(UTC)
        async with asked.client_of(clients.CLOUDTRAIL) as client:
            await client.lookup_events(
                LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": EVENT_NAME}],
                StartTime=now - timedelta(minutes=1),
                EndTime=now,
                MaxResults=1,
            )
        return True

    return await asked.ask(PERMISSION, ask)
