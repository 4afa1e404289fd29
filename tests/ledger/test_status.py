"""What a ledger comes to: sums by hand, and texts that fit a terminal."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.ledger import Message, PastRun
from batch_resend.ledger.next_step import last_cap, next_step
from batch_resend.ledger.owner import describe
from batch_resend.ledger.status import (
    POOL_SAYS,
    Confirmations,
    Status,
    Stock,
    as_json,
    confirmations,
    history_json,
    state_of,
    take_stock,
)
from batch_resend.ledger.status_lines import history_lines, lines
from tests.support.markdown import block

NOW = 1_800_000_000.0  # 2027-01-15 08:00 UTC
DAY = 86400.0


def message(
    user: str, state: str = "sent", reason: str | None = "accepted", at: float = NOW, run: int = 1,
    **changes: Any,
) -> Message:  # fmt: skip
    name = changes.get("name", user)
    end = None if state == "open" else at
    later = changes.get("evidence"), changes.get("reconciled_at")
    return Message(run, user.encode(), name, state, reason, at, end, None, *later)


ADA = [message("ada@example.com")]
TWICE = [message("bob@example.com"), message("bob@example.com", "unknown", "no-answer", run=2)]
LOST = [message("cid@example.com", "unknown", "no-answer")]
OPEN = [message("dan@example.com", "open", None, run=2)]
FAILED = [
    message("eve@example.com", "failed", "attempt-limit"),
    message("eve@example.com", "failed", "user-disabled", run=2),
]
CONFIRMED = [message("fay@example.com", "skipped", "already-confirmed")]
ERASED = [message("gus@example.com", name=None)]
EVERYBODY = [ADA, TWICE, LOST, OPEN, FAILED, CONFIRMED, ERASED]

RUNS = [
    PastRun(1, NOW - DAY, NOW - DAY + 75, {
        "exit_code": 3, "stopped_by": "max-sent",
        "counts": {"sent": 3, "skipped": 7, "failed": 1, "unknown": 1, "not-attempted": 4},
    }),
    PastRun(2, NOW),
]  # fmt: skip


def status(*users: list[Message], max_sends: int = 1, **changes: Any) -> Status:
    unknown = [m for messages in users for m in messages if m.is_unknown]
    facts: dict[str, Any] = {
        "ledger": "state/l.sqlite3", "simulated": False, "running": None, "runs": RUNS,
        "stock": take_stock(users, max_sends), "unknown": unknown,
    }  # fmt: skip
    return Status(**(facts | changes))


@pytest.mark.parametrize(
    ("messages", "state"),
    [
        (ADA, "sent"), (TWICE, "sent"), (LOST, "unknown"), (OPEN, "unknown"),
        (FAILED, "failed"), (CONFIRMED, "skipped"), ([*FAILED, *LOST], "unknown"),
        ([*CONFIRMED, *ADA], "sent"),
    ],
)  # fmt: skip
def test_a_user_is_in_the_first_state_that_applies(messages: list[Message], state: str) -> None:
    assert state_of(messages) == state


def test_users_are_counted_once_and_their_messages_each() -> None:
    stock = take_stock(EVERYBODY, 1)
    assert {state: stock.in_state(state) for state in ("sent", "unknown", "failed")} == {
        "sent": 3, "unknown": 2, "failed": 1,
    }  # fmt: skip
    assert stock.users["failed", "user-disabled"] == 1
    assert stock.messages["failed", "attempt-limit"] == 1
    assert stock.messages.total() == 9
    assert stock.unknown == 3
    assert stock.forgotten == 1
    assert stock.by_run[2, "open"] == 1


@pytest.mark.parametrize(
    ("max_sends", "at_cap", "in_doubt"), [(0, 0, 0), (1, 5, 2), (2, 1, 1), (3, 0, 0)]
)
def test_who_is_at_the_cap_counts_the_unknown_as_a_run_does(
    max_sends: int, at_cap: int, in_doubt: int
) -> None:
    stock = take_stock(EVERYBODY, max_sends)
    assert (stock.at_cap, stock.at_cap_in_doubt) == (at_cap, in_doubt)


STATES = st.sampled_from(["sent", "open", "unknown", "failed", "skipped"])


@given(st.lists(st.lists(STATES, min_size=1, max_size=4), max_size=20), st.integers(0, 3))
def test_every_user_and_message_of_any_ledger_is_counted(
    histories: list[list[str]], cap: int
) -> None:
    users = [
        [message(f"user{n}", state) for state in history] for n, history in enumerate(histories)
    ]
    stock = take_stock(users, cap)
    states = ("sent", "unknown", "failed", "skipped")
    assert sum(map(stock.in_state, states)) == sum(stock.users.values()) == len(users)
    assert stock.messages.total() == sum(map(len, users)) == stock.by_run.total()
    confirmed = confirmations(users, lambda _: "CONFIRMED", "pool", NOW)
    assert confirmed.total.total() == stock.in_state("sent")
    assert confirmed.in_doubt.total() == stock.in_state("unknown")


def test_confirmed_users_are_counted_by_days_since_the_message() -> None:
    pool = {b"a": "CONFIRMED", b"b": "UNCONFIRMED", b"c": "CONFIRMED", b"d": "RESET_REQUIRED"}
    users = [
        [message("a", at=NOW - 9 * DAY), message("a", at=NOW - DAY + 1)],
        [message("b", at=NOW - DAY)],
        [message("c", at=NOW - DAY - 1)],
        [message("d", at=NOW + 5)],  # a clock that was set back
        [message("e", at=NOW - 2 * DAY)],
        [message("a", "unknown", "no-answer")],
        FAILED,
        CONFIRMED,
    ]
    confirmed = confirmations(users, pool.get, "eu-west-1_Pool", NOW)
    assert confirmed.days == {
        0: {"confirmed": 1, "other": 1},
        1: {"unconfirmed": 1, "confirmed": 1},
        2: {"not_listed": 1},
    }
    assert confirmed.total == {"confirmed": 2, "unconfirmed": 1, "other": 1, "not_listed": 1}
    assert confirmed.in_doubt == {"confirmed": 1}


TEXT = """\
Ledger state/l.sqlite3

Runs 2
  run  started (UTC)     took      sent  failed unknown skipped  ended
    1  2027-01-14 08:00  75 s         3       1       1       7  max-sent
    2  2027-01-15 08:00               0       1       1       0  no end
  No end: in progress, or cut off. The next run will list what it left open.

Users 7
  sent               3
  unknown            2 (no-answer 1, open 1)
  failed             1 (user-disabled 1)
  skipped            1 (already-confirmed 1)
  (names erased      1)
Reached the limit of 1 message (--max-sends): 5 (2 with an unknown message)

Messages 9
  sent               3
  unknown            2 (no-answer 2)
  failed             2 (attempt-limit 1, user-disabled 1)
  skipped            1 (already-confirmed 1)
  open               1

Unknown outcomes: 3; a code may have been sent, or not
  run   2  2027-01-15 08:00  unknown  no-answer            b***@e***
  run   1  2027-01-15 08:00  unknown  no-answer            c***@e***
  and 1 more:
  batch-resend ledger export --unknown
  To settle them by CloudTrail's records, from 2027-01-15 08:15 UTC on:
  batch-resend reconcile --ledger state/l.sqlite3

Confirmed since: 1 of 3 users sent a code (33 %), in eu-west-1_Pool
  days since        sent  confirmed  unconfirmed  other  not listed
           0           3          1            1      0           1
     unknown           2          0            0      0           2

Next: run the command of that run again to resume it."""


def test_the_status_reads_so() -> None:
    pool = {b"ada@example.com": "CONFIRMED", b"bob@example.com": "UNCONFIRMED"}
    confirmed = confirmations(EVERYBODY, pool.get, "eu-west-1_Pool", NOW)
    state = status(*EVERYBODY, confirmations=confirmed, unknown=[TWICE[1], LOST[0]])
    assert lines(state, more="batch-resend ledger export --unknown") == TEXT.splitlines()


def test_an_empty_ledger_and_one_without_messages_read_so() -> None:
    assert lines(status(runs=[]), more="") == [
        "Ledger state/l.sqlite3", "", "No run so far", "",
        "Next: nothing was sent yet. Start a run.",
    ]  # fmt: skip
    none = Confirmations("eu-west-1_Pool")
    output = lines(status(runs=RUNS[:1], simulated=True, confirmations=none), more="")
    assert output[1] == "Simulation only: no real messages were sent."
    assert output[-4] == "Confirmed since: 0 of 0 users sent a code, in eu-west-1_Pool"
    assert "no end" not in "\n".join(output)


def test_run_without_an_end_is_running_or_dead_where_known() -> None:
    shown = "\n".join(lines(status(ADA, running=True), more=""))
    assert "  0  in progress\n\nUsers" in shown
    output = lines(status(ADA, running=False), more="")
    assert output[5].endswith("  cut off")
    assert output[6] == "  The next run will list the users whose requests this run left open."
    # The active run is never an earlier one, and has named the users that one left.
    earlier = lines(status(ADA, runs=[PastRun(1, NOW), PastRun(2, NOW)], running=True), more="")
    assert [line.split()[-1] for line in earlier[4:6]] == ["off", "progress"]
    assert earlier[6] == ""
    done = [PastRun(1, NOW), PastRun(2, NOW, NOW + 1, {"exit_code": 0})]
    assert lines(status(ADA, runs=done, running=False), more="")[6] == ""


@pytest.mark.parametrize(
    ("place", "more"),
    [
        (("eu-west-1",), " --region eu-west-1"),
        (("us-east-1", "http://127.0.0.1:4570"),
         " --region us-east-1 --endpoint-url http://127.0.0.1:4570"),
    ],
)  # fmt: skip
def test_reconcile_after_a_kill_names_the_place(place: tuple[str, ...], more: str) -> None:
    """A run that was killed noted no summary: the ledger itself knows its Region and endpoint."""
    killed = status(OPEN, runs=[PastRun(1, NOW)], running=False, client=describe("1abc", *place))
    assert f"  batch-resend reconcile --ledger state/l.sqlite3{more}" in lines(killed, more="")


COMMAND = "batch-resend run users.csv --ledger l.sqlite3"


@pytest.mark.parametrize(
    ("run", "running", "expected"),
    [
        (PastRun(1, NOW), True, ["Next: wait until the run in progress has ended."]),
        (PastRun(1, NOW), False, ["Next: run the command of that run again to resume it."]),
        (
            PastRun(1, NOW, NOW, {"error": "no such file", "exit_code": 2}),
            False,
            ["Next: fix what kept the last run from starting, then run its command again."],
        ),
        (
            PastRun(1, NOW, NOW, {
                "stopped_by": "SIGINT", "next_command": COMMAND, "counts": {"not-attempted": 1732},
            }),
            False,
            [
                "Next: the last run stopped early (SIGINT), with 1,732 users left. To resume:",
                f"  {COMMAND}",
            ],
        ),
        (
            PastRun(1, NOW, NOW, {"next_command": COMMAND, "counts": {"sent": 3, "failed": 1}}),
            False,
            ["Next: the last run failed for 1 user. Fix the causes, then:", f"  {COMMAND}"],
        ),
        *(
            (
                PastRun(1, NOW, NOW, {
                    "stopped_by": cause, "exit_code": code, "next_command": COMMAND,
                    "counts": {"not-attempted": 196},
                }),
                False,
                [
                    f"Next: the last run stopped early ({cause}), with 196 users left.",
                    "Fix the cause first, then resume:",
                    f"  {COMMAND}",
                ],
            )
            for cause, code in (("max-failures", 3), ("unknown-client", 4))
        ),
        (
            PastRun(1, NOW, NOW, {"next_command": None, "counts": {"not-attempted": 2}}),
            False,
            [
                "Next: the last run stopped early (it ended), with 2 users left. To resume:",
                "  run its command again (the ledger does not keep it: it may name people)",
            ],
        ),
        (
            PastRun(1, NOW, NOW, {"counts": {"sent": 3, "failed": 1}}),
            False,
            [
                "Next: the last run failed for 1 user. Fix the causes, then:",
                "  run its command again (the ledger does not keep it: it may name people)",
            ],
        ),
        (
            PastRun(1, NOW, NOW, {"counts": {"sent": 3, "failed": 0}}),
            False,
            ["Next: nothing. The last run reached all its users."],
        ),
    ],
)  # fmt: skip
def test_status_ends_with_what_to_do(run: PastRun, running: bool, expected: list[str]) -> None:
    assert next_step([run], running=running) == expected
    assert lines(status(ADA, runs=[run], running=running), more="")[-len(expected) :] == expected


def test_unknown_messages_are_what_is_left_to_do() -> None:
    """A run that lost a response did not reach all its users, though none is left to send to."""
    done = [PastRun(1, NOW, NOW, {"counts": {"sent": 1, "unknown": 1}})]
    assert lines(status(ADA, LOST, runs=done), more="")[-1] == (
        "Next: nothing to send. 1 message is unknown: see above."
    )


def test_cap_is_that_of_the_last_run_that_noted_one() -> None:
    assert last_cap([]) is None
    failed = PastRun(3, NOW, NOW, {"error": "no such file"})
    runs = [PastRun(1, NOW, NOW, {"max_sends": 1}), PastRun(2, NOW, NOW, {"max_sends": 3}), failed]
    assert last_cap(runs) == 3


def test_last_ten_runs_are_shown_and_the_rest_counted() -> None:
    runs = [PastRun(n, NOW, NOW + n * 3600, {"exit_code": 0}) for n in range(1, 14)]
    output = lines(status(ADA, runs=runs, max_sends=0), more="")
    assert output[2] == "Runs 13"
    assert output[4] == "  ...  3 earlier ones"
    assert output[5].split()[0] == "4"
    assert output[14] == "   13  2027-01-15 08:00  13h00        0       0       0       0  exit 0"
    assert not any(line.startswith("Reached the limit") for line in output)


@pytest.mark.parametrize("count", [0, 10**5, 10**6, 4 * 10**7])
def test_every_line_fits_a_terminal_whatever_the_counts(count: int) -> None:
    stock = Stock(1)
    for n, reason in enumerate(
        ["attempt-limit", "delivery-failed", "rejected-by-trigger", "user-disabled", "blocked"]
    ):
        stock.messages["failed", reason] = 10**6 + n
        stock.users["failed", reason] = 10**6 + n
    runs = [
        PastRun(999, NOW, NOW + 86399, {
            "stopped_by": "sender-identity", "exit_code": 4,
            "counts": {"sent": count, "failed": count, "unknown": count, "skipped": count},
        })
    ]  # fmt: skip
    stock.messages["unknown", "not-recorded"] = count
    stock.evidence["sent"] = count
    since = Confirmations("eu-west-1_Pool", {3: Counter(dict.fromkeys(POOL_SAYS, count))})
    facts = status(stock=stock, runs=runs, unknown=[*LOST, *OPEN, *ERASED], confirmations=since)
    output = lines(facts, more="")
    assert [line for line in output if len(line) > 80] == []
    assert f" {count:,} {count:,} {count:,} {count:,}" in " ".join("\n".join(output).split())
    assert "sender-identity" in "\n".join(output)


def test_names_are_masked_by_default_and_escaped_always() -> None:
    hostile = "\x1b[2Jada\u202e@example.com"
    state = status([message(hostile, "unknown", "no-answer")])
    for masked in (True, False):
        text = "\n".join(lines(state, more="", masked=masked))
        text += "\n".join(history_lines(hostile, "l", state.unknown, masked=masked))
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert (r"\x1b[2Jada\u202e@example.com" in text) is not masked
        for of in (as_json(state, masked=masked), history_json(hostile, "l", [], masked=masked)):
            assert ("ada" in json.dumps(of)) is not masked


def test_evidence_is_counted_in_the_status() -> None:
    """What CloudTrail settled, what it has no record of, and from when the rest can be settled."""
    settled = message("ada", evidence="event", reconciled_at=NOW)
    missing = message("bob", "unknown", "not-recorded", at=NOW - DAY)
    stock = take_stock([[settled], [missing], LOST], 1)
    content = as_json(status([settled], [missing], LOST))
    assert content["settled_by_evidence"] == {"sent": 1}
    assert content["unknown"]["not_recorded"] == stock.not_recorded == 1
    assert content["unknown"]["reconcile_from"] == NOW + 900
    assert as_json(status(ADA))["unknown"]["reconcile_from"] is None
    place = {"region": "eu-west-1", "endpoint_is_aws": False, "endpoint": "http://localhost:1"}
    state = status([settled], [missing], LOST, runs=[PastRun(1, NOW, NOW, place), *RUNS])
    shown = lines(state, more="", now=NOW + DAY)
    at = shown.index(
        "Unknown outcomes: 3; 1 settled by CloudTrail's records, 1 not recorded, 1 left"
    )
    assert shown[at + 3 : at + 7] == [
        "  To settle them by CloudTrail's records:",
        "  batch-resend reconcile --ledger state/l.sqlite3 --region eu-west-1 --endpoint-url"
        " http://localhost:1",
        "  To send again to users whose request is not recorded, add --resend-unknown",
        "    not-recorded: a few may get two codes.",
    ]


def test_one_user_s_history_reads_so() -> None:
    assert history_lines("bob@example.com", "l.sqlite3", TWICE) == [
        "b***@e*** in the ledger l.sqlite3: sent",
        "  run   1  2027-01-15 08:00  sent     accepted             b***@e***",
        "  run   2  2027-01-15 08:00  unknown  no-answer            b***@e***",
    ]
    messages = [
        message("ada", evidence="cloudtrail:event-1", reconciled_at=NOW + DAY),
        message("ada", "unknown", "not-recorded", run=2, reconciled_at=NOW + DAY),
    ]
    assert history_lines("ada", "l", messages, masked=False)[2::2] == [
        "           CloudTrail's record event-1, found 2027-01-16 08:00 UTC",
        "           no record in CloudTrail on 2027-01-16 08:00 UTC",
    ]
    assert history_lines("zoe", "l.sqlite3", [], masked=False) == ["No record of zoe in l.sqlite3."]
    assert history_json("zoe", "l", [])["state"] is None
    content = history_json("gus@example.com", "l", ERASED)
    assert content["state"] == "sent"
    assert content["messages"] == [{
        "run": 1, "username": None, "state": "sent", "reason": "accepted",
        "intended_at": NOW, "settled_at": NOW,
            "evidence": None,
            "reconciled_at": None,
    }]  # fmt: skip


def test_programs_get_the_same_in_numbers() -> None:
    confirmed = confirmations(EVERYBODY, {b"ada@example.com": "CONFIRMED"}.get, "p", NOW + DAY)
    content = as_json(status(*EVERYBODY, confirmations=confirmed, unknown=[LOST[0]]))
    assert json.loads(json.dumps(content)) == content
    assert content["runs"][0]["counts"]["not-attempted"] == 4
    assert content["runs"][1] == {
        "run": 2, "started_at": NOW, "finished_at": None, "exit_code": None, "stopped_by": None,
        "error": None, "counts": {"failed": 1, "open": 1, "unknown": 1},
    }  # fmt: skip
    assert content["messages"]["open"] == 1
    assert content["messages"]["unknown/no-answer"] == 2
    assert content["users"] == {"sent": 3, "unknown": 2, "failed": 1, "skipped": 1}
    assert content["at_cap"] == {"max_sends": 1, "users": 5, "in_doubt": 2}
    assert content["unknown"]["messages"] == 3
    assert [first["username"] for first in content["unknown"]["first"]] == ["c***@e***"]
    counts = {"written_to": 3, "confirmed": 1, "unconfirmed": 0, "other": 0, "not_listed": 2}
    assert content["confirmations"] == {
        "user_pool_id": "p", **counts, "by_day": [{"days": 1, **counts}],
        "unknown": {
            "written_to": 2, "confirmed": 0, "unconfirmed": 0, "other": 0, "not_listed": 2,
        },
    }  # fmt: skip
    assert as_json(status())["confirmations"] is None


def test_status_in_the_readme_is_what_the_program_writes() -> None:
    shown = "\n".join(block("status-output"))

    begun = 1_795_161_600.0  # 2026-11-20 08:00 UTC
    now = begun + 3 * DAY + 3600
    runs = [
        PastRun(1, begun, begun + 180, {
            "exit_code": 1, "counts": {"sent": 1000, "failed": 9, "unknown": 4, "skipped": 12},
        }),
        PastRun(2, begun + 3 * DAY, begun + 3 * DAY + 12, {
            "exit_code": 1, "counts": {"sent": 200, "failed": 1, "unknown": 0, "skipped": 1025},
        }),
    ]  # fmt: skip
    early = [[message(f"early{n}", at=begun)] for n in range(1000)]
    late = [[message(f"late{n}", at=begun + 3 * DAY, run=2)] for n in range(200)]
    missing = [[message(f"missing{n}", "failed", "user-not-found")] for n in range(8)]
    tired = [
        message("tired", "failed", "attempt-limit"),
        message("tired", "failed", "user-not-found", run=2),
    ]
    lost = [
        [message(f"{letter}@example.com", "unknown", "no-answer", at=begun + minutes * 60)]
        for letter, minutes in (("a", 1), ("m", 2), ("o", 2), ("z", 3))
    ]
    users = [*early, *late, *missing, tired, *lost]

    pool = {f"early{n}".encode(): "CONFIRMED" if n < 362 else "UNCONFIRMED" for n in range(970)}
    pool |= {f"late{n}".encode(): "CONFIRMED" if n < 50 else "UNCONFIRMED" for n in range(200)}
    pool |= {f"{letter}@example.com".encode(): "UNCONFIRMED" for letter in "amo"}
    pool |= {b"z@example.com": "CONFIRMED"}
    state = status(
        *users,
        ledger="state/eu-west-1-1example23456789.sqlite3",
        runs=runs,
        confirmations=confirmations(users, pool.get, "eu-west-1_AbCdEf123", now),
    )
    assert lines(state, more="") == shown.splitlines()
