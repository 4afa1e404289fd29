"""What it means for a run who cannot be reached, and which evidence of it is kept. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from batch_resend.preflight.facts import PoolFacts, ReachFacts, Unknown
from batch_resend.preflight.finding import Finding, ok, warning
from batch_resend.wording import grouped, listed

_WORDS = {"BOUNCE": "bounces", "COMPLAINT": "complaints"}


def reach_findings(pool: PoolFacts, reach: ReachFacts) -> Iterator[Finding]:
    """Yield who gets nothing, and what is recorded of deliveries and requests."""
    if reach.suppresses is not None:
        yield from _suppression(pool, reach)
    if isinstance(reach.opted_out, int):
        numbers = grouped(reach.opted_out, "number")
        yield ok(
            "opted out",
            f"SNS sends nothing to {numbers} that opted out; users with such a number are skipped."
            if reach.opted_out
            else "No telephone number has opted out of text messages.",
        )
    if isinstance(reach.exports, tuple):
        if "userNotification" in reach.exports:
            yield ok("log export", "Cognito logs messages that could not be sent (log export).")
        else:
            yield ok("log export", "Cognito does not log messages that could not be sent.")
    if reach.history is True:
        yield ok(
            "event history",
            "CloudTrail's event history can be queried: `reconcile` can settle unknown outcomes.",
        )


def _suppression(pool: PoolFacts, reach: ReachFacts) -> Iterator[Finding]:
    if pool.configuration_set:
        own = " and its own suppression list settings" if isinstance(reach.of_set, tuple) else ""
        yield ok(
            "configuration set",
            f"Mails are sent with a configuration set{own}.",
        )
    else:
        yield ok("configuration set", "Mails are sent without a configuration set.")
    if not reach.suppresses:
        yield warning(
            "suppression",
            "Amazon SES's suppression list is off: addresses that bounced before are mailed again,"
            " which harms the account's reputation.",
        )
    elif not isinstance(reach.suppressed, Unknown):
        why = listed([_WORDS.get(reason, "others") for reason in reach.suppresses])
        recipients = grouped(reach.suppressed or 0, "recipient")
        skipped = "; users with such an address are skipped" if reach.suppressed else ""
        yield ok("suppression", f"Amazon SES suppresses {recipients} after {why}{skipped}.")
