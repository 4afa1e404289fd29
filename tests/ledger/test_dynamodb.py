"""Which tables are a ledger, what is refused, and what a run must be allowed."""

from __future__ import annotations

import re
from typing import Any

import pytest

from batch_resend.aws.endpoints import AwsTarget
from batch_resend.errors import LedgerError, SettingsError, UsageError
from batch_resend.job import stopping
from batch_resend.ledger import Identity, Intend, Interrupted, Settle
from batch_resend.ledger.dynamodb import table
from batch_resend.ledger.dynamodb.address import TableAddress, is_table, table_address
from batch_resend.ledger.dynamodb.ledger import open_ledger
from batch_resend.model import Reason
from batch_resend.settings import Settings
from tests.support.dynamodb import (
    ACTIONS,
    REGION,
    Line,
    client,
    create,
)
from tests.support.tables import (
    ADA,
    LATER,
    LISTED,
    NOW,
    WRITES,
    is_one_sentence,
    once,
    opened,
)

no_client: Any = None  #: where nothing is asked

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("credentials")]


def test_an_address_names_a_table() -> None:
    for text in ("dynamodb://resend-ledger", "DynamoDB://a.b_c-1"):
        assert is_table(text)
        assert str(table_address(text)) == "dynamodb://" + text[11:]
    assert not any(map(is_table, [None, "ledger.sqlite3", "dynamodb", "s3://b/k"]))


@pytest.mark.parametrize("text", ["dynamodb://", "dynamodb://ab", "dynamodb://a/b", "dynamodb://ä"])
def test_what_cannot_be_a_table_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a valid table") as caught:
        Settings(users="u.csv", client_id="abc", ledger=text)
    assert is_one_sentence(caught.value)


def test_request_longer_than_the_patience_of_others_is_refused() -> None:
    with pytest.raises(UsageError, match="--timeout 10m is too long") as caught:
        Settings(users="u.csv", client_id="abc", ledger="dynamodb://table", timeout=600.0)
    assert is_one_sentence(caught.value)
    assert Settings(users="u.csv", client_id="abc", ledger="file", timeout=300.0).ledger == "file"


async def test_missing_table_is_not_made_but_the_command_is_shown() -> None:
    with pytest.raises(LedgerError) as caught:
        async with opened("no-such-table"):
            pytest.fail("opened")
    said = str(caught.value)
    assert is_one_sentence(caught.value)
    assert f"There is no table no-such-table in {REGION}" in said
    assert "If there was one, restore it: an empty table does not know who was sent a code." in said
    for word in ("create-table", "PAY_PER_REQUEST", "--deletion-protection-enabled",
                 "PointInTimeRecoveryEnabled=true"):  # fmt: skip
        assert word in said


async def test_the_command_that_is_said_makes_a_table_that_serves(moto_url: str) -> None:
    with pytest.raises(LedgerError) as caught:
        async with opened("made-as-said"):
            pytest.fail("opened")
    match = re.search(r"`(aws .*)`", str(caught.value))
    assert match is not None
    creation, _, recovery = match[1].split(" && ")
    options = dict(re.findall(r"--(\S+) ([^-]\S*)", creation))
    assert options == {
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


async def test_missing_table_after_start_suggests_restoring_it(
    moto_url: str,
) -> None:
    name = "t" * 255
    create(moto_url, name)
    async with opened(name) as ledger:
        client(moto_url).delete_table(TableName=name)
        with pytest.raises(
            LedgerError, match=f"The table {name} in {REGION} no longer exists"
        ) as caught:
            await ledger.make(Intend(ADA, NOW))
    said = str(caught.value)
    assert is_one_sentence(caught.value)
    assert "an empty one does not know who was sent a code" in said
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
    with pytest.raises(LedgerError, match="does not have the key of a ledger"):
        async with opened("sorted"):
            pytest.fail("opened")
    client(moto_url).delete_table(TableName="sorted")


async def test_foreign_table_is_refused_and_left_unchanged(moto_url: str, name: str) -> None:
    theirs = {"id": {"S": "meta"}, "what": {"S": "theirs"}}
    client(moto_url).put_item(TableName=name, Item=theirs)
    with pytest.raises(LedgerError, match="is not a ledger of batch-resend") as caught:
        async with opened(name):
            pytest.fail("opened")
    assert is_one_sentence(caught.value)
    assert client(moto_url).scan(TableName=name)["Items"] == [theirs]
    create(moto_url, "other-key", key="pk")
    with pytest.raises(LedgerError, match="does not have the key of a ledger"):
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
        ("AccessDeniedException", "Allow the credentials dynamodb:UpdateItem"),
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
        assert (await ledger.unknown()).messages == 1
        await ledger.finish("{}", NOW)
    # An update in a transaction needs what an update does.
    asked = {operation.replace("TransactWriteItems", "UpdateItem") for operation, _ in line.met}
    assert {f"dynamodb:{operation}" for operation in asked} == ACTIONS
