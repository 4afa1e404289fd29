"""A reconciliation as people and programs read it."""

from __future__ import annotations

import json

import pytest

from batch_resend.model import Reason
from batch_resend.reconcile.findings import Finding, Why
from batch_resend.reconcile.render import Scene, as_json, commands, lines, progress
from batch_resend.reconcile.settle import Progress, Reconciliation
from batch_resend.reconcile.windows import Doubt, Window

AT = 1_795_435_200.0  # 2026-11-23 12:00 UTC
SCENE = Scene("/ledgers/shop.sqlite3", region="eu-west-1")


def finding(
    reason: Reason | None, why: Why | None = None, count: int = 1, due: float | None = None
) -> list[Finding]:
    doubt = Doubt("1", "m", AT, Reason.NO_ANSWER, name="ada@example.com")
    evidence = "" if why else "cloudtrail:0b5e"
    return [Finding(doubt, reason, why, at=AT + 1, evidence=evidence, due=due)] * count


FOUND = Reconciliation(
    findings=[
        *finding(Reason.ACCEPTED, count=61),
        *finding(Reason.ATTEMPT_LIMIT, count=3),
        *finding(Reason.USER_NOT_FOUND, count=2),
        *finding(Reason.ALREADY_CONFIRMED),
        *finding(Reason.STOPPED),
        *finding(Reason.NOT_RECORDED, Why.NOT_RECORDED, 30),
        *finding(Reason.NO_ANSWER, Why.TOO_EARLY, 4, due=AT + 86400),
        *finding(Reason.SERVER_ERROR, Why.NO_RESULT, 2),
        *finding(None, Why.TOO_OLD),
        *finding(None, Why.OTHER_USER),
    ],
    windows=[Window(AT, AT + 420)] * 4,
    records=8412,
    controls=2114,
    seconds=170.0,
)


def test_people_read_what_was_settled_and_what_was_not() -> None:
    assert lines(SCENE, FOUND) == [
        "Ledger /ledgers/shop.sqlite3: 106 unknown outcomes",
        "CloudTrail, eu-west-1: 8,412 records of resends read in 4 time windows, 3 min",
        "Settled 68",
        "  sent               61",
        "  failed              5 (attempt-limit 3, user-not-found 2); the next run includes them",
        "  skipped             1 (already-confirmed 1)",
        "  not-attempted       1 (stopped 1); the next run includes them",
        "Still unknown 38",
        "  not-recorded       30  no record, while all 2,114 answered requests around them have"
        " one: at most 0.14% of calls are unrecorded (95%). To send to them again: run"
        " --resend-unknown not-recorded",
        "  too-early           4  no record yet. Run again after 2026-11-24 12:00 UTC",
        "  too-old             1  older than CloudTrail's 90 days. A trail's files can be given"
        " with --events",
        "  no-result           2  the records do not decide it (server-error 2)",
        "  other-user          1  the record with our mark names another user. Please report this",
    ]


@pytest.mark.parametrize(
    ("controls", "missing", "sentence"),
    [
        (
            100,
            7,
            "no record, but 7 of 100 answered requests around them have none either. Check the"
            " account, the Region, and proxies that change the User-Agent",
        ),
        (
            12,
            0,
            "no record, and too few answered requests around them to compare with (12)."
            " --controls N accepts fewer",
        ),
    ],
)
def test_people_read_why_nothing_is_concluded(controls: int, missing: int, sentence: str) -> None:
    outcome = Reconciliation(
        findings=finding(Reason.NO_ANSWER, Why.NO_CONTROLS),
        controls=controls,
        missing_controls=missing,
    )
    assert lines(SCENE, outcome)[-1] == f"  no-controls         1  {sentence}"


def test_people_read_that_nothing_is_unknown() -> None:
    assert lines(SCENE, Reconciliation(findings=[])) == [
        "Ledger /ledgers/shop.sqlite3: 0 unknown outcomes. Nothing to settle."
    ]


def test_people_read_that_a_dry_run_wrote_nothing() -> None:
    scene = Scene("x", files=2, dry_run=True)
    outcome = Reconciliation(findings=finding(Reason.ACCEPTED), records=1)
    assert lines(scene, outcome) == [
        "Ledger x: 1 unknown outcome",
        "2 files: 1 record of resends read, 0.0 s",
        "Would settle 1",
        "  sent                1",
        "Still unknown 0",
        "Dry run: nothing was written to the ledger.",
    ]


def test_programs_read_the_same() -> None:
    whole = as_json(SCENE, FOUND, exit_code=1)
    findings = whole.pop("findings")
    assert whole == {
        "schema": 1,
        "ledger": "/ledgers/shop.sqlite3",
        "source": "cloudtrail",
        "region": "eu-west-1",
        "files": 0,
        "dry_run": False,
        "unknown_before": 106,
        "settled": 68,
        "settled_reasons": {
            "sent/accepted": 61,
            "failed/attempt-limit": 3,
            "failed/user-not-found": 2,
            "skipped/already-confirmed": 1,
            "not-attempted/stopped": 1,
        },
        "unknown": 38,
        "unknown_causes": {
            "not-recorded": 30,
            "too-early": 4,
            "no-result": 2,
            "too-old": 1,
            "other-user": 1,
        },
        "windows": 4,
        "records": 8412,
        "controls": 2114,
        "missing_controls": 0,
        "unrecorded_at_most": 3 / 2114,
        "again_after": AT + 86400,
        "seconds": 170.0,
        "exit_code": 1,
    }
    assert len(findings) == 106
    assert findings[0] == {
        "username": "a***@e***",
        "intended_at": AT,
        "outcome": "sent",
        "reason": "accepted",
        "cause": None,
        "evidence": "cloudtrail:0b5e",
        "again_after": None,
    }
    assert json.loads(json.dumps(findings))[-1]["reason"] is None
    full = as_json(SCENE, FOUND, exit_code=1, masked=False)
    assert full["findings"][0]["username"] == "ada@example.com"


def test_name_is_not_in_any_repr() -> None:
    assert "ada" not in repr(FOUND)


def test_progress_is_a_line() -> None:
    assert progress(Progress(2, 4, 1200, 3, 104)) == (
        "Time window 2 of 4: 1,200 records, 3 of 104 unknown outcomes recorded"
    )


def test_others_get_the_commands_that_make_the_files() -> None:
    ours = ["batch-resend", "reconcile", "--ledger", "my ledger"]
    assert commands([Window(AT, AT + 419.5)], "eu-west-1", ours) == [
        "aws cloudtrail lookup-events --lookup-attributes"
        " AttributeKey=EventName,AttributeValue=ResendConfirmationCode"
        " --start-time 2026-11-23T12:00:00Z --end-time 2026-11-23T12:07:00Z --region eu-west-1"
        " --output json > events.json",
        "batch-resend reconcile --ledger 'my ledger' --events events.json",
    ]
    two = commands([Window(AT, AT + 1), Window(AT + 900, AT + 901)], "eu-west-1", ours)
    assert len(two) == 3
    assert two[1].endswith("> events-2.json")
    assert two[2].endswith("--events events-1.json --events events-2.json")
    many = commands([Window(AT + n * 900, AT + n * 900 + 1) for n in range(9)], "x", ours)
    assert len(many) == 2
    assert "--start-time 2026-11-23T12:00:00Z --end-time 2026-11-23T14:00:02Z" in many[0]
