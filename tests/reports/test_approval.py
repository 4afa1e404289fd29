"""The plan on a dry run's page: messages, duration, cost, and what limits the run."""

import dataclasses
from pathlib import Path

from batch_resend.model import Reason
from batch_resend.reports.page.approval import approval
from batch_resend.reports.page.render import page
from tests.support.pages import result, summary, write
from tests.support.previews import PREVIEW


def test_plan_has_all_that_the_approval_needs() -> None:
    lines = {line.label: line for line in approval(PREVIEW)}
    assert list(lines) == ["Messages", "Duration", "Cost"]
    assert lines["Messages"].sentences == ("1,200 codes: 1,000 by email, 200 by SMS",)
    how_long, stops = lines["Duration"].sentences
    assert how_long.startswith("About ")
    assert "limited by the mail quota" in how_long
    assert "{at}" in how_long
    assert stops == "This run stops after 40 users (--max-sent)."
    assert lines["Duration"].at == PREVIEW.estimate.binding.finished_at
    assert [amount for amount, _ in PREVIEW.estimate.costs] == [
        sentence.partition(" (")[0] for sentence in lines["Cost"].sentences
    ]


def test_waves_are_shown_in_their_order() -> None:
    lines = {line.label: line for line in approval(dataclasses.replace(PREVIEW, waves=(10, 1200)))}
    assert lines["Waves"].sentences == ("10 users, then 1,200 users",)


def test_plan_stands_before_the_next_steps(tmp_path: Path) -> None:
    path = write(tmp_path / "plan.csv", [result(1, Reason.ELIGIBLE)])
    facts = summary({Reason.ELIGIBLE: 1}, dry_run=True, report="plan.csv")
    text = page([path], summary=facts, plan=PREVIEW).decode()
    assert text.index('id="plan"') < text.index('id="next"')
    assert "{at}" not in text
    # Nothing was requested: no empty sections, and no empty columns.
    assert "Technical details" not in text
    assert '<table id="table" class="planned bare">' in text
    assert "#table.planned .extra, #table.bare .message { display: none; }" in text
    sent = write(tmp_path / "sent.csv", [result(1, error_message="why")])
    assert '<table id="table" class=" ">' in page([sent]).decode()
    assert 'id="plan"' not in page([path], summary=facts).decode()
