"""Where the app client's secret comes from: a file, a pipe, a variable, or AWS.

The promise: a secret is returned and kept nowhere, and no message shows it.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import stat

import anyio

from batch_resend.aws import secrets
from batch_resend.errors import InputError
from batch_resend.run.backends import target_of
from batch_resend.settings import Settings
from batch_resend.sources.text_input import without_waiting

_LONGEST = 4096  #: bytes


async def client_secret(settings: Settings) -> str | None:
    """Return the app client's secret from the place in the settings, if it has one."""
    target = target_of(settings)
    if settings.client_secret is not None:
        return _checked(await settings.client_secret.read(), "client_secret")
    if settings.client_secret_file is not None:
        text = await secret_from_file(settings.client_secret_file)
        return _checked(text, f"--client-secret-file {settings.client_secret_file}")
    if settings.client_secret_id is not None:
        if secrets.is_parameter(settings.client_secret_id):
            text = await secrets.stored_parameter(target, settings.client_secret_id)
        else:
            text = await secrets.stored_secret(target, settings.client_secret_id)
        with contextlib.suppress(ValueError):
            stored = json.loads(text)
            if isinstance(stored, dict):
                text = str(stored.get("client_secret") or stored.get("ClientSecret") or "")
        return _checked(text, f"--client-secret-id {settings.client_secret_id}")
    if settings.fetch_client_secret:
        return await secrets.client_secret(target, settings.user_pool_id, settings.client_id)
    secret = os.environ.get("BATCH_RESEND_CLIENT_SECRET")
    return None if secret is None else _checked(secret, "BATCH_RESEND_CLIENT_SECRET")


async def secret_from_file(path: str) -> str:
    """Read a secret from a pipe, or from a file that other users cannot read."""
    try:
        with io.FileIO(path, opener=without_waiting) as file:
            status = os.fstat(file.fileno())
            text = (await _beginning(file)).decode("utf-8-sig")
    except OSError as error:
        raise InputError(
            f"--client-secret-file {path} cannot be read ({error.strerror}): name a file that"
            " holds the secret and nothing else."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"--client-secret-file {path} is not text.") from error
    if not stat.S_ISREG(status.st_mode):
        return text
    if status.st_uid not in {0, os.geteuid()}:
        raise InputError(
            f"--client-secret-file {path} belongs to another user, who can replace the secret:"
            " use a file of your own."
        )
    if status.st_mode & stat.S_IROTH:
        raise InputError(
            f"--client-secret-file {path} can be read by all users of this machine: chmod 600 it."
        )
    return text


async def _beginning(file: io.FileIO) -> bytes:
    """Read at most as much as a secret may have; a pipe is waited for."""
    data = b""
    while len(data) < _LONGEST:
        piece = file.read(_LONGEST - len(data))
        if piece is None:
            await anyio.wait_readable(file)
        elif not piece:
            break
        else:
            data += piece
    return data


def _checked(secret: str, origin: str) -> str:
    secret = secret.strip()
    if not secret or not secret.isprintable() or " " in secret or secret[0] in "{[\"'":
        raise InputError(
            f"{origin} holds no client secret: one word, and nothing else (no JSON, no quotes)."
        )
    return secret
