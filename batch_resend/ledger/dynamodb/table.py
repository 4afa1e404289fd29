"""One table of DynamoDB: requests are repeated for a while, then it is unreachable.

A read is repeated until it has a response. A write is attempted once, because only its
author can decide what a lost response means:

  it returns            it is written
  raises `Refused`      its condition does not hold, so no part of it is written now; an
                        earlier attempt whose response was lost may have been
  raises `Unclear`      it may be written, now or a little later
  raises `LedgerError`  it will never be written: the fault is permanent

The SDK repeats nothing. No exception of the AWS SDK leaves this module.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import tenacity

from batch_resend.aws.refusals import (
    FORBIDDEN,
    THROTTLED,
    clock_is_off,
    code_of,
    is_of_credentials,
    no_credentials,
)
from batch_resend.errors import LedgerError
from batch_resend.ledger.dynamodb.address import TableAddress

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

PATIENCE = 20.0  #: seconds in all, after which the table is unreachable
ONE_TRY = 5.0  #: seconds for one response
_FIRST_PAUSE = 0.05  #: seconds at most; the longest pause doubles from there on
_LONGEST_PAUSE = 2.0
_AT_ONCE = 100  #: items that DynamoDB reads in one request
_TOGETHER = 8  #: such requests at a time

_NOT_YET = THROTTLED | {
    "ProvisionedThroughputExceededException",
    "TransactionConflictException",
    "TransactionInProgressException",
    "LimitExceededException",
}
_ANSWER = "application/x-amz-json-"
_REFUSED = "ConditionalCheckFailed"
_PASSES = {"None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}


class Refused(Exception):
    """The condition of a write does not hold."""


class Unclear(Exception):
    """Whether the table has it is unknown; the text describes the failure."""


_IF_UNCLEAR = tenacity.retry_if_exception_type(Unclear)


@dataclass(frozen=True, slots=True)
class Change:
    """A conditional change of one item, in DynamoDB's terms."""

    id: str
    update: str
    condition: str
    values: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def as_json(self, table: str) -> dict[str, Any]:
        """Return it in the form of a request."""
        request: dict[str, Any] = {
            "TableName": table,
            "Key": {"id": {"S": self.id}},
            "UpdateExpression": self.update,
            "ConditionExpression": self.condition,
        }
        if self.values:
            request["ExpressionAttributeValues"] = dict(self.values)
        if self.names:
            request["ExpressionAttributeNames"] = dict(self.names)
        return request


class Table:
    """A table, through an aioboto3 client that repeats nothing."""

    def __init__(self, client: DynamoDBClient, address: TableAddress) -> None:
        self._client = client
        self.address = address
        self._was_there = False  #: whether it has responded before
        self.now_there = ""  #: the date of DynamoDB's newest response to `get_one`

    # -- reading -------------------------------------------------------------------

    async def get_one(self, id_: str) -> Mapping[str, Any] | None:
        """Read one item, strongly consistent."""
        answer = await self._until_answered("get_item", Key={"id": {"S": id_}}, ConsistentRead=True)
        self.now_there = str(answer["ResponseMetadata"]["HTTPHeaders"].get("date", ""))
        item: Mapping[str, Any] | None = answer.get("Item")
        return item

    async def get(self, ids: Sequence[str]) -> list[Mapping[str, Any]]:
        """Read the items of these ids (each once), strongly consistent; omit missing ones."""
        if len(ids) == 1:
            one = await self.get_one(ids[0])
            return [] if one is None else [one]
        items: list[Mapping[str, Any]] = []
        failed: list[LedgerError] = []
        room = anyio.Semaphore(_TOGETHER)

        async def get_some(some: Sequence[str]) -> None:
            async with room:
                try:  # inside: what leaves a task group is a group of errors
                    items.extend(await self._get_some(some))
                except LedgerError as error:
                    failed.append(error)
                    tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            for start in range(0, len(ids), _AT_ONCE):
                tasks.start_soon(get_some, ids[start : start + _AT_ONCE])
        if failed:
            raise failed[0]
        return items

    async def _get_some(self, ids: Sequence[str]) -> list[Mapping[str, Any]]:
        keys: Any = [{"id": {"S": id_}} for id_ in ids]
        items: list[Mapping[str, Any]] = []
        name = self.address.table

        async def get_rest() -> None:
            nonlocal keys
            answer = await self._until_answered(
                "batch_get_item", RequestItems={name: {"Keys": keys, "ConsistentRead": True}}
            )
            items.extend(answer["Responses"].get(name, []))
            keys = answer.get("UnprocessedKeys", {}).get(name, {}).get("Keys")
            if keys:
                raise Unclear("UnprocessedKeys")

        await self.patience()(get_rest)
        return items

    async def pages(self) -> AsyncIterator[list[Mapping[str, Any]]]:
        """Read the whole table, in pages of up to 1 MB."""
        begin: dict[str, Any] = {}
        while True:
            answer = await self._until_answered("scan", ConsistentRead=True, **begin)
            yield answer["Items"]
            if not (last := answer.get("LastEvaluatedKey")):
                return
            begin = {"ExclusiveStartKey": last}

    async def _until_answered(self, operation: str, **arguments: Any) -> Any:
        return await self.patience()(self._ask, operation, **arguments)

    def patience(self, again: tenacity.retry_base = _IF_UNCLEAR) -> tenacity.AsyncRetrying:
        """Return what repeats a call where `again` holds: one object per call.

        It raises `LedgerError` after `PATIENCE` seconds. The pauses are random, or machines would
        collide again and again. The clock is anyio's, which tests can set.
        """
        end = anyio.current_time() + PATIENCE

        def give_up(state: tenacity.RetryCallState) -> NoReturn:
            why = state.outcome.exception() if state.outcome else None
            raise self.unreachable(why if isinstance(why, Unclear) else None) from why

        return tenacity.AsyncRetrying(
            sleep=anyio.sleep,
            wait=tenacity.wait_random_exponential(multiplier=_FIRST_PAUSE, max=_LONGEST_PAUSE),
            stop=lambda state: anyio.current_time() + state.upcoming_sleep > end,
            retry=again,
            retry_error_callback=give_up,
        )

    # -- writing -------------------------------------------------------------------

    async def put_new(self, item: Mapping[str, Any]) -> None:
        """Write an item that is not there yet."""
        await self._ask("put_item", Item=dict(item), ConditionExpression="attribute_not_exists(id)")

    async def change(self, *changes: Change) -> None:
        """Make changes, all or none."""
        name = self.address.table
        if len(changes) == 1:
            arguments = changes[0].as_json(name)
            arguments.pop("TableName")
            await self._ask("update_item", **arguments)
        else:
            await self._ask(
                "transact_write_items",
                TransactItems=[{"Update": change.as_json(name)} for change in changes],
            )

    async def change_in_the_end(self, change: Change) -> bool:
        """Make a change that may be made twice; return whether its condition held at last."""
        try:
            await self.patience()(self.change, change)
        except Refused:
            return False
        return True

    async def count_up(self, id_: str, attribute: str) -> int:
        """Add one to a number of an item, or more than one; return it."""
        try:
            answer = await self._until_answered(
                "update_item",
                Key={"id": {"S": id_}},
                UpdateExpression="ADD #a :one",
                ConditionExpression="attribute_exists(id)",
                ExpressionAttributeNames={"#a": attribute},
                ExpressionAttributeValues={":one": {"N": "1"}},
                ReturnValues="UPDATED_NEW",
            )
        except Refused as error:
            raise self._cannot(f"has lost its item `{id_}`") from error
        return int(answer["Attributes"][attribute]["N"])

    async def delete(self, id_: str, stamp: str) -> None:
        """Delete an item unless it has changed since it was read."""
        with contextlib.suppress(Refused):
            await self._until_answered(
                "delete_item",
                Key={"id": {"S": id_}},
                ConditionExpression="v = :v",
                ExpressionAttributeValues={":v": {"S": stamp}},
            )

    # -- the wire ------------------------------------------------------------------

    async def _ask(self, operation: str, **arguments: Any) -> Any:
        if operation not in {"batch_get_item", "transact_write_items"}:
            arguments["TableName"] = self.address.table
        with self._in_words():
            answer = await getattr(self._client, operation)(**arguments)
            # A proxy's page, which the SDK accepts as an empty response.
            kind = str(answer["ResponseMetadata"]["HTTPHeaders"].get("content-type", ""))
            if not kind.startswith(_ANSWER):
                raise ValueError(kind)
            self._was_there = True
            return answer

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        from botocore import exceptions as sdk
        from botocore.parsers import ResponseParserError

        try:
            yield
        except sdk.ClientError as error:
            off = clock_is_off(error)
            raise (LedgerError(off) if off else self._meaning(error)) from error
        except no_credentials() as error:
            raise self._no_credentials(type(error).__name__) from error
        except sdk.ParamValidationError as error:
            raise self._cannot("got a request that DynamoDB does not support") from error
        except (sdk.BotoCoreError, ResponseParserError, OSError, ValueError, KeyError) as error:
            raise Unclear(type(error).__name__) from error

    def _meaning(self, error: Any) -> Exception:
        code = code_of(error)
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
        if code == "ConditionalCheckFailedException":
            return Refused(code)
        if code == "TransactionCanceledException":
            reasons = {
                str(reason.get("Code")) for reason in error.response.get("CancellationReasons", [])
            }
            if _REFUSED in reasons:
                return Refused(code)
            if reasons <= _PASSES:
                return Unclear(code)
            return self._cannot(f"refuses the write ({', '.join(sorted(reasons))})")
        if code in _NOT_YET or status >= 500:
            return Unclear(code)
        if is_of_credentials(error):
            return self._no_credentials(code)
        if code in FORBIDDEN:
            # A transaction of ours consists of updates, and is allowed as these are.
            action = error.operation_name.replace("TransactWriteItems", "UpdateItem")
            return LedgerError(
                f"The ledger {self.address} may not be used ({code}). Allow the credentials"
                f" dynamodb:{action} on the table."
            )
        if code == "ResourceNotFoundException":
            return self._lost() if self._was_there else self._missing()
        message = str(error.response.get("Error", {}).get("Message", ""))
        # A request for one item by its `id` is valid wherever that is the whole key. The
        # message differs for another name, another type and a sort key.
        if "key element does not match the schema" in message or (
            code == "ValidationException" and error.operation_name == "GetItem"
        ):
            return LedgerError(
                f"The table of the ledger {self.address} does not have the key of a ledger: one"
                " partition key `id` of type S. Choose another table with --ledger."
            )
        return self._cannot(f"cannot be used ({code})")

    def _missing(self) -> LedgerError:
        table, region = self.address.table, self._client.meta.region_name
        where = f"--table-name {table} --region {region}"
        return LedgerError(
            f"There is no table {table} in {region}, so there is no ledger. If there was one,"
            " restore it: an empty table does not know who was sent a code. Else create it with"
            f" `aws dynamodb create-table {where} --attribute-definitions"
            " AttributeName=id,AttributeType=S --key-schema AttributeName=id,KeyType=HASH"
            " --billing-mode PAY_PER_REQUEST --deletion-protection-enabled && aws dynamodb wait"
            f" table-exists {where} && aws dynamodb update-continuous-backups {where}"
            " --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true`, or choose"
            " another Region."
        )

    def _lost(self) -> LedgerError:
        # With an empty one in its place, all users would be sent a code again. A deleted table
        # with point-in-time recovery has a backup for 35 days:
        # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/PointInTimeRecovery_Howitworks.html
        table, region = self.address.table, self._client.meta.region_name
        return LedgerError(
            f"The table {table} in {region} no longer exists. Restore it before the next run: an"
            " empty one does not know who was sent a code. If it had point-in-time recovery, `aws"
            f" dynamodb list-backups --backup-type SYSTEM --region {region}` lists its backup."
        )

    def _no_credentials(self, why: str) -> LedgerError:
        return LedgerError(
            f"The AWS credentials for the ledger {self.address} are missing, invalid or expired"
            f" ({why}). Renew them, choose others with --profile, and set this machine's clock."
        )

    def _cannot(self, what: str) -> LedgerError:
        return LedgerError(
            f"The ledger {self.address} {what}. No messages are sent without it. Check the table"
            " and the Region."
        )

    def unreachable(self, why: BaseException | None) -> LedgerError:
        """Return the error for a table that did not respond, or that others wrote all the time."""
        return LedgerError(
            f"The ledger {self.address} was unreachable for {PATIENCE:.0f} seconds"
            f" ({why or 'others write to the same user'}). No messages are sent without it. Check"
            " the network, the Region and the table's capacity, then run again."
        )
