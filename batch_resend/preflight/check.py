"""What would go wrong, and why, before any message is sent. Pure: facts -> findings.

`probe` makes the calls and fills in `Facts`; here they are judged. A fact that could not
be determined is never more than a warning: the check needs no more permissions than it
has. `stop` means that the run cannot work, `warning` that a person should know before
approving.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from batch_resend.errors import Exit
from batch_resend.preflight.estimate import Estimate
from batch_resend.preflight.facts import (
    Facts,
    Unknown,
    Usage,
    Why,
)
from batch_resend.preflight.finding import (
    Finding,
    Level,
    ProposedRun,
    ceiling,
    estimated,
    ok,
    people,
    stop,
    users_of,
    warning,
)
from batch_resend.preflight.pool_findings import (
    client_findings,
    names_findings,
    sender_findings,
    triggers_findings,
    verification_findings,
)
from batch_resend.preflight.reach_findings import reach_findings
from batch_resend.wording import grouped, listed, span


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A check: the facts, what is proposed, and the findings."""

    facts: Facts
    run: ProposedRun
    findings: tuple[Finding, ...] = ()
    strict: bool = False  #: warnings are failures

    @property
    def rate(self) -> float:
        """The limit, in requests per second."""
        return ceiling(self.facts, self.run)

    @property
    def exit_code(self) -> Exit:
        """0, 4 with a stop; where it is strict, 1 with a warning."""
        levels = {finding.level for finding in self.findings}
        if Level.STOP in levels:
            return Exit.SETTINGS
        return Exit.SOME_FAILED if self.strict and Level.WARNING in levels else Exit.DONE

    def of(self, level: Level) -> list[str]:
        """Return the sentences of one level."""
        return [finding.text for finding in self.findings if finding.level is level]

    @property
    def users(self) -> int | None:
        """How many users there are, at most where they were not counted."""
        return users_of(self.facts, self.run)

    @property
    def estimate(self) -> Estimate | None:
        """What it takes to send them a code, if their number is known."""
        return None if self.users is None else estimated(self.facts, self.run, self.users)


def check(facts: Facts, run: ProposedRun) -> CheckResult:
    """Judge the facts."""
    return CheckResult(facts, run, tuple(findings(facts, run)))


def findings(facts: Facts, run: ProposedRun) -> Iterator[Finding]:
    """Yield all findings, in the order in which a run would meet them."""
    yield from _place(facts, run)
    yield from _unlearnt(facts)
    yield from client_findings(facts, run)
    if not isinstance(facts.pool, Unknown):
        yield from verification_findings(facts.pool)
        yield from names_findings(facts.pool, run)
        yield from triggers_findings(facts.pool, ceiling(facts, run))
        yield from sender_findings(facts.pool, facts, run)
        yield from reach_findings(facts.pool, facts.reach)
    yield from _pace(facts, run)


def _place(facts: Facts, run: ProposedRun) -> Iterator[Finding]:
    home = run.user_pool_id.partition("_")[0]
    pool = facts.pool
    if run.region.startswith("cn-"):
        yield stop("region", f"Region {run.region}: Cognito has no user pools in China.")
        return
    if isinstance(pool, Unknown) and pool.why is Why.NOT_FOUND:
        yield stop(
            "pool",
            f"User pool {run.user_pool_id} does not exist in {run.region}. Check --user-pool-id,"
            " --region and the account (--profile).",
        )
    elif not isinstance(pool, Unknown):
        yield ok(
            "pool", f"Pool {run.user_pool_id} exists, with about {grouped(pool.users, 'user')}."
        )
    if home != run.region:
        yield warning(
            "region",
            f"The pool's primary Region is {home}, not {run.region}. A replica may refuse to send"
            f" codes: use --region {home}.",
        )
    host = urlsplit(run.endpoint).hostname or ""
    if host == f"cognito-idp.{run.region}.amazonaws.com" and run.region.startswith("us-gov-"):
        yield stop(
            "endpoint",
            "GovCloud has FIPS endpoints only. Leave out --endpoint-url to use the right one.",
        )
    elif run.region.startswith("us-gov-") and run.endpoint_is_aws:
        yield ok("endpoint", "The FIPS endpoint of GovCloud is used.")
    elif not run.endpoint_is_aws:
        yield warning("endpoint", f"Custom endpoint: all usernames will be sent to {run.endpoint}")
    if _no_cognito(facts):
        yield (stop if run.alone else warning)(
            "endpoint",
            f"Cognito cannot be reached at {run.endpoint}. Check the Region, --endpoint-url,"
            " the network and any proxy.",
        )
    if not isinstance(facts.account, Unknown):
        yield ok("account", f"The credentials belong to account {facts.account}.")


def _no_cognito(facts: Facts) -> bool:
    return all(
        isinstance(fact, Unknown) and fact.why is Why.UNREACHABLE
        for fact in (facts.pool, facts.client)
    )


def _unlearnt(facts: Facts) -> Iterator[Finding]:
    """Name the facts that could not be determined; one finding per cause."""
    what = {
        "pool": ("the pool's settings", facts.pool),
        "client": ("the app client's settings", facts.client),
        "account": ("the account", facts.account),
        "quota": ("the quota", facts.applied if facts.quota is None else None),
        "ses": ("Amazon SES's quotas", facts.ses),
        "suppression": ("which addresses Amazon SES suppresses", facts.reach.suppressed),
        "configuration set": ("what the configuration set suppresses", facts.reach.of_set),
        "opted out": ("which numbers have opted out of text messages", facts.reach.opted_out),
        "log export": ("whether failed deliveries are logged", facts.reach.exports),
        "event history": ("whether CloudTrail's event history can be queried", facts.reach.history),
        "usage": ("how much of the quota is in use", facts.usage),
    }
    unknown = {
        about: (words, fact)
        for about, (words, fact) in what.items()
        if isinstance(fact, Unknown)
        and not (about in {"pool", "client"} and _no_cognito(facts))  # said already
    }
    for why, now_what in (
        (Why.CREDENTIALS, "log in, or choose others with --profile"),
        (Why.NOT_ASKED, "set AWS_ENDPOINT_URL_<SERVICE> to query them"),
        (Why.UNREACHABLE, "check the Region, the network and any proxy"),
    ):
        named = [words for words, fact in unknown.values() if fact.why is why]
        if named:
            about = "credentials" if why is Why.CREDENTIALS else "endpoint"
            yield warning(about, f"Could not determine {listed(named)} ({why}); {now_what}.")
    for about, (words, fact) in unknown.items():
        if fact.why in {Why.CREDENTIALS, Why.NOT_ASKED, Why.UNREACHABLE}:
            continue
        if fact.why is Why.NOT_FOUND and about in {"pool", "client"}:
            continue  # said where it matters
        if fact.why is Why.FORBIDDEN:
            both = " and cognito-idp:GetProvisionedLimit" if about == "quota" else ""
            yield warning(about, f"Could not determine {words}; allow {fact.permission}{both}.")
        else:
            yield warning(about, f"Could not determine {words}; {fact}.")


def _pace(facts: Facts, run: ProposedRun) -> Iterator[Finding]:
    rate = ceiling(facts, run)
    quota = facts.quota
    users = users_of(facts, run)
    how_long = ""
    if users is not None:
        seconds = estimated(facts, run, users).seconds
        how_long = f" {people(facts, run, start=True)} take at least {span(seconds)}."
    if quota is None:
        yield ok(
            "pace",
            f"The quota is assumed to be Cognito's default of {run.default_quota:g} per second; the"
            f" rate limit is {rate:g}.{how_long}",
        )
        return
    source = "enforced now" if not isinstance(facts.provisioned, Unknown) else "Service Quotas"
    if rate > quota:
        yield warning(
            "pace",
            f"--rate {rate:g} is above the quota of {quota:g} per second ({source}). Live traffic"
            f" would be throttled: use --rate auto.",
        )
    else:
        yield ok(
            "pace",
            f"The quota is {quota:g} per second ({source}), the rate limit {rate:g}.{how_long}",
        )
    if isinstance(facts.usage, Usage):
        yield from _usage(facts.usage, quota, rate)


def _usage(usage: Usage, quota: float, rate: float) -> Iterator[Finding]:
    left = quota - usage.peak
    if usage.throttled:
        yield warning(
            "usage",
            f"Other traffic was throttled {usage.throttled:,} times in the last hour. The quota is"
            " used up at times: wait, or lower --rate.",
        )
    elif rate > left:
        lower = f"use --rate {left:.3g}" if left >= 1 else "wait for a quieter hour"
        yield warning(
            "usage",
            f"Other traffic peaked at {usage.peak:.3g} per second in the last hour. With"
            f" {rate:g} more the quota is used up: {lower}.",
        )
    else:
        yield ok("usage", f"Other traffic peaked at {usage.peak:.3g} per second in the last hour.")
