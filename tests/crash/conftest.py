"""What the proofs of this folder share: they tell their figures."""

from __future__ import annotations

from collections.abc import Callable

import pytest

_FIGURES = "figures"  # a property of the test, so that it comes through from other processes


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Add a line of figures, shown at the end."""
    name = request.node.name

    def take(line: str) -> None:
        request.node.user_properties.append((_FIGURES, f"{name}: {line}"))

    return take


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures."""
    lines = [
        text
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for key, text in report.user_properties
        if key == _FIGURES
    ]
    if lines:
        terminalreporter.section("what the crashes cost")
        for line in lines:
            terminalreporter.write_line(line)
