"""The listing of a pool's users by the real client, on moto's server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aioboto3
import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from batch_resend.errors import InputError, SettingsError, StaleListing
from batch_resend.sources.cognito import CognitoSource
from tests.support.listings import listing, names

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The SDK needs asyncio."""
    return "asyncio"


@pytest.fixture(autouse=True)
def environment(without_aws_settings: None, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    return monkeypatch


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


class Pool:
    """A pool of moto's with that many users; every fifth has confirmed."""

    def __init__(self, url: str, users: int) -> None:
        self.cognito = boto3.client("cognito-idp", endpoint_url=url)
        self.id = self.cognito.create_user_pool(PoolName="pool")["UserPool"]["Id"]
        app = self.cognito.create_user_pool_client(UserPoolId=self.id, ClientName="app")
        for n in range(users):
            self.cognito.sign_up(
                ClientId=app["UserPoolClient"]["ClientId"],
                Username=f"user-{n}",
                Password="Passw0rd!",
                UserAttributes=[{"Name": "email", "Value": f"user-{n}@example.com"}],
            )
            if n % 5 == 0:
                self.confirm(n)

    def confirm(self, n: int) -> None:
        self.cognito.admin_confirm_sign_up(UserPoolId=self.id, Username=f"user-{n}")


@asynccontextmanager
async def real_client(url: str) -> AsyncIterator[Any]:
    config = Config(connect_timeout=2, retries={"total_max_attempts": 1})
    async with aioboto3.Session().client("cognito-idp", endpoint_url=url, config=config) as client:
        yield client


async def test_every_user_of_a_real_listing_comes_exactly_once(moto: str) -> None:
    before = datetime.now(UTC).timestamp()
    pool = await asyncio.to_thread(Pool, moto, 130)
    async with real_client(moto) as client:
        source = listing(client, pool.id, frozenset({"email"}))
        await source.open()
        batches = [batch async for batch in source.batches()]
    candidates = [candidate for batch in batches for candidate in batch]
    expected = [f"user-{n}" for n in range(130) if n % 5]
    assert sorted(c.username for c in candidates) == sorted(expected)
    assert [c.row for c in candidates] == list(range(1, 105))
    assert [len(batch) for batch in batches] == [60, 44]
    first = candidates[0]
    assert (first.status, first.enabled) == ("UNCONFIRMED", True)
    assert first.attributes == {"email": f"{first.username}@example.com"}
    assert first.raw == f"{first.username},{first.username}@example.com\n"
    assert len(first.aliases) == 2
    assert first.created is not None
    assert before - 1 <= first.created <= datetime.now(UTC).timestamp() + 1


async def test_real_listing_whose_users_confirm_is_stale(moto: str) -> None:
    pool = await asyncio.to_thread(Pool, moto, 80)
    async with real_client(moto) as client:
        source = listing(client, pool.id)
        await source.open()
        # The first user of the second page, at which moto's token stands.
        await asyncio.to_thread(pool.confirm, 76)
        with pytest.raises(StaleListing):
            [batch async for batch in source.batches()]
        assert len(await names(source)) == 63


async def test_the_real_clients_errors_are_said_in_a_sentence(
    moto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = await asyncio.to_thread(Pool, moto, 0)
    async with real_client(moto) as client:
        assert await names(listing(client, pool.id)) == []
        with pytest.raises(SettingsError, match="eu-west-1_Pool does not exist in this Region"):
            await listing(client).open()
        with pytest.raises(SettingsError, match="--user-pool-id"):
            await listing(client, "").open()
        with pytest.raises(InputError, match="--filter"):
            await CognitoSource(client, pool.id, filter="unconfirmed", keep=frozenset()).open()
    async with real_client("http://127.0.0.1:1") as client:
        with pytest.raises(SettingsError, match="cannot be reached"):
            await listing(client).open()
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    async with real_client(moto) as client:
        with pytest.raises(SettingsError, match="credentials"):
            await listing(client).open()
