"""What pool, app client and sender mean for a run: facts -> findings. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from batch_resend.preflight.facts import (
    CUSTOM_MAIL,
    TRIGGERS,
    Facts,
    PoolFacts,
    Secret,
    SesFacts,
    Unknown,
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
from batch_resend.wording import grouped, listed


def client_findings(facts: Facts, run: ProposedRun) -> Iterator[Finding]:
    """Yield what the app client and its secret mean."""
    client = facts.client
    if isinstance(client, Unknown):
        if client.why is Why.NOT_FOUND and not isinstance(facts.pool, Unknown):
            yield stop(
                "client",
                f"The pool has no app client {run.client_id}. Check --client-id and the pool.",
            )
        return
    yield ok("client", f"App client {run.client_id} belongs to the pool.")
    yield _SECRETS[client.secret]
    if not client.hides_existence:
        yield ok("existence", "The app client reports unknown users, so `sent` is reliable.")
    elif run.listed:
        yield ok(
            "existence",
            "The app client hides unknown users (PreventUserExistenceErrors); listed users do"
            " exist.",
        )
    else:
        yield warning(
            "existence",
            "The app client hides unknown users (PreventUserExistenceErrors), so `sent` may include"
            " names that do not exist. List the pool, or check the names.",
        )


_SECRETS = {
    Secret.NOT_NEEDED: ok("secret", "The app client has no secret, and none was passed."),
    Secret.MATCHES: ok("secret", "The client secret matches."),
    Secret.MISSING: stop(
        "secret",
        "The app client has a secret, and none was passed. Use --client-secret-file or"
        " --fetch-client-secret.",
    ),
    Secret.DIFFERS: warning(
        "secret",
        "The client secret is not the one that Cognito shows. It is wrong, unless it is the second"
        " of two (rotation).",
    ),
    Secret.SUPERFLUOUS: warning(
        "secret", "A client secret was passed, and the app client has none. Leave it out."
    ),
}


def verification_findings(pool: PoolFacts) -> Iterator[Finding]:
    """Yield what the pool verifies, and so how codes are sent."""
    if not pool.verifies:
        yield stop(
            "verification",
            "Automatic verification is off, so the pool has no code to send. Turn it on for email"
            " or phone number (AutoVerifiedAttributes).",
        )
        return
    if "phone_number" not in pool.verifies:
        yield ok("verification", "The pool verifies email: codes are sent by mail.")
    elif "email" not in pool.verifies:
        yield warning(
            "verification",
            "The pool verifies telephone numbers: every code is a text message, which costs money"
            " and is subject to a spending limit.",
        )
    else:
        yield warning(
            "verification",
            "The pool verifies both: users with a telephone number get a text message, which costs"
            " money and is subject to a spending limit.",
        )
    if pool.sms_failure and "phone_number" in pool.verifies:
        yield warning(
            "sms",
            f"Cognito reports a problem with text messages ({pool.sms_failure}). Check the SMS role"
            " and whether SNS is in its sandbox.",
        )


def names_findings(pool: PoolFacts, run: ProposedRun) -> Iterator[Finding]:
    """Yield how names of a file find users."""
    names = [
        word
        for attribute, word in (("email", "addresses"), ("phone_number", "telephone numbers"))
        if attribute in pool.aliases
    ]
    if pool.case_sensitive:
        yield ok(
            "case",
            "The pool is case-sensitive: a file must spell each username exactly as the pool does.",
        )
    else:
        yield ok(
            "case",
            "The pool is not case-sensitive: names in a file that differ only in case are one"
            " user.",
        )
    if names and not run.listed:
        yield warning(
            "aliases",
            f"In this pool {listed(names)} are aliases, which cannot find unconfirmed users. The"
            " file needs the Username of each user.",
        )


def triggers_findings(pool: PoolFacts, rate: float) -> Iterator[Finding]:
    """Yield which Lambda triggers run for each user."""
    firing = [name for name in TRIGGERS if name in pool.triggers]
    if not firing:
        yield ok("triggers", "No Lambda trigger runs for a resend.")
        return
    runs = "runs" if len(firing) == 1 else "run"
    yield warning(
        "triggers",
        f"{listed(firing)} {runs} for every user, up to {rate:g} times per second. Make sure that"
        " Lambda, and what it calls, can handle that.",
    )


def sender_findings(pool: PoolFacts, facts: Facts, run: ProposedRun) -> Iterator[Finding]:
    """Yield what the sender of mails allows."""
    if "email" not in pool.verifies or CUSTOM_MAIL in pool.triggers:
        return
    ses = facts.ses
    if isinstance(ses, SesFacts):
        only_mail = "phone_number" not in pool.verifies
        yield from _ses(ses, ceiling(facts, run), Level.STOP if only_mail else Level.WARNING)
    users = users_of(facts, run)
    quota = facts.mail_quota
    if quota is None:
        if isinstance(ses, SesFacts):
            yield ok("mail quota", "Amazon SES has no daily quota for this account.")
        return
    about = f"{quota.whose} sends {quota.a_day:,} mails per day"
    if quota.rolling:
        about += f", {quota.left:,} left today"
    else:
        about += " for the whole account"
    if users is None:
        yield warning("mail quota", f"{about}. Make sure that this is enough.")
        return
    estimate = estimated(facts, run, users)
    mails = estimate.sent.mail_at_most
    if mails <= quota.left:
        alone = "" if quota.rolling else ", if the account sends no other mail"
        yield ok("mail quota", f"{about}: enough for {people(facts, run)}{alone}.")
        return
    done = estimate.finished_on
    advice = "run again each day" if quota.rolling else "run again each day, or use Amazon SES"
    yield warning(
        "mail quota",
        f"{about}, so {people(facts, run)} would take until {done} at the earliest: {advice}.",
    )


def _ses(ses: SesFacts, rate: float, paused: Level) -> Iterator[Finding]:
    if not ses.sending or ses.status == "SHUTDOWN":
        yield Finding(
            paused,
            "ses",
            "Amazon SES has paused sending for this account. The SES console shows the reason.",
        )
    elif ses.status == "PROBATION":
        yield warning(
            "ses",
            "Amazon SES has this account under review for bounces or complaints: old lists bounce,"
            " so start with --limit 10.",
        )
    if ses.sandbox:
        yield warning(
            "ses",
            "Amazon SES is in its sandbox and sends to verified addresses only. Request production"
            " access first.",
        )
    if 0 < ses.a_second < rate:
        yield warning(
            "ses rate",
            f"Amazon SES accepts {grouped(ses.a_second, 'mail')} per second, less than the rate of"
            f" {rate:g}: use --rate {ses.a_second:g}.",
        )
