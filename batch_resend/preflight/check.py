"""What would go wrong, and why, before anybody is written to. Pure: facts -> findings.

`probe` makes the calls and fills in `Facts`; here they are judged. A fact that could not
be learnt is never more than a warning: the check needs no more rights than it has. `stop`
is said only where the run cannot work, `warning` where a person should know before they
say yes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from batch_resend.errors import Exit
from batch_resend.preflight.estimate import Estimate
from batch_resend.preflight.facts import (
    CUSTOM_MAIL,
    TRIGGERS,
    Facts,
    PoolFacts,
    Secret,
    SesFacts,
    Unknown,
    Usage,
    Why,
)
from batch_resend.wording import grouped, listed, span

SCHEMA = 1
_WIDTH = 80


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found: how bad, about what, and a sentence for a person."""

    level: Level
    about: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the operator is about to do. `users` is None where their number is not known."""

    user_pool_id: str
    client_id: str
    region: str
    endpoint: str
    endpoint_is_aws: bool
    now: float  #: seconds since the epoch
    listed: bool = True  #: the users come from the pool and not from a file
    users: int | None = None
    rate: float | None = None  #: None is `auto`
    share: float = 0.5
    default_quota: float = 50.0
    alone: bool = False  #: no run follows, which would wait for an endpoint to come back


@dataclass(frozen=True, slots=True)
class Checked:
    """A check: what was learnt, what was wished, and the findings."""

    facts: Facts
    wish: Wish
    findings: tuple[Finding, ...] = ()

    @property
    def rate(self) -> float:
        """The ceiling, in requests a second."""
        return ceiling(self.facts, self.wish)

    @property
    def exit_code(self) -> Exit:
        """0, 1 with a warning, 4 with a stop."""
        levels = {finding.level for finding in self.findings}
        if Level.STOP in levels:
            return Exit.SETTINGS
        return Exit.SOME_FAILED if Level.WARNING in levels else Exit.DONE

    def of(self, level: Level) -> list[str]:
        """Give the sentences of one level."""
        return [finding.text for finding in self.findings if finding.level is level]

    def as_json(self) -> dict[str, Any]:
        """Give the check in the form for programs."""
        facts, wish = self.facts, self.wish
        users = _users(facts, wish)
        estimate = None if users is None else estimated(facts, wish, users)
        return {
            "schema": SCHEMA,
            "findings": [
                {"level": str(found.level), "about": found.about, "text": found.text}
                for found in self.findings
            ],
            "user_pool_id": wish.user_pool_id,
            "client_id": wish.client_id,
            "account": facts.account_id,
            "region": wish.region,
            "endpoint": wish.endpoint,
            "endpoint_is_aws": wish.endpoint_is_aws,
            "users": users,
            "users_are_counted": wish.users is not None,
            "quota": facts.quota,
            "rate": self.rate,
            "seconds": None if estimate is None else round(estimate.seconds, 1),
            "finished_on": None if estimate is None else estimate.finished_on,
            "existence_hidden": facts.hides_existence,
            "exit_code": int(self.exit_code),
        }


def check(facts: Facts, wish: Wish) -> Checked:
    """Judge the facts."""
    return Checked(facts, wish, tuple(findings(facts, wish)))


def ceiling(facts: Facts, wish: Wish) -> float:
    """Requests a second at most: --rate, else the share of the quota that is known."""
    if wish.rate is not None:
        return wish.rate
    return wish.share * (facts.quota or wish.default_quota)


def estimated(
    facts: Facts,
    wish: Wish,
    users: int,
    *,
    telephones: int | None = None,
    max_sent: int | None = None,
    deadline: float | None = None,
) -> Estimate:
    """Estimate what it takes to send so many users a code."""
    return Estimate(
        users=users,
        rate=ceiling(facts, wish),
        quota=facts.quota,
        now=wish.now,
        sent=facts.messages(users, telephones),
        mail=facts.mail_quota,
        max_sent=max_sent,
        deadline=deadline,
        tier="" if isinstance(facts.pool, Unknown) else facts.pool.tier,
        by_ses=facts.by_ses,
    )


def findings(facts: Facts, wish: Wish) -> Iterator[Finding]:
    """Say all that is worth knowing, in the order in which a run would meet it."""
    yield from _place(facts, wish)
    yield from _unlearnt(facts)
    yield from _client(facts, wish)
    if not isinstance(facts.pool, Unknown):
        yield from _verification(facts.pool)
        yield from _names(facts.pool, wish)
        yield from _triggers(facts.pool, ceiling(facts, wish))
        yield from _sender(facts.pool, facts, wish)
    yield from _pace(facts, wish)


def _ok(about: str, text: str) -> Finding:
    return Finding(Level.OK, about, text)


def _warning(about: str, text: str) -> Finding:
    return Finding(Level.WARNING, about, text)


def _stop(about: str, text: str) -> Finding:
    return Finding(Level.STOP, about, text)


def _place(facts: Facts, wish: Wish) -> Iterator[Finding]:
    home = wish.user_pool_id.partition("_")[0]
    pool = facts.pool
    if wish.region.startswith("cn-"):
        yield _stop("region", f"Region {wish.region}: Cognito has no user pools in China.")
        return
    if isinstance(pool, Unknown) and pool.why is Why.NOT_FOUND:
        yield _stop(
            "pool",
            f"There is no user pool {wish.user_pool_id} in {wish.region}: check --user-pool-id,"
            " --region and the account (--profile).",
        )
    elif not isinstance(pool, Unknown):
        yield _ok(
            "pool", f"The pool is there: {wish.user_pool_id}, about {grouped(pool.users, 'user')}."
        )
    if home != wish.region:
        yield _warning(
            "region",
            f"The pool's home is {home} and {wish.region} is asked: a replica may refuse to send"
            f" codes, so give --region {home}.",
        )
    host = urlsplit(wish.endpoint).hostname or ""
    if host == f"cognito-idp.{wish.region}.amazonaws.com" and wish.region.startswith("us-gov-"):
        yield _stop(
            "endpoint",
            "GovCloud has FIPS endpoints only: leave out --endpoint-url for the right one.",
        )
    elif wish.region.startswith("us-gov-") and wish.endpoint_is_aws:
        yield _ok("endpoint", "GovCloud is asked at its FIPS endpoint.")
    elif not wish.endpoint_is_aws:
        yield _warning(
            "endpoint", f"The endpoint is not AWS's own, and gets all names: {wish.endpoint}"
        )
    if _no_cognito(facts):
        yield (_stop if wish.alone else _warning)(
            "endpoint",
            f"Cognito cannot be reached at {wish.endpoint}: look at the Region, --endpoint-url,"
            " the network and any proxy.",
        )
    if not isinstance(facts.account, Unknown):
        yield _ok("account", f"The credentials are of account {facts.account}.")


def _no_cognito(facts: Facts) -> bool:
    return all(
        isinstance(found, Unknown) and found.why is Why.UNREACHABLE
        for found in (facts.pool, facts.client)
    )


def _unlearnt(facts: Facts) -> Iterator[Finding]:
    """Name what could not be learnt; what has one cause is said once."""
    what = {
        "pool": ("the pool's settings", facts.pool),
        "client": ("the app client's settings", facts.client),
        "account": ("the account", facts.account),
        "quota": ("the quota", facts.applied if facts.quota is None else None),
        "ses": ("Amazon SES's quotas", facts.ses),
        "usage": ("how much of the quota is in use", facts.usage),
    }
    unknown = {
        about: (words, found)
        for about, (words, found) in what.items()
        if isinstance(found, Unknown)
        and not (about in {"pool", "client"} and _no_cognito(facts))  # said already
    }
    for why, now_what in (
        (Why.CREDENTIALS, "log in or choose others with --profile"),
        (Why.NOT_ASKED, "set their AWS_ENDPOINT_URL_... variables to have them asked"),
        (Why.UNREACHABLE, "look at the Region, the network and any proxy"),
    ):
        named = [words for words, found in unknown.values() if found.why is why]
        if named:
            about = "credentials" if why is Why.CREDENTIALS else "endpoint"
            yield _warning(about, f"Not learnt: {listed(named)} ({why}); {now_what}.")
    for about, (words, found) in unknown.items():
        if found.why in {Why.CREDENTIALS, Why.NOT_ASKED, Why.UNREACHABLE}:
            continue
        if found.why is Why.NOT_FOUND and about in {"pool", "client"}:
            continue  # said where it matters
        if found.why is Why.FORBIDDEN:
            both = " and cognito-idp:GetProvisionedLimit" if about == "quota" else ""
            yield _warning(about, f"Not learnt: {words}; allow {found.permission}{both} to know.")
        else:
            yield _warning(about, f"Not learnt: {words}; {found}.")


def _client(facts: Facts, wish: Wish) -> Iterator[Finding]:
    client = facts.client
    if isinstance(client, Unknown):
        if client.why is Why.NOT_FOUND and not isinstance(facts.pool, Unknown):
            yield _stop(
                "client",
                f"The pool has no app client {wish.client_id}: check --client-id, or the pool.",
            )
        return
    yield _ok("client", f"App client {wish.client_id} belongs to the pool.")
    yield _SECRETS[client.secret]
    if not client.hides_existence:
        yield _ok("existence", "The app client says who does not exist: `sent` means sent.")
    elif wish.listed:
        yield _ok(
            "existence",
            "The app client hides who does not exist (PreventUserExistenceErrors); listed users"
            " do exist.",
        )
    else:
        yield _warning(
            "existence",
            "The app client hides who does not exist (PreventUserExistenceErrors): a wrong name"
            " counts as `sent`, so list the pool or check the names.",
        )


_SECRETS = {
    Secret.NOT_NEEDED: _ok("secret", "The app client has no secret, and none is given."),
    Secret.MATCHES: _ok("secret", "The client secret that is given is the app client's."),
    Secret.MISSING: _stop(
        "secret",
        "The app client has a secret and none is given: name it with --client-secret-file, or give"
        " --fetch-client-secret.",
    ),
    Secret.DIFFERS: _warning(
        "secret",
        "The client secret that is given is not the one that Cognito shows: wrong, unless it is"
        " the second of two (rotation).",
    ),
    Secret.SUPERFLUOUS: _warning(
        "secret", "A client secret is given and the app client has none: leave it out."
    ),
}


def _verification(pool: PoolFacts) -> Iterator[Finding]:
    if not pool.verifies:
        yield _stop(
            "verification",
            "The pool verifies nothing, so it has no code to send: turn on automatic verification"
            " of email or phone number (AutoVerifiedAttributes).",
        )
        return
    if "phone_number" not in pool.verifies:
        yield _ok("verification", "The pool verifies email: codes go out by mail.")
    elif "email" not in pool.verifies:
        yield _warning(
            "verification",
            "The pool verifies telephone numbers: every code is a text message, which costs money"
            " and is subject to a spending limit.",
        )
    else:
        yield _warning(
            "verification",
            "The pool verifies both: who has a telephone number gets a text message, which costs"
            " money and is subject to a spending limit.",
        )
    if pool.sms_failure and "phone_number" in pool.verifies:
        yield _warning(
            "sms",
            f"Cognito reports trouble with text messages ({pool.sms_failure}): check the SMS role"
            " and whether SNS is in its sandbox.",
        )


def _names(pool: PoolFacts, wish: Wish) -> Iterator[Finding]:
    names = [
        word
        for attribute, word in (("email", "addresses"), ("phone_number", "telephone numbers"))
        if attribute in pool.aliases
    ]
    if names and not wish.listed:
        yield _warning(
            "aliases",
            f"In this pool {listed(names)} are aliases, which find nobody unconfirmed: the file"
            " needs the Username of each.",
        )


def _triggers(pool: PoolFacts, rate: float) -> Iterator[Finding]:
    firing = [name for name in TRIGGERS if name in pool.triggers]
    if not firing:
        yield _ok("triggers", "No Lambda trigger runs for a resend.")
        return
    runs = "runs" if len(firing) == 1 else "run"
    yield _warning(
        "triggers",
        f"{listed(firing)} {runs} for every user, up to {rate:g} times a second: see that Lambda"
        " and what it calls bear that.",
    )


def _sender(pool: PoolFacts, facts: Facts, wish: Wish) -> Iterator[Finding]:
    if "email" not in pool.verifies or CUSTOM_MAIL in pool.triggers:
        return
    ses = facts.ses
    if isinstance(ses, SesFacts):
        only_mail = "phone_number" not in pool.verifies
        yield from _ses(ses, ceiling(facts, wish), Level.STOP if only_mail else Level.WARNING)
    users = _users(facts, wish)
    quota = facts.mail_quota
    if quota is None:
        if isinstance(ses, SesFacts):
            yield _ok("mail quota", "Amazon SES has no daily quota for this account.")
        return
    about = f"{quota.whose} mails {quota.a_day:,} a day"
    if quota.rolling:
        about += f", {quota.left:,} of them left today"
    else:
        about += " for the whole account"
    if users is None:
        yield _warning("mail quota", f"{about}: see that this is enough.")
        return
    estimate = estimated(facts, wish, users)
    mails = estimate.sent.mail_at_most
    if mails <= quota.left:
        alone = "" if quota.rolling else ", if the account sends no other"
        yield _ok("mail quota", f"{about}: enough for {_people(facts, wish)}{alone}.")
        return
    done = estimate.finished_on
    advice = "run again each day" if quota.rolling else "run again each day, or use Amazon SES"
    yield _warning(
        "mail quota",
        f"{about}, so {_people(facts, wish)} would be done on {done} at the earliest: {advice}.",
    )


def _ses(ses: SesFacts, rate: float, paused: Level) -> Iterator[Finding]:
    if not ses.sending or ses.status == "SHUTDOWN":
        yield Finding(
            paused,
            "ses",
            "Amazon SES has paused this account's sending: see SES's console for the reason.",
        )
    elif ses.status == "PROBATION":
        yield _warning(
            "ses",
            "Amazon SES has this account under review for bounces or complaints: old lists bounce,"
            " so begin with --limit 10.",
        )
    if ses.sandbox:
        yield _warning(
            "ses",
            "Amazon SES is in its sandbox and mails verified addresses only: ask AWS for production"
            " access first.",
        )
    if 0 < ses.a_second < rate:
        yield _warning(
            "ses rate",
            f"Amazon SES takes {grouped(ses.a_second, 'mail')} a second, below the pace of"
            f" {rate:g}: give --rate {ses.a_second:g}.",
        )


def _pace(facts: Facts, wish: Wish) -> Iterator[Finding]:
    rate = ceiling(facts, wish)
    quota = facts.quota
    users = _users(facts, wish)
    how_long = ""
    if users is not None:
        seconds = estimated(facts, wish, users).seconds
        how_long = f" {_people(facts, wish, start=True)} take at least {span(seconds)}."
    if quota is None:
        yield _ok(
            "pace",
            f"The quota is taken to be Cognito's default of {wish.default_quota:g} a second; the"
            f" pace is {rate:g}.{how_long}",
        )
        return
    source = "enforced now" if not isinstance(facts.provisioned, Unknown) else "Service Quotas"
    if rate > quota:
        yield _warning(
            "pace",
            f"--rate {rate:g} is above the quota of {quota:g} a second ({source}): live traffic"
            f" would be throttled; give --rate auto.",
        )
    else:
        yield _ok(
            "pace", f"The quota is {quota:g} a second ({source}), the pace {rate:g}.{how_long}"
        )
    if isinstance(facts.usage, Usage):
        yield from _usage(facts.usage, quota, rate)


def _usage(usage: Usage, quota: float, rate: float) -> Iterator[Finding]:
    left = quota - usage.peak
    if usage.throttled:
        yield _warning(
            "usage",
            f"Others were throttled {usage.throttled} times in the last hour: the quota is used up"
            " at times, so wait or lower --rate.",
        )
    elif rate > left:
        lower = f"give --rate {left:.3g}" if left >= 1 else "wait for a quieter hour"
        yield _warning(
            "usage",
            f"Others used up to {usage.peak:.3g} a second of the quota in the last hour; with"
            f" {rate:g} more it is used up: {lower}.",
        )
    else:
        yield _ok("usage", f"Others used up to {usage.peak:.3g} a second of it in the last hour.")


def _users(facts: Facts, wish: Wish) -> int | None:
    """How many users, at most where they were not counted."""
    if wish.users is not None:
        return wish.users
    return None if isinstance(facts.pool, Unknown) else facts.pool.users or None


def _people(facts: Facts, wish: Wish, *, start: bool = False) -> str:
    users = grouped(_users(facts, wish) or 0, "user")
    if wish.users is not None:
        return users
    return f"{'All' if start else 'all'} of the pool's {users}"


def lines(checked: Checked) -> list[str]:
    """Say it to a person, 80 columns wide: a verdict at the end."""
    told = []
    for finding in checked.findings:
        told += textwrap.wrap(
            finding.text,
            _WIDTH,
            initial_indent=f"{finding.level:<9}",
            subsequent_indent=" " * 9,
            break_long_words=False,
            break_on_hyphens=False,
        )
    stops, warnings = (len(checked.of(level)) for level in (Level.STOP, Level.WARNING))
    if stops:
        told.append(f"Nobody can be written to like this: {grouped(stops, 'stop')}.")
    elif warnings:
        told.append(f"It can be run; {grouped(warnings, 'warning')}.")
    else:
        told.append("It can be run.")
    return told
