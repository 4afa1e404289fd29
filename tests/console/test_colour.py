"""Words that mean good, careful and stop have their colour, where colour is wanted."""

from __future__ import annotations

import io

import pytest

from batch_resend.console.colour import coloured, shows_colour
from batch_resend.console.console import Console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("Error: no such file", "\x1b[31mError:\x1b[0m no such file"),
        ("shop: Error: no such file", "\x1b[31mshop: Error:\x1b[0m no such file"),
        ("Warning: no ledger", "\x1b[33mWarning:\x1b[0m no ledger"),
        ("stop     no such client", "\x1b[31mstop\x1b[0m     no such client"),
        ("warning  old lists bounce", "\x1b[33mwarning\x1b[0m  old lists bounce"),
        ("ok       the pool exists", "\x1b[32mok\x1b[0m       the pool exists"),
        ("  failed  6 (rejected 6)", "\x1b[31m  failed\x1b[0m  6 (rejected 6)"),
        ("  unknown  4", "\x1b[33m  unknown\x1b[0m  4"),
        ("Ready to run.", "\x1b[32mReady to run\x1b[0m."),
        ("stopped clocks raise no finding", "stopped clocks raise no finding"),
        (
            "5 rows in 1 s: 3 sent, 1 failed, 1 unknown (5 requests).",
            "5 rows in 1 s: \x1b[32m3 sent\x1b[0m, \x1b[31m1 failed\x1b[0m,"
            " \x1b[33m1 unknown\x1b[0m (5 requests).",
        ),
    ],
)
def test_words_have_their_colour(line: str, shown: str) -> None:
    assert coloured(line) == shown


@pytest.mark.parametrize(
    ("term", "no_color", "shown"),
    [("xterm", "", True), ("xterm", "1", False), ("dumb", "", False)],
)
def test_colour_is_shown_on_a_terminal_unless_refused(
    term: str, no_color: str, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("NO_COLOR", no_color)
    assert shows_colour(Terminal()) is shown
    assert shows_colour(io.StringIO()) is False
    for stream in (Terminal(), io.StringIO()):
        Console(yes=True, stream=stream).error("no such file")
        assert ("\x1b[31m" in stream.getvalue()) is (shown and stream.isatty())
