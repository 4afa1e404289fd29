"""What a run is about, with every field given that has no default."""

from __future__ import annotations

from typing import Any

from batch_resend.model import RunInfo


def info(**changed: Any) -> RunInfo:
    fields: dict[str, Any] = {
        "version": "0.1.0",
        "input": "users.csv",
        "client_id": "abc",
        "region": "eu-west-1",
        "endpoint": "https://cognito-idp.eu-west-1.amazonaws.com",
        "endpoint_is_aws": True,
        "report": "report.csv",
    }
    return RunInfo(**(fields | changed))
