"""The mark of an intent, and its place in the User-Agent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.marks import LENGTH, find_mark, make_mark, with_mark

KEY = bytes(range(32))
MARK = "a2bcdefghijklmnopqrstuvw37"


def test_mark_is_the_one_worked_out_by_hand() -> None:
    """By hand: openssl dgst -sha256 -mac HMAC, then base32, of which 26 characters."""
    assert make_mark(KEY, b"7") == "hylxb3moh5icrqou4l64c6427h"


@given(st.binary(min_size=1), st.binary(), st.binary())
def test_marks_differ_by_key_and_intent(key: bytes, one: bytes, two: bytes) -> None:
    assert (make_mark(key, one) == make_mark(key, two)) == (one == two)
    assert make_mark(key + b"x", one) != make_mark(key, one)
    assert len(make_mark(key, one)) == LENGTH


AGENTS = st.from_regex(r"[A-Za-z]{1,9}/[0-9.]{1,5}( [a-z]{1,9}/[0-9.]{1,5})*", fullmatch=True)


@given(AGENTS, st.binary(), st.sampled_from(["", " app/intent", " (proxy; squid/6.1)"]))
def test_mark_is_found_in_any_agent(agent: str, intent: bytes, more: str) -> None:
    """Also where something on the way adds words of its own before or behind it."""
    mark = make_mark(KEY, intent)
    carried = with_mark(agent, mark)
    assert carried.startswith(agent)
    assert find_mark(f"{more.strip()} {carried}{more}") == mark


@pytest.mark.parametrize(
    "agent",
    [
        "",
        "Mozilla/5.0",
        MARK,
        f"intent/{MARK}x",
        f"intent/{MARK[:-1]}",
        f"intent/{MARK.upper()}",
        f"x-intent/{MARK}",
        f"intent/{MARK},",
        f"intent/{MARK} intent/{'b' * LENGTH}",
    ],
)
def test_what_is_not_exactly_one_mark_is_none(agent: str) -> None:
    assert find_mark(agent) == ""


def test_mark_given_twice_is_still_one() -> None:
    assert find_mark(f"intent/{MARK} intent/{MARK}") == MARK


def test_no_mark_leaves_the_agent_alone() -> None:
    assert with_mark("batch-resend/1.0", "") == "batch-resend/1.0"
