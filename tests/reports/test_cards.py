"""The next steps: which cards there are, in which order, and with which commands."""

from pathlib import Path
from typing import Any

import pytest

from batch_resend.job.outcome import Stop
from batch_resend.model import Outcome, Reason
from batch_resend.reports.page.cards import Card, cards
from batch_resend.reports.page.figures import read_reports
from tests.support.pages import NOON, result, summary, write

COMMAND = "batch-resend run users.csv --client-id 1example23456789"
LEDGER = "/var/lib/ledger.sqlite3"


def cards_of(folder: Path, reasons: dict[Reason, int], **changes: Any) -> list[Card]:
    """The cards of a report with so many rows of each reason, with the summary of its run."""
    rows = [reason for reason, count in reasons.items() for _ in range(count)]
    path = write(folder / "report.csv", [result(n, r) for n, r in enumerate(rows, 1)])
    return cards(read_reports([path]), summary(reasons, **changes))


@pytest.mark.parametrize(
    ("reason", "arguments", "heading", "sentence"),
    [
        (Reason.ELIGIBLE, {}, "Send 1 code", "Nothing has been sent yet."),
        (
            Reason.STOPPED,
            {"stopped_by": Stop.MAX_SENT},
            "Continue with 1 user",
            "The number of messages that --max-sent",
        ),
        (
            Reason.STOPPED,
            {"stopped_by": Stop.WRONG_SECRET},
            "Fix the settings, then continue with 1 user",
            "The client secret",
        ),
        (Reason.OVER_LIMIT, {}, "Continue with 1 user", "left for a later run"),
        (Reason.CONNECTION, {}, "Try 1 user again", "Check the network first."),
        (Reason.BLOCKED, {}, "Let 1 user through the firewall", "AWS WAF blocked"),
    ],
)
def test_users_to_include_again_have_the_command(
    tmp_path: Path, reason: Reason, arguments: dict[str, Any], heading: str, sentence: str
) -> None:
    (card,) = cards_of(tmp_path, {reason: 1}, **arguments)
    assert card.title == heading
    assert sentence in card.sentence
    assert card.commands == (("", COMMAND),)


def test_cards_are_in_the_order_of_benefit(tmp_path: Path) -> None:
    deck = cards_of(
        tmp_path,
        {
            Reason.NO_ANSWER: 9,
            Reason.USER_NOT_FOUND: 2,
            Reason.ATTEMPT_LIMIT: 3,
            Reason.CONNECTION: 1,
            Reason.DELIVERY_FAILED: 5,
        },
        ledger=LEDGER,
    )
    assert [card.title for card in deck] == [
        "Correct 5 refused addresses",
        "Try 3 users again later",
        "Check 2 names that are not in the user pool",
        "Try 1 user again",
        "Settle 9 unknown outcomes",
    ]
    assert deck[0].reasons == (Reason.DELIVERY_FAILED,)
    assert deck[0].commands == ()
    # The command is shown once, where a run can include the users as they are.
    assert [bool(card.commands) for card in deck] == [False, True, False, False, True]
    assert "The command above includes them." in deck[3].sentence


def test_time_to_try_again_is_an_hour_after_the_limit(tmp_path: Path) -> None:
    (card,) = cards_of(tmp_path, {Reason.ATTEMPT_LIMIT: 2})
    assert card.at == NOON + 0.2 + 3600
    assert "from {at} on" in card.sentence


def test_corrections_are_followed_by_a_run(tmp_path: Path) -> None:
    deck = cards_of(tmp_path, {Reason.USER_NOT_FOUND: 1})
    assert [card.title for card in deck][1] == "Then run again"
    assert deck[1].commands == (("", COMMAND),)


def test_unknown_outcomes_are_settled_by_reconcile(tmp_path: Path) -> None:
    reasons = {Reason.NO_ANSWER: 1, Reason.OUTCOME_UNKNOWN: 2}
    (card,) = cards_of(tmp_path, reasons, ledger=LEDGER, unknown_in_ledger=4)
    assert card.count == 3
    assert card.at == NOON + 0.3 + 900
    assert "AWS CloudTrail's records can settle them from {at} on:" in card.sentence
    assert "Over all runs of the ledger, 4 are unknown." in card.sentence
    assert [command for _, command in card.commands] == [
        f"batch-resend reconcile --ledger {LEDGER} --region eu-west-1",
        f"{COMMAND} --resend-unknown all",
    ]


def test_simulation_offers_no_evidence(tmp_path: Path) -> None:
    (card,) = cards_of(tmp_path, {Reason.NO_ANSWER: 1}, simulated=True)
    assert "CloudTrail" not in card.sentence
    assert len(card.commands) == 1


def test_throwaway_ledger_promises_no_skips(tmp_path: Path) -> None:
    for ledger, sentence in (
        (None, "A simulation without `--ledger` remembers no users"),
        (LEDGER, "Users who were sent a code are skipped."),
    ):
        (card,) = cards_of(tmp_path, {Reason.STOPPED: 1}, simulated=True, ledger=ledger)
        assert sentence in card.sentence


def test_sent_codes_lead_to_the_confirmations(tmp_path: Path) -> None:
    deck = cards_of(tmp_path, {Reason.ACCEPTED: 1}, ledger=LEDGER)
    assert [card.title for card in deck] == ["Nothing is left to send", "See who has confirmed"]
    assert deck[1].commands[0][1] == (
        f"batch-resend status --ledger {LEDGER} --user-pool-id eu-west-1_AbCdEf123"
        " --html confirmed.html"
    )
    (only,) = cards_of(tmp_path, {Reason.ACCEPTED: 1})
    assert only.title == "Nothing is left to send"


def test_page_without_summary_names_no_command(tmp_path: Path) -> None:
    path = write(tmp_path / "report.csv", [result(1, Reason.CONNECTION)])
    (card,) = cards(read_reports([path]), None)
    assert card.commands == ()
    assert "Run the same command as before." in card.sentence


def test_every_failure_has_a_card(tmp_path: Path) -> None:
    reasons = [r for r in Reason if r.outcome in {Outcome.FAILED, Outcome.UNKNOWN}]
    deck = cards_of(tmp_path, dict.fromkeys(reasons, 1))
    assert set(reasons) <= {reason for card in deck for reason in card.reasons}
