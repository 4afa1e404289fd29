"""The page over all runs of a ledger: its headline, cards, days and ends, and in a browser."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from batch_resend.ledger import Message, PastRun
from batch_resend.ledger.days import count_days
from batch_resend.ledger.status import Status, confirmations, take_stock
from batch_resend.reports.page.runs import runs_page
from tests.support.browser import Opened
from tests.support.pages import HOSTILE, NOON

DAY = 86400.0
POOL = "eu-west-1_AbCdEf123"
SUMMARY = {
    "exit_code": 3,
    "stopped_by": "max-sent",
    "counts": {"sent": 3, "failed": 1, "unknown": 1, "skipped": 7, "not-attempted": 1200},
    "region": "eu-west-1",
    "user_pool_id": POOL,
    "endpoint_is_aws": True,
    "next_command": "batch-resend run users.csv --report r-2.csv",
}


def message(name: str, state: str = "sent", reason: str = "accepted", **changes: Any) -> Message:
    at = changes.pop("at", NOON - DAY)
    return Message(1, name.encode(), name, state, reason, at, at, **changes)


USERS = [
    [message("ada@example.com")],
    [message("bob@example.com")],
    [message("cid@example.com", at=NOON - 3 * DAY, evidence="event", reconciled_at=NOON)],
    [message("dan@example.com", "unknown", "no-answer", at=NOON - 60)],
    [message("eve@example.com", "failed", "user-not-found")],
]
RUN = PastRun(1, NOON - DAY, NOON - DAY + 75, SUMMARY)


def status(**changes: Any) -> Status:
    stock = take_stock(USERS, 1)
    unknown = [one for messages in USERS for one in messages if one.is_unknown]
    values: dict[str, Any] = {
        "ledger": "l.sqlite3", "simulated": False, "running": False, "runs": [RUN],
        "stock": stock, "unknown": unknown,
    }  # fmt: skip
    return Status(**(values | changes))


def shown(overview: Status, *, masked: bool = True, pool: dict[bytes, str] | None = None) -> str:
    days = count_days(USERS, None if pool is None else pool.get)
    data = runs_page(overview, days, masked=masked, now=NOON).decode()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", data.split("<body>")[1]))


def test_page_says_how_many_have_confirmed() -> None:
    pool = {b"ada@example.com": "CONFIRMED", b"bob@example.com": "UNCONFIRMED"}
    overview = status(confirmations=confirmations(USERS, pool.get, POOL, NOON))
    text = shown(overview, pool=pool)
    assert "3 people were sent a code, 1 has confirmed since (33 %)" in text
    assert f"Confirmations from user pool {POOL}" in text
    assert "14 Jan 2027 2 1 50 %" in text
    assert "12 Jan 2027 1 0 0 %" in text
    assert "See who has confirmed" not in text


def test_page_without_pool_leads_to_the_one_with_it() -> None:
    text = shown(status())
    assert "3 people were sent a code " in text
    assert (
        f"batch-resend status --ledger l.sqlite3 --user-pool-id {POOL} --html confirmed.html"
        in text
    )


def test_page_names_what_to_do_next() -> None:
    text = shown(status())
    assert "Continue with 1,200 users" in text
    assert "batch-resend run users.csv --report r-2.csv" in text
    assert "Settle 1 unknown outcome" in text
    # A minute ago: the records come after a quarter of an hour.
    assert "can settle them from 15 Jan 2027, 08:14 UTC on:" in text
    assert "batch-resend reconcile --ledger l.sqlite3 --region eu-west-1" in text
    assert "1 outcome was settled later, by AWS CloudTrail's records." in text


def test_missing_records_lead_to_sending_again() -> None:
    stock = take_stock([[message("dan", "unknown", "not-recorded", at=NOON - DAY)]], 1)
    text = shown(status(stock=stock))
    assert "can settle them:" in text  # the records have long been there
    assert "CloudTrail has no record of 1 request" in text
    assert "batch-resend run users.csv --report r-2.csv --resend-unknown not-recorded" in text


@pytest.mark.parametrize(
    ("run", "running", "end"),
    [
        (RUN, False, "Stopped early. The number of messages that --max-sent allows"),
        (PastRun(1, NOON, NOON + 1, {"exit_code": 0}), False, " Finished "),
        (PastRun(1, NOON, NOON + 1, {"exit_code": 1}), False, "Finished; some users failed"),
        (PastRun(1, NOON), True, "In progress"),
        (PastRun(1, NOON), False, "Killed"),
        (PastRun(1, NOON), None, "In progress, or killed"),
        (PastRun(1, NOON, NOON, {"error": "no way", "exit_code": 4}), False,
         "Did not start: no way"),
    ],
)  # fmt: skip
def test_runs_are_shown_with_their_ends(run: PastRun, running: bool | None, end: str) -> None:
    assert end in shown(status(runs=[run], running=running)).split(" Runs ")[1]


def test_names_are_masked_on_the_page_of_runs() -> None:
    assert "dan@example.com" not in shown(status())
    assert "d***@e***" in shown(status())
    assert "dan@example.com" in shown(status(), masked=False)


def test_empty_ledger_has_a_page() -> None:
    overview = status(runs=[], unknown=[], stock=take_stock([], 1))
    data = runs_page(overview, count_days([], None), masked=True, now=NOON).decode()
    assert "No user has been sent a code yet" in data
    assert "The ledger has no runs yet." in data


def test_simulated_ledger_is_named_and_has_no_evidence() -> None:
    text = shown(status(simulated=True))
    assert "Simulated No messages were sent to real users." in text
    assert "reconcile" not in text


def test_page_of_runs_opens_without_errors(browser: Any, tmp_path: Path) -> None:
    """Whatever is in names and paths: nothing is run, nothing is requested."""
    users = [[message(name, "unknown", "no-answer")] for name in HOSTILE]
    summary = SUMMARY | {"next_command": HOSTILE[1], "detail": HOSTILE[2], "region": HOSTILE[0]}
    overview = status(
        ledger=HOSTILE[2],
        runs=[dataclasses.replace(RUN, summary=summary)],
        unknown=[messages[0] for messages in users],
        stock=take_stock(users, 1),
    )
    data = runs_page(overview, count_days(USERS, None), masked=False, now=NOON)
    opened = Opened(browser, tmp_path / "runs.html", data)
    assert browser.get_log("browser") == []
    assert opened.requested <= {"file", "data"}
    assert opened.js("return document.querySelectorAll('img').length") == 0
    assert opened.js("return document.querySelectorAll('[role=img]').length") == 1
    sizes = "const page = document.documentElement; return [page.scrollWidth, page.clientWidth]"
    assert len(set(opened.js(sizes))) == 1
