"""How long a table is asked again, in virtual time: a client that fails for a while, or always."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest
from botocore.exceptions import EndpointConnectionError

from batch_resend.errors import LedgerError
from batch_resend.ledger.dynamodb.address import TableAddress
from batch_resend.ledger.dynamodb.table import PATIENCE, Change, Table
from tests.support.world import virtually

OK = {"ResponseMetadata": {"HTTPHeaders": {"content-type": "application/x-amz-json-1.0"}}}


class Client:
    """A client with responses from a list, then always the last; it notes the times."""

    def __init__(self, *responses: dict[str, Any] | None) -> None:
        self.meta = SimpleNamespace(region_name="eu-west-1")
        self.responses = list(responses)
        self.asked: list[float] = []

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        async def call(**arguments: Any) -> dict[str, Any]:
            self.asked.append(anyio.current_time())
            now = self.responses.pop(0) if len(self.responses) > 1 else self.responses[0]
            if now is None:
                raise EndpointConnectionError(endpoint_url="http://table.example")
            return OK | now

        return call


def table(client: Client) -> Table:
    return Table(cast("Any", client), TableAddress("batch-resend"))


def test_dead_table_is_given_up_after_its_patience() -> None:
    client = Client(None)

    async def read() -> float:
        begun = anyio.current_time()
        with pytest.raises(LedgerError, match=r"20 seconds \(EndpointConnectionError\)"):
            await table(client).get_one("a")
        return anyio.current_time() - begun

    waited = virtually(read)
    assert PATIENCE - 2.0 <= waited <= PATIENCE
    pauses = [later - at for at, later in zip(client.asked, client.asked[1:], strict=False)]
    assert len(client.asked) > 10
    assert max(pauses[:3]) <= 0.2  # short at first
    assert max(pauses) <= 2.0


def test_read_is_repeated_until_it_has_a_response() -> None:
    client = Client(None, None, {"Item": {"id": {"S": "a"}}})
    assert virtually(lambda: table(client).get_one("a")) == {"id": {"S": "a"}}
    assert len(client.asked) == 3


def test_change_that_may_be_made_twice_is_repeated() -> None:
    client = Client(None, {})
    change = Change("a", "SET v = :v", "attribute_exists(id)", {":v": {"S": "1"}})
    assert virtually(lambda: table(client).change_in_the_end(change)) is True
    assert len(client.asked) == 2


def test_items_that_were_left_out_are_read_again() -> None:
    left = {"batch-resend": {"Keys": [{"id": {"S": "b"}}]}}
    client = Client(
        {"Responses": {"batch-resend": [{"id": {"S": "a"}}]}, "UnprocessedKeys": left},
        {"Responses": {"batch-resend": [{"id": {"S": "b"}}]}, "UnprocessedKeys": {}},
    )
    items = virtually(lambda: table(client).get(["a", "b"]))
    assert [item["id"]["S"] for item in items] == ["a", "b"]


def test_items_that_are_always_left_out_end_the_patience() -> None:
    left = {"batch-resend": {"Keys": [{"id": {"S": "b"}}]}}
    client = Client({"Responses": {}, "UnprocessedKeys": left})

    async def read() -> float:
        begun = anyio.current_time()
        with pytest.raises(LedgerError, match=r"20 seconds \(UnprocessedKeys\)"):
            await table(client).get(["a", "b"])
        return anyio.current_time() - begun

    assert PATIENCE - 2.0 <= virtually(read) <= PATIENCE
