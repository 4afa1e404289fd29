"""The responses of AWS, as facts. Pure; raises what a wrong shape raises.

The client secret is compared here, in constant time, and is in no fact.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from batch_resend.masking import printable
from batch_resend.preflight.facts import SUPPRESSES, ClientFacts, PoolFacts, Secret


def read_pool(pool: Mapping[str, Any]) -> PoolFacts:
    """Read a user pool."""
    mail = pool.get("EmailConfiguration") or {}
    return PoolFacts(
        account=of_arn(pool.get("Arn") or "", 4),
        verifies=tuple(map(str, pool.get("AutoVerifiedAttributes") or ())),
        aliases=tuple(map(str, pool.get("AliasAttributes") or ())),
        by_ses=mail.get("EmailSendingAccount") == "DEVELOPER",
        source_arn=str(mail.get("SourceArn") or ""),
        configuration_set=str(mail.get("ConfigurationSet") or ""),
        triggers=tuple(
            sorted(name for name, value in (pool.get("LambdaConfig") or {}).items() if value)
        ),
        sms_region=str((pool.get("SmsConfiguration") or {}).get("SnsRegion") or ""),
        sms_failure=printable(str(pool.get("SmsConfigurationFailure") or "")),
        # Absent in pools made before 2020-02-12, or by other means than the console: sensitive.
        case_sensitive=(pool.get("UsernameConfiguration") or {}).get("CaseSensitive") is not False,
        users=int(pool.get("EstimatedNumberOfUsers") or 0),
        tier=str(pool.get("UserPoolTier") or ""),
    )


def read_client(client: Mapping[str, Any], own_secret: str | None) -> ClientFacts:
    """Read an app client, and how its secret compares with the one that was given."""
    needed = client.get("ClientSecret")
    if needed:
        if own_secret is None:
            secret = Secret.MISSING
        else:
            same = hmac.compare_digest(str(needed).encode(), own_secret.encode())
            secret = Secret.MATCHES if same else Secret.DIFFERS
    else:
        secret = Secret.NOT_NEEDED if own_secret is None else Secret.SUPERFLUOUS
    return ClientFacts(
        secret=secret, hides_existence=client.get("PreventUserExistenceErrors") == "ENABLED"
    )


def read_reasons(attributes: Any) -> tuple[str, ...]:
    """Return the reasons for suppression in an account; by default both."""
    reasons = (attributes or {}).get("SuppressedReasons")
    return SUPPRESSES if reasons is None else tuple(map(str, reasons))


def of_arn(arn: str, part: int) -> str:
    """Return a part of an ARN: 3 is the Region, 4 the account."""
    parts = str(arn).split(":")
    return parts[part] if len(parts) > part else ""


def positive(value: Any) -> float:
    """Read a quota."""
    number = float(value)
    if not number > 0:
        raise ValueError("a quota is above 0")
    return number
