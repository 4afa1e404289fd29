"""The credentials of a process: loaded once for all its clients, with clear errors.

The promises: a person is prompted for an MFA code once, whatever the number of clients, and
never without a terminal; what cannot work is reported before a request needs it, with the
profile, and with the file or the program that it names.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import anyio

from batch_resend.errors import SettingsError
from batch_resend.masking import printable

if TYPE_CHECKING:
    from aiobotocore.credentials import AioCredentials
    from aiobotocore.session import AioSession

_LONGEST_CHAIN = 10  #: profiles that name each other as their source


class BadCredentials(SettingsError):
    """The profile's credentials cannot be loaded."""


@dataclass(slots=True)
class _Found:
    """The credentials loaded in one event loop, by what they depend on."""

    credentials: dict[object, AioCredentials] = field(default_factory=dict)
    turn: anyio.Lock = field(default_factory=anyio.Lock)


_FOUND: WeakKeyDictionary[asyncio.AbstractEventLoop, _Found] = WeakKeyDictionary()


class SharedCredentials:
    """The SDK's component that finds credentials: one search for all sessions of a profile."""

    def __init__(self, session: AioSession) -> None:
        self._session = session

    async def load_credentials(self) -> AioCredentials | None:
        """Return the credentials that were loaded first; load them if there are none."""
        from aiobotocore.credentials import create_credential_resolver

        cache = _FOUND.setdefault(asyncio.get_running_loop(), _Found())
        variables = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        key = (_profile(self._session), tuple(sorted(variables.items())))
        async with cache.turn:
            if key not in cache.credentials:
                resolver = create_credential_resolver(
                    self._session, region_name=self._session.get_config_variable("region")
                )
                credentials = await resolver.load_credentials()
                if credentials is None:
                    return None
                cache.credentials[key] = credentials
            return cache.credentials[key]


async def ready(session: AioSession) -> None:
    """Load the credentials now, as far as a person, a program or a file is needed for them.

    Raises `BadCredentials`. Errors that only a request can show are left to the request.
    """
    from botocore.exceptions import BotoCoreError

    name, profile = _profile(session), _settings(session)
    program = str(profile.get("credential_process") or "")
    try:
        credentials = await session.get_credentials()
        method = getattr(credentials, "method", "")
        if credentials is not None and method == "custom-process":
            await credentials.get_frozen_credentials()
    except (OSError, ValueError, RuntimeError) as error:
        raise BadCredentials(_of_program(name, program, error)) from error
    except BotoCoreError as error:
        if program and _is_of_program(error):
            raise BadCredentials(_of_program(name, program, error)) from error
        return
    if method == "assume-role-with-web-identity":
        _check_token_file(name, profile)
    if credentials is not None and method == "assume-role" and needs_code(session):
        await _ask_for_code(name, credentials)


def _is_of_program(error: Exception) -> bool:
    return getattr(error, "kwargs", {}).get("provider") == "custom-process"


def _of_program(name: str, program: str, error: Exception) -> str:
    """Describe the fault of a credential_process; its arguments are not shown."""
    try:
        first = printable(shlex.split(program)[0])
    except (ValueError, IndexError):
        first = "the program"
    if isinstance(error, OSError):
        what = f"cannot be run ({error.strerror})"
    elif isinstance(error, RuntimeError):
        what = "gave credentials that have expired"
    elif isinstance(error, ValueError):
        what = "did not answer in JSON"
    else:
        said = str(getattr(error, "kwargs", {}).get("error_msg", "")).strip().split("\n")[0]
        what = f"failed ({printable(said)[:200]})" if said else "failed"
    return (
        f"The credential_process of the AWS profile {printable(name)}, {first}, {what}: correct it"
        " in AWS's own settings, or choose another --profile."
    )


def _check_token_file(name: str, profile: Mapping[str, Any]) -> None:
    variable = os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")
    path = str(profile.get("web_identity_token_file") or variable or "")
    try:
        Path(path).read_bytes()
    except OSError as error:
        raise BadCredentials(
            f"The web identity token file {printable(path)} of the AWS profile {printable(name)}"
            f" cannot be read ({error.strerror}): correct web_identity_token_file, or choose"
            " another --profile."
        ) from error


async def _ask_for_code(name: str, credentials: AioCredentials) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    # Without a terminal the SDK would read the code from standard input: a line of the users.
    if not _terminal():
        raise BadCredentials(
            f"The AWS profile {printable(name)} needs an MFA code, and there is no terminal to ask"
            " for it: run at a terminal, or use credentials that need no code."
        )
    try:
        # A code works once: it must not be requested again.
        with anyio.CancelScope(shield=True):
            await credentials.get_frozen_credentials()
    except EOFError as error:
        raise BadCredentials(
            f"No MFA code was given for the AWS profile {printable(name)}: run again."
        ) from error
    except (BotoCoreError, ClientError) as error:
        code = getattr(error, "response", {}).get("Error", {}).get("Code")
        raise BadCredentials(
            f"AWS did not accept the MFA code for the profile {printable(name)}"
            f" ({printable(str(code or type(error).__name__))}): wait for the next code and run"
            " again."
        ) from error


def _terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return sys.stdin is not None and sys.stdin.isatty()
    return True


def needs_code(session: AioSession) -> bool:
    """Whether the profile, or one that it is based on, needs an MFA code."""
    profiles = session.full_config.get("profiles", {})
    name = _profile(session)
    for _ in range(_LONGEST_CHAIN):
        profile = profiles.get(name, {})
        if profile.get("mfa_serial"):
            return True
        name = profile.get("source_profile", "")
    return False


def _settings(session: AioSession) -> Mapping[str, Any]:
    profile: Mapping[str, Any] = session.full_config.get("profiles", {}).get(_profile(session), {})
    return profile


def _profile(session: AioSession) -> str:
    return str(session.get_config_variable("profile") or "default")
