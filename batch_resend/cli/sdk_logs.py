"""The SDK's loggers: set by the program for its own process, never for a host's.

A Python program that calls `batch_resend` has its own loggers, which are left alone.
"""

from __future__ import annotations

import logging

_SDK = ("boto3", "botocore", "aiobotocore", "aioboto3", "aiohttp", "urllib3")


def quiet() -> None:
    """Raise the SDK's log level to INFO: its debug log shows names and secret hashes."""
    for name in _SDK:
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.INFO))
        logger.addHandler(logging.NullHandler())  # what it has to say ends in our sentences
