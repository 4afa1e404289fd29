"""What a person approves: the plan in full, and the few lines before the question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from batch_resend.model import Outcome, Reason
from batch_resend.preflight.estimate import Messages
from batch_resend.preflight.preview import Preview, confirmation_lines, plan_lines
from batch_resend.reasons import ADVICE
from tests.support.infos import info
from tests.support.previews import PLAIN, PREVIEW


def test_plan_shows_all_that_approval_needs() -> None:
    assert plan_lines(PREVIEW) == [
        "Plan for users.csv: pool eu-west-1_AbCdEf123, client abc",
        "  where      account 123456789012, eu-west-1,",
        "             cognito-idp.eu-west-1.amazonaws.com",
        "  to send    1200 codes: 1000 by mail, 200 by text message",
        "  the first  a***@e***, b***, c***, ...",
        "  not sent   16",
        "     3  duplicate         an earlier row names the same user",
        "    12  send-cap          was sent as many codes as --max-sends allows",
        "     1  invalid-username  not a valid Cognito username",
        "  takes      18 d 21 h, done on 2026-12-12: the mail quota of 50 a day binds.",
        "             The pace of 25 a second would take 48 s.",
        "             This run reaches 40 of them at most (--max-sent).",
        "  may cost   nothing for mail (Cognito's own sender is free)",
        "             from $2.00 for text messages (at $0.01 each; the country decides,",
        "             and some cost far more)",
        "             up to $18.00 for active users (Essentials at $0.015, if all confirm",
        "             and none is free)",
    ]


def test_plan_has_the_same_five_headings_everywhere() -> None:
    assert confirmation_lines(PREVIEW) == [
        "Plan for users.csv: pool eu-west-1_AbCdEf123, client abc",
        "  where      account 123456789012, eu-west-1,",
        "             cognito-idp.eu-west-1.amazonaws.com",
        "  to send    1200 codes: 1000 by mail, 200 by text message (a***@e***, b***,",
        "             c***, ...)",
        "  not sent   16 (duplicate 3, send-cap 12, invalid-username 1)",
        "  takes      18 d 21 h, done on 2026-12-12: the mail quota of 50 a day binds.",
        "             This run reaches 40 of them at most (--max-sent).",
        "  may cost   nothing for mail, from $2.00 for text messages, up to $18.00 for",
        "             active users",
    ]


@pytest.mark.parametrize("lines", [plan_lines, confirmation_lines])
def test_plan_ends_with_what_was_odd_about_the_input(
    lines: Callable[[Preview], list[str]],
) -> None:
    notes = ("2 lines repeat the header and are skipped (lines 3 and 5).", "word " * 20)
    assert lines(replace(PLAIN, notes=notes)) == [
        *lines(PLAIN),
        "  note       2 lines repeat the header and are skipped (lines 3 and 5).",
        "  note       word word word word word word word word word word word word word",
        "             word word word word word word word",
    ]


def test_plan_names_the_username_column_of_several() -> None:
    preview = replace(PLAIN, info=replace(PLAIN.info, username_column="email"))
    assert plan_lines(preview)[0] == "Plan for users.csv, column email: client abc"


def test_plan_without_a_check_shows_only_known_facts() -> None:
    assert confirmation_lines(PLAIN) == [
        "Plan for users.csv: client abc",
        "  where      eu-west-1, cognito-idp.eu-west-1.amazonaws.com",
        "  to send    5 codes (a***@e***, b***, c***, ...)",
        "  takes      0.2 s, done on 2026-11-23: the pace of 25 a second binds.",
    ]
    nobody = replace(
        PLAIN,
        counts={Reason.DUPLICATE: 1},
        first=[],
        estimate=replace(PLAIN.estimate, users=0, sent=Messages()),
        info=replace(PLAIN.info, endpoint="http://127.0.0.1:4570", endpoint_is_aws=False),
    )
    assert confirmation_lines(nobody)[1:] == [
        "  where      eu-west-1, http://127.0.0.1:4570",
        "  to send    0 codes",
        "  not sent   1 (duplicate 1)",
    ]
    assert plan_lines(nobody)[2:] == [
        "  to send    0 codes",
        "  not sent   1",
        "    1  duplicate  an earlier row names the same user",
    ]


def test_plan_of_a_simulation_names_no_place() -> None:
    simulated = info(simulated=True, endpoint="the simulator", endpoint_is_aws=False)
    preview = replace(PLAIN, info=simulated)
    assert plan_lines(preview)[1] == "  where      the simulator"


def test_preview_gives_the_numbers_to_observers() -> None:
    assert (PREVIEW.eligible, PREVIEW.rate, PREVIEW.seconds) == (1200, 25.0, 47.96)


def test_plan_masks_names_by_default() -> None:
    for said in (confirmation_lines, plan_lines):
        assert "ada@example.com" not in "\n".join(said(PREVIEW))
        assert "ada@example.com" in "\n".join(said(PREVIEW, masked=False))
    hostile = replace(PLAIN, first=["\x1b[31m\nx"])
    assert all("\x1b" not in line for line in plan_lines(hostile, masked=False))


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (Messages(mail=5), "5 codes by mail ("),
        (Messages(text=5), "5 codes by text message ("),
        (Messages(either=5), "5 codes by mail or text message ("),
        (Messages(mail=4, text=1), "5 codes: 4 by mail, 1 by text message ("),
    ],
)
def test_plan_counts_messages_by_medium(sent: Messages, told: str) -> None:
    preview = replace(PLAIN, estimate=replace(PLAIN.estimate, sent=sent))
    assert f"  to send    {told}" in "\n".join(confirmation_lines(preview))


def test_many_users_are_confirmed_by_typing_the_count() -> None:
    assert PREVIEW.question == "Type 1200 to send 1200 codes: "
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
    said = [line.split(maxsplit=2) for line in lines]
    told = {words[1]: words[2] for words in said if words[0] in {"99999", "1"}}
    assert told == {str(reason): ADVICE[reason].brief for reason in counts}
    assert told["over-limit"] == "beyond --limit or --waves, or not in --sample"
    assert max(map(len, lines)) <= 80
    assert "`" not in "".join(lines)


def test_mistyped_count_is_asked_again_and_no_is_no() -> None:
    many = replace(PREVIEW, estimate=replace(PREVIEW.estimate, users=2000))
    assert [many.mistyped(answer) for answer in ("200\n", "y\n", "n\n", "\n")] == [
        True, True, False, False,
    ]  # fmt: skip
    few = replace(PREVIEW, estimate=replace(PREVIEW.estimate, users=20))
    assert not few.mistyped("20\n")


def test_plan_names_several_waves() -> None:
    in_waves = replace(PLAIN, waves=[1, 3, 1])
    told = "5 codes, in waves of 1, 3 and 1"
    assert f"  to send    {told} (a***@e***, b***, c***, ...)" in confirmation_lines(in_waves)
    assert f"  to send    {told}" in plan_lines(in_waves)
    assert plan_lines(replace(PLAIN, waves=[5])) == plan_lines(PLAIN)
