"""A check for people, in lines, and for programs, as JSON. Pure."""

from __future__ import annotations

import textwrap
from typing import Any

from batch_resend.preflight.check import CheckResult
from batch_resend.preflight.finding import Level
from batch_resend.wording import grouped

SCHEMA = 1
_WIDTH = 80


def lines(result: CheckResult) -> list[str]:
    """Return the findings for a person, 80 columns wide: a verdict at the end."""
    text = []
    for finding in result.findings:
        text += textwrap.wrap(
            finding.text,
            _WIDTH,
            initial_indent=f"{finding.level:<9}",
            subsequent_indent=" " * 9,
            break_long_words=False,
            break_on_hyphens=False,
        )
    stops, warnings = (len(result.of(level)) for level in (Level.STOP, Level.WARNING))
    if stops:
        text.append(f"The run cannot start: {grouped(stops, 'blocking problem')}.")
    elif warnings:
        text.append(f"Ready to run, with {grouped(warnings, 'warning')}.")
    else:
        text.append("Ready to run.")
    return text


def as_json(result: CheckResult) -> dict[str, Any]:
    """Return the check in the form for programs."""
    facts, run, estimate = result.facts, result.run, result.estimate
    return {
        "schema": SCHEMA,
        "findings": [
            {"level": str(finding.level), "about": finding.about, "text": finding.text}
            for finding in result.findings
        ],
        "user_pool_id": run.user_pool_id,
        "client_id": run.client_id,
        "account": facts.account_id,
        "region": run.region,
        "endpoint": run.endpoint,
        "endpoint_is_aws": run.endpoint_is_aws,
        "users": result.users,
        "users_are_counted": run.users is not None,
        "quota": facts.quota,
        "rate": result.rate,
        "seconds": None if estimate is None else round(estimate.seconds, 1),
        "finished_on": None if estimate is None else estimate.finished_on,
        "existence_hidden": facts.hides_existence,
        "exit_code": int(result.exit_code),
    }
