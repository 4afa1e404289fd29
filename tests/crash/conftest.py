"""What the proofs of this folder share: they tell their figures."""

from __future__ import annotations

from collections.abc import Callable

import pytest

_FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Take a line of figures, to be shown when all is done."""
    lines = request.config.stash.setdefault(_FIGURES, [])
    name = request.node.name

    def take(line: str) -> None:
        lines.append(f"{name}: {line}")

    return take


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show the figures."""
    if lines := config.stash.get(_FIGURES, []):
        terminalreporter.section("what the crashes cost")
        for line in lines:
            terminalreporter.write_line(line)
