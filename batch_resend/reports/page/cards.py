"""What to do next: a card for each group of users that can be helped. Pure.

In the order of benefit: the more users, the earlier, then the run that includes them all,
then unknown outcomes, then the look at who has confirmed. A command is shown once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from batch_resend.errors import Exit
from batch_resend.job.outcome import Stop
from batch_resend.ledger.commands import RECORDED_AFTER, reconcile_command, status_command
from batch_resend.masking import printable
from batch_resend.model import Outcome, Reason
from batch_resend.reports.page.figures import Figures
from batch_resend.wording import grouped, to_fill_in

_HOUR = 3600.0
UNKNOWN = tuple(r for r in Reason if r.outcome is Outcome.UNKNOWN or r is Reason.OUTCOME_UNKNOWN)


@dataclass(frozen=True, slots=True)
class Card:
    """A step to take. `{at}` in the sentence is the time `at`, in seconds since the epoch."""

    title: str
    sentence: str
    count: int = 0
    at: float | None = None
    commands: tuple[tuple[str, str], ...] = ()  #: each with the words before it, or ""
    reasons: tuple[Reason, ...] = ()  #: whose rows can be downloaded
    again: bool = False  #: whether a run can include these users as they are


@dataclass(frozen=True, slots=True)
class _Fix:
    """The step for a reason; `again` if a later run can include the users unchanged."""

    one: str
    many: str
    sentence: str
    again: bool = False


_FIXES = {
    Reason.DELIVERY_FAILED: _Fix(
        "Correct 1 refused address",
        "Correct {n} refused addresses",
        "Amazon SES or SNS refused the message. Usually the address is wrong: the message in the"
        " list says more.",
    ),
    Reason.USER_NOT_FOUND: _Fix(
        "Check 1 name that is not in the user pool",
        "Check {n} names that are not in the user pool",
        "The name may be mistyped, or the user was deleted. An email address that is only an"
        " alias does not work before it is verified.",
    ),
    Reason.INVALID_USERNAME: _Fix(
        "Correct 1 username",
        "Correct {n} usernames",
        "Cognito does not accept these usernames. No requests were made for them.",
    ),
    Reason.USER_DISABLED: _Fix(
        "Decide about 1 disabled account",
        "Decide about {n} disabled accounts",
        "Enable the users who should get a code.",
    ),
    Reason.ATTEMPT_LIMIT: _Fix(
        "Try 1 user again later",
        "Try {n} users again later",
        "They were sent five codes within an hour, the maximum. They can be tried again from {at}"
        " on.",
        again=True,
    ),
    Reason.REJECTED_BY_TRIGGER: _Fix(
        "Look into 1 refusal by the pool's Lambda trigger",
        "Look into {n} refusals by the pool's Lambda trigger",
        "The message in the list says why.",
    ),
    Reason.REJECTED: _Fix(
        "Look into 1 refusal by Cognito",
        "Look into {n} refusals by Cognito",
        "The message in the list says why.",
    ),
    Reason.BLOCKED: _Fix(
        "Let 1 user through the firewall",
        "Let {n} users through the firewall",
        "AWS WAF blocked all attempts. Allow this machine's IP address, or lower `--rate`. Then"
        " they can be tried again.",
        again=True,
    ),
    Reason.CONNECTION: _Fix(
        "Try 1 user again",
        "Try {n} users again",
        "No connection to Cognito was possible. Check the network first.",
        again=True,
    ),
}


def cards(figures: Figures, summary: Mapping[str, Any] | None) -> list[Card]:
    """Return what to do next, in the order of benefit."""
    command = printable(summary["next_command"] or "") if summary is not None else ""
    groups = sorted(_groups(figures, summary), key=lambda card: -card.count)
    deck, used = [], False
    for card in groups:
        if not card.again:
            deck.append(card)
        elif used:
            more = "The command above includes them." if command else ""
            deck.append(replace(card, sentence=f"{card.sentence} {more}".strip()))
        else:
            deck.append(_with_command(card, command))
            used = True
    if groups and not used:
        deck.append(
            _with_command(Card("Then run again", f"After the corrections. {_skips(summary)}"),
                          command)
        )  # fmt: skip
    deck += _unknown(figures, summary, command)
    if not deck:
        deck.append(
            Card("Nothing is left to send", "Every user was sent a code or skipped on purpose.")
        )
    return deck + _confirmed(figures, summary)


def stopped(summary: Mapping[str, Any] | None) -> str:
    """Return what ended the run early, in words; "" if nothing did."""
    if summary is None or summary["stopped_by"] is None:
        return ""
    sentences = {str(stop): stop.sentence for stop in Stop}
    name = summary["stopped_by"]
    why = sentences.get(name, f"Reason: {printable(name)}.")
    return f"{why} ({printable(summary['detail'])})" if summary["detail"] else why


def _groups(figures: Figures, summary: Mapping[str, Any] | None) -> list[Card]:
    """Return a card for each group of users who were not sent a code and could be."""
    counts, reasons, skips = figures.outcomes, figures.reasons, _skips(summary)
    deck = []
    if n := counts[Outcome.PLANNED]:
        deck.append(
            Card(f"Send {grouped(n, 'code')}", "Nothing has been sent yet. This sends the codes"
                 " as planned:", n, again=True)
        )  # fmt: skip
    if n := counts[Outcome.NOT_ATTEMPTED]:
        unable = summary is not None and summary["exit_code"] == Exit.SETTINGS
        first = "Fix the settings, then continue" if unable else "Continue"
        why = stopped(summary) or "The run ended before they were reached."
        deck.append(
            Card(f"{first} with {grouped(n, 'user')}", f"{why} {skips}", n, again=True)
        )  # fmt: skip
    if n := reasons[Reason.OVER_LIMIT]:
        deck.append(
            Card(f"Continue with {grouped(n, 'user')}",
                 f"They were left for a later run, by `--limit`, `--sample` or `--waves`. {skips}",
                 n, again=True)
        )  # fmt: skip
    limited = [report.limited for report in figures.reports if report.limited is not None]
    for reason, fix in _FIXES.items():
        if n := reasons[reason]:
            heading = fix.one if n == 1 else fix.many.format(n=f"{n:,}")
            at = max(limited) + _HOUR if reason is Reason.ATTEMPT_LIMIT and limited else None
            deck.append(Card(heading, fix.sentence, n, at, reasons=(reason,), again=fix.again))
    return deck


def _with_command(card: Card, command: str) -> Card:
    if command:
        sentence = f"{card.sentence} {to_fill_in(command)}".strip()
        return replace(card, sentence=sentence, commands=(("", command),))
    return replace(
        card,
        sentence=f"{card.sentence} Run the same command as before. This page shows it if it is"
        " made by `run --html`, or with the `--summary` file of the run.",
    )


def _skips(summary: Mapping[str, Any] | None) -> str:
    if summary is not None and summary["simulated"] and not summary.get("ledger"):
        return "A simulation without `--ledger` remembers no users: it sends to all of them again."
    return "Users who were sent a code are skipped."


def _unknown(
    figures: Figures, summary: Mapping[str, Any] | None, command: str
) -> list[Card]:  # fmt: skip
    count = sum(figures.reasons[reason] for reason in UNKNOWN)
    if not count:
        return []
    one = count == 1
    sentence = (
        f"{grouped(count, 'outcome')} {'is' if one else 'are'} unknown: the request left, and the"
        f" response was lost. {'It counts' if one else 'They count'} as sent, and later runs skip"
        f" {'the user' if one else 'these users'}."
    )
    over_all = summary["unknown_in_ledger"] if summary is not None else None
    if over_all and over_all != count:
        sentence += f" Over all runs of the ledger, {over_all:,} are unknown."
    ends = [report.last for report in figures.reports if report.last is not None]
    commands: list[tuple[str, str]] = []
    ledger = summary.get("ledger") if summary is not None else None
    if summary is not None and ledger and not summary["simulated"]:
        sentence += " AWS CloudTrail's records can settle them from {at} on:"
        endpoint = "" if summary["endpoint_is_aws"] else summary["endpoint"]
        commands.append(("", reconcile_command(ledger, summary["region"], endpoint)))
    if command:
        commands.append(
            (f"{'Or send' if commands else 'To send'} to them again, accepting that some may get"
             " two codes:",
             f"{command} --resend-unknown all")
        )  # fmt: skip
    return [
        Card(
            f"Settle {grouped(count, 'unknown outcome')}", sentence, count,
            max(ends) + RECORDED_AFTER if ends else None, tuple(commands), UNKNOWN,
        )
    ]  # fmt: skip


def _confirmed(figures: Figures, summary: Mapping[str, Any] | None) -> list[Card]:
    """Return the card that leads to the page of who has confirmed since, if there is one."""
    if summary is None or summary["simulated"] or not figures.outcomes[Outcome.SENT]:
        return []
    pool, ledger = summary["user_pool_id"], summary.get("ledger")
    if not pool or not ledger:
        return []
    more = ["--user-pool-id", pool, "--html", "confirmed.html"]
    more += [] if summary["endpoint_is_aws"] else ["--endpoint-url", summary["endpoint"]]
    command = status_command(ledger, summary["region"], *more)
    sentence = "A day or more from now, this makes a page of how many have confirmed since:"
    return [Card("See who has confirmed", sentence, commands=(("", command),))]
