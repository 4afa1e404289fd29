"""What a person sees: plain words, masked names, whole lines, data elsewhere."""

import io
import json
import re
from collections import Counter
from typing import Any

import anyio
import pytest
import trio.testing

from batch_resend.console.console import Console
from batch_resend.console.lines import numbers, progress_line, summary_lines, wrapped
from batch_resend.errors import BatchResendError, NotConfirmed
from batch_resend.job.engine import Snapshot
from batch_resend.job.outcome import Stop
from batch_resend.job.summary import Tally
from batch_resend.model import Reason, Result
from batch_resend.observer import Began, Ended, Noted, Planned, Preparing, Settled, Waiting
from batch_resend.run.stops import Interrupted
from tests.support.consoles import PREVIEW, snapshot, summary
from tests.support.infos import info
from tests.support.program import without_times


def test_the_summary_says_what_happened_and_what_now() -> None:
    totals = summary(
        {Reason.ACCEPTED: 3, Reason.USER_NOT_FOUND: 1, Reason.NO_ANSWER: 2, Reason.STOPPED: 4},
        stopped_by=Stop.DEADLINE,
        throttled=2,
        unknown_in_ledger=2,
    )
    assert summary_lines(totals) == [
        "10 rows in 75 s: 3 sent, 1 failed, 2 unknown, 4 not-attempted (9 requests, 2 throttled).",
        "  failed             1 (user-not-found 1)",
        "  unknown            2 (no-answer 2)",
        "Stopped: The time that --deadline allows has passed.",
        "To resume, run the same command again: users already sent a code are skipped.",
        "Unknown over all runs: 2. A code may have been sent or not, so these users are treated"
        " as sent.",
        "Report: report.csv",
    ]


def test_end_names_the_status_command_where_a_ledger_is_kept() -> None:
    reasons = {Reason.NO_ANSWER: 1}
    with_ledger = summary(reasons, unknown_in_ledger=1, info=info(ledger="my state/l.sqlite3"))
    assert summary_lines(with_ledger)[3:6] == [
        "  batch-resend status --ledger 'my state/l.sqlite3'",
        "To settle them by CloudTrail's records, from 1970-01-01 00:16 UTC on:",
        "  batch-resend reconcile --ledger 'my state/l.sqlite3' --region eu-west-1",
    ]
    earlier = summary({}, unknown_in_ledger=1, info=info(ledger="l.sqlite3"))
    assert "To settle them by CloudTrail's records:" in summary_lines(earlier)
    for totals in (
        summary(reasons, unknown_in_ledger=1, info=info(ledger=None)),
        summary({}, unknown_in_ledger=0, info=info(ledger="l.sqlite3")),
    ):
        assert not any("batch-resend status" in line for line in summary_lines(totals))


def test_end_knows_what_cloudtrail_has_no_record_of() -> None:
    """These are not settled by another `reconcile`, so it is suggested for the others only."""
    ledger = info(ledger="l.sqlite3")
    totals = summary({}, unknown_in_ledger=1200, not_recorded_in_ledger=1200, info=ledger)
    assert summary_lines(totals)[1:4] == [
        "Unknown over all runs: 1,200 (1,200 not recorded by CloudTrail). A code may have been"
        " sent or not, so these users are treated as sent.",
        "  batch-resend status --ledger l.sqlite3",
        "To send again to users whose request is not recorded, add --resend-unknown not-recorded:"
        " a few may get two codes.",
    ]
    some = summary({}, unknown_in_ledger=4, not_recorded_in_ledger=1, info=ledger)
    assert "  batch-resend reconcile --ledger l.sqlite3 --region eu-west-1" in summary_lines(some)


def test_a_number_that_is_not_known_is_not_said_to_be_none() -> None:
    lines = summary_lines(summary({Reason.ACCEPTED: 1}, unknown_in_ledger=None))
    assert "Unknown over all runs: not counted, because the ledger could not be read." in lines


def test_what_weakens_the_result_is_named() -> None:
    simulated = summary({}, info=info(simulated=True))
    assert summary_lines(simulated)[0].startswith("0 rows in 75 s: no rows")
    assert "Simulation only: no real messages were sent." in summary_lines(simulated)
    elsewhere = summary(
        {}, info=info(endpoint="https://p.example", endpoint_is_aws=False, report="-")
    )
    assert summary_lines(elsewhere)[-1] == "Custom endpoint: https://p.example"
    hostile = summary({}, stopped_by=Stop.TRIGGER, detail="bad\x1b[31m\nError: forged")
    assert all("\n" not in line and "\x1b" not in line for line in summary_lines(hostile))


@pytest.mark.parametrize(
    ("arguments", "waiting", "line"),
    [
        ({}, "", "250/1,000 25% | 240 sent | 10 unknown | 25/s of 50/s | 30 s left"),
        ({"accepting": False}, "", "250/1,000 25% | 240 sent | 10 unknown | 25/s of 50/s"),
        (
            {"throttled": 7, "rate": 1.234},
            "",
            "250/1,000 25% | 240 sent | 10 unknown | 1.23/s of 50/s | 7 throttled | 10 min left",
        ),
        (
            {},
            "waiting 4 s: no response from Cognito",
            "250/1,000 25% | 240 sent | 10 unknown | 25/s of 50/s"
            " | waiting 4 s: no response from Cognito",
        ),
        (
            {"stopped_by": Stop.SIGINT},
            "",
            "250/1,000 25% | 240 sent | 10 unknown | 25/s of 50/s | stopping, 3 in flight",
        ),
        (
            {"stopped_by": Stop.SIGINT, "wave": 2, "waves": 3},
            "",
            "250/1,000 25% | wave 2 of 3 | 240 sent | 10 unknown | 25/s of 50/s"
            " | stopping, 3 in flight",
        ),
        (
            {"eligible": 0, "done": 0, "tally": Tally()},
            "",
            "0/0 100% | 0 sent | 25/s of 50/s",
        ),
    ],
)
def test_one_line_says_how_the_run_stands(
    arguments: dict[str, Any], waiting: str, line: str
) -> None:
    assert line == progress_line(snapshot(**arguments), waiting)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def standing() -> Snapshot:
    return snapshot(tally=Tally(reasons=Counter({Reason.ACCEPTED: 249, Reason.REJECTED: 1})))


def watched(stream: io.StringIO, until: str = "", **options: Any) -> str:
    """Return what is written in a run in which a user fails and notes are reported.

    It goes on until the text `until` was written.
    """

    async def work() -> None:
        console = Console(yes=True, stream=stream, **options)
        async with console.progress():
            console.observe(Began(info(), 0.0, standing))
            console.observe(Settled(Result(1, "ada", Reason.REJECTED)))
            console.observe(Waiting("no response from Cognito", 4.0))
            await anyio.sleep(0.35)
            while until not in stream.getvalue():
                await anyio.sleep(0.01)
            console.observe(Noted("a note"))
            await anyio.sleep(0.25)
            console.observe(Noted("another note"))
            console.observe(Ended(summary({Reason.ACCEPTED: 1})))

    anyio.run(work)
    return stream.getvalue()


def test_on_a_terminal_the_display_is_drawn_and_taken_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    written = watched(Terminal(), "250 of 1,000")
    assert "250 of 1,000" in written
    assert "Cognito refused the request" in written
    assert re.search(r"waiting \d s: no response from Cognito", written)
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1  # the cursor
    end = written.partition("\x1b[?25h")[2]
    assert end.index("another note\n") < end.index("1 row in 75 s")
    assert "250 of 1,000" not in end


@pytest.mark.parametrize(
    ("stream", "term", "arguments"),
    [
        (io.StringIO, "xterm", {}),
        (Terminal, "dumb", {}),
        (Terminal, "", {}),
        (Terminal, "xterm", {"live": False}),
        (Terminal, "xterm", {"quiet": True}),
        (Terminal, "xterm", {"json_lines": True}),
    ],
)
def test_elsewhere_nothing_is_drawn(
    stream: type[io.StringIO], term: str, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    if term:
        monkeypatch.setenv("TERM", term)
    else:
        monkeypatch.delenv("TERM", raising=False)
    written = watched(stream(), **arguments)
    assert "\x1b" not in written
    assert "\r" not in written
    assert ("a note" in written) == ("quiet" not in arguments)


def test_elsewhere_a_plain_line_comes_every_half_minute() -> None:
    async def work() -> None:
        console = Console(yes=True, stream=stream)
        async with console.progress():
            console.observe(Began(info(), 0.0, standing))
            await anyio.sleep(95)

    stream = io.StringIO()
    clock = trio.testing.MockClock(autojump_threshold=0)
    trio.run(work, clock=clock)
    line = "250/1,000 25% | 249 sent | 1 failed | 25/s of 50/s | 30 s left\n"
    assert without_times(stream.getvalue()) == line * 3


def test_log_lines_begin_with_utc_time_and_name_start_and_end() -> None:
    stream = io.StringIO()
    console = Console(yes=True, stream=stream)
    console.starts("l.sqlite3")
    console.observe(Noted("a note"))
    console.error("no such file")
    console.ends(4)
    lines = stream.getvalue().splitlines()
    moment = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ "
    assert all(re.match(moment, line) for line in lines)
    words = [re.sub(moment, "", line) for line in lines]
    assert re.fullmatch(r"batch-resend \S+ started, process \d+, ledger l\.sqlite3", words[0])
    assert words[1:] == ["a note", "Error: no such file", "Ended with exit code 4."]


def test_terminal_lines_have_no_times_and_no_first_and_last_line() -> None:
    stream = Terminal()
    console = Console(yes=True, stream=stream)
    console.starts("l.sqlite3")
    console.observe(Noted("a note"))
    console.ends(0)
    assert stream.getvalue() == "a note\n"


def test_log_says_what_takes_long_before_the_plan() -> None:
    async def work() -> None:
        console = Console(yes=True, stream=stream)
        async with console.progress():
            rows = iter((480_000, 960_000))
            console.observe(Preparing(lambda: f"Reading users.csv ... {next(rows):,} rows"))
            await anyio.sleep(35)
            console.observe(Planned(PREVIEW))
            await anyio.sleep(60)

    stream = io.StringIO()
    trio.run(work, clock=trio.testing.MockClock(autojump_threshold=0))
    said = [line.partition(" ")[2] for line in stream.getvalue().splitlines()]
    assert said[-2:] == ["Reading users.csv ... 480,000 rows", "Reading users.csv ... 960,000 rows"]


def test_terminal_shows_what_takes_long_until_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()

    async def work() -> None:
        console = Console(yes=True, stream=stream)
        async with console.progress():
            console.observe(Preparing(lambda: "Listing users of eu-west-1_A ... 12,480"))
            while "12,480" not in stream.getvalue():
                await anyio.sleep(0.01)
            console.observe(Planned(PREVIEW))
            await console.approve(PREVIEW)

    anyio.run(work)
    shown, _, after = stream.getvalue().rpartition("\x1b[?25h")
    assert "Listing users of eu-west-1_A ... 12,480" in shown
    assert after.startswith("Plan for users.csv")


def test_json_lines_are_one_object_each() -> None:
    stream = io.StringIO()
    console = Console(yes=True, json_lines=True, stream=stream)
    console.observe(Noted("a note"))
    console.observe(Waiting("no response from Cognito", 4.0))
    console.error("no such file")
    console.observe(Ended(summary({Reason.ACCEPTED: 1})))
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in events] == ["note", "waiting", "error", "summary"]
    assert events[1]["seconds"] == 4.0
    assert events[3]["counts"]["sent"] == 1


def test_quiet_leaves_only_the_summary_and_errors() -> None:
    stream = io.StringIO()
    console = Console(yes=True, quiet=True, stream=stream)
    console.observe(Noted("a note"))
    console.observe(Waiting("no response from Cognito", 4.0))
    anyio.run(console.approve, PREVIEW)
    assert stream.getvalue() == ""
    console.error("no such file")
    console.observe(Ended(summary({Reason.ACCEPTED: 1})))
    assert without_times(stream.getvalue()).startswith("Error: no such file\n1 row in 75 s")


def test_dry_run_ends_with_the_command_that_sends() -> None:
    reasons = {Reason.ELIGIBLE: 2280, Reason.DUPLICATE: 120}
    dry = info(dry_run=True, next_command="batch-resend run users.csv", simulated=True)
    assert summary_lines(summary(reasons, info=dry)) == [
        "Dry run complete: 2,280 would be sent a code, 120 skipped. Nothing was sent.",
        "  skipped            120 (duplicate 120)",
        "To send:",
        "  batch-resend run users.csv",
        "Report: report.csv",
    ]


def test_end_names_every_file_that_was_written() -> None:
    files = {"report": "r.csv", "failed": "f.csv", "html": "-", "summary": "s.json"}
    lines = summary_lines(summary({Reason.ACCEPTED: 1}, info=info(**files)))
    assert lines[1:] == ["Report: r.csv", "Rows to try again: f.csv", "Summary: s.json"]


def test_throwaway_ledger_promises_no_resuming() -> None:
    ended = summary(
        {Reason.STOPPED: 4, Reason.NO_ANSWER: 1},
        info=info(simulated=True, ledger=None),
        unknown_in_ledger=1,
    )
    lines = summary_lines(ended)
    assert not any("treated as sent" in line for line in lines)
    assert any("is not remembered" in line for line in lines)
    assert not any("To resume" in line for line in lines)


@pytest.mark.parametrize("end", [NotConfirmed(), Interrupted(Stop.SIGINT)])
def test_choice_not_to_send_is_not_an_error(end: BatchResendError) -> None:
    stream = io.StringIO()
    Console(yes=True, stream=stream).observe(Ended(end))
    assert not without_times(stream.getvalue()).startswith("Error")
    assert stream.getvalue().rstrip().endswith(str(end))


@pytest.mark.parametrize(
    ("standing", "end"),
    [
        ({"rate": 50.1, "ceiling": 1000.0}, " | 50.1/s of 1,000/s | 15 s left"),
        ({"done": 997}, " | 25/s of 50/s | waiting for 3 responses"),
        ({"done": 999, "in_flight": 1}, " | 25/s of 50/s | waiting for 1 response"),
    ],
)
def test_progress_line_ends_with_rate_and_time(standing: dict[str, Any], end: str) -> None:
    assert progress_line(snapshot(**standing)).endswith(end)


def test_progress_stays_where_it_was_when_the_run_stops() -> None:
    reasons = {Reason.ACCEPTED: 540, Reason.ALREADY_CONFIRMED: 8, Reason.STOPPED: 1732}
    stopped = snapshot(
        eligible=2280, done=2280, tally=Tally(reasons=Counter(reasons)), stopped_by=Stop.SIGINT
    )
    assert progress_line(stopped).startswith("548/2,280 24% | 540 sent | 8 skipped | ")
    assert numbers(stopped)["done"] == 548


def test_verbose_has_a_line_for_each_row_without_a_code() -> None:
    failed = Result(
        7, "ada@example.com", Reason.REJECTED, error_message="no ada@example.com\nError: forged"
    )
    for masked, name in ((True, "a***@e***"), (False, "ada@example.com")):
        stream = io.StringIO()
        console = Console(yes=True, verbose=True, masked=masked, stream=stream)
        console.observe(Settled(Result(6, "bob", Reason.ACCEPTED)))
        console.observe(Settled(failed))
        console.observe(Settled(Result(8, "cid", Reason.DUPLICATE)))
        shown = "cid" if not masked else "c***"
        assert without_times(stream.getvalue()).splitlines() == [
            f"row 7 {name}: failed, rejected (no {name}\\nError: forged)",
            f"row 8 {shown}: skipped, duplicate",
        ]


def test_a_closed_terminal_ends_no_run() -> None:
    stream = io.StringIO()
    console = Console(yes=True, stream=stream)
    stream.close()
    console.observe(Noted("a note"))
    console.observe(Ended(summary({Reason.ACCEPTED: 1})))


def test_a_line_too_long_for_a_terminal_is_broken_between_words() -> None:
    assert wrapped("short enough", 12) == "short enough"
    command = "  batch-resend run users.csv --ledger l.sqlite3 --older-than 14d"
    assert wrapped(command, 24) == command
    text = wrapped("  skipped  60 (disabled 40, duplicate 20)", 24)
    assert text == "  skipped  60 (disabled\n    40, duplicate 20)"
    assert wrapped("Report: /a/very/long/path.csv", 12) == "Report:\n  /a/very/long/path.csv"


def test_end_shows_the_command_to_resume_where_it_differs() -> None:
    going_on = "batch-resend run users.csv --report r-2.csv"
    totals = summary({Reason.STOPPED: 4}, info=info(next_command=going_on))
    assert f"  {going_on}" in summary_lines(totals)
    assert not any("the same command" in line for line in summary_lines(totals))
