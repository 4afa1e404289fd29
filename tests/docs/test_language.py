"""The pages are in plain technical English: no word that readers stumble over."""

import re

import pytest

from tests.support.markdown import PAGES

BANNED = {
    r"nobody|whoever|whom|somebody|everybody": "name what did not happen, or the users",
    r"\bwrit(?:e|ten) to (?:people|users|them|again)": "send, message",
    r"\b(?:told|mended|befalls?|learnt|meanwhile)\b": "reported, fixed, determined, during",
    r"\bfor ever\b|\bso long as not\b|\band said so\b": "forever; say it in order",
    r"\b\d+ a second\b": "per second",
    r"\bis no (?:\w+'s )?(?:id|duration|address|option|region|report|ledger)\b": "is not a valid …",
    r"\b\d{1,3}\d{3}\b (?:users|rows|messages|codes)": "1,200: group the digits",
}
#: Pages that are still to be rewritten; the list may only become shorter.
TO_DO = {
    "batch_resend/cli/README.md",
    "batch_resend/ledger/README.md",
    "batch_resend/sources/README.md",
    "tests/benchmarks/README.md",
}


def prose(text: str) -> str:
    """A page without its code, which shows what the program prints."""
    return re.sub(r"`[^`]*`", "`…`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


@pytest.mark.parametrize("page", sorted(set(PAGES) - TO_DO))
def test_page_has_no_banned_word(page: str) -> None:
    text = prose(PAGES[page])
    found = {
        match[0]: better
        for pattern, better in BANNED.items()
        for match in re.finditer(pattern, text, re.IGNORECASE)
    }
    assert found == {}
