"""The state machine of `examples/step-functions/`, run by moto's interpreter.

The handler runs in processes of its own, as on Lambda; S3 and the ledger's table are
moto's too, and Cognito is the simulator over HTTP, by whose count is judged who was sent
what. What the interpreter does not do is said in the example's README.
"""

from __future__ import annotations

import json
import os
import random
import shlex
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import (
    StatesErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.job import Job, JobPool

from batch_resend.simulator.pool import Kind
from batch_resend.simulator.rules import Answer, Cognito
from batch_resend.simulator.setup import PoolSettings
from tests.support.lambda_sandbox import Died, Sandboxes
from tests.support.program import CLIENT, numbered, once, read_report, tallied
from tests.support.state_machine import DEFINITION, TEMPLATE

#: In the gate; more by BATCH_RESEND_MACHINE=1050.
USERS = int(os.environ.get("BATCH_RESEND_MACHINE", "220"))

AT_MOST = 1800.0  #: seconds; a run that takes longer hangs, even on a busy machine
pytestmark = pytest.mark.timeout(3600)

KEYS = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
BUCKET = "clean-up"
ROLE = "arn:aws:iam::123456789012:role/states"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:batch-resend"


def set_interpreter(moto_url: str, *, on: bool) -> None:
    wanted = {"stepfunctions": {"execute_state_machine": on}, "lambda": {"use_docker": not on}}
    request = urllib.request.Request(
        f"{moto_url}/moto-api/config", json.dumps(wanted).encode(), method="POST"
    )
    urllib.request.urlopen(request).close()


class Cloud:
    """The resources of the template, at moto."""

    def __init__(self, moto_url: str, url: str, function: Sandboxes) -> None:
        self.s3 = boto3.client("s3", endpoint_url=moto_url, **KEYS)
        self.s3.create_bucket(Bucket=BUCKET)
        self.tables = boto3.client("dynamodb", endpoint_url=moto_url, **KEYS)
        table = TEMPLATE["Resources"]["Ledger"]["Properties"]
        self.tables.create_table(
            TableName="resends",
            **{name: table[name] for name in ("AttributeDefinitions", "KeySchema", "BillingMode")},
        )
        self.states = boto3.client("stepfunctions", endpoint_url=moto_url, **KEYS)
        self.definition = (
            DEFINITION.replace("${FunctionArn}", FUNCTION)
            .replace("${Bucket}", BUCKET)
            .replace('"Seconds": 900', '"Seconds": 2')
        )
        self.machine = self.states.create_state_machine(
            name="batch-resend", definition=self.definition, roleArn=ROLE
        )["stateMachineArn"]
        self.function = function
        function.set_up(
            {
                "AWS_ACCESS_KEY_ID": "x",
                "AWS_SECRET_ACCESS_KEY": "x",
                "AWS_REGION": "us-east-1",
                "AWS_ENDPOINT_URL_S3": moto_url,
                "AWS_ENDPOINT_URL_DYNAMODB": moto_url,
                "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": url,
                "BATCH_RESEND_CLIENT_ID": CLIENT,
                "BATCH_RESEND_LEDGER": "dynamodb://resends",
                "BATCH_RESEND_RATE": "1000",
                "BUCKET": BUCKET,
                "WORKERS": "4",
                "BATCH_SIZE": "25",
            }
        )

    def put(self, key: str, data: bytes) -> str:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=data)
        return f"s3://{BUCKET}/{key}"

    def get(self, place: str) -> str:
        key = place.removeprefix(f"s3://{BUCKET}/")
        text: str = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()
        return text

    def run(self, *arguments: str, name: str = "first") -> dict[str, Any]:
        """Run the state machine to its end."""
        return self._run(self.machine, name, {"arguments": arguments})

    def run_item(self, item: dict[str, Any]) -> dict[str, Any]:
        """Run what the Map runs for each batch, by itself: moto tells nothing of an item."""
        items = json.loads(self.definition)["States"]["Batches"]["ItemProcessor"]
        del items["ProcessorConfig"]
        machine = self.states.create_state_machine(
            name="item", definition=json.dumps(items), roleArn=ROLE
        )["stateMachineArn"]
        try:
            return self._run(machine, "item", item)
        finally:
            self.states.delete_state_machine(stateMachineArn=machine)

    def _run(self, machine: str, name: str, content: dict[str, Any]) -> dict[str, Any]:
        execution = self.states.start_execution(
            stateMachineArn=machine, name=name, input=json.dumps(content)
        )["executionArn"]
        end = time.monotonic() + AT_MOST
        while time.monotonic() < end:
            status: dict[str, Any] = self.states.describe_execution(executionArn=execution)
            if status["status"] == "SUCCEEDED" or "error" in status:  # moto tells of it a bit later
                return status
            time.sleep(0.1)
        raise TimeoutError(execution)

    def result(self, name: str, file: str) -> str:
        return self.get(f"s3://{BUCKET}/runs/{name}/{file}")

    def summary(self, name: str = "first") -> dict[str, Any]:
        summary: dict[str, Any] = json.loads(self.result(name, "summary.json"))
        return summary

    def end(self) -> None:
        self.states.delete_state_machine(stateMachineArn=self.machine)
        for entry in self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
            self.s3.delete_object(Bucket=BUCKET, Key=entry["Key"])
        self.s3.delete_bucket(Bucket=BUCKET)
        self.tables.delete_table(TableName="resends")


@pytest.fixture(scope="module")
def function() -> Iterator[Sandboxes]:
    instance = Sandboxes()
    yield instance
    instance.end()


@pytest.fixture
def cloud(
    moto_url: str, url: str, function: Sandboxes, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cloud]:
    monkeypatch.setenv("MOTO_PORT", moto_url.rpartition(":")[2])
    set_interpreter(moto_url, on=True)
    instance = Cloud(moto_url, url, function)

    def invoke(_: Any, _name: str, _qualifier: Any, body: Any, _head: Any, headers: Any) -> bytes:
        try:
            return json.dumps(function.invoke(json.loads(body))).encode()
        except Died as died:
            headers["x-amz-function-error"] = "Unhandled"
            return json.dumps(died.error).encode()

    monkeypatch.setattr(LambdaSimpleBackend, "invoke", invoke)
    yield instance
    instance.end()
    set_interpreter(moto_url, on=False)


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the Map fail as Step Functions does; moto's continues after any failed batch.

    More than 10 % failed: no more are begun, the Map's error is raised at once, and what
    had begun is not waited for.
    """
    close = JobPool.close_job
    failed: list[Job] = []

    def close_job(pool: JobPool, job: Job) -> None:
        if job.job_output is None:  # so moto has it of one that failed
            failed.append(job)
            if len(failed) > 0.1 * pool._jobs_number:
                job.job_output = exceeded()
        close(pool, job)

    monkeypatch.setattr(JobPool, "close_job", close_job)


def exceeded() -> Exception:
    kind = StatesErrorNameType.StatesExceedToleratedFailureThreshold
    cause = "The specified tolerated failure threshold was exceeded"
    where: Any = SimpleNamespace(
        next_state_name="Batches", event_history_context=SimpleNamespace(source_event_id=0)
    )
    details: Any = {"mapRunFailedEventDetails": {"error": kind.to_name(), "cause": cause}}
    return FailureEventException(
        FailureEvent(
            env=where,
            error_name=StatesErrorName(kind),
            event_type=HistoryEventType.MapRunFailed,
            event_details=details,
        )
    )


def listed(names: list[str]) -> bytes:
    return "".join(f"{name}\n" for name in ["username", *names]).encode()


def kill_at(request: int, cloud: Cloud, cognito: Cognito, patched: pytest.MonkeyPatch) -> None:
    """Kill the function when Cognito receives that request, before it responds."""
    answer = cognito.answer

    def kill_and_answer(parameters: Mapping[str, Any], **others: Any) -> Answer:
        if cognito.requests == request - 1:
            for sandbox in list(cloud.function.busy):
                sandbox.process.kill()
        return answer(parameters, **others)

    patched.setattr(cognito, "answer", kill_and_answer)


def outcomes_of(answers: list[dict[str, Any]]) -> dict[int, str]:
    """Return the outcome of each row by the responses; of every row once."""
    pairs = [(row, outcome) for answer in answers for outcome, at in answer["outcomes"].items()
             for row in at]  # fmt: skip
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


def test_every_user_is_accounted_for_when_some_fail(cloud: Cloud, cognito: Cognito) -> None:
    whole = USERS - 70
    names = [*numbered(whole), *numbered(20, Kind.TIRED), *numbered(10, Kind.NODETAILS),
             *numbered(10, Kind.CONFIRMED), *numbered(10, Kind.MISSING), *["two words"] * 10,
             *numbered(10)]  # fmt: skip
    random.Random(6).shuffle(names)
    cloud.function.environment["BATCH_SIZE"] = "100"
    users = cloud.put("in/users.csv", b"No;User Name\r\n" + b"".join(
        f"{n};{name}\r\n".encode() for n, name in enumerate(names)))  # fmt: skip

    execution = cloud.run(users, "--username-column", "user name")
    assert execution["status"] == "SUCCEEDED"
    served = [name for name in names if "+" not in name and name != "two words"]
    assert cognito.deliveries == once(served + numbered(10, Kind.NODETAILS))

    # One line per row, in the order of the input.
    report = read_report(cloud.result("first", "report.csv"))
    assert [int(row["row"]) for row in report] == list(range(1, USERS + 1))
    assert [row["username"] for row in report] == names
    counts = {
        "sent/accepted": whole, "failed/attempt-limit": 20, "unknown/unreadable-answer": 10,
        "skipped/already-confirmed": 10, "failed/user-not-found": 10,
        "failed/invalid-username": 1, "skipped/duplicate": 19,
    }  # fmt: skip
    assert tallied(report) == counts

    # What was returned says the same of every row that was not skipped by the plan.
    answers = [
        json.loads(execution) for execution in cloud.function.answers if '"outcomes"' in execution
    ]
    assert Counter(outcomes_of(answers).values()) == {
        execution: count for execution, count in counts.items() if execution != "skipped/duplicate"
    }
    assert max(map(len, cloud.function.answers)) < 10_000
    assert "example.com" not in "".join(cloud.function.answers)

    failed = cloud.result("first", "failed.csv").splitlines(keepends=True)
    assert failed[0] == "No;User Name\r\n"
    assert failed[1:] == [
        f"{n};{name}\r\n" for n, (name, row) in enumerate(zip(names, report, strict=True))
        if row["outcome"] in {"failed", "unknown"}
    ]  # fmt: skip
    summary = cloud.summary()
    assert summary["reasons"] == counts
    assert (summary["exit_code"], summary["stopped_by"], summary["unknown_in_ledger"]) == (
        1,
        None,
        10,
    )
    assert summary["input"] == users
    assert summary["rows"] == USERS
    assert (summary["requests"], summary["dry_run"]) == (whole + 50, False)
    assert shlex.split(summary["next_command"])[:5] == [
        "aws", "stepfunctions", "start-execution", "--state-machine-arn", cloud.machine,
    ]  # fmt: skip
    assert f"{USERS:,}" in cloud.result("first", "report.html")
    output = json.loads(execution["output"])
    assert output["report"] == f"s3://{BUCKET}/runs/first/report.csv"
    assert output["counts"] == summary["counts"]

    # No more than four at a time, and each at its slice of the rate.
    batches = -(-(whole + 51) // 100)
    assert len(cloud.function.called("send")) == batches
    workers = min(4, batches)
    assert cloud.function.most == workers
    assert {event["rate"] for event in cloud.function.called("send")} == {1000 / workers}

    # To start it again is to resume.
    assert cloud.run(users, "--username-column", "user name", name="again")["status"] == "SUCCEEDED"
    assert cognito.deliveries == once(served + numbered(10, Kind.NODETAILS))
    assert (
        tallied(read_report(cloud.result("again", "report.csv")))["skipped/cooling-down"] == whole
    )


def test_killed_batch_is_read_from_the_ledger_and_never_resent(
    cloud: Cloud, cognito: Cognito, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger has the results of a killed function; a redrive sends no second code."""
    names = numbered(60)
    users = cloud.put("in/users.csv", listed(names))
    cloud.function.environment["WORKERS"] = "1"
    kill_at(35, cloud, cognito, monkeypatch)  # in the middle of the second batch
    execution = cloud.run(users, "--rate", "20")
    # A failed batch among three is tolerated by the interpreter, whatever its settings.
    assert (execution["status"], execution["error"]) == ("FAILED", "Unfinished")
    died = cloud.function.called("send")[1]
    assert (died["batch"], len(cloud.function.called("send"))) == (2, 3)
    end = json.loads(execution["cause"])
    assert (end["exit_code"], end["stopped_by"]) == (3, "caller")
    assert end["detail"] == "1 of 3 batches are unfinished"

    # Without a report of the dead one, the ledger tells of each of its users.
    report = read_report(cloud.result("first", "report.csv"))
    assert [row["username"] for row in report] == names
    assert all(row["outcome"] == "sent" for row in [*report[:25], *report[50:]])
    left = [row["username"] for row in report if row["reason"] == "stopped"]
    asked = [row["username"] for row in report[25:50]
             if row["reason"] in {"cooling-down", "outcome-unknown", "interrupted"}]  # fmt: skip
    assert left
    assert asked
    assert sorted(left + asked) == sorted(names[25:50])
    assert not set(left) & set(cognito.deliveries)
    assert set(left) < set(cloud.result("first", "failed.csv").splitlines())

    # A redrive runs the state that failed once more, with what it was given, and goes on.
    before = dict(cognito.deliveries)
    cloud.function.invoke(died)
    assert cognito.deliveries == before | once(left)
    end = cloud.function.invoke({"action": "merge", "place": died["place"]})
    assert end["stopped_by"] is None
    report = read_report(cloud.result("first", "report.csv"))
    assert [row["username"] for row in report] == names
    assert {row["username"] for row in report if row["outcome"] == "sent"} == {*names} - {*asked}

    # Once more: no request is made. Nor by a new execution.
    requests = cognito.requests
    assert cloud.function.invoke(died)["stopped_by"] is None
    assert cloud.run(users, name="again")["status"] == "SUCCEEDED"
    assert cognito.requests == requests
    assert set(cognito.deliveries.values()) == {1}


def test_batch_longer_than_the_function_may_take_is_continued(
    cloud: Cloud, cognito: Cognito
) -> None:
    """A function that has sent nothing in its time is not called again: a busy machine needs more.

    However much it gets, two thirds of the batch are the most that fit into one call.
    """
    cloud.function.environment["BATCH_SIZE"] = "50"
    for attempt, budget in enumerate((6, 30, 150)):
        cloud.function.events.clear()
        cloud.function.seconds = budget + 21.5  # 1.5 time-outs of a request and 20 s to settle
        names = numbered(50, first=1 + 50 * attempt)
        users = cloud.put("in/users.csv", listed(names))
        name, rate = f"budget-{budget}", f"{36 / budget:g}"
        execution = cloud.run(users, "--rate", rate, "--timeout", "1s", name=name)
        if execution["status"] == "SUCCEEDED":
            break
    assert execution["status"] == "SUCCEEDED"
    assert len(cloud.function.called("send")) > 1
    assert {one: cognito.deliveries[one] for one in names} == once(names)
    report = read_report(cloud.result(name, "report.csv"))
    assert tallied(report) == {"sent/accepted": 50}
    assert [row["username"] for row in report] == names
    assert cloud.summary(name)["stopped_by"] is None


def test_run_stopped_by_cognito_fails_with_its_results_kept(cloud: Cloud, cognito: Cognito) -> None:
    users = cloud.put("in/users.csv", listed(numbered(30, Kind.UNDELIVERABLE)))
    execution = cloud.run(users, "--max-failures", "3", "--concurrency", "1")
    assert (execution["status"], execution["error"]) == ("FAILED", "Unfinished")
    end = json.loads(execution["cause"])
    assert (end["exit_code"], end["stopped_by"]) == (3, "max-failures")
    assert len(read_report(cloud.result("first", "report.csv"))) == 30
    assert cognito.deliveries == {}


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        ({"exit_code": 3, "why": "max-failures"}, "batch 7: max-failures"),
        ({"exit_code": 4, "why": "RuntimeError"}, "batch 7: RuntimeError"),
    ],
)
def test_stopped_or_broken_batch_fails_with_its_cause(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], cause: str
) -> None:
    # The answers are those of the handler, in the tests of which they are made.
    monkeypatch.setattr(cloud.function, "invoke", lambda _: {"again": False} | answer)
    execution = cloud.run_item({"action": "send", "batch": 7})
    assert (execution["status"], execution["error"], execution["cause"]) == (
        "FAILED",
        "BatchStopped",
        cause,
    )


@pytest.mark.usefixtures("strict")
def test_run_without_mail_quota_leaves_its_whole_report(cloud: Cloud, cognito: Cognito) -> None:
    names = numbered(120)
    users = cloud.put("in/users.csv", listed(names))
    cloud.function.environment["WORKERS"] = "1"
    cognito.settings = PoolSettings(mail_quota=30)
    execution = cloud.run(users)
    assert (execution["status"], execution["error"]) == ("FAILED", "Unfinished")
    end = json.loads(execution["cause"])
    assert (end["exit_code"], end["stopped_by"], end["rows"]) == (3, "mail-quota", 120)
    assert len(cloud.function.called("send")) < 5  # the Map did fail

    report = read_report(cloud.result("first", "report.csv"))
    assert [row["username"] for row in report] == names
    assert tallied(report) == {"sent/accepted": 30, "not-attempted/stopped": 90}
    sent = [row["username"] for row in report if row["outcome"] == "sent"]
    assert cognito.deliveries == once(sent)
    left = [row["username"] for row in report if row["outcome"] != "sent"]
    assert cloud.result("first", "failed.csv").splitlines() == ["username", *left]
    assert "start-execution" in cloud.summary()["next_command"]
    assert "90" in cloud.result("first", "report.html")

    # To start it again is to go on.
    cognito.settings = PoolSettings()
    assert cloud.run(users, name="again")["status"] == "SUCCEEDED"
    assert cognito.deliveries == once(names)


@pytest.mark.usefixtures("strict")
def test_run_with_dead_functions_leaves_its_report_and_cause(
    cloud: Cloud, cognito: Cognito, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = numbered(60)
    users = cloud.put("in/users.csv", listed(names))
    cloud.function.environment["WORKERS"] = "1"
    kill_at(10, cloud, cognito, monkeypatch)
    execution = cloud.run(users, "--rate", "20")
    assert (execution["status"], execution["error"]) == ("FAILED", "Unfinished")
    end = json.loads(execution["cause"])
    assert end["stopped_by"] == "caller"
    assert "States.ExceedToleratedFailureThreshold" in end["detail"]
    report = read_report(cloud.result("first", "report.csv"))
    assert [row["username"] for row in report] == names


def test_dry_run_writes_its_report_without_any_request(cloud: Cloud, cognito: Cognito) -> None:
    users = cloud.put("in/users.csv", listed([*numbered(30), "two words"]))
    execution = cloud.run(users, "--dry-run")
    assert execution["status"] == "SUCCEEDED"
    assert tallied(read_report(cloud.result("first", "report.csv"))) == {
        "planned/eligible": 30, "failed/invalid-username": 1,
    }  # fmt: skip
    assert cloud.summary()["dry_run"] is True
    assert cloud.function.called("send") == []
    assert cognito.requests == 0
