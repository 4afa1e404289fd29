"""What every ledger keeps, be it one file or a table that machines share: the same cases."""

from __future__ import annotations

from typing import Any

import pytest

from batch_resend.errors import InputError, LedgerError
from batch_resend.ledger import (
    Identity,
    IntentRejected,
    Message,
    PastRun,
)
from batch_resend.ledger.journal import OwnJournal
from batch_resend.ledger.policy import SendPolicy
from batch_resend.model import Reason
from batch_resend.run.open_ledger import ledger_of, looking
from tests.support.ledgers import (
    MUCH_LATER,
    NOW,
    Ledger,
    Opened,
    times_of,
)

pytestmark = pytest.mark.anyio


async def test_what_was_settled_is_known_to_the_next_run(ledger: Ledger) -> None:
    async with ledger.run() as run:
        assert run.is_new
        sent, lost, failed, back = [
            await run.intend(name) for name in ("sent", "lost", "failed", "back")
        ]
        await run.intend("open", at=NOW + 1)
        assert (await run.journal.unknown()).messages == 5
        await run.settle(sent, Reason.ACCEPTED, NOW + 2)
        await run.settle(lost, Reason.NO_ANSWER, NOW + 3)
        await run.settle(failed, Reason.USER_NOT_FOUND, NOW + 4)
        await run.settle(back, None, NOW + 5)
    async with ledger.run() as run:
        assert not run.is_new
        assert times_of(await run.history("sent")) == ([NOW + 2], [], False)
        assert times_of(await run.history("lost")) == ([], [NOW + 3], False)
        for name in ("failed", "back", "stranger"):
            assert times_of(await run.history(name)) == ([], [], False)
        assert (await run.journal.unknown()).messages == 2


async def test_request_without_success_counts_until_one_is_accepted(ledger: Ledger) -> None:
    async with ledger.run() as run:
        await run.send("failed", reason=Reason.USER_NOT_FOUND, at=NOW)
        await run.send("lost", reason=Reason.NO_ANSWER, at=NOW)
        await run.send("healed", reason=Reason.DELIVERY_FAILED, at=NOW)
        await run.send("healed", at=NOW + 60)
        await run.send("broken", at=NOW)
        await run.send("broken", reason=Reason.DELIVERY_FAILED, at=NOW + 60)
    async with ledger.run() as run:
        in_vain = {"failed": True, "lost": True, "healed": False, "broken": True, "new": False}
        for name, last_failed in in_vain.items():
            assert (await run.history(name)).last_failed is last_failed


async def test_a_ledger_says_for_which_client_it_was_begun(ledger: Ledger) -> None:
    async with ledger.run(client="client abc in eu-west-1") as run:
        assert run.client == "client abc in eu-west-1"
    async with ledger.run(client="client xyz in eu-west-1") as run:
        assert run.client == "client abc in eu-west-1"


async def test_many_users_are_looked_up_at_once_in_their_order(ledger: Ledger) -> None:
    async with ledger.run() as run:
        await run.send("user7")
        await run.send("user230", reason=Reason.NO_ANSWER)
        users = [Identity(f"user{n}") for n in range(250)]
        answers = await run.journal.histories([*users, users[7]], NOW)
        assert [n for n, history in enumerate(answers) if history.sent] == [7, 250]
        assert [n for n, history in enumerate(answers) if history.unknown] == [230]
        assert await run.journal.histories([], NOW) == []


async def test_an_open_intent_of_a_dead_run_is_interrupted_once(ledger: Ledger) -> None:
    async with ledger.run() as run:
        await run.intend("ada")
    async with ledger.run() as run:
        assert times_of(await run.history("ada", now=MUCH_LATER)) == ([], [NOW], True)
        await run.interrupt("ADA", MUCH_LATER)
        assert times_of(await run.history("ada", now=MUCH_LATER)) == ([], [MUCH_LATER], False)
        await run.interrupt("ada", MUCH_LATER + 1)
        assert times_of(await run.history("ada", now=MUCH_LATER)) == ([], [MUCH_LATER], False)
    (message,) = await ledger.messages(unknown=True)
    assert (message.state, message.reason) == ("unknown", "interrupted")


async def test_a_later_intent_gives_up_what_a_dead_run_left(ledger: Ledger) -> None:
    async with ledger.run() as run:
        await run.intend("ada")
    async with ledger.run() as run:
        intent = await run.intend("ada", at=MUCH_LATER)
        states = [(message.state, message.reason) for message in await open_or_not(ledger, run)]
        assert states == [("unknown", "interrupted"), ("open", None)]
        await run.settle(intent, Reason.ACCEPTED, MUCH_LATER)
        assert times_of(await run.history("ada"))[::2] == ([MUCH_LATER], False)
        assert (await run.journal.unknown()).messages == 1


async def open_or_not(ledger: Ledger, run: Opened) -> list[Message]:
    """The messages, while a run has the ledger."""
    if isinstance(run.journal, OwnJournal):
        opened: Any = run.journal._ledger
        return list(opened.records.messages())
    return await ledger.messages()


async def test_no_user_has_two_open_intents(ledger: Ledger) -> None:
    async with ledger.run() as run:
        await run.intend("ada")
        with pytest.raises((LedgerError, IntentRejected)):
            await run.intend("ada")
    assert len(await ledger.messages()) == 1


async def test_withdrawn_intent_leaves_no_name_and_can_be_repeated(
    ledger: Ledger,
) -> None:
    async with ledger.run() as run:
        for _ in range(3):
            await run.settle(await run.intend("id-1", "ada@example.com", listed=True), None)
        assert times_of(await run.history("ada@example.com")) == ([], [], False)
    assert await ledger.messages() == []
    async with ledger.run() as run:
        await run.send("id-1", "ada@example.com", listed=True)
        assert (await run.history("ada@example.com")).sent == [NOW]


@pytest.mark.parametrize("case_sensitive", [True, False])
async def test_case_tells_users_apart_only_where_asked(
    ledger: Ledger, case_sensitive: bool
) -> None:
    async with ledger.run(case_sensitive=case_sensitive) as run:
        await run.send("Ada@Example.com")
        await run.send("id-1", "Bob@Example.com", listed=True)
        for name, other in (
            ("Ada@Example.com", "ada@example.com"),
            ("Bob@Example.com", "bob@example.com"),
        ):
            assert (await run.history(name)).sent == [NOW]
            assert bool((await run.history(other)).sent) is not case_sensitive
    assert await ledger.person("ID-1", case_sensitive=case_sensitive) == (
        [] if case_sensitive else ["id-1"]
    )


async def test_a_listed_user_is_looked_up_under_each_of_their_names(ledger: Ledger) -> None:
    account = ("id-1", "sub-1", "ada@example.com", "+15550100")
    twin = ("id-2", "sub-2", "ada@example.com")
    async with ledger.run() as run:
        # A CSV run wrote to the address: both accounts have had their message.
        await run.send("Ada@example.com")
        assert (await run.history(*account, listed=True)).sent == [NOW]
        assert (await run.history(*twin, listed=True)).sent == [NOW]
        # A listing wrote to an account: a lookup by only another name finds it,
        # but another account with the same address is another user.
        await run.send("id-3", "sub-3", "cid@example.com", listed=True)
        for name in ("id-3", "sub-3", "CID@example.com"):
            assert (await run.history(name)).sent == [NOW], name
        assert times_of(await run.history("id-4", "cid@example.com", listed=True)) == (
            [],
            [],
            False,
        )


async def test_account_named_like_anothers_address_is_another_user(ledger: Ledger) -> None:
    """An account with a stranger's address as its username must not get their message."""
    ada = ("ada", "sub-1", "ada@example.com", "+15550100")
    stranger = ("ada@example.com", "sub-2", "+15550100")
    async with ledger.run() as run:
        intent = await run.intend(*stranger, listed=True)
        assert times_of(await run.history(*ada, listed=True)) == ([], [], False)
        both = await run.intend(*ada, listed=True)
        await run.settle(intent, Reason.ACCEPTED, NOW + 1)
        await run.settle(both, Reason.ACCEPTED, NOW + 2)
    async with ledger.run() as run:
        assert (await run.history(*stranger, listed=True)).sent == [NOW + 1]
        assert (await run.history(*ada, listed=True)).sent == [NOW + 2]
        assert (await run.history("ada")).sent == [NOW + 2]
        # A file that has the address alone may mean either account.
        assert sorted((await run.history("ada@example.com")).sent) == [NOW + 1, NOW + 2]


async def test_what_was_sent_to_any_name_of_a_person_counts_under_each(ledger: Ledger) -> None:
    async with ledger.run() as run:
        await run.send("id-1", "sub-1", "ada@example.com", listed=True)
        await run.send("twin", "ada@example.com", at=NOW + 1, listed=True)
        # From here on files that know one name, and no other.
        await run.send("Id-1", at=NOW + 2)
        await run.send("sub-1", at=NOW + 3)
        mine = [NOW, NOW + 2, NOW + 3]
        for name in ("id-1", "sub-1"):
            assert sorted((await run.history(name)).sent) == mine, name
        assert sorted((await run.history("id-1", "new@example.com", listed=True)).sent) == mine
        assert (await run.history("twin")).sent == [NOW + 1]
        assert (await run.history("twin", "ada@example.com", listed=True)).sent == [NOW + 1]
        # Who is named by the shared address alone may be either of the two.
        either = [NOW, NOW + 1, NOW + 2, NOW + 3]
        assert sorted((await run.history("ADA@example.com")).sent) == either
        await run.send("ada@example.com", at=NOW + 4)
        for name in ("id-1", "sub-1"):
            assert sorted((await run.history(name)).sent) == [*mine, NOW + 4], name
        assert sorted((await run.history("twin")).sent) == [NOW + 1, NOW + 4]
        assert sorted((await run.history("ada@example.com")).sent) == [*either, NOW + 4]


async def test_case_sensitive_names_are_followed_in_their_case(
    ledger: Ledger,
) -> None:
    async with ledger.run(case_sensitive=True) as run:
        await run.send("Id-1", "Ada@example.com", listed=True)
        await run.send("id-1", at=NOW + 1)
        await run.send("ada@example.com", at=NOW + 2)
        await run.send("Id-1", at=NOW + 3)
        await run.send("Ada@example.com", at=NOW + 4)
        for name in ("Id-1", "Ada@example.com"):
            assert sorted((await run.history(name)).sent) == [NOW, NOW + 3, NOW + 4], name
        assert (await run.history("id-1")).sent == [NOW + 1]
        assert (await run.history("ada@example.com")).sent == [NOW + 2]


@pytest.mark.parametrize("first", ["id-1", "ada@example.com"])
async def test_two_rows_that_name_one_person_are_not_both_sent_to(
    ledger: Ledger, first: str
) -> None:
    other = {"id-1": "sub-1", "ada@example.com": "id-1"}[first]
    reminder = SendPolicy(max_sends=2, cooldown=3600.0)
    async with ledger.run() as run:
        await run.send("id-1", "sub-1", "ada@example.com", listed=True)
    async with ledger.run() as run:
        intent = await run.intend(first, at=MUCH_LATER, policy=reminder)
        with pytest.raises(IntentRejected, match="outcome-unknown"):
            await run.intend(other, at=MUCH_LATER, policy=reminder)
        await run.settle(intent, None)  # nothing was sent: now the other name may be
        intent = await run.intend(other, at=MUCH_LATER, policy=reminder)
        await run.settle(intent, Reason.ACCEPTED, MUCH_LATER)
        with pytest.raises(IntentRejected, match="cooling-down"):
            await run.intend(first, at=MUCH_LATER + 1, policy=reminder)
        with pytest.raises(IntentRejected, match="send-cap"):
            await run.intend(first, at=MUCH_LATER + 3600, policy=reminder)
        await run.intend("someone", at=MUCH_LATER, policy=reminder)
    assert len(await ledger.messages()) == 3


async def test_intent_left_under_one_name_is_closed_under_another(
    ledger: Ledger,
) -> None:
    async with ledger.run() as run:
        await run.send("id-1", "ada@example.com", listed=True)
        await run.intend("id-1", at=NOW + 1)
    async with ledger.run() as run:
        with pytest.raises(IntentRejected, match="interrupted"):
            await run.intend("ada@example.com", at=MUCH_LATER, policy=SendPolicy(max_sends=0))
        await run.interrupt("ada@example.com", MUCH_LATER)
        assert times_of(await run.history("id-1")) == ([NOW], [MUCH_LATER], False)


async def test_a_name_that_is_its_own_other_name_counts_once(ledger: Ledger) -> None:
    async with ledger.run() as run:
        await run.send("sub-1", "sub-1", "SUB-1", "ada@example.com", listed=True)
        assert (await run.history("sub-1", "sub-1", listed=True)).sent == [NOW]
        assert (await run.history("sub-1")).sent == [NOW]
        assert (await run.history("ada@example.com")).sent == [NOW]


async def test_message_is_read_as_it_was_written(ledger: Ledger) -> None:
    async with ledger.run() as run:
        sent = await run.intend("Ada", "ada@example.com", at=NOW + 0.125)
        lost = await run.intend("böb\u0130", at=NOW + 1)
        await run.settle(sent, Reason.ACCEPTED, NOW + 2)
        await run.settle(lost, Reason.NO_ANSWER, NOW + 3.0625)
        await run.intend("ada", at=NOW + 4)
    rows = await ledger.messages()
    assert [
        (m.run, m.name, m.state, m.reason, m.intended_at, m.settled_at) for m in rows
    ] == [
        (1, "Ada", "sent", "accepted", NOW + 0.125, NOW + 2),
        (1, "böb\u0130", "unknown", "no-answer", NOW + 1, NOW + 3.0625),
        (1, "ada", "open", None, NOW + 4, None),
    ]  # fmt: skip
    assert rows[0].user == rows[2].user != rows[1].user
    assert [m.name for m in await ledger.messages(unknown=True)] == ["böb\u0130", "ada"]


async def test_runs_are_listed_including_those_that_died(ledger: Ledger) -> None:
    async with ledger.run() as run:
        await run.journal.finish('{"exit_code": 3}', NOW + 5)
    async with ledger.run():
        pass
    async with looking(ledger.settings(), await ledger_of(ledger.settings())) as copy:
        assert copy.runs() == [PastRun(1, NOW, NOW + 5, {"exit_code": 3}), PastRun(2, NOW)]
        assert not copy.is_simulated


async def test_a_run_does_not_begin_before_one_that_ended(ledger: Ledger) -> None:
    async with ledger.run() as run:
        await run.send("ada", at=NOW + 8)
        await run.journal.finish("{}", NOW + 9)
    async with ledger.run(begin=False) as run:
        assert NOW + 8 <= run.journal.latest() <= NOW + 9


async def test_a_new_ledger_can_be_forbidden(ledger: Ledger) -> None:
    for _ in range(2):
        with pytest.raises(LedgerError, match="--create-ledger"):
            async with ledger.run(must_exist=True):
                pytest.fail("opened")
        async with ledger.run(begin=False):
            pass  # planned, and nothing written
    async with ledger.run():
        pass
    async with ledger.run(must_exist=True) as run:
        assert not run.is_new


async def test_simulations_and_real_runs_never_share_a_ledger(
    ledger: Ledger,
) -> None:
    async with ledger.run(simulated=True):
        pass
    with pytest.raises(LedgerError, match=r"a simulation. Choose another (file|table)"):
        async with ledger.run():
            pytest.fail("opened")
    async with looking(ledger.settings(), await ledger_of(ledger.settings())) as copy:
        assert copy.is_simulated


async def test_looking_only_creates_nothing(ledger: Ledger) -> None:
    async with ledger.run(read_only=True, begin=False) as run:
        assert times_of(await run.history("ada")) == ([], [], False)
        assert (await run.journal.unknown()).messages == 0
    for look in (ledger.messages, ledger.forget):
        with pytest.raises(InputError, match="There is no ledger"):
            await look()
    async with ledger.run() as run:
        assert run.is_new
        await run.send("ada")
    async with ledger.run(read_only=True, begin=False) as run:
        assert (await run.history("ada")).sent == [NOW]
