"""The program and its pages use plain technical English: no word that readers stumble over.

Checked are the pages, and in the package every text: option help, stop sentences, reasons,
findings and errors are all literals of it, and so are docstrings and comments.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.markdown import PAGES

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "batch_resend"
BANNED = {
    r"\b(?:nobody|whoever|whomever|whom|somebody|everybody)\b": "name what did not happen",
    r"\bwrit(?:e|ten) to (?:people|users|them|again)\b": "send, message",
    r"\b(?:told|mended|befalls?|learnt|meanwhile|in vain)\b": "reported, fixed, during, no result",
    r"\bfor ever\b|\bso long as not\b|\band said so\b": "forever; say it in order",
    r"\btook the order\b": "accepted the request",
    r"(?:\d|\b(?:requests?|codes?|calls|times|mails)) a second\b": "per second",
    r"(?<!there )\b(?:is|are) no (?!longer|more\b|other\b)\w": "is not a valid …",
}
#: Digits that a page must group; in code they can be part of anything.
UNGROUPED = {r"\b\d{1,3}\d{3}\b (?:users|rows|messages|codes)": "1,200: group the digits"}
#: Pages that are still to be rewritten; the list may only become shorter.
PAGES_TO_DO = {
    "batch_resend/ledger/README.md",
    "tests/benchmarks/README.md",
}
#: Folders and modules that are still to be rewritten; the list may only become shorter.
CODE_TO_DO = {
    "job/outcome.py",
    "ledger/status.py",
    "preflight/estimate.py",
}


def prose(text: str) -> str:
    """A page without its code, which shows what the program prints."""
    return re.sub(r"`[^`]*`", "`…`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def faults(text: str, patterns: dict[str, str]) -> list[str]:
    """Return the words of a text that are banned, each with what to write instead."""
    return [
        f"{match[0]!r}: {better}"
        for pattern, better in patterns.items()
        for match in re.finditer(pattern, text, re.IGNORECASE)
    ]


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and text of every literal, docstring and comment of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, " ".join(node.value.split())
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def code_faults(path: Path) -> list[str]:
    """Return the banned words in a module, each with its place."""
    return [
        f"{path.relative_to(ROOT)}:{line}: {fault}"
        for line, text in texts(path.read_text("utf-8"))
        for fault in faults(text, BANNED)
    ]


def modules_of(place: str) -> list[Path]:
    """Return the modules of a folder of the package, or one module."""
    path = PACKAGE / place
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def is_to_do(path: Path) -> bool:
    """Whether a module is in `CODE_TO_DO`, by itself or with its folder."""
    return any(path in modules_of(place) for place in CODE_TO_DO)


@pytest.mark.parametrize("page", sorted(set(PAGES) - PAGES_TO_DO))
def test_page_has_no_banned_word(page: str) -> None:
    assert faults(prose(PAGES[page]), BANNED | UNGROUPED) == []


@pytest.mark.parametrize("page", sorted(PAGES_TO_DO))
def test_page_to_do_is_not_clean_yet(page: str) -> None:
    """A page that is clean must leave the list."""
    assert faults(prose(PAGES[page]), BANNED | UNGROUPED) != []


def test_package_has_no_banned_word() -> None:
    """No option help, sentence, docstring or comment of the package has a banned word."""
    modules = [path for path in sorted(PACKAGE.rglob("*.py")) if not is_to_do(path)]
    assert [fault for path in modules for fault in code_faults(path)] == []


def test_code_to_do_is_not_clean_yet() -> None:
    """A folder or module that is clean must leave the list."""
    clean = [
        place
        for place in sorted(CODE_TO_DO)
        if not any(code_faults(path) for path in modules_of(place))
    ]
    assert clean == []


@pytest.mark.parametrize(
    ("text", "banned"),
    [
        ("Nobody was written to.", True),
        ("--region 'x' is no Region.", True),
        ("At most 25 requests a second.", True),
        ("There is no ledger at this path.", False),
        ("The name is no longer used.", False),
        ("Users are never sent a second code.", False),
    ],
)
def test_patterns_ban_only_what_they_should(text: str, *, banned: bool) -> None:
    assert bool(faults(text, BANNED)) is banned
