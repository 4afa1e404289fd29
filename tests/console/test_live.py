"""The frame says how the run stands, in 80 columns, and nothing is ever torn."""

import html
import io
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyte
import pytest
from rich.console import Console

from batch_resend.console.live import Display, about, frame
from batch_resend.job.engine import Snapshot
from batch_resend.job.outcome import Stop
from batch_resend.job.summary import Tally
from batch_resend.model import Outcome, Reason
from batch_resend.reasons import ADVICE


@pytest.fixture(autouse=True)
def _a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)


def snapshot(**changes: Any) -> Snapshot:
    facts: dict[str, Any] = {
        "eligible": 3000,
        "done": 1204,
        "tally": Tally(
            reasons=Counter(
                {
                    Reason.ACCEPTED: 1150,
                    Reason.DUPLICATE: 12,
                    Reason.USER_NOT_FOUND: 31,
                    Reason.ATTEMPT_LIMIT: 9,
                    Reason.NO_ANSWER: 14,
                }
            )
        ),
        "rate": 24.1,
        "ceiling": 25.0,
        "throttled": 3,
        "in_flight": 2,
        "seconds": 48.0,
        "stopped_by": None,
    }
    return Snapshot(**(facts | changes))


FAILURES = [r for r in Reason if r.outcome in {Outcome.FAILED, Outcome.UNKNOWN}]
LATEST = (Reason.USER_NOT_FOUND, Reason.NO_ANSWER, Reason.ATTEMPT_LIMIT)


def drawn(width: int, standing: Snapshot, **changes: Any) -> list[str]:
    console = Console(width=width, file=io.StringIO())
    with console.capture() as captured:
        console.print(frame(standing, **({"seconds": 48.0, "width": width} | changes)))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_the_frame_says_what_an_operator_asks() -> None:
    assert drawn(80, snapshot(), latest=LATEST) == [
        "",
        "sending   " + "\u2501" * 28,
        "done      1,204 of 3,000   40 %   48 s elapsed, 75 s left",
        "rate      24.1/s (limit 25/s)   3 throttled",
        "results   1,150 sent   12 skipped   40 failed   14 unknown",
        "failures  31 user-not-found       the client has no such user",
        "           9 attempt-limit        sent five codes within an hour",
        "          14 no-answer            the response was lost",
        "now       2 in flight",
    ]


def test_the_frame_names_the_wave_where_there_are_several() -> None:
    assert "1,204 of 3,000, wave 2 of 3   40 %" in drawn(80, snapshot(wave=2, waves=3))[2]


@pytest.mark.parametrize("width", [40, 80, 120, 300])
def test_frame_is_not_wider_than_terminal_or_80_columns(width: int) -> None:
    many = Tally(reasons=Counter(dict.fromkeys(Reason, 1_000_000)))
    standing = snapshot(
        eligible=10_000_000, done=9_999_999, tally=many, throttled=10**6, rate=0.5, in_flight=1000
    )
    for latest in (FAILURES[:7], FAILURES[7:]):
        lines = drawn(width, standing, latest=latest, waiting="waiting 30 s: " + "no answer " * 20)
        assert len(lines) == 10 if width > 60 else 10 < len(lines) < 18
        assert max(map(len, lines)) <= min(width, 80)


def test_no_meaning_is_cut_off_at_80_columns() -> None:
    tally = Tally(reasons=Counter(dict.fromkeys(FAILURES, 10_000)))
    for reason in FAILURES:
        lines = drawn(80, snapshot(tally=tally), latest=[reason])
        assert lines[5] == f"failures  10,000 {reason:<20} {ADVICE[reason].brief}"


def test_the_failures_heard_of_last_are_shown_each_in_its_place() -> None:
    tally = Tally(reasons=Counter(dict.fromkeys(FAILURES, 1)))
    latest = [
        Reason.USER_NOT_FOUND,
        Reason.NO_ANSWER,
        Reason.REJECTED,
        Reason.CONNECTION,
        Reason.BLOCKED,
    ]
    lines = drawn(80, snapshot(tally=tally), latest=latest)
    assert [line[12:].split()[0] for line in lines[5:9]] == [
        "rejected",
        "blocked",
        "connection",
        "no-answer",
    ]


@pytest.mark.parametrize(
    ("arguments", "waiting", "now"),
    [
        ({}, "", "now       2 in flight"),
        (
            {},
            "waiting 4 s: Cognito asked us to slow down",
            "now       waiting 4 s: Cognito asked us to slow down",
        ),
        (
            {"stopped_by": Stop.SIGINT},
            "waiting 4 s: Cognito asked us to slow down",
            "now       stopping, 2 in flight (Ctrl-C again to quit now)",
        ),
    ],
)
def test_what_is_being_done_now_is_the_last_line(
    arguments: dict[str, Any], waiting: str, now: str
) -> None:
    lines = drawn(80, snapshot(**arguments), waiting=waiting)
    assert lines[-1] == now
    assert ("left" in lines[2]) == (not arguments and not waiting)


def test_frame_of_a_run_without_users_is_done() -> None:
    lines = drawn(80, snapshot(eligible=0, done=0, tally=Tally(), throttled=0), seconds=0.0)
    assert lines[2:] == [
        "done      0 of 0   100 %   0 s elapsed",
        "rate      24.1/s (limit 25/s)",
        "results   0 sent",
        "now       2 in flight",
    ]


def test_narrow_terminal_shows_the_numbers_and_no_bar() -> None:
    assert drawn(40, snapshot(), latest=LATEST[:1]) == [
        "",
        "1,204 of 3,000   40 %",
        "48 s elapsed, 75 s left",
        "24.1/s (limit 25/s)   3 throttled",
        "1,150 sent   12 skipped   40 failed",
        "14 unknown",
        "31 user-not-found",
        "2 in flight",
    ]


def test_bar_stays_where_it_was_when_the_run_stops() -> None:
    reasons = {Reason.ACCEPTED: 548, Reason.STOPPED: 1732}
    stopped = snapshot(
        eligible=2280,
        done=2280,
        tally=Tally(reasons=Counter(reasons)),
        stopped_by=Stop.SIGINT,
    )
    lines = drawn(80, stopped)
    assert lines[2] == "done      548 of 2,280   24 %   48 s elapsed"
    assert "1,732 not-attempted" in lines[4]


def test_frame_says_that_only_responses_are_awaited() -> None:
    assert "elapsed, waiting for 2 responses" in drawn(80, snapshot(done=2998))[2]


def test_resized_terminal_keeps_no_part_of_an_old_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that shrinks breaks the frame's lines into several."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "30")
    wide = io.StringIO()
    display = Display(wide)
    display.say("a note")
    display.show(frame(snapshot(), seconds=1.0, latest=LATEST))
    frames = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", wide.getvalue()).splitlines()
    screen = Screen(40, 30)
    for number, line in enumerate(frames):  # as the terminal has it after the change
        screen.write(("\n" if number else "") + line)
    narrow = io.StringIO()
    display._console.width, display._console.file = 40, narrow
    display.show(frame(snapshot(), seconds=2.0, latest=LATEST, width=display.width))
    screen.write(narrow.getvalue())
    assert [line for line in screen.text if line][:3] == [
        "a note", "1,204 of 3,000   40 %", "2 s elapsed, 75 s left"
    ]  # fmt: skip
    assert not any("sending" in line for line in screen.text)
    display.close()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (89.4, "89 s"), (90, "2 min"), (3600, "60 min"), (5400, "1 h 30 min")],
)
def test_lengths_of_time_are_said_calmly(seconds: float, said: str) -> None:
    assert about(seconds) == said


class Screen:
    """A terminal that can be looked at."""

    def __init__(self, columns: int, lines: int) -> None:
        self.screen = pyte.HistoryScreen(columns, lines, history=10_000, ratio=0.001)
        self._stream = pyte.Stream(self.screen)
        self.encoding = "utf-8"
        self.written = 0

    def write(self, text: str) -> int:
        self._stream.feed(text.replace("\n", "\r\n"))
        self.written += len(text)
        return len(text)

    def flush(self) -> None:
        pass

    @property
    def text(self) -> list[str]:
        gone = [
            "".join(line[x].data for x in range(self.screen.columns))
            for line in self.screen.history.top
        ]
        return [line.rstrip() for line in (*gone, *self.screen.display)]


@pytest.mark.parametrize("lines", [4, 10, 24])
@pytest.mark.parametrize("columns", [40, 80, 120])
def test_neither_notes_nor_frames_are_torn(
    columns: int, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", str(lines))
    screen = Screen(columns, lines)
    display = Display(screen)  # type: ignore[arg-type]
    notes = []
    for tick in range(40):
        for number in range(tick % 4):
            notes.append(f"note {tick}.{number} [bold]:smile: " + "x" * (tick % 7) * 9)
            display.say(notes[-1])
        display.show(frame(snapshot(done=30 * tick), seconds=tick, latest=LATEST[: tick % 3]))
    display.say("the last")
    display.close()
    wrapped = [
        note[start : start + columns].rstrip()
        for note in (*notes, "the last")
        for start in range(0, len(note), columns)
    ]
    assert [line for line in screen.text if line] == [line for line in wrapped if line]
    assert not screen.screen.cursor.hidden


def test_the_frame_below_a_note_is_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(80, 24)
    display = Display(screen)  # type: ignore[arg-type]
    for done in (100, 200, 300):
        display.say("a note")
        display.show(frame(snapshot(done=done), seconds=1.0))
        assert [line for line in screen.text if line.startswith("done")] == [
            f"done      {done} of 3,000   {done // 30} %   1 s elapsed,"
            f" {about((3000 - done) / 24.1)} left"
        ]
    display.close()


def test_a_thousand_notes_between_two_ticks_are_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(80, 24)
    display = Display(screen)  # type: ignore[arg-type]
    display.show(frame(snapshot(), seconds=1.0))
    before = screen.written
    for number in range(1000):
        display.say(f"note {number}")
    assert screen.written == before
    display.show(frame(snapshot(), seconds=1.0))
    assert screen.written < before + 1000 * len("note 999\n") + 4000
    display.close()


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_no_color_is_obeyed(no_color: str, coloured: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    stream = io.StringIO()
    display = Display(stream)
    display.show(frame(snapshot(), seconds=1.0, latest=LATEST))
    display.close()
    assert ("\x1b[32m" in stream.getvalue()) is coloured
    assert ("\x1b[36m" in stream.getvalue()) is coloured


def test_closed_terminal_raises_no_error() -> None:
    stream = io.StringIO()
    display = Display(stream)
    display.show(frame(snapshot(), seconds=1.0))
    stream.close()
    display.say("a note")
    display.show(frame(snapshot(), seconds=1.0))
    display.close()


def test_the_picture_shows_the_frame_and_loads_nothing() -> None:
    picture = (Path(__file__).parents[2] / "examples" / "terminal.svg").read_text("utf-8")
    text = html.unescape(re.sub(r"<[^>]+>", "", picture)).replace("\xa0", " ")
    for piece in ("Plan for users.csv", "sending", "done", "rate", "results", "failures", "now"):
        assert piece in text
    assert set(re.findall(r"https?://[^\s\"<]+", picture)) <= {
        "http://www.w3.org/2000/svg",
        "https://www.textualize.io",
    }
    assert "url(http" not in picture
