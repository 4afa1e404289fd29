"""Marks of requests, and settling unknown messages by evidence: the same for every ledger."""

from __future__ import annotations

import math

import pytest

from batch_resend.ledger import Finding, Marked, Unknowns
from batch_resend.ledger.policy import SendPolicy, judge_history
from batch_resend.marks import LENGTH
from batch_resend.model import Evidence, Outcome, Reason
from batch_resend.run.open_ledger import ledger_of, reconciling
from tests.support.ledgers import MUCH_LATER, NOW, Ledger, Opened, times_of

pytestmark = pytest.mark.anyio


async def marked(
    ledger: Ledger, *, unknown: bool = False, since: float = 0.0, until: float = math.inf
) -> dict[str, Marked]:
    settings = ledger.settings()
    async with reconciling(settings, await ledger_of(settings)) as opened:
        messages = opened.marked(MUCH_LATER, unknown=unknown, since=since, until=until)
        return {str(one.message.name): one async for one in messages}


async def settle(ledger: Ledger, *findings: Finding, now: float = MUCH_LATER) -> int:
    settings = ledger.settings()
    async with reconciling(settings, await ledger_of(settings)) as opened:
        return await opened.settle_unknown(findings, now)


async def lose(run: Opened, name: str, *others: str, reason: Reason = Reason.NO_ANSWER) -> None:
    await run.send(name, *others, listed=bool(others), reason=reason)


async def test_the_mark_that_a_request_bore_is_found_again(ledger: Ledger) -> None:
    marks = {}
    async with ledger.run() as run:
        for n, (name, reason) in enumerate(
            [("sent", Reason.ACCEPTED), ("lost", Reason.NO_ANSWER), ("open", None)]
        ):
            intent = await run.intend(name, at=NOW + n / 8)
            marks[name] = run.journal.mark(intent, NOW + n / 8)
            if reason:
                await run.settle(intent, reason)
    assert {name: one.mark for name, one in (await marked(ledger)).items()} == marks
    assert len(set(marks.values())) == 3
    for mark in marks.values():
        assert len(mark) == LENGTH
        assert mark.isalnum()
        assert mark == mark.lower()
    assert set(await marked(ledger, unknown=True)) == {"lost", "open"}
    assert set(await marked(ledger, since=NOW + 0.1, until=NOW + 0.2)) == {"lost"}


async def test_mark_of_a_withdrawn_intent_is_not_reused(ledger: Ledger) -> None:
    async with ledger.run() as run:
        first = await run.intend("ada")
        mark = run.journal.mark(first, NOW)
        await run.settle(first, None)
        second = await run.intend("ada", at=NOW + 1)
        assert run.journal.mark(second, NOW + 1) != mark


async def test_a_message_is_known_by_the_hash_of_any_of_its_names(ledger: Ledger) -> None:
    async with ledger.run() as run:
        await lose(run, "id-1", "Sub-1", "ada@example.com")
        await lose(run, "bob")
    by_name = await marked(ledger)
    settings = ledger.settings()
    async with reconciling(settings, await ledger_of(settings)) as opened:
        ada = {opened.key_of(name) for name in ("ID-1", "sub-1", "Ada@example.com")}
        assert by_name["id-1"].keys == ada
        assert by_name["bob"].keys == {opened.key_of("bob")}


async def test_the_request_id_of_an_unknown_message_is_kept(ledger: Ledger) -> None:
    async with ledger.run() as run:
        for name, reason in (("lost", Reason.SERVER_ERROR), ("sent", Reason.ACCEPTED)):
            await run.settle(await run.intend(name), reason, request_id=f"request-{name}")
    assert {m.name: m.request_id for m in await ledger.messages()} == {
        "lost": "request-lost",
        "sent": None,
    }


@pytest.mark.parametrize(
    "reason", [Reason.ACCEPTED, Reason.USER_NOT_FOUND, Reason.ALREADY_CONFIRMED, None]
)
async def test_a_finding_settles_an_unknown_message_once(
    ledger: Ledger, reason: Reason | None
) -> None:
    async with ledger.run() as run:
        await lose(run, "id-1", "ada@example.com")
        await lose(run, "bob")
    (one_message,) = [one for name, one in (await marked(ledger)).items() if name == "id-1"]
    finding = Finding(one_message.handle, reason, "cloudtrail:event-1", at=NOW + 2)
    assert await settle(ledger, finding) == 1
    assert await settle(ledger, finding, now=MUCH_LATER + 1) == 0
    messages = {message.name: message for message in await ledger.messages()}
    assert messages["bob"].reason == "no-answer"
    if reason is None:
        assert set(messages) == {"bob"}
    else:
        settled = messages["id-1"]
        assert (settled.state, settled.reason) == (str(reason.outcome), str(reason))
        assert (settled.settled_at, settled.reconciled_at) == (NOW + 2, MUCH_LATER)
        assert settled.evidence == "cloudtrail:event-1"
    async with ledger.run() as run:
        sent = [NOW + 2] if reason and reason.outcome is Outcome.SENT else []
        assert times_of(await run.history("ada@example.com")) == (sent, [], False)


async def test_what_is_known_is_never_changed_by_a_finding(ledger: Ledger) -> None:
    async with ledger.run() as run:
        await run.send("sent")
        await run.send("failed", reason=Reason.USER_NOT_FOUND)
    before = await ledger.messages()
    findings = [
        Finding(one.handle, reason, "cloudtrail:event-1", at=NOW)
        for one in (await marked(ledger)).values()
        for reason in (Reason.ATTEMPT_LIMIT, Reason.ACCEPTED, Reason.NOT_RECORDED, None)
    ]
    assert await settle(ledger, *findings) == 0
    assert await ledger.messages() == before


async def test_what_a_dead_run_left_open_can_be_settled(ledger: Ledger) -> None:
    async with ledger.run() as run:
        await run.intend("ada")
        await run.intend("bob")
    handles = {name: one.handle for name, one in (await marked(ledger, unknown=True)).items()}
    assert await settle(
        ledger,
        Finding(handles["ada"], Reason.ACCEPTED, "cloudtrail:event-1", at=NOW + 1),
        Finding(handles["bob"], Reason.NOT_RECORDED, "cloudtrail:none of 300"),
    ) == 2  # fmt: skip
    async with ledger.run() as run:
        assert times_of(await run.history("ada")) == ([NOW + 1], [], False)
        bob = await run.history("bob")
        assert list(bob.not_recorded) == [NOW]
        assert not bob.unknown
        assert not bob.interrupted
        assert await run.journal.unknown() == Unknowns(1, not_recorded=1)


async def test_not_recorded_can_be_settled_by_a_record_that_came_late(ledger: Ledger) -> None:
    async with ledger.run() as run:
        await lose(run, "ada")
    (one,) = (await marked(ledger)).values()
    none = Finding(one.handle, Reason.NOT_RECORDED, "cloudtrail:none of 300")
    assert await settle(ledger, none) == 1
    assert await settle(ledger, none) == 0
    late = Finding(one.handle, Reason.ACCEPTED, "cloudtrail:event-1", at=NOW + 1)
    assert await settle(ledger, late) == 1
    assert await settle(ledger, none) == 0
    (message,) = await ledger.messages()
    assert (message.state, message.evidence) == ("sent", "cloudtrail:event-1")


async def test_history_names_the_evidence_that_settled_it(ledger: Ledger) -> None:
    async with ledger.run() as run:
        await lose(run, "ada")
        await lose(run, "bob")
        await lose(run, "cid")
        assert (await run.history("ada")).evidence is None
    handles = {name: one.handle for name, one in (await marked(ledger)).items()}
    assert await settle(
        ledger,
        Finding(handles["ada"], Reason.ACCEPTED, "cloudtrail:event-1", at=NOW + 1),
        Finding(handles["bob"], Reason.NOT_RECORDED, ""),
    ) == 2  # fmt: skip
    async with ledger.run() as run:
        assert (await run.history("ada")).evidence == Evidence("cloudtrail:event-1", MUCH_LATER)
        assert (await run.history("bob")).evidence == Evidence("", MUCH_LATER)
        assert (await run.history("cid")).evidence is None


async def test_only_who_has_no_record_is_sent_to_again(ledger: Ledger) -> None:
    policy = SendPolicy(resend_unknown="not-recorded")
    async with ledger.run() as run:
        await lose(run, "lost")
        await lose(run, "not-recorded")
    one = (await marked(ledger))["not-recorded"]
    assert await settle(ledger, Finding(one.handle, Reason.NOT_RECORDED, "none of 300")) == 1
    async with ledger.run() as run:
        assert await run.intend("not-recorded", at=MUCH_LATER, policy=policy)
        assert judge_history(await run.history("lost"), policy, MUCH_LATER)


async def test_resending_unknown_ones_ends_after_one_message_more(ledger: Ledger) -> None:
    """Each run loses the answer again; the history of each is judged as the plan does it."""
    policy = SendPolicy(resend_unknown="all", cooldown=0.0)
    sent = 0
    for turn in range(5):
        at = MUCH_LATER * (turn + 1)
        async with ledger.run() as run:
            history = await run.history("ada", now=at)
            if judge_history(history, policy, at) is None:
                intent = await run.intend("ada", at=at, policy=policy)
                await run.settle(intent, Reason.NO_ANSWER, at)
                sent += 1
    assert sent == 2
