"""Hostile names and texts: one line, nothing executed, nothing forged, no name shown."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.masking import (
    cell,
    mask,
    mask_argument,
    mask_typed,
    mask_within,
    printable,
    without_guard,
)
from batch_resend.model import Candidate, Planned, Reason, Request, Result


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("ada@example.com", "a***@e***"),
        ("ada", "a***"),
        ("", "***"),
        ("+15550100", "+***"),
        ("@", "***@***"),
        ("ada@b@c", "a***@b***"),
        ("\x1b[31m@\u202ex", "\\x1b***@\\u202e***"),
    ],
)
def test_a_name_is_masked_as_cognito_does_it(name: str, masked: str) -> None:
    assert masked == mask(name)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-2+3", "'-2+3"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("  =1", "'  =1"),
        ("\uff1d1", "'\uff1d1"),
        ("\t=1", "\\t=1"),
        ("+15550100", "+15550100"),
        ("+1555-0100", "'+1555-0100"),
        ("+1", "'+1"),
        ("ada@example.com", "ada@example.com"),
        ("x;=1+1", "x;'=1+1"),
        ('x; "=1+1"', 'x;\' "=1+1"'),
        (";@SUM(1);-2;3", ";'@SUM(1);'-2;3"),
        ("=a;b", "'=a;b"),
        ("a;b=c; d", "a;b=c; d"),
        ("x;\uff1d1", "x;'\uff1d1"),
        ("a\nb", "a\\nb"),
        ("a\u2028b\x85c\x9bd\u202ee", "a\\u2028b\\x85c\\x9bd\\u202ee"),
        ("Zoë 日本 🙂", "Zoë 日本 🙂"),
    ],
)
def test_a_cell_is_one_line_and_no_formula(text: str, written: str) -> None:
    assert written == cell(text)


@given(st.text().filter(lambda text: not text.startswith("'")))
def test_a_cell_shown_elsewhere_has_no_apostrophe_before_it(text: str) -> None:
    assert without_guard(cell(text)) == cell(f".{text}")[1:]


def test_an_apostrophe_that_guards_nothing_stays() -> None:
    assert [without_guard(text) for text in ("'s-Gravenhage", "'", "")] == [
        "'s-Gravenhage",
        "'",
        "",
    ]


@given(st.text())
def test_printable_text_holds_no_control_character(text: str) -> None:
    for character in printable(text):
        assert unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.text())
def test_no_cell_is_a_formula(text: str) -> None:
    written = cell(text)
    if written.lstrip()[:1] in {"=", "+", "-", "@"}:
        assert written[0] == "+"
        assert written[1:].isdigit()
    for split in written.split(";")[1:]:
        assert split.lstrip("\"' ")[:1] not in {"=", "+", "-", "@"} or split.startswith("'")


def test_foreign_texts_lose_names_addresses_and_numbers() -> None:
    text = mask_within("User ada-lovelace <ada@example.com> +15550100 is gone", "ada-lovelace")
    assert text == "User a*** <a***@e***> +1*** is gone"
    assert mask_within("no way to +49 151 1234567 or +1 (555) 010-0123.") == (
        "no way to +4*** or +1***."
    )
    assert mask_within("+1 2 of +12") == "+1 2 of +12"


def test_no_repr_shows_a_whole_name() -> None:
    name = "ada@example.com"
    for value in (
        Candidate(1, name, {"email": name}),
        Planned(1, name, Reason.ELIGIBLE, {"email": name}),
        Request(name, {"Username": name}),
        Result(1, name, Reason.ACCEPTED),
    ):
        assert name not in repr(value)
        assert "a***@e***" in repr(value)


def test_long_text_is_masked_in_linear_time() -> None:
    """A block page with an inline image has hundreds of thousands of letters without a blank."""
    text = "x" * 1_000_000
    assert mask_within(f"{text} ada@example.com {text}@y") == f"{text} a***@e*** x***@y***"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("--cooldown 'bob@example.com' is", "--cooldown 'b***@e***' is"),
        ("--max-sends '+1 555 123 4567' is", "--max-sends '+1***' is"),
        ("/home/bob@corp.example/users.csv is", "/home/bob@corp.example/users.csv is"),
        ("--match email=@example.com is", "--match email=@example.com is"),
        ("--match email=bob@example.com is", "--match e***@e*** is"),
        ("There is no file b***@e***. Use", "There is no file b***@e***. Use"),
        ("use --rate 25", "use --rate 25"),
    ],
)
def test_sentence_with_what_was_typed_names_no_person(text: str, masked: str) -> None:
    assert mask_typed(text) == masked


@pytest.mark.parametrize(
    ("typed", "shown"),
    [("robert", "r***"), ("bob@x", "b***@x***"), ("users.CSV", "users.CSV"), ("a/bob", "a/bob"),
     ("users.csv.gz", "users.csv.gz"), ("\x1b.csv", "\\x1b.csv"), ("--usr", "--usr")],
)  # fmt: skip
def test_argument_that_may_be_a_person_is_masked(typed: str, shown: str) -> None:
    assert mask_argument(typed) == shown
