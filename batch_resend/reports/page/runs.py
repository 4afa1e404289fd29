"""The page over all runs of a ledger: sent and confirmed by day, unknown outcomes, runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batch_resend.ledger import Message, PastRun
from batch_resend.ledger.commands import RECORDED_AFTER, reconcile_command, status_command
from batch_resend.ledger.days import Days
from batch_resend.ledger.status import Status
from batch_resend.masking import mask, printable
from batch_resend.model import REASONS, Outcome, Reason
from batch_resend.reports.page.cards import Card, stopped
from batch_resend.reports.page.charts import BASE, HEIGHT, TOP, by_day, day_name
from batch_resend.reports.page.render import rendered
from batch_resend.reports.page.tiles import tiles
from batch_resend.reports.page.titles import title
from batch_resend.wording import grouped, span

_RUNS = 500  #: runs in the table, the latest
_DAYS = 90  #: days in the table, the latest
_STATES = (Outcome.SENT, Outcome.SKIPPED, Outcome.FAILED, Outcome.UNKNOWN)  #: of a user
_COUNTED = (Outcome.SENT, Outcome.FAILED, Outcome.UNKNOWN, Outcome.SKIPPED, Outcome.NOT_ATTEMPTED)


def runs_page(status: Status, days: Days, *, masked: bool, now: float) -> bytes:
    """Return the page of a ledger."""
    stock = status.stock
    last = next((dict(run.summary) for run in reversed(status.runs) if run.summary), {})
    chart = by_day({"confirmed": days.confirmed, "sent": days.sent - days.confirmed})
    return rendered(
        "runs.html",
        {
            "name": printable(status.ledger),
            "now": now,
            "headline": _headline(status, days),
            "simulated": status.simulated,
            "running": status.running,
            "pool": status.confirmations.user_pool_id if status.confirmations else "",
            "first": status.runs[0].started_at if status.runs else None,
            "tiles": tiles({state: stock.in_state(state) for state in _STATES}),
            "users": sum(stock.users.values()),
            "forgotten": stock.forgotten,
            "by_evidence": stock.evidence.total(),
            "cards": _cards(status, last, now),
            "chart": chart,
            "geometry": {"top": TOP, "base": BASE, "height": HEIGHT},
            "days": _days(days),
            "confirmed": days.confirmed.total(),
            "unknown": [_message(message, masked=masked) for message in status.unknown],
            "unknown_total": stock.unknown,
            "runs": [
                _run(run, status, latest=run is status.runs[-1])
                for run in reversed(status.runs[-_RUNS:])
            ],
            "all_runs": len(status.runs),
            "masked": masked,
        },
    )


def _headline(status: Status, days: Days) -> str:
    sent, confirmed = days.sent.total(), days.confirmed.total()
    if not sent:
        return "No user has been sent a code yet"
    text = "1 person was sent a code" if sent == 1 else f"{sent:,} people were sent a code"
    if status.confirmations is None and not confirmed:
        return text
    have = "has" if confirmed == 1 else "have"
    return f"{text}, {confirmed:,} {have} confirmed since ({100 * confirmed / sent:.0f} %)"


def _cards(status: Status, last: Mapping[str, Any], now: float) -> list[Card]:
    """Return what to do next: resume, settle, see who has confirmed."""
    deck = []
    command = printable(last.get("next_command") or "")
    left = (last.get("counts") or {}).get(str(Outcome.NOT_ATTEMPTED), 0)
    if left and command and not status.running:
        why = stopped({"stopped_by": last.get("stopped_by"), "detail": last.get("detail")})
        sentence = f"The last run ended first. {why} Users who were sent a code are skipped."
        deck.append(
            Card(f"Continue with {grouped(left, 'user')}", sentence, commands=(("", command),))
        )
    deck += _settle(status, last, command, now)
    pool = last.get("user_pool_id")
    if status.confirmations is None and pool and not status.simulated and status.stock.messages:
        more = ("--user-pool-id", pool, "--html", "confirmed.html")
        with_status = status_command(status.ledger, last.get("region", ""), *more)
        deck.append(
            Card("See who has confirmed", "This page can show how many have confirmed since:",
                 commands=(("", with_status),))
        )  # fmt: skip
    return deck


def _settle(status: Status, last: Mapping[str, Any], command: str, now: float) -> list[Card]:
    stock = status.stock
    if not stock.unknown:
        return []
    one = stock.unknown == 1
    sentence = (
        f"{grouped(stock.unknown, 'outcome')} {'is' if one else 'are'} unknown: a code may have"
        f" been sent, or not. {'It counts' if one else 'They count'} as sent."
    )
    commands, at = [], None
    if not status.simulated:
        at = stock.unknown_at + RECORDED_AFTER
        when = " from {at} on" if at > now else ""
        sentence += f" AWS CloudTrail's records can settle them{when}:"
        endpoint = "" if last.get("endpoint_is_aws", True) else last["endpoint"]
        commands.append(("", reconcile_command(status.ledger, last.get("region", ""), endpoint)))
    if command and (missing := stock.not_recorded):
        words = (
            f"CloudTrail has no record of {grouped(missing, 'request')}. To send to these users"
            " again, accepting that a few may get two codes:"
        )
        commands.append((words, f"{command} --resend-unknown not-recorded"))
    return [
        Card(f"Settle {grouped(stock.unknown, 'unknown outcome')}", sentence, stock.unknown, at,
             tuple(commands))
    ]  # fmt: skip


def _days(days: Days) -> list[tuple[str, int, int, str]]:
    """Return the latest days: date, users sent a code, of these confirmed, and the percentage."""
    return [
        (day_name(day), days.sent[day], days.confirmed[day],
         f"{100 * days.confirmed[day] / days.sent[day]:.0f} %")
        for day in sorted(days.sent, reverse=True)[:_DAYS]
    ]  # fmt: skip


def _message(message: Message, *, masked: bool) -> dict[str, Any]:
    name = message.name
    reason = REASONS.get(message.reason or "", Reason.INTERRUPTED)
    return {
        "run": message.run,
        "at": message.at,
        "name": "(name erased)" if name is None else mask(name) if masked else printable(name),
        "why": title(reason),
    }


def _run(run: PastRun, status: Status, *, latest: bool) -> dict[str, Any]:
    counts = run.summary.get("counts") or {
        state: n for (of, state), n in status.stock.by_run.items() if of == run.number
    }
    return {
        "number": run.number,
        "at": run.started_at,
        "took": "" if run.finished_at is None else span(run.finished_at - run.started_at),
        "counts": [counts.get(str(outcome), 0) for outcome in _COUNTED],
        "end": _end(run, running=status.running, latest=latest),
    }


def _end(run: PastRun, *, running: bool | None, latest: bool) -> str:
    """Return how a run ended, in words; `running` None: another machine may be running it."""
    if run.finished_at is None:
        if running is None:
            return "In progress, or killed"
        return "In progress" if running and latest else "Killed"
    if error := run.summary.get("error"):
        return f"Did not start: {printable(str(error))}"
    if why := stopped({"stopped_by": run.summary.get("stopped_by"), "detail": None}):
        return f"Stopped early. {why}"
    code = run.summary.get("exit_code")
    return "Finished" if not code else "Finished; some users failed or are unknown"
