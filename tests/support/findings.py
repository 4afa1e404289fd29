"""Facts about a pool, and the finding that each becomes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from batch_resend.preflight.facts import (
    ClientFacts,
    Facts,
    PoolFacts,
    ReachFacts,
    Secret,
    SesFacts,
    Unknown,
    Usage,
    Why,
)
from batch_resend.preflight.finding import Level, ProposedRun

OK, WARNING, STOP = Level.OK, Level.WARNING, Level.STOP


POOL = PoolFacts(
    account="123456789012", verifies=("email",), by_ses=True, users=5000, tier="ESSENTIALS"
)


SES = SesFacts(a_day=50000, sent=0, a_second=100)


GOOD = Facts(
    pool=POOL,
    client=ClientFacts(secret=Secret.MATCHES),
    provisioned=50.0,
    applied=50.0,
    ses=SES,
    usage=Usage(peak=2.0),
    account="123456789012",
)


WISH = ProposedRun(
    user_pool_id="eu-west-1_AbCdEf123",
    client_id="abc",
    region="eu-west-1",
    endpoint="https://cognito-idp.eu-west-1.amazonaws.com",
    endpoint_is_aws=True,
    now=datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp(),
    users=1200,
)


def facts(**changes: Any) -> Facts:
    return replace(GOOD, **changes)


def pool(**changes: Any) -> Facts:
    return facts(pool=replace(POOL, **changes))


def own_sender(**changes: Any) -> Facts:
    return facts(pool=replace(POOL, by_ses=False, **changes), ses=None)


def wish(**changes: Any) -> ProposedRun:
    return replace(WISH, **changes)


FORBIDDEN = Unknown("x:Y", Why.FORBIDDEN, "AccessDeniedException")


NOT_FOUND = Unknown("x:Y", Why.NOT_FOUND, "ResourceNotFoundException")


def reach(**changes: Any) -> Facts:
    return facts(reach=ReachFacts(**changes))


BOTH = ("BOUNCE", "COMPLAINT")


FINDINGS: dict[str, tuple[Facts, ProposedRun, str, Level, str]] = {
    # names
    "case-sensitive": (
        pool(), WISH, "case", OK,
        "The pool is case-sensitive: a file must spell each username exactly as the pool does.",
    ),
    "not case-sensitive": (
        pool(case_sensitive=False), wish(listed=False), "case", OK,
        "The pool is not case-sensitive: names in a file that differ only in case are one user.",
    ),
    # reach
    "suppressed": (
        reach(suppressed=1204, suppresses=BOTH), WISH, "suppression", OK,
        "Amazon SES suppresses 1,204 recipients after bounces and complaints; users with such an"
        " address are skipped.",
    ),
    "none suppressed": (
        reach(suppressed=0, suppresses=("BOUNCE",)), WISH, "suppression", OK,
        "Amazon SES suppresses 0 recipients after bounces.",
    ),
    "suppression is off": (
        reach(suppresses=()), WISH, "suppression", WARNING,
        "Amazon SES's suppression list is off: addresses that bounced before are mailed again",
    ),
    "suppression is not known": (
        reach(suppressed=FORBIDDEN, suppresses=BOTH), WISH, "suppression", WARNING,
        "Could not determine which addresses Amazon SES suppresses; allow x:Y.",
    ),
    "no configuration set": (
        reach(suppressed=0, suppresses=BOTH), WISH, "configuration set", OK,
        "Mails are sent without a configuration set.",
    ),
    "configuration set is not known": (
        reach(of_set=FORBIDDEN), WISH, "configuration set", WARNING,
        "Could not determine what the configuration set suppresses; allow x:Y.",
    ),
    "opted out": (
        reach(opted_out=1), WISH, "opted out", OK,
        "SNS sends nothing to 1 number that opted out; users with such a number are skipped.",
    ),
    "opted out is not known": (
        reach(opted_out=FORBIDDEN), WISH, "opted out", WARNING,
        "Could not determine which numbers have opted out of text messages; allow x:Y.",
    ),
    "failed deliveries are not logged": (
        reach(exports=("userAuthEvents",)), WISH, "log export", OK,
        "Cognito does not log messages that could not be sent.",
    ),
    "log export is not known": (
        reach(exports=FORBIDDEN), WISH, "log export", WARNING,
        "Could not determine whether failed deliveries are logged; allow x:Y.",
    ),
    "history": (
        reach(history=True), WISH, "event history", OK,
        "CloudTrail's event history can be queried",
    ),
    "history is not known": (
        reach(history=FORBIDDEN), WISH, "event history", WARNING,
        "Could not determine whether CloudTrail's event history can be queried; allow x:Y.",
    ),
    # where
    "no such pool": (
        facts(pool=NOT_FOUND, client=NOT_FOUND), WISH, "pool", STOP,
        "User pool eu-west-1_AbCdEf123 does not exist in eu-west-1",
    ),
    "another Region": (
        GOOD, wish(region="eu-west-2"), "region", WARNING,
        "The pool's primary Region is eu-west-1, not eu-west-2. A replica may refuse",
    ),
    "China": (
        GOOD, wish(region="cn-north-1"), "region", STOP, "Cognito has no user pools in China",
    ),
    "GovCloud": (
        GOOD,
        wish(
            user_pool_id="us-gov-west-1_A", region="us-gov-west-1",
            endpoint="https://cognito-idp-fips.us-gov-west-1.amazonaws.com",
        ),
        "endpoint", OK, "FIPS endpoint of GovCloud",
    ),
    "GovCloud without FIPS": (
        GOOD,
        wish(
            user_pool_id="us-gov-west-1_A", region="us-gov-west-1",
            endpoint="https://cognito-idp.us-gov-west-1.amazonaws.com",
        ),
        "endpoint", STOP, "GovCloud has FIPS endpoints only",
    ),
    "another endpoint": (
        GOOD, wish(endpoint="http://127.0.0.1:4570", endpoint_is_aws=False), "endpoint", WARNING,
        "all usernames will be sent to http://127.0.0.1:4570",
    ),
    # the client
    "another pool's client": (
        facts(client=NOT_FOUND), WISH, "client", STOP, "The pool has no app client abc",
    ),
    "a missing secret": (
        facts(client=ClientFacts(secret=Secret.MISSING)), WISH, "secret", STOP,
        "has a secret, and none was passed",
    ),
    "another secret": (
        facts(client=ClientFacts(secret=Secret.DIFFERS)), WISH, "secret", WARNING,
        "is not the one that Cognito shows",
    ),
    "a needless secret": (
        facts(client=ClientFacts(secret=Secret.SUPERFLUOUS)), WISH, "secret", WARNING,
        "the app client has none. Leave it out",
    ),
    "no secret": (
        facts(client=ClientFacts()), WISH, "secret", OK, "has no secret, and none was passed",
    ),
    "hidden existence, names from a file": (
        facts(client=ClientFacts(hides_existence=True)), wish(listed=False), "existence", WARNING,
        "`sent` may include names that do not exist",
    ),
    "hidden existence, listed users": (
        facts(client=ClientFacts(hides_existence=True)), WISH, "existence", OK,
        "listed users do exist",
    ),
    # the pool
    "no verification": (
        pool(verifies=()), WISH, "verification", STOP, "Automatic verification is off",
    ),
    "telephone numbers": (
        pool(verifies=("phone_number",)), WISH, "verification", WARNING,
        "every code is a text message, which costs money",
    ),
    "both": (
        pool(verifies=("email", "phone_number")), WISH, "verification", WARNING,
        "users with a telephone number get a text message",
    ),
    "the SNS sandbox": (
        pool(verifies=("phone_number",), sms_failure="SNSSandbox"), WISH, "sms", WARNING,
        "a problem with text messages (SNSSandbox)",
    ),
    "an alias pool and a file": (
        pool(aliases=("email", "phone_number", "preferred_username")), wish(listed=False),
        "aliases", WARNING, "addresses and telephone numbers are aliases",
    ),
    "a message trigger": (
        pool(triggers=("PreSignUp", "CustomMessage")), WISH, "triggers", WARNING,
        "CustomMessage runs for every user, up to 25 times per second",
    ),
    "two triggers": (
        pool(triggers=("CustomSMSSender", "CustomEmailSender")), WISH, "triggers", WARNING,
        "CustomEmailSender and CustomSMSSender run for every user",
    ),
    "a trigger that does not fire": (
        pool(triggers=("PreSignUp", "PostConfirmation")), WISH, "triggers", OK, "No Lambda trigger",
    ),
    # the sender
    "Cognito's own sender, too many": (
        own_sender(), WISH, "mail quota", WARNING,
        "sends 50 mails per day for the whole account, so 1,200 users would take until 2026-12-16",
    ),
    "Cognito's own sender, few": (
        own_sender(), wish(users=50), "mail quota", OK, "enough for 50 users, if the account sends",
    ),
    "Cognito's own sender, users not counted": (
        own_sender(), wish(users=None), "mail quota", WARNING, "so all of the pool's 5,000 users",
    ),
    "Cognito's own sender, number of users not known": (
        own_sender(users=0), wish(users=None), "mail quota", WARNING,
        "Make sure that this is enough",
    ),
    "SES's quota": (
        facts(ses=replace(SES, a_day=1000, sent=400)), WISH, "mail quota", WARNING,
        "sends 1,000 mails per day, 600 left today, so 1,200 users would take until 2026-11-24",
    ),
    "no SES quota": (
        facts(ses=replace(SES, a_day=-1)), WISH, "mail quota", OK, "no daily quota",
    ),
    "SES's sandbox": (
        facts(ses=replace(SES, sandbox=True)), WISH, "ses", WARNING, "verified addresses only",
    ),
    "SES paused": (
        facts(ses=replace(SES, sending=False)), WISH, "ses", STOP, "has paused",
    ),
    "SES paused, and some get text messages": (
        facts(pool=replace(POOL, verifies=("email", "phone_number")),
              ses=replace(SES, sending=False)),
        WISH, "ses", WARNING, "has paused",
    ),
    "SES shut down": (
        facts(ses=replace(SES, status="SHUTDOWN")), WISH, "ses", STOP, "has paused",
    ),
    "SES on probation": (
        facts(ses=replace(SES, status="PROBATION")), WISH, "ses", WARNING, "under review",
    ),
    "SES's rate": (
        facts(ses=replace(SES, a_second=14)), WISH, "ses rate", WARNING,
        "14 mails per second, less than the rate of 25: use --rate 14.",
    ),
    # the pace
    "a provisioned quota": (
        facts(provisioned=200.0), WISH, "pace", OK,
        "The quota is 200 per second (enforced now), the rate limit 100. 1,200 users take at "
        "least 12 s.",
    ),
    "Service Quotas without the enforced rate": (
        facts(provisioned=FORBIDDEN, applied=80.0), wish(share=0.25), "pace", OK,
        "The quota is 80 per second (Service Quotas), the rate limit 20.",
    ),
    "no quota": (
        facts(provisioned=FORBIDDEN, applied=FORBIDDEN), WISH, "pace", OK,
        "The quota is assumed to be Cognito's default of 50 per second; the rate limit is 25.",
    ),
    "a pace above the quota": (
        GOOD, wish(rate=80.0), "pace", WARNING, "--rate 80 is above the quota of 50 per second",
    ),
    "a busy hour": (
        facts(usage=Usage(peak=33.333)), WISH, "usage", WARNING,
        "Other traffic peaked at 33.3 per second in the last hour. With 25 more the"
        " quota is used up: use --rate 16.7.",
    ),
    "a full hour": (
        facts(usage=Usage(peak=49.9)), WISH, "usage", WARNING, "wait for a quieter hour",
    ),
    "throttled others": (
        facts(usage=Usage(peak=3.0, throttled=7)), WISH, "usage", WARNING,
        "Other traffic was throttled 7 times",
    ),
    # what could not be determined
    "a forbidden pool": (
        facts(pool=FORBIDDEN), WISH, "pool", WARNING,
        "Could not determine the pool's settings; allow x:Y",
    ),
    "a forbidden quota": (
        facts(provisioned=FORBIDDEN, applied=FORBIDDEN), WISH, "quota", WARNING,
        "Could not determine the quota; allow x:Y and cognito-idp:GetProvisionedLimit.",
    ),
    "a silent SES": (
        facts(ses=Unknown("ses:GetAccount", Why.SILENT)), WISH, "ses", WARNING,
        "Could not determine Amazon SES's quotas; no answer in time.",
    ),
    "a throttled question": (
        facts(usage=Unknown("x:Y", Why.THROTTLED, "Throttling")), WISH, "usage", WARNING,
        "AWS has no room for the question now (Throttling).",
    ),
    "an odd answer about the account": (
        facts(account=Unknown("x:Y", Why.UNREADABLE, "KeyError")), WISH, "account", WARNING,
        "the answer is none of AWS's (KeyError).",
    ),
    "a client that is not found where the pool is not known": (
        facts(pool=Unknown("x:Y", Why.SILENT), client=NOT_FOUND), WISH, "pool", WARNING,
        "Could not determine the pool's settings; no answer in time.",
    ),
}  # fmt: skip
