"""The project uses plain technical English: no word that readers stumble over.

Checked are the pages, the examples and workflows, and in the package and its tests every text
(literals, docstrings, comments and the names of definitions). The names of values are nouns.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.language import BANNED, PARTICIPLES, faults, names, texts
from tests.support.markdown import PAGES

ROOT = Path(__file__).parents[2]
#: Digits that a page must group; in code they can be part of anything.
UNGROUPED = {r"\b\d{1,3}\d{3}\b (?:users|rows|messages|codes)": "1,200: group the digits"}
#: The modules that list the banned words.
LISTS = {"tests/support/language.py", "tests/docs/test_language.py"}
MODULES = [
    path
    for folder in ("batch_resend", "tests", "examples")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.relative_to(ROOT).as_posix() not in LISTS
]
#: Text files that are neither pages nor modules.
FILES = [
    path
    for folder in ("examples", ".github")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.is_file() and path.suffix not in {".py", ".md", ".png", ".pyc"}
]


def prose(text: str) -> str:
    """A page without its code, which shows what the program prints."""
    return re.sub(r"`[^`]*`", "`…`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def module_faults(path: Path) -> Iterator[str]:
    """Yield the banned words in a module, each with its place."""
    for line, text in texts(path.read_text("utf-8")):
        for fault in faults(text, BANNED):
            yield f"{path.relative_to(ROOT)}:{line}: {fault}"


def name_faults(path: Path) -> Iterator[str]:
    """Yield the names in a module that are participles, each with its place."""
    for line, name in names(path.read_text("utf-8")):
        if name.strip("_") in PARTICIPLES:
            yield f"{path.relative_to(ROOT)}:{line}: {name!r}: a noun for the value"


@pytest.mark.parametrize("page", sorted(PAGES))
def test_page_has_no_banned_word(page: str) -> None:
    assert faults(prose(PAGES[page]), BANNED | UNGROUPED) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_example_has_no_banned_word(path: Path) -> None:
    """No comment, description or message of an example or a workflow has a banned word."""
    assert faults(path.read_text("utf-8"), BANNED) == []


def test_modules_have_no_banned_word() -> None:
    """No help, sentence, docstring, comment or name of package and tests has a banned word."""
    assert [fault for path in MODULES for fault in module_faults(path)] == []


def test_names_of_values_are_nouns() -> None:
    assert [fault for path in MODULES for fault in name_faults(path)] == []


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


def test_texts_include_names_of_tests_and_comments() -> None:
    source = "def test_nobody() -> None:\n    '''Whom.'''\n    told = 1  # nobody\n"
    assert [line for line, text in texts(source) if faults(text, BANNED)] == [1, 2, 3]
    assert [name for _, name in names(source)] == ["test_nobody", "told"]
