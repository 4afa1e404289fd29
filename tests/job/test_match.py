"""Patterns of --match: those of `re`, and given up where they backtrack without end."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.errors import Exit, InputError, UsageError
from batch_resend.job import match
from batch_resend.job.plan import Eligibility, decide
from batch_resend.ledger.policy import NO_HISTORY, SendPolicy
from batch_resend.model import Candidate, Reason


def decided(pattern: str, text: str) -> Reason:
    return decide(
        Candidate(7, "ada", {"x\n": text}),
        excluded=False,
        history=NO_HISTORY,
        eligibility=Eligibility(match=(("x\n", re.compile(pattern)),)),
        policy=SendPolicy(),
        now=0.0,
    )


def test_endless_backtracking_ends_with_row_and_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match, "LONGEST", 0.05)
    with pytest.raises(InputError) as refused:
        decided("(a|aa)+$", "a" * 500 + "!")
    assert refused.value.exit_code is Exit.USAGE
    assert str(refused.value) == (
        r"Row 7: --match x\n=(a|aa)+$ takes longer than 0.05 s, for it backtracks without end."
        " Use a simpler pattern."
    )


@pytest.mark.parametrize(
    ("pattern", "text", "reason"),
    [
        ("@x$", "ada@x", Reason.ELIGIBLE),
        ("@x$", "ada@xy", Reason.NOT_MATCHED),
        ("^$", "", Reason.ELIGIBLE),
    ],
)
def test_pattern_may_be_anywhere_in_the_text(pattern: str, text: str, reason: Reason) -> None:
    assert decided(pattern, text) is reason


PATTERNS = ["a.c", "^b", "A|\xe9", r"\w+$", r"\d", "x # y", "(?i:a)b", "[a[]", "a{2}"]
FLAGS = [
    0,
    re.IGNORECASE,
    re.MULTILINE,
    re.DOTALL,
    re.VERBOSE,
    re.ASCII,
    re.IGNORECASE | re.ASCII,
    re.MULTILINE | re.DOTALL,
]


@given(
    pattern=st.sampled_from(PATTERNS),
    flags=st.sampled_from(FLAGS),
    text=st.text(st.sampled_from("aAbc\xe91x\n #[")),
)
def test_patterns_mean_what_they_mean_to_re(pattern: str, flags: int, text: str) -> None:
    compiled = re.compile(pattern, flags)
    assert match.has(compiled, text) is (compiled.search(text) is not None)


def test_pattern_that_only_re_knows_is_refused() -> None:
    with pytest.raises(UsageError, match="is not a valid pattern"):
        decided("(?:a){e<=}", "a")
