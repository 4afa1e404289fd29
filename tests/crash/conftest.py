"""What the proofs of this folder share: they are long only on demand, and tell their figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

_FIGURES = pytest.StashKey[list[str]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the long versions unless `-m` names them."""
    if "long" in config.getoption("markexpr", default=""):
        return
    for item in items:
        if item.path.parent == Path(__file__).parent and item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="a long proof; ask for it with -m long"))


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
