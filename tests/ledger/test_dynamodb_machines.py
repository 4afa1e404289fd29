"""Several machines on one table, and erasing in it."""

from __future__ import annotations

import re

import pytest

from batch_resend.errors import LedgerError
from batch_resend.ledger import Identity, Intend, IntentRejected, Interrupted, Settle
from batch_resend.ledger.dynamodb import items
from batch_resend.ledger.dynamodb.ledger import DynamoLedger
from batch_resend.ledger.policy import SendPolicy
from batch_resend.model import Reason
from tests.support.dynamodb import (
    Line,
    client,
)
from tests.support.tables import (
    ADA,
    LATER,
    LISTED,
    NOW,
    at_once,
    intending,
    messages,
    opened,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("credentials")]


async def test_one_machine_wins_the_race_for_a_user_under_any_name(name: str, line: Line) -> None:
    assert line.url
    async with opened(name) as one, opened(name) as two, opened(name) as three:
        for turn in range(5):
            listed = Identity(f"id{turn}", (f"sub{turn}", f"ada{turn}@example.com"), listed=True)
            results = await at_once(
                intending(one, listed),
                intending(two, Identity(f"Ada{turn}@example.com")),
                intending(three, listed),
                intending(three, Identity(f"sub{turn}")),
            )
            won = [result for result in results if not isinstance(result, Reason)]
            lost = [result for result in results if isinstance(result, Reason)]
            # Two accounts may share an address: who was sent to by that alone is another
            # user than the one sent to by the `sub`.
            texts = await messages(one)
            mine = {text for text, _, _ in texts if text and re.search(rf"\D{turn}(\D|$)", text)}
            assert len(won) == len(mine) >= 1
            assert set(lost) <= {Reason.OUTCOME_UNKNOWN}
            assert f"id{turn}" not in mine or len(mine) == 1
        results = await at_once(
            *(intending(ledger, ADA) for ledger in (one, two, three) for _ in range(4))
        )
        assert sum(not isinstance(result, Reason) for result in results) == 1


async def test_one_machine_wins_the_race_under_names_noted_earlier(name: str, line: Line) -> None:
    assert line.url
    async with opened(name) as one, opened(name) as two, opened(name) as three:
        for turn in range(5):
            names = [f"id{turn}", f"sub{turn}", f"ada{turn}@example.com"]
            listed = Identity(names[0], tuple(names[1:]), listed=True)
            await one.make(Settle(await one.make(Intend(listed, NOW)), Reason.USER_NOT_FOUND, NOW))
            results = await at_once(
                *(
                    intending(ledger, Identity(alias))
                    for ledger, alias in zip((one, two, three), names, strict=True)
                )
            )
            assert sorted(map(str, results))[-2:] == ["outcome-unknown", "outcome-unknown"], turn
            assert sum(isinstance(result, int) for result in results) == 1, turn
            states = [state for _, state, _ in await messages(one)]
            assert states.count("open") == turn + 1


async def test_name_of_more_users_than_a_transaction_can_be_sent_to(
    name: str,
) -> None:
    async with opened(name) as ledger:
        for n in range(items.MOST_NAMES):
            names = Identity(f"id-{n}", ("home@example.com",), listed=True)
            await ledger.make(Settle(await ledger.make(Intend(names, NOW)), Reason.ACCEPTED, NOW))
        home = Identity("home@example.com")
        assert len((await ledger.histories([home], NOW))[0].sent) == items.MOST_NAMES
        assert await ledger.make(Intend(home, NOW))
        # Users of that name have few other names, so the two meet all the same.
        for n in (0, items.MOST_NAMES - 1):
            with pytest.raises(IntentRejected, match="outcome-unknown"):
                await ledger.make(Intend(Identity(f"id-{n}"), NOW))


async def test_accounts_that_share_an_address_are_each_written_to(name: str, line: Line) -> None:
    assert line.url
    async with opened(name) as ledger:
        shared = [Identity(f"id-{n}", ("home@example.com",), listed=True) for n in range(6)]
        results = await at_once(*(intending(ledger, names) for names in shared))
        assert not any(isinstance(result, Reason) for result in results)
        assert len((await ledger.histories([Identity("home@example.com")], NOW))[0].unknown) == 6


async def test_intent_is_judged_again_by_writes_since_the_plan(name: str) -> None:
    async with opened(name) as mine, opened(name) as theirs:
        (planned,) = await mine.histories([ADA], NOW)
        assert planned.sent == ()
        intent = await theirs.make(Intend(LISTED, NOW))
        await theirs.make(Settle(intent, Reason.ACCEPTED, NOW))
        for policy, reason in (
            (SendPolicy(), Reason.COOLING_DOWN),
            (SendPolicy(cooldown=0.0), Reason.SEND_CAP),
        ):
            with pytest.raises(IntentRejected) as caught:
                await mine.make(Intend(ADA, NOW, policy))
            assert caught.value.reason is reason
        assert await mine.make(Intend(ADA, NOW + 1, SendPolicy(cooldown=0.0, max_sends=2)))


async def test_message_in_flight_elsewhere_is_never_sent_again(name: str) -> None:
    """Not even with --resend-unknown."""
    again = SendPolicy(resend_unknown="all")
    async with opened(name) as mine, opened(name) as theirs:
        intent = await theirs.make(Intend(ADA, NOW))
        (seen,) = await mine.histories([ADA], LATER - 1)
        assert seen.in_flight
        assert not seen.interrupted
        with pytest.raises(IntentRejected, match="outcome-unknown"):
            await mine.make(Intend(ADA, LATER - 1, again))
        with pytest.raises(IntentRejected, match="interrupted"):
            await mine.make(Intend(ADA, LATER, SendPolicy()))
        await mine.make(Settle(await mine.make(Intend(ADA, LATER, again)), None, LATER))
        assert await messages(mine) == [("ada@example.com", "unknown", "interrupted")]
        # Its owner was slow, not dead, and knows better.
        await theirs.make(Settle(intent, Reason.ACCEPTED, LATER + 1))
        assert await messages(mine) == [("ada@example.com", "sent", "accepted")]
        with pytest.raises(IntentRejected, match="cooling-down"):
            await mine.make(Intend(ADA, LATER + 2, again))


async def test_intent_called_interrupted_can_still_be_withdrawn(name: str) -> None:
    async with opened(name) as mine, opened(name) as theirs:
        intent = await theirs.make(Intend(ADA, NOW))
        await mine.make(Interrupted(ADA, LATER))
        await theirs.make(Settle(intent, None, LATER))
        assert await messages(mine) == []


async def test_open_message_that_was_removed_stops_the_run(name: str, moto_url: str) -> None:
    async with opened(name) as ledger:
        intent = await ledger.make(Intend(ADA, NOW))
        (id_, _) = ledger._open[intent]
        client(moto_url).delete_item(TableName=name, Key={"id": {"S": id_}})
        with pytest.raises(LedgerError, match="removed or changed from outside"):
            await ledger.make(Settle(intent, Reason.ACCEPTED, NOW))


async def test_a_run_s_time_is_never_before_dynamodb_s_own(name: str) -> None:
    async with opened(name):
        pass
    async with opened(name, begin=False) as ledger:
        assert ledger.latest() > 1_700_000_000  # the date in the answer's head


async def test_entire_purge_leaves_no_hash_but_keeps_what_is_needed(
    name: str, moto_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ids() -> set[str]:
        result = client(moto_url).scan(TableName=name)["Items"]
        return {item["id"]["S"] for item in result if item["id"]["S"].startswith(items.USER)}

    def hashed(ledger: DynamoLedger, *names: str) -> set[str]:
        return {items.hashed(ledger._connection.secret, Identity(one)).own[0] for one in names}

    monkeypatch.setattr("time.time", lambda: LATER)
    async with opened(name) as ledger:
        for user in ("id-1", "id-2"):
            names = Identity(user, ("home@example.com", f"sub-{user}"), listed=True)
            at = NOW if user == "id-1" else LATER
            await ledger.make(Settle(await ledger.make(Intend(names, at)), Reason.ACCEPTED, at))
        await ledger.make(Settle(await ledger.make(Intend(Identity("back"), NOW)), None, NOW))
        await ledger.make(Intend(Identity("dead"), NOW - 1))
        await ledger.make(Intend(Identity("flying"), NOW + 1))
        extent = await ledger.records.older(NOW + 5, entirely=True)
        assert (extent.messages, extent.unknown) == (2, 1)
        await ledger.records.purge(NOW + 5, entirely=True)
        assert ids() == hashed(ledger, "id-2", "home@example.com", "sub-id-2", "flying")
        assert (await ledger.histories([Identity("home@example.com")], LATER))[0].sent == [LATER]
        (home,) = hashed(ledger, "home@example.com")
        assert (await ledger._connection.fetch({home: None}, {}))[home].users == hashed(
            ledger, "id-2"
        )
