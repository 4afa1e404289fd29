"""What the tests of the ledgers share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from batch_resend.ledger.dynamodb import table
from tests.support.dynamodb import (
    Line,
    made_table,
    use,
)
from tests.support.ledgers import Ledger


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a path for a ledger file."""
    return tmp_path / "state" / "ledger.sqlite3"


@pytest.fixture
def credentials(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point this process to moto's DynamoDB, and wait for it on a busy machine."""
    use(moto_url, monkeypatch)
    monkeypatch.setattr(table, "PATIENCE", 600.0)


@pytest.fixture
def name(moto_url: str) -> Iterator[str]:
    with made_table(moto_url) as table:
        yield table


@pytest.fixture
async def line(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Line]:
    async with Line(moto_url).running() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", server.url)
        monkeypatch.setattr(table, "ONE_TRY", 2.0)
        yield server


@pytest.fixture(params=["sqlite", "dynamodb"])
def ledger(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    moto_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Ledger]:
    if request.param == "sqlite":
        yield Ledger(str(tmp_path / "ledger.sqlite3"))
        return
    use(moto_url, monkeypatch)
    with made_table(moto_url) as table:
        yield Ledger(f"dynamodb://{table}")
