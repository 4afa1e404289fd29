"""What the tests of the sources share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def users(tmp_path: Path) -> Path:
    return tmp_path / "users.csv"
