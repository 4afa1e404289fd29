"""The Lambda handler by itself: what it is set up with, and what it does when things go wrong.

The whole state machine is run in `test_step_functions.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from batch_resend.errors import InputError, LedgerError, ReportError, UsageError
from batch_resend.job.engine import Job
from batch_resend.model import Candidate, Planned, Reason, Result
from batch_resend.reports import merge
from batch_resend.reports.results_csv import COLUMNS
from batch_resend.run.send import PreparedRun
from batch_resend.simulator.pool import Kind
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.setup import PoolSettings
from batch_resend.sources import planned_batch
from batch_resend.step_functions import handler
from batch_resend.step_functions.arguments import read_settings, settings_for_batch
from batch_resend.step_functions.objects import Execution
from batch_resend.step_functions.plan import LARGEST_BATCH
from tests.support.lambda_sandbox import Context
from tests.support.program import CLIENT, numbered, once, read_report, tallied

LEDGER = ("--ledger", "dynamodb://resends")


class Cloud:
    """A bucket at moto, and the handler called in this process."""

    def __init__(self, moto_url: str) -> None:
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        self.s3 = boto3.client("s3", region_name="us-east-1", endpoint_url=moto_url, **keys)
        self.s3.create_bucket(Bucket="clean-up")

    def put(self, names: list[str]) -> str:
        data = "".join(f"{name}\n" for name in ["username", *names]).encode()
        self.s3.put_object(Bucket="clean-up", Key="in/users.csv", Body=data)
        return "s3://clean-up/in/users.csv"

    def report(self) -> list[dict[str, str]]:
        answer = self.s3.get_object(Bucket="clean-up", Key="runs/one/report.csv")
        return read_report(answer["Body"].read().decode())

    def plan(self, *arguments: str) -> dict[str, Any]:
        return handler({"action": "plan", "name": "one", "arguments": arguments}, Context(900))

    def send(
        self, plan: Mapping[str, Any], number: int = 1, seconds: float = 900.0
    ) -> dict[str, Any]:
        event = {"action": "send", "place": plan["place"], "rate": plan["rate"], "batch": number}
        return handler(event, Context(seconds))

    def merge(self, plan: Mapping[str, Any]) -> dict[str, Any]:
        return handler({"action": "merge", "place": plan["place"]}, Context(900))

    def end(self) -> None:
        for entry in self.s3.list_objects_v2(Bucket="clean-up").get("Contents", ()):
            self.s3.delete_object(Bucket="clean-up", Key=entry["Key"])
        self.s3.delete_bucket(Bucket="clean-up")


@pytest.fixture
def cloud(
    moto_url: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cloud]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_S3": moto_url,
        "AWS_ENDPOINT_URL_DYNAMODB": moto_url,
        "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": url,
        "BATCH_RESEND_CLIENT_ID": CLIENT,
        "BATCH_RESEND_LEDGER": str(tmp_path / "ledger.sqlite3"),  # one batch at a time here
        "BATCH_RESEND_CREATE_LEDGER": "1",
        "BATCH_RESEND_RATE": "1000",
        "BUCKET": "clean-up",
        "BATCH_SIZE": "10",
    }.items():
        monkeypatch.setenv(name, value)
    instance = Cloud(moto_url)
    yield instance
    instance.end()


# -- settings --------------------------------------------------------------------------


def test_arguments_are_the_options_and_beat_the_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BATCH_RESEND_CLIENT_ID", "fromthevariable")
    monkeypatch.setenv("BATCH_RESEND_COOLDOWN", "1h")
    settings = read_settings(
        ["s3://clean-up/users.csv", *LEDGER, "--cooldown", "72h", "--no-header"]
    )
    assert settings.users == "s3://clean-up/users.csv"
    assert settings.client_id == "fromthevariable"
    assert settings.cooldown == 72 * 3600
    assert settings.header is False


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["u.csv"], "--ledger is missing"),
        (["-", *LEDGER], "there is no standard input here"),
        (["u.csv", *LEDGER, "--report", "r.csv"], "--report has no place in a state machine"),
        (["u.csv", *LEDGER, "--max-sent", "5"], "--max-sent has no place in a state machine"),
        (["u.csv", *LEDGER, "--waves", "1,rest"], "--waves has no place in a state machine"),
        (["u.csv", *LEDGER, "--nonsense"], "--nonsense"),
        (["u.csv", *LEDGER, "--cooldown", "soon"], "--cooldown 'soon' is not a valid duration"),
    ],
)
def test_what_has_no_place_here_is_refused(arguments: list[str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        read_settings([*arguments, "--client-id", CLIENT])


def test_several_pools_at_once_are_refused_and_one_is_not(tmp_path: Path) -> None:
    file = tmp_path / "pools.toml"
    file.write_text(
        'users = "u.csv"\n[pools.shop]\nclient-id = "shop1"\n[pools.blog]\nclient-id = "blog1"\n',
        "utf-8",
    )
    config = ("--config", str(file), *LEDGER)
    assert read_settings([*config, "--pool", "shop"]).client_id == "shop1"
    with pytest.raises(UsageError, match="one is expected"):
        read_settings([*config, "--all-pools"])


def test_variable_without_an_option_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_RESEND_DRYRUN", "1")
    with pytest.raises(
        UsageError, match="BATCH_RESEND_DRYRUN is set, but no option has this variable"
    ):
        read_settings(["u.csv", *LEDGER, "--client-id", CLIENT])


def test_an_action_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match=r"action 'mail' is not valid\. Use plan, send, merge"):
        handler({"action": "mail"}, Context(1))


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("WORKERS", "6", "from 1 to 5"),
        ("BATCH_SIZE", "0", "from 1 to 5000"),
        ("TOLERATED_FAILURE_PERCENTAGE", "many", "from 0 to 100"),
    ],
)
def test_number_out_of_bounds_is_refused_before_reading(
    cloud: Cloud, variable: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match=f"{variable} '{value}': give a whole number {sentence}"):
        cloud.plan("s3://clean-up/nothing.csv")


# -- when things go wrong ---------------------------------------------------------------


def test_an_input_that_cannot_be_read_fails_the_plan(cloud: Cloud) -> None:
    with pytest.raises(InputError, match="there is no such object in the bucket"):
        cloud.plan("s3://clean-up/nothing.csv")


def test_unusable_ledger_fails_a_batch_before_any_request(cloud: Cloud, cognito: Cognito) -> None:
    plan = cloud.plan(cloud.put(numbered(3)), "--ledger", "/dev/null/ledger")
    with pytest.raises(LedgerError):
        cloud.send(plan)
    assert cognito.requests == 0


def test_nothing_is_raised_once_a_code_was_sent(
    cloud: Cloud, cognito: Cognito, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = cloud.plan(cloud.put(numbered(3)))
    inner = PreparedRun.send

    async def fail_at_the_end(run: PreparedRun) -> Any:
        await inner(run)
        raise RuntimeError("user1@example.com")

    monkeypatch.setattr(PreparedRun, "send", fail_at_the_end)
    answer = cloud.send(plan)
    assert answer["outcomes"] == {"sent/accepted": [1, 2, 3]}
    assert answer["problem"] == answer["why"] == "RuntimeError"  # and not its text
    assert (answer["exit_code"], answer["again"]) == (4, False)

    # Its report is there: the next attempt makes no request, and the end reports all users.
    monkeypatch.setattr(PreparedRun, "send", inner)
    assert cloud.send(plan)["outcomes"] == {"sent/accepted": [1, 2, 3]}
    cloud.merge(plan)
    assert tallied(cloud.report()) == {"sent/accepted": 3}
    assert cognito.deliveries == once(numbered(3))


def test_broken_batch_fails_and_its_users_are_accounted_for(
    cloud: Cloud, cognito: Cognito, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job breaks while it sends."""
    plan = cloud.plan(cloud.put(numbered(3)))
    inner, results = Job._tell, []

    async def break_at_the_second(job: Job, result: Result) -> None:
        results.append(result)
        if len(results) == 2:
            raise RuntimeError("user2@example.com")
        await inner(job, result)

    with monkeypatch.context() as patched:
        patched.setattr(Job, "_tell", break_at_the_second)
        answer = cloud.send(plan)
    assert (answer["exit_code"], answer["stopped_by"], answer["why"]) == (4, None, "RuntimeError")
    assert cloud.send(plan)["exit_code"] == 0
    cloud.merge(plan)
    assert len(cloud.report()) == 3
    assert cognito.deliveries == once(numbered(3))


def test_undelivered_report_is_reported_and_the_ledger_used(
    cloud: Cloud, cognito: Cognito, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger takes the place of a report that does not arrive."""
    plan = cloud.plan(cloud.put(numbered(3)))

    async def lose(*_: Any) -> None:
        raise ReportError("a result s3://clean-up/x may not be written.")

    with monkeypatch.context() as patched:
        patched.setattr(Execution, "add_try", lose)
        answer = cloud.send(plan)
    assert answer["outcomes"] == {"sent/accepted": [1, 2, 3]}
    assert answer["problem"] == "a result s3://clean-up/x may not be written."
    assert answer["exit_code"] == 0
    end = cloud.merge(plan)
    assert (end["exit_code"], end["stopped_by"]) == (0, None)
    assert tallied(cloud.report()) == {"skipped/cooling-down": 3}
    assert cognito.deliveries == once(numbered(3))


def test_batch_without_time_sends_nothing_and_is_not_repeated(
    cloud: Cloud, cognito: Cognito
) -> None:
    plan = cloud.plan(cloud.put(numbered(3)))
    answer = cloud.send(plan, seconds=5.0)
    assert answer["outcomes"] == {"not-attempted/stopped": [1, 2, 3]}
    assert (answer["stopped_by"], answer["again"], answer["exit_code"]) == ("deadline", False, 3)
    assert cognito.requests == 0
    end = cloud.merge(plan)
    assert (end["stopped_by"], end["exit_code"]) == ("deadline", 3)


def test_finished_batch_does_not_report_an_earlier_stop(cloud: Cloud, cognito: Cognito) -> None:
    cognito.settings = PoolSettings(mail_quota=2)
    plan = cloud.plan(cloud.put(numbered(5)))
    assert cloud.send(plan)["stopped_by"] == "mail-quota"
    end = cloud.merge(plan)
    assert (end["stopped_by"], end["exit_code"]) == ("mail-quota", 3)
    cognito.settings = PoolSettings()
    assert cloud.send(plan)["exit_code"] == 0
    end = cloud.merge(plan)
    assert (end["stopped_by"], end["exit_code"]) == (None, 0)
    assert cognito.deliveries == once(numbered(5))


def test_a_page_that_cannot_be_made_harms_nothing(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    import batch_resend.reports.page.render

    def fail(*_: Any, **__: Any) -> bytes:
        raise RuntimeError

    monkeypatch.setattr(batch_resend.reports.page.render, "page", fail)
    plan = cloud.plan(cloud.put(numbered(3)))
    cloud.send(plan)
    end = cloud.merge(plan)
    assert (end["html"], end["exit_code"]) == (None, 0)
    assert len(cloud.report()) == 3


def test_batch_started_twice_reports_the_best_known_result(cloud: Cloud, cognito: Cognito) -> None:
    names = [*numbered(2), *numbered(1, Kind.TIRED)]
    plan = cloud.plan(cloud.put(names))
    cloud.send(plan)
    rows = ["2,user2@example.com,skipped,outcome-unknown,0,,,,,,,2026-01-01T00:00:00.000Z,,,",
            "3,x,unknown,no-answer,1,,,,,,,2026-01-01T00:00:00.000Z,,,"]  # fmt: skip
    cloud.s3.put_object(
        Bucket="clean-up",
        Key="runs/one/tries/00001-19700101T000000Z-00000000.csv",
        Body="\n".join([",".join(COLUMNS), *rows, ""]).encode(),
    )
    cloud.merge(plan)
    assert [row["reason"] for row in cloud.report()] == ["accepted", "accepted", "no-answer"]


# -- the parts --------------------------------------------------------------------------


def test_a_planned_user_comes_back_from_a_batch_as_it_was() -> None:
    name = "a\udcff\u2028b"
    user = Planned(17, name, Reason.ELIGIBLE, {"locale": "de"}, f'"{name}",de\r\n', ("+15550100",))
    assert planned_batch.read(planned_batch.line(user) * 2) == 2 * [
        Candidate(17, name, {"locale": "de"}, f'"{name}",de\r\n', ("+15550100",))
    ]


def test_a_report_of_another_version_is_refused() -> None:
    with pytest.raises(InputError, match="x is not a report of this version"):
        list(merge.read(["row,username\n"], "x"))


def test_outcomes_of_the_largest_batch_fit_into_an_output() -> None:
    rows = list(range(99_000_000, 99_000_000 + LARGEST_BATCH))
    assert len(json.dumps({"sent/accepted": rows})) < 200_000


@pytest.mark.parametrize("sensitive", [True, False])
def test_batch_tells_names_apart_as_the_plan_did(sensitive: bool) -> None:
    """A batch does not see the whole listing, and asks nothing of the pool."""
    arguments = ["s3://clean-up/u.csv", *LEDGER, "--client-id", "abc", "--region", "us-east-1"]
    plan = {"arguments": arguments, "region": "us-east-1", "case_sensitive": sensitive}
    assert settings_for_batch(plan, "s3://clean-up/1.jsonl").case_sensitive is sensitive
