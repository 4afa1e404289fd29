"""Files that TLS needs on this machine, checked before a library fails on them.

Each is a setting of the environment, so an error names the setting, in a sentence.
"""

from __future__ import annotations

import os
import ssl
import sys
from typing import TYPE_CHECKING

from batch_resend.errors import SettingsError
from batch_resend.masking import printable

if TYPE_CHECKING:
    from aiobotocore.session import AioSession


def check_key_log() -> None:
    """Refuse a SSLKEYLOGFILE that cannot be written; call it before aiohttp is imported.

    Python appends the keys of every TLS connection to it, for Wireshark and the like, and
    raises where it cannot, even while a module is imported. Raises `SettingsError`.
    """
    path = os.environ.get("SSLKEYLOGFILE")
    if not path or sys.flags.ignore_environment:
        return
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a valid path"
        raise SettingsError(
            f"SSLKEYLOGFILE {printable(path)} cannot be written ({why}). Unset it, or choose a file"
            " that can be written."
        ) from error


def check_bundle(session: AioSession) -> None:
    """Refuse a CA bundle that cannot be used; name it, which the SDK's error does not.

    Raises `SettingsError`.
    """
    path = session.get_config_variable("ca_bundle")
    if not path:
        return
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        raise SettingsError(
            f"The CA bundle {path} (AWS_CA_BUNDLE, or ca_bundle in AWS's own settings) cannot be"
            f" used ({error.strerror}). Choose a file of certificates in PEM format."
        ) from error
