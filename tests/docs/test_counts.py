"""Counts are grouped in the same way in every sentence: 2,400 and never 2400."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.support.markdown import ROOT

_COUNT = re.compile(
    r"^_*(count|total|vain|dropped|unknown|unfinished|wanted|fitting|repeated|looked_up"
    r"|at_cap|requests|rows|settled)$"
)
#: Which row or user it is, and values of a database's settings.
_NOT_A_COUNT = re.compile(r"(row|user|line|must be) $")


def _ungrouped(text: str) -> Iterator[str]:
    """Yield the counts in f-strings that are written as they are."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.JoinedStr):
            continue
        before = ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                before = str(part.value)
            elif isinstance(part, ast.FormattedValue) and part.format_spec is None:
                value = ast.unparse(part.value)
                if _COUNT.search(value.rpartition(".")[2]) and not _NOT_A_COUNT.search(before):
                    yield f"{part.lineno}: {{{value}}}"
                before = ""


def test_the_search_finds_counts_and_leaves_places_alone() -> None:
    assert list(_ungrouped('f"{some.count} users"; f"{count:,}"; f"row {self.count} of"')) == [
        "1: {some.count}"
    ]


def test_every_count_of_a_sentence_is_grouped() -> None:
    package = ROOT / "batch_resend"
    result = [
        f"{path.relative_to(package)}:{where}"
        for path in sorted(package.rglob("*.py"))
        for where in _ungrouped(path.read_text("utf-8"))
        if path.name != "wording.py"  # which writes the 1 of `1 user`
    ]
    assert result == []
