"""The ledger in DynamoDB: lost answers, several machines at once, and what is no ledger."""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import anyio
import pytest

from batch_resend.aws import clients
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.errors import LedgerError, SettingsError, UsageError
from batch_resend.job import stopping
from batch_resend.ledger import Identity, Intend, IntentRejected, Interrupted, Settle
from batch_resend.ledger.dynamodb import items, table
from batch_resend.ledger.dynamodb.address import TableAddress, is_table, table_address
from batch_resend.ledger.dynamodb.ledger import DynamoLedger, open_ledger
from batch_resend.ledger.policy import SendPolicy
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.model import Reason
from batch_resend.settings import Settings
from tests.support.dynamodb import (
    ACTIONS,
    FATES,
    REGION,
    Line,
    client,
    create,
    made_anew,
    made_table,
    use,
)
from tests.support.sentences import is_one_sentence

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000.0
no_client: Any = None  #: where nothing is asked
LATER = NOW + items.IN_FLIGHT
WRITES = {"UpdateItem", "PutItem", "TransactWriteItems", "DeleteItem"}
HARM = [fate for fate in FATES if fate != "pass"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def credentials(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(moto_url, monkeypatch)


@pytest.fixture
def name(moto_url: str) -> Iterator[str]:
    with made_table(moto_url) as made:
        yield made


@pytest.fixture
async def line(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Line]:
    async with Line(moto_url).running() as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", made.url)
        monkeypatch.setattr(table, "ONE_TRY", 2.0)
        yield made


@contextlib.asynccontextmanager
async def opened(name: str, *, begin: bool = True, **given: Any) -> AsyncIterator[DynamoLedger]:
    async with open_ledger(AwsTarget(REGION), TableAddress(name), **given) as ledger:
        if begin:
            await ledger.begin(NOW)
        yield ledger


async def messages(ledger: DynamoLedger) -> list[tuple[str | None, str, str | None]]:
    with LedgerFile(None) as copy:
        await ledger.records.copy_into(copy.records)
        return [(m.name, m.state, m.reason) for m in copy.records.messages()]


def once(fate: str, operations: set[str]) -> Callable[[str], str]:
    """Let the first request of these operations meet its fate, and pass all others on."""
    left = [fate]

    def decide(operation: str) -> str:
        return left.pop() if operation in operations and left else "pass"

    return decide


ADA = Identity("ada@example.com")
LISTED = Identity("id-1", ("sub-1", "ada@example.com"), listed=True)


# -- which table -----------------------------------------------------------------------


def test_an_address_names_a_table() -> None:
    for text in ("dynamodb://resend-ledger", "DynamoDB://a.b_c-1"):
        assert is_table(text)
        assert str(table_address(text)) == "dynamodb://" + text[11:]
    assert not any(map(is_table, [None, "ledger.sqlite3", "dynamodb", "s3://b/k"]))


@pytest.mark.parametrize("text", ["dynamodb://", "dynamodb://ab", "dynamodb://a/b", "dynamodb://ä"])
def test_what_cannot_be_a_table_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="names no table of DynamoDB") as caught:
        Settings(users="u.csv", client_id="abc", ledger=text)
    assert is_one_sentence(caught.value)


def test_a_request_that_could_outlast_the_patience_of_others_is_refused() -> None:
    with pytest.raises(UsageError, match="--timeout 600s is too long") as caught:
        Settings(users="u.csv", client_id="abc", ledger="dynamodb://table", timeout=600.0)
    assert is_one_sentence(caught.value)
    assert Settings(users="u.csv", client_id="abc", ledger="file", timeout=600.0).ledger == "file"


async def test_a_table_that_is_not_there_is_not_made_but_said_how_to_make() -> None:
    with pytest.raises(LedgerError) as caught:
        async with opened("no-such-table"):
            pytest.fail("opened")
    said = str(caught.value)
    assert is_one_sentence(caught.value)
    assert f"There is no table no-such-table in {REGION}" in said
    assert "If there was one, restore it: an empty table knows nobody who was written to." in said
    for word in ("create-table", "PAY_PER_REQUEST", "--deletion-protection-enabled",
                 "PointInTimeRecoveryEnabled=true"):  # fmt: skip
        assert word in said


async def test_the_command_that_is_said_makes_a_table_that_serves(moto_url: str) -> None:
    with pytest.raises(LedgerError) as caught:
        async with opened("made-as-said"):
            pytest.fail("opened")
    found = re.search(r"`(aws .*)`", str(caught.value))
    assert found is not None
    creation, _, recovery = found[1].split(" && ")
    given = dict(re.findall(r"--(\S+) ([^-]\S*)", creation))
    assert given == {
        "table-name": "made-as-said",
        "region": REGION,
        "attribute-definitions": "AttributeName=id,AttributeType=S",
        "key-schema": "AttributeName=id,KeyType=HASH",
        "billing-mode": "PAY_PER_REQUEST",
    }
    assert "update-continuous-backups --table-name made-as-said" in recovery
    create(moto_url, "made-as-said")
    async with opened("made-as-said") as ledger:
        assert ledger.is_new
    client(moto_url).delete_table(TableName="made-as-said")


async def test_of_a_table_that_is_lost_meanwhile_is_said_to_restore_it_and_not_to_make_one(
    moto_url: str,
) -> None:
    name = "t" * 255
    create(moto_url, name)
    async with opened(name) as ledger:
        client(moto_url).delete_table(TableName=name)
        with pytest.raises(LedgerError, match=f"The table {name} in {REGION} is gone") as caught:
            await ledger.make(Intend(ADA, NOW))
    said = str(caught.value)
    assert is_one_sentence(caught.value)
    assert "an empty one knows nobody who was written to" in said
    assert "create-table" not in said
    assert len(said) <= stopping.LONGEST_MESSAGE  # with the longest name that a table can have


@pytest.mark.parametrize(
    ("operation", "action"),
    [
        ("UpdateItem", "UpdateItem"),
        ("TransactWriteItems", "UpdateItem"),
        ("BatchGetItem", "BatchGetItem"),
        ("Scan", "Scan"),
        ("DeleteItem", "DeleteItem"),
    ],
)
def test_what_is_not_allowed_is_named(operation: str, action: str) -> None:
    error = as_sdk("AccessDeniedException", operation=operation)
    said = table.Table(no_client, TableAddress("some-table"))._meaning(error)
    assert re.findall(r"dynamodb:(\w+)", str(said)) == [action]


async def test_a_table_with_a_sort_key_is_refused(moto_url: str) -> None:
    keys = {"id": "HASH", "at": "RANGE"}
    client(moto_url).create_table(
        TableName="sorted",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in keys],
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()],
        BillingMode="PAY_PER_REQUEST",
    )
    with pytest.raises(LedgerError, match="has another key than a ledger's"):
        async with opened("sorted"):
            pytest.fail("opened")
    client(moto_url).delete_table(TableName="sorted")


async def test_a_table_of_somebody_else_is_refused_and_left_as_it_is(
    moto_url: str, name: str
) -> None:
    theirs = {"id": {"S": "meta"}, "what": {"S": "theirs"}}
    client(moto_url).put_item(TableName=name, Item=theirs)
    with pytest.raises(LedgerError, match="is not a ledger of batch-resend") as caught:
        async with opened(name):
            pytest.fail("opened")
    assert is_one_sentence(caught.value)
    assert client(moto_url).scan(TableName=name)["Items"] == [theirs]
    create(moto_url, "other-key", key="pk")
    with pytest.raises(LedgerError, match="has another key than a ledger's"):
        async with opened("other-key"):
            pytest.fail("opened")
    client(moto_url).delete_table(TableName="other-key")


async def test_a_ledger_of_another_version_is_refused(moto_url: str, name: str) -> None:
    async with opened(name):
        pass
    client(moto_url).update_item(
        TableName=name,
        Key={"id": {"S": "meta"}},
        UpdateExpression="SET #s = :s",
        ExpressionAttributeNames={"#s": "schema"},
        ExpressionAttributeValues={":s": {"N": "99"}},
    )
    with pytest.raises(LedgerError, match="schema 99"):
        async with opened(name):
            pytest.fail("opened")


async def test_aws_s_own_dynamodb_is_not_asked_for_a_simulated_cognito(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_DYNAMODB")
    place = AwsTarget(REGION, endpoint_url="http://127.0.0.1:9")
    with pytest.raises(SettingsError, match="set AWS_ENDPOINT_URL_DYNAMODB"):
        async with open_ledger(place, TableAddress("table")):
            pytest.fail("opened")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("AccessDeniedException", "allow the credentials dynamodb:UpdateItem"),
        ("ExpiredTokenException", "missing, invalid or expired"),
        ("ValidationException", r"cannot be used \(ValidationException\)"),
    ],
)
async def test_what_does_not_pass_is_said_at_once(
    name: str, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    async with opened(name) as ledger:

        async def refuse(**_: Any) -> Any:
            raise as_sdk(code)

        monkeypatch.setattr(ledger._table._client, "get_item", refuse)
        with pytest.raises(LedgerError, match=said) as caught:
            await ledger.make(Intend(ADA, NOW))
        assert is_one_sentence(caught.value)
        with pytest.raises(LedgerError, match=said):
            await ledger.make(Intend(Identity("bob"), NOW))


def as_sdk(code: str, operation: str = "UpdateItem", **more: Any) -> Any:
    from botocore.exceptions import ClientError

    answer: Any = {"Error": {"Code": code, "Message": "no"}, **more}
    return ClientError(answer, operation)


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        (["None", "ConditionalCheckFailed"], table.Refused),
        (["TransactionConflict", "ConditionalCheckFailed"], table.Refused),
        (["None", "TransactionConflict"], table.Unclear),
        (["ThrottlingError", "None"], table.Unclear),
        (["ProvisionedThroughputExceeded"], table.Unclear),
        (["None", "ValidationError"], LedgerError),
    ],
)
def test_a_transaction_that_is_cancelled_says_why(codes: list[str], kind: type) -> None:
    reasons = [{"Code": code} for code in codes]
    error = as_sdk("TransactionCanceledException", CancellationReasons=reasons)
    assert type(table.Table(no_client, TableAddress("t"))._meaning(error)) is kind


async def test_a_run_needs_what_the_examples_allow_and_no_more(name: str, line: Line) -> None:
    async with opened(name) as ledger:
        await ledger.histories([ADA, LISTED], NOW)
        for names, reason in ((LISTED, None), (LISTED, Reason.ACCEPTED), (ADA, None)):
            # None: Cognito has throttled it, so the intent is taken back.
            await ledger.make(Settle(await ledger.make(Intend(names, NOW)), reason, NOW))
            line.fate = once("after", WRITES)
        await ledger.make(Intend(Identity("bob"), NOW))
        await ledger.make(Interrupted(Identity("bob"), LATER))
        assert await ledger.unknown() == 1
        await ledger.finish("{}", NOW)
    # An update in a transaction needs what an update does.
    asked = {operation.replace("TransactWriteItems", "UpdateItem") for operation, _ in line.met}
    assert {f"dynamodb:{operation}" for operation in asked} == ACTIONS


# -- lost answers ----------------------------------------------------------------------


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
async def test_an_intent_is_settled_or_taken_back_whatever_becomes_of_the_answer(
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
        found = sorted(await messages(ledger))
        if reason:
            assert found == sorted((names.username, "sent", "accepted") for names in users)
        else:
            assert found == []
            for names in users:
                await ledger.make(Intend(names, NOW))
            assert len(await messages(ledger)) == len(users)


async def test_an_intent_that_arrives_after_it_was_taken_back_is_refused(
    name: str, line: Line
) -> None:
    async with opened(name) as ledger:
        line.fate = once("late", WRITES)
        for _ in range(2):  # the second try arrives first, and is taken back
            await ledger.make(Settle(await ledger.make(Intend(ADA, NOW)), None, NOW))
        await anyio.sleep(0.4)
        assert await messages(ledger) == []


@pytest.mark.parametrize("fate", ["before", "after", "late", "page"])
async def test_a_ledger_is_begun_once_and_a_run_is_noted_whatever_becomes_of_the_answers(
    name: str, line: Line, fate: str
) -> None:
    line.fate = once(fate, {"PutItem"})
    async with opened(name, begin=False) as ledger, opened(name, begin=False) as other:
        assert ledger._connection.secret == other._connection.secret
        assert ledger.is_new
        assert not other.is_new
        line.fate = once(fate, WRITES)
        await ledger.begin(NOW)
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
        found = await messages(one)
        assert sorted(found) == sorted((n.username, "sent", "accepted") for n in users)


async def test_a_table_out_of_reach_stops_all_intents_and_tries_what_is_open(
    name: str, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(name) as ledger:
        intent = await ledger.make(Intend(ADA, NOW))
        monkeypatch.setattr(table, "PATIENCE", 0.4)
        line.fate = lambda _: "before"
        for broken in (Intend(Identity("bob"), NOW), Settle(intent, Reason.ACCEPTED, NOW)):
            with pytest.raises(LedgerError, match="is out of reach") as caught:
                await ledger.make(broken)
            assert is_one_sentence(caught.value)
        line.fate = lambda _: "pass"
        with pytest.raises(LedgerError, match="is out of reach"):
            await ledger.make(Intend(Identity("cid"), NOW))
        with pytest.raises(LedgerError, match="is out of reach"):
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
            with pytest.raises(LedgerError, match="is out of reach") as caught:
                await work()
            assert is_one_sentence(caught.value)


def failing(operation: str, met: str) -> str:
    return "500" if met == operation else "pass"


async def test_of_two_that_begin_a_ledger_one_takes_the_other_s(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = table.Table.get_one
    blind = [True]

    async def get_one(self: table.Table, id_: str) -> Any:
        return None if blind and blind.pop() else await real(self, id_)

    async with opened(name, begin=False) as first:
        monkeypatch.setattr(table.Table, "get_one", get_one)
        async with opened(name, begin=False) as second:
            assert not second.is_new
            assert second._connection.secret == first._connection.secret


async def test_missing_credentials_are_said(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    monkeypatch.setattr(clients, "session", made_anew)
    with pytest.raises(LedgerError, match="missing, invalid or expired") as caught:
        async with opened(name):
            pytest.fail("opened")
    assert is_one_sentence(caught.value)


async def test_a_ledger_whose_beginning_is_gone_begins_no_run(name: str, moto_url: str) -> None:
    async with opened(name, begin=False) as ledger:
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
            (keys,) = (given["Keys"] for given in RequestItems.values())
            answer = await real(RequestItems={name: {"Keys": keys[:2], "ConsistentRead": True}})
            if keys[2:]:
                answer["UnprocessedKeys"] = {name: {"Keys": keys[2:], "ConsistentRead": True}}
            return answer

        monkeypatch.setattr(ledger._table._client, "batch_get_item", halting)
        found = await ledger.histories([Identity(f"user{n}") for n in range(6)], NOW)
        assert [bool(history.unknown) for history in found] == [True] * 5 + [False]


# -- several machines ------------------------------------------------------------------


async def at_once(*works: Callable[[], Awaitable[int]]) -> list[int | Reason]:
    results: list[int | Reason] = []

    async def do(work: Callable[[], Awaitable[int]]) -> None:
        try:
            results.append(await work())
        except IntentRejected as barred:
            results.append(barred.reason)

    async with anyio.create_task_group() as tasks:
        for work in works:
            tasks.start_soon(do, work)
    return results


def intending(ledger: DynamoLedger, names: Identity) -> Callable[[], Awaitable[int]]:
    return lambda: ledger.make(Intend(names, NOW, SendPolicy()))


async def test_of_machines_that_race_for_a_user_under_any_name_one_wins(
    name: str, line: Line
) -> None:
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
            won = [found for found in results if not isinstance(found, Reason)]
            lost = [found for found in results if isinstance(found, Reason)]
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
        assert sum(not isinstance(found, Reason) for found in results) == 1


async def test_of_machines_that_race_for_a_user_under_names_known_long_since_one_wins(
    name: str, line: Line
) -> None:
    assert line.url
    async with opened(name) as one, opened(name) as two, opened(name) as three:
        for turn in range(5):
            names = [f"id{turn}", f"sub{turn}", f"ada{turn}@example.com"]
            listed = Identity(names[0], tuple(names[1:]), listed=True)
            await one.make(Settle(await one.make(Intend(listed, NOW)), Reason.USER_NOT_FOUND, NOW))
            results = await at_once(
                *(
                    intending(ledger, Identity(known))
                    for ledger, known in zip((one, two, three), names, strict=True)
                )
            )
            assert sorted(map(str, results))[-2:] == ["outcome-unknown", "outcome-unknown"], turn
            assert sum(isinstance(found, int) for found in results) == 1, turn
            states = [state for _, state, _ in await messages(one)]
            assert states.count("open") == turn + 1


async def test_a_name_of_more_users_than_a_transaction_has_room_for_can_be_written_to(
    name: str,
) -> None:
    async with opened(name) as ledger:
        for n in range(items.MOST_NAMES):
            names = Identity(f"id-{n}", ("home@example.com",), listed=True)
            await ledger.make(Settle(await ledger.make(Intend(names, NOW)), Reason.ACCEPTED, NOW))
        home = Identity("home@example.com")
        assert len((await ledger.histories([home], NOW))[0].sent) == items.MOST_NAMES
        assert await ledger.make(Intend(home, NOW))
        # Whoever bears the name has few of their own, so the two meet all the same.
        for n in (0, items.MOST_NAMES - 1):
            with pytest.raises(IntentRejected, match="outcome-unknown"):
                await ledger.make(Intend(Identity(f"id-{n}"), NOW))


async def test_accounts_that_share_an_address_are_each_written_to(name: str, line: Line) -> None:
    assert line.url
    async with opened(name) as ledger:
        shared = [Identity(f"id-{n}", ("home@example.com",), listed=True) for n in range(6)]
        results = await at_once(*(intending(ledger, names) for names in shared))
        assert not any(isinstance(found, Reason) for found in results)
        assert len((await ledger.histories([Identity("home@example.com")], NOW))[0].unknown) == 6


async def test_an_intent_is_judged_again_by_what_was_written_since_the_plan(name: str) -> None:
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


async def test_what_may_be_in_flight_elsewhere_is_not_sent_again_even_if_asked(name: str) -> None:
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


async def test_what_was_called_interrupted_too_early_can_still_be_taken_back(name: str) -> None:
    async with opened(name) as mine, opened(name) as theirs:
        intent = await theirs.make(Intend(ADA, NOW))
        await mine.make(Interrupted(ADA, LATER))
        await theirs.make(Settle(intent, None, LATER))
        assert await messages(mine) == []


async def test_an_open_message_that_somebody_took_away_stops_the_run(
    name: str, moto_url: str
) -> None:
    async with opened(name) as ledger:
        intent = await ledger.make(Intend(ADA, NOW))
        (id_, _) = ledger._open[intent]
        client(moto_url).delete_item(TableName=name, Key={"id": {"S": id_}})
        with pytest.raises(LedgerError, match="removed or changed by somebody else"):
            await ledger.make(Settle(intent, Reason.ACCEPTED, NOW))


async def test_a_run_s_time_is_never_before_dynamodb_s_own(name: str) -> None:
    async with opened(name, begin=False):
        pass
    async with opened(name, begin=False) as ledger:
        assert ledger.latest() > 1_700_000_000  # the date in the answer's head


# -- erasing ---------------------------------------------------------------------------


async def test_what_is_purged_entirely_leaves_no_hash_and_what_is_needed_stays(
    name: str, moto_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ids() -> set[str]:
        found = client(moto_url).scan(TableName=name)["Items"]
        return {item["id"]["S"] for item in found if item["id"]["S"].startswith(items.USER)}

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
        assert await ledger.records.older(NOW + 5, entirely=True) == (2, 1)
        await ledger.records.purge(NOW + 5, entirely=True)
        assert ids() == hashed(ledger, "id-2", "home@example.com", "sub-id-2", "flying")
        assert (await ledger.histories([Identity("home@example.com")], LATER))[0].sent == [LATER]
        (home,) = hashed(ledger, "home@example.com")
        assert (await ledger._connection.fetch({home: None}, {}))[home].users == hashed(
            ledger, "id-2"
        )
