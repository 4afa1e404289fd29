"""What the tests of AWS's wire share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from batch_resend.cli.sdk_logs import quiet

SDK = ("boto3", "botocore", "aiobotocore", "aioboto3", "aiohttp", "urllib3")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # which aiohttp needs


@pytest.fixture
def all_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Turn on the most verbose logging."""
    loggers = [logging.getLogger(name) for name in SDK]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.NOTSET)
    quiet()  # as the program does
    with caplog.at_level(logging.DEBUG):
        yield caplog
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)
