"""A ledger in a table over a bad line: whatever becomes of an answer, a step is made once."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import pytest

from batch_resend.aws import clients
from batch_resend.errors import LedgerError
from batch_resend.ledger import Identity, Intend, IntentRejected, Settle
from batch_resend.ledger.dynamodb import table
from batch_resend.ledger.dynamodb.ledger import DynamoLedger
from batch_resend.ledger.policy import SendPolicy
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.model import Reason
from tests.support.dynamodb import (
    Line,
    client,
    made_anew,
)
from tests.support.tables import (
    ADA,
    HARM,
    LATER,
    NOW,
    WRITES,
    at_once,
    is_one_sentence,
    messages,
    once,
    opened,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("credentials")]


@pytest.mark.parametrize("listed", [False, True])
async def test_an_intent_is_made_once_whatever_becomes_of_its_answer(
    name: str, line: Line, listed: bool
) -> None:
    async with opened(name) as ledger, opened(name) as other:
        intents = []
        for fate in HARM:
            line.fate = once(fate, {"UpdateItem", "TransactWriteItems"})
            names = Identity(f"id-{fate}", (fate,) if listed else (), listed)
            intents.append(await ledger.make(Intend(names, NOW)))
            assert sum(n for (_, met), n in line.met.items() if met == fate) == 1
            with pytest.raises(IntentRejected, match="outcome-unknown"):
                await other.make(Intend(Identity(fate if listed else f"id-{fate}"), NOW))
        await anyio.sleep(0.3)  # what was late has arrived
        assert sorted(await messages(ledger)) == sorted(
            (f"id-{fate}", "open", None) for fate in HARM
        )
        for intent in intents:
            await ledger.make(Settle(intent, Reason.ACCEPTED, NOW))
        assert {state for _, state, _ in await messages(ledger)} == {"sent"}


@pytest.mark.parametrize("reason", [Reason.ACCEPTED, None], ids=["settled", "taken-back"])
async def test_intent_is_settled_or_withdrawn_despite_lost_responses(
    name: str, line: Line, reason: Reason | None
) -> None:
    async with opened(name) as ledger:
        users = [Identity(f"id-{fate}", (fate,), listed=True) for fate in HARM]
        for fate, names in zip(HARM, users, strict=True):
            line.fate = lambda _: "pass"
            intent = await ledger.make(Intend(names, NOW))
            line.fate = once(fate, WRITES)
            await ledger.make(Settle(intent, reason, NOW))
            assert sum(n for (_, met), n in line.met.items() if met == fate) == 1
        await anyio.sleep(0.3)
        stored = sorted(await messages(ledger))
        if reason:
            assert stored == sorted((names.username, "sent", "accepted") for names in users)
        else:
            assert stored == []
            for names in users:
                await ledger.make(Intend(names, NOW))
            assert len(await messages(ledger)) == len(users)


async def test_intent_that_arrives_after_its_withdrawal_is_refused(name: str, line: Line) -> None:
    async with opened(name) as ledger:
        line.fate = once("late", WRITES)
        for _ in range(2):  # the second try arrives first, and is taken back
            await ledger.make(Settle(await ledger.make(Intend(ADA, NOW)), None, NOW))
        await anyio.sleep(0.4)
        assert await messages(ledger) == []


@pytest.mark.parametrize("fate", ["before", "after", "late", "page"])
async def test_ledger_and_run_are_created_once_despite_lost_responses(
    name: str, line: Line, fate: str
) -> None:
    async with opened(name, begin=False) as ledger, opened(name, begin=False) as other:
        assert ledger.is_new
        assert other.is_new
        line.fate = once(fate, {"PutItem"})
        await ledger.begin(NOW)
        await other._connection.make_ready()
        assert ledger._connection.secret == other._connection.secret != b""
        assert ledger._connection.mark_key == other._connection.mark_key != b""
        line.fate = once(fate, WRITES)
        await ledger.finish('{"rows": 1}', NOW + 5)
        with LedgerFile(None) as copy:
            await other.records.copy_into(copy.records)
            (run,) = copy.records.runs()
        assert (run.started_at, run.finished_at, run.summary) == (NOW, NOW + 5, {"rows": 1})


@pytest.mark.parametrize("seed", range(2))
async def test_on_a_bad_line_every_user_has_one_message_of_one_owner(
    name: str, line: Line, seed: int
) -> None:
    rng = random.Random(seed)
    users = [
        Identity(f"user{n}", (f"sub{n}",) if n % 3 == 0 else (), n % 3 == 0) for n in range(12)
    ]
    won: list[str] = []

    async def send(ledger: DynamoLedger, names: Identity) -> None:
        try:
            intent = await ledger.make(Intend(names, NOW, SendPolicy()))
        except IntentRejected:
            return
        won.append(names.username)
        await ledger.make(Settle(intent, Reason.ACCEPTED, NOW))

    async with opened(name) as one, opened(name) as two, opened(name) as three:
        line.fate = lambda _: rng.choice(HARM) if rng.random() < 0.25 else "pass"
        async with anyio.create_task_group() as tasks:
            for ledger in (one, two, three):
                for names in users:
                    tasks.start_soon(send, ledger, names)
        line.fate = lambda _: "pass"
        await anyio.sleep(0.3)
        assert sorted(won) == sorted(names.username for names in users)
        stored = await messages(one)
        assert sorted(stored) == sorted((n.username, "sent", "accepted") for n in users)


async def test_unreachable_table_stops_intents_but_settles_open_ones(
    name: str, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(name) as ledger:
        intent = await ledger.make(Intend(ADA, NOW))
        monkeypatch.setattr(table, "PATIENCE", 0.4)
        line.fate = lambda _: "before"
        for broken in (Intend(Identity("bob"), NOW), Settle(intent, Reason.ACCEPTED, NOW)):
            with pytest.raises(LedgerError, match="was unreachable") as caught:
                await ledger.make(broken)
            assert is_one_sentence(caught.value)
        line.fate = lambda _: "pass"
        with pytest.raises(LedgerError, match="was unreachable"):
            await ledger.make(Intend(Identity("cid"), NOW))
        with pytest.raises(LedgerError, match="was unreachable"):
            await ledger.unknown()
        await ledger.make(Settle(intent, Reason.ACCEPTED, NOW))
        assert await messages(ledger) == [("ada@example.com", "sent", "accepted")]


async def test_many_at_once_fail_with_one_sentence(
    name: str, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(name) as ledger:
        await ledger.make(Intend(ADA, NOW))
        monkeypatch.setattr(table, "PATIENCE", 0.3)
        works: list[tuple[str, Callable[[], Awaitable[Any]]]] = [
            (
                "BatchGetItem",
                lambda: ledger.histories([Identity(f"u{n}") for n in range(250)], NOW),
            ),
            ("UpdateItem", lambda: ledger.records.purge(LATER)),
            ("UpdateItem", lambda: ledger.records.forget(["ada@example.com"])),
            ("Scan", ledger.unknown),
        ]
        for operation, work in works:
            line.fate = partial(failing, operation)
            with pytest.raises(LedgerError, match="was unreachable") as caught:
                await work()
            assert is_one_sentence(caught.value)


def failing(operation: str, met: str) -> str:
    return "500" if met == operation else "pass"


async def test_of_two_that_begin_a_ledger_one_takes_the_other_s(name: str) -> None:
    async with opened(name, begin=False) as first, opened(name, begin=False) as second:
        assert first.is_new
        assert second.is_new
        await at_once(lambda: first.begin(NOW), lambda: second.begin(NOW))
        assert first._connection.secret == second._connection.secret != b""
        await first.make(Intend(ADA, NOW))
        with pytest.raises(IntentRejected, match="outcome-unknown"):
            await second.make(Intend(ADA, NOW, SendPolicy()))


async def test_missing_credentials_are_said(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    monkeypatch.setattr(clients, "session", made_anew)
    with pytest.raises(LedgerError, match="missing, invalid or expired") as caught:
        async with opened(name):
            pytest.fail("opened")
    assert is_one_sentence(caught.value)


async def test_a_ledger_whose_beginning_is_gone_begins_no_run(name: str, moto_url: str) -> None:
    async with opened(name), opened(name, begin=False) as ledger:
        client(moto_url).delete_item(TableName=name, Key={"id": {"S": "meta"}})
        with pytest.raises(LedgerError, match="has lost its item `meta`") as caught:
            await ledger.begin(NOW)
        assert is_one_sentence(caught.value)


async def test_a_table_that_is_throttled_is_waited_for(name: str, line: Line) -> None:
    async with opened(name) as ledger:
        left = ["slow"] * 5
        line.fate = lambda _: left.pop() if left else "pass"
        assert (await ledger.histories([ADA], NOW))[0].sent == ()
        left += ["slow"] * 3
        await ledger.make(Intend(ADA, NOW))
        assert sum(n for (_, fate), n in line.met.items() if fate == "slow") == 8


async def test_a_part_that_was_not_read_is_read_again(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(name) as ledger:
        for n in range(5):
            await ledger.make(Intend(Identity(f"user{n}"), NOW))
        real = ledger._table._client.batch_get_item

        async def halting(RequestItems: Any) -> Any:  # noqa: N803
            (keys,) = (request["Keys"] for request in RequestItems.values())
            answer = await real(RequestItems={name: {"Keys": keys[:2], "ConsistentRead": True}})
            if keys[2:]:
                answer["UnprocessedKeys"] = {name: {"Keys": keys[2:], "ConsistentRead": True}}
            return answer

        monkeypatch.setattr(ledger._table._client, "batch_get_item", halting)
        answers = await ledger.histories([Identity(f"user{n}") for n in range(6)], NOW)
        assert [bool(history.unknown) for history in answers] == [True] * 5 + [False]
