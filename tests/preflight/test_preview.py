"""What a person approves: the plan in full, and the few lines before the question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from batch_resend.model import Outcome, Reason
from batch_resend.preflight.estimate import Messages
from batch_resend.preflight.policy_words import Memory, policy_words
from batch_resend.preflight.preview import Preview, confirmation_lines, fitting, plan_lines
from batch_resend.reasons import ADVICE
from tests.support.infos import info
from tests.support.previews import PLAIN, PREVIEW

SKIPS = [
    "  Will skip       16",
    "     3  an earlier row names the same user (duplicate)",
    "    12  was sent as many codes as --max-sends allows (send-cap)",
    "     1  not a valid Cognito username (invalid-username)",
]


def test_plan_shows_all_that_approval_needs() -> None:
    assert plan_lines(PREVIEW) == [
        "Plan for users.csv: pool eu-west-1_AbCdEf123, client abc",
        "  Where           account 123456789012, eu-west-1,",
        "                  cognito-idp.eu-west-1.amazonaws.com",
        "  Will send       1,200 codes: 1,000 by mail, 200 by text message",
        "  For example     a***@example.com, b***, c***, ...",
        *SKIPS,
        "  Policy          at most 3 messages per user, 3 days apart, signed up 1 to 14",
        "                  days ago",
        "  Ledger          reminders.sqlite3: 748 people, last run yesterday 16:04 UTC",
        "  Duration        18 d 21 h, done by 2026-12-12 (limited by the mail quota of 50",
        "                  per day).",
        "                  At 25/s alone it would take 48 s.",
        "                  This run stops after 40 (--max-sent).",
        "  Estimated cost  nothing for mail (Cognito's own sender is free)",
        "                  from $2.00 for text messages ($0.01 each; the price depends on",
        "                  the country, and can be far higher)",
        "                  up to $18.00 in monthly active users (Essentials, $0.015 each,",
        "                  if all confirm and none is free)",
    ]


def test_question_has_the_same_plan_without_assumptions() -> None:
    assert confirmation_lines(PREVIEW)[:12] == plan_lines(PREVIEW)[:12]
    assert confirmation_lines(PREVIEW)[12:] == [
        "  Duration        18 d 21 h, done by 2026-12-12 (limited by the mail quota of 50",
        "                  per day). This run stops after 40 (--max-sent).",
        "  Estimated cost  nothing for mail, from $2.00 for text messages, up to $18.00",
        "                  in monthly active users",
    ]


@pytest.mark.parametrize("lines", [plan_lines, confirmation_lines])
def test_plan_ends_with_what_was_odd_about_the_input(
    lines: Callable[[Preview], list[str]],
) -> None:
    notes = ("2 lines repeat the header and are skipped (lines 3 and 5).", "word " * 20)
    assert lines(replace(PLAIN, notes=notes)) == [
        *lines(PLAIN),
        "  Note            2 lines repeat the header and are skipped (lines 3 and 5).",
        "  Note            word word word word word word word word word word word word",
        "                  word word word word word word word word",
    ]


def test_plan_names_the_username_column_of_several() -> None:
    preview = replace(PLAIN, info=replace(PLAIN.info, username_column="email"))
    assert plan_lines(preview)[0] == "Plan for users.csv, column email: client abc"


def test_plan_without_a_check_shows_only_known_facts() -> None:
    assert confirmation_lines(PLAIN) == [
        "Plan for users.csv: client abc",
        "  Where           eu-west-1, cognito-idp.eu-west-1.amazonaws.com",
        "  Will send       5 codes",
        "  For example     a***@example.com, b***, c***, ...",
        "  Duration        0.2 s, done by 12:01 UTC (limited by the rate of 25/s).",
    ]
    empty = replace(
        PLAIN,
        counts={Reason.DUPLICATE: 1},
        examples=[],
        estimate=replace(PLAIN.estimate, users=0, sent=Messages()),
        info=replace(PLAIN.info, endpoint="http://127.0.0.1:4570", endpoint_is_aws=False),
    )
    assert confirmation_lines(empty) == plan_lines(empty)
    assert plan_lines(empty)[1:] == [
        "  Where           eu-west-1, http://127.0.0.1:4570",
        "  Will send       0 codes",
        "  Will skip       1",
        "    1  an earlier row names the same user (duplicate)",
    ]


@pytest.mark.parametrize(
    ("ledger", "memory", "line"),
    [
        ("a.sqlite3", Memory(is_new=True), "a.sqlite3: new: no user counts as already sent to"),
        (
            "a.sqlite3",
            Memory(1, PLAIN.estimate.now),
            "a.sqlite3: 1 person, last run today 12:00 UTC",
        ),
        ("dynamodb://sent", Memory(), "dynamodb://sent"),
        (None, Memory(is_new=True), "none is kept: this simulation is not remembered"),
    ],
)
def test_plan_names_the_ledger_and_what_it_knows(
    ledger: str | None, memory: Memory, line: str
) -> None:
    preview = replace(PLAIN, info=replace(PLAIN.info, ledger=ledger), memory=memory)
    assert f"  Ledger          {line}" in plan_lines(preview)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_sends": 1}, "at most 1 message per user over all runs"),
        ({"max_sends": 0}, "no maximum of messages, 24 h apart"),
        ({"max_sends": 2, "cooldown": 0.0}, "at most 2 messages per user, any time apart"),
        ({"older_than": 5400.0}, "signed up at least 90 min ago"),
        ({"newer_than": 7 * 86400.0}, "signed up at most 7 days ago"),
        ({"older_than": 3600.0, "newer_than": 86400.0}, "signed up 1 h to 24 h ago"),
        ({"older_than": 86400.0, "newer_than": 1209600.0}, "signed up 1 to 14 days ago"),
    ],
)
def test_policy_is_said_in_words(options: dict[str, Any], words: str) -> None:
    policy = policy_words(**({"max_sends": 1, "cooldown": 86400.0} | options))
    assert words in policy


def test_plan_of_a_listing_names_the_pool_once() -> None:
    pool = "eu-west-1_AbCdEf123"
    listed = info(input=f"user pool {pool}", user_pool_id=pool)
    assert plan_lines(replace(PLAIN, info=listed))[0] == f"Plan for user pool {pool}: client abc"


def test_plan_hides_people_and_shows_domains() -> None:
    some = replace(PLAIN, examples=["ada@example.com", "+15550100", "0b5d-7c"])
    assert "  For example     a***@example.com, +15***, 0***, ..." in plan_lines(some)


def test_plan_of_a_simulation_names_no_place() -> None:
    simulated = info(simulated=True, endpoint="the simulator", endpoint_is_aws=False)
    preview = replace(PLAIN, info=simulated)
    assert plan_lines(preview)[1] == "  Where           the simulator"


def test_preview_gives_the_numbers_to_observers() -> None:
    assert (PREVIEW.eligible, PREVIEW.rate, PREVIEW.seconds) == (1200, 25.0, 47.96)


def test_plan_masks_names_by_default() -> None:
    for said in (confirmation_lines, plan_lines):
        assert "ada@example.com" not in "\n".join(said(PREVIEW))
        assert "ada@example.com" in "\n".join(said(PREVIEW, masked=False))
    hostile = replace(PLAIN, examples=["\x1b[31m\nx"])
    assert all("\x1b" not in line for line in plan_lines(hostile, masked=False))


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        (Messages(mail=5), "5 codes by mail"),
        (Messages(text=5), "5 codes by text message"),
        (Messages(either=5), "5 codes by mail or text message"),
        (Messages(mail=4, text=1), "5 codes: 4 by mail, 1 by text message"),
    ],
)
def test_plan_counts_messages_by_medium(sent: Messages, sentence: str) -> None:
    preview = replace(PLAIN, estimate=replace(PLAIN.estimate, sent=sent))
    assert f"  Will send       {sentence}" in confirmation_lines(preview)


def test_many_users_are_confirmed_by_typing_the_count() -> None:
    assert PREVIEW.question == "Send 1,200 codes? Type 1200 to confirm: "
    assert PREVIEW.approved(" 1200\n")
    assert not any(PREVIEW.approved(answer) for answer in ("y\n", "yes", "120", "", "12000"))
    assert PLAIN.question == "Send 5 codes? [y/N] "
    assert [PLAIN.approved(answer) for answer in ("y\n", "YES", "n", "", "5")] == [
        True, True, False, False, False,
    ]  # fmt: skip
    one = replace(PLAIN, estimate=replace(PLAIN.estimate, users=1))
    assert one.question == "Send 1 code? [y/N] "
    thousand = replace(PLAIN, estimate=replace(PLAIN.estimate, users=1000))
    assert thousand.approved("y")


def test_every_reason_is_explained_within_80_columns() -> None:
    counts = {reason: 99_999 for reason in Reason if reason.outcome is Outcome.SKIPPED}
    counts |= {Reason.INVALID_USERNAME: 1, Reason.INTERRUPTED: 1}
    lines = plan_lines(replace(PREVIEW, counts=counts))
    words = {line.split(maxsplit=1)[1] for line in lines if line.split()[0] in {"99,999", "1"}}
    assert words == {f"{ADVICE[reason].brief} ({reason})" for reason in counts}
    assert "beyond --limit or --waves, or not in --sample (over-limit)" in words
    assert max(map(len, lines)) <= 80
    assert "`" not in "".join(lines)


def test_plan_at_a_narrow_terminal_is_wrapped_once() -> None:
    """At 40 columns a note that was wrapped for 80 was wrapped again, in steps."""
    preview = replace(PREVIEW, notes=["word " * 40 + "end."])
    lines = plan_lines(preview)
    assert fitting(lines, 80) == lines
    narrow = fitting(lines, 79)
    assert " ".join(" ".join(narrow).split()) == " ".join(" ".join(lines).split())
    assert narrow[-1] == "  Note            " + "word " * 40 + "end."
    assert not any(line.startswith(" " * 18) for line in narrow)


def test_mistyped_count_is_asked_again_and_no_is_no() -> None:
    many = replace(PREVIEW, estimate=replace(PREVIEW.estimate, users=2000))
    assert [many.mistyped(answer) for answer in ("200\n", "y\n", "n\n", "\n")] == [
        True, True, False, False,
    ]  # fmt: skip
    assert many.correction == "That is not 2000. Type 2000, or press Enter to cancel."
    few = replace(PREVIEW, estimate=replace(PREVIEW.estimate, users=20))
    assert not few.mistyped("20\n")


def test_plan_names_several_waves() -> None:
    in_waves = replace(PLAIN, waves=[1, 3, 1])
    sentence = "5 codes, in waves of 1, 3 and 1"
    assert f"  Will send       {sentence}" in confirmation_lines(in_waves)
    assert f"  Will send       {sentence}" in plan_lines(in_waves)
    assert plan_lines(replace(PLAIN, waves=[5])) == plan_lines(PLAIN)
