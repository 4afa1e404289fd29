"""A ledger in DynamoDB as a person meets it: real processes, against moto's server."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

import pytest

from batch_resend.simulator.rules import Cognito
from tests.support.dynamodb import ENVIRONMENT, made_table
from tests.support.program import AGAIN, REPORT, SUMMARY, Program

AT = ("--region", "us-east-1")


@pytest.fixture
def ledger(program: Program, moto_url: str) -> Iterator[tuple[str, str]]:
    """The option for a table of its own."""
    program.env |= ENVIRONMENT | {"AWS_ENDPOINT_URL_DYNAMODB": moto_url}
    with made_table(moto_url, "us-east-1") as name:
        yield "--ledger", f"dynamodb://{name}"


def test_a_table_remembers_from_one_machine_to_the_next(
    program: Program, ledger: tuple[str, str], at: tuple[str, ...], cognito: Cognito
) -> None:
    names = ["ada@example.com", "bob@example.com", "gone+missing@example.com"]
    users = program.users(names)
    dry = program("run", users, *at, *ledger, "--dry-run", *REPORT)
    assert dry.code == 0, dry.err
    assert {row["reason"] for row in program.report()} == {"eligible"}
    first = program("run", users, *at, *ledger, *AGAIN, *SUMMARY)
    assert first.code == 1, first.err
    assert f"no ledger at {ledger[1]} yet; this run creates an empty one" in first.err
    assert "belongs to client" not in first.err
    assert program.summary()["ledger"] == ledger[1]
    assert [row["reason"] for row in sorted(program.report(), key=lambda row: int(row["row"]))] == [
        "accepted", "accepted", "user-not-found",
    ]  # fmt: skip
    again = program("run", users, *at, *ledger, *AGAIN, env={"BATCH_RESEND_CREATE_LEDGER": "0"})
    assert again.code == 1, again.err
    assert "no ledger at" not in again.err
    assert [row["reason"] for row in program.report()].count("cooling-down") == 2
    assert cognito.deliveries == {names[0]: 1, names[1]: 1}
    assert not program.state.exists(), "nothing is left on the machine"

    status = program("status", *AT, *ledger, "--json")
    assert status.code == 0, status.err
    content = json.loads(status.out)
    assert content["ledger"] == ledger[1]
    assert content["users"] == {"sent": 2, "unknown": 0, "failed": 1, "skipped": 0}
    assert [run["exit_code"] for run in content["runs"]] == [1, 1]
    one = program("status", "ADA@example.com", *AT, *ledger, "--no-mask")
    assert one.code == 0
    assert f"ADA@example.com in the ledger {ledger[1]}: sent" in one.out
    assert program("status", "stranger", *AT, *ledger).code == 1

    lost = program.users(["lost+fin@example.com"], "lost.csv")
    doubt = program("run", lost, *at, *ledger, *AGAIN)
    (line,) = (line for line in doubt.err.splitlines() if "batch-resend status" in line)
    assert line.split()[1:] == ["status", *ledger, *AT]
    shown = program(*line.split()[1:])
    assert "Unknown outcomes: 1" in shown.out

    forgotten = program("ledger", "forget", "ada@example.com", "--yes", *AT, *ledger)
    assert forgotten.code == 0
    assert f"Names erased in 1 message of the ledger {ledger[1]}" in forgotten.err
    export = program("ledger", "export", *AT, *ledger)
    rows = list(csv.DictReader(io.StringIO(export.out)))
    assert sorted((row["username"], row["state"]) for row in rows) == [
        ("", "sent"), ("bob@example.com", "sent"), ("gone+missing@example.com", "failed"),
        ("gone+missing@example.com", "failed"), ("lost+fin@example.com", "unknown"),
    ]  # fmt: skip
    purged = program("ledger", "purge", "--older-than", "0s", "--entirely", "--yes", *AT, *ledger)
    assert purged.code == 0
    assert f"Deleted 5 messages (1 of them unknown) of the ledger {ledger[1]}" in purged.err
    assert program("ledger", "export", *AT, *ledger).out.count("\n") == 1
    last = program("run", users, *at, *ledger, *AGAIN)
    assert last.code == 1
    assert [cognito.deliveries[name] for name in names] == [2, 2, 0], "as it was asked for"


def test_unusable_table_is_one_sentence_before_any_message(
    program: Program, ledger: tuple[str, str], at: tuple[str, ...], cognito: Cognito
) -> None:
    users = program.users(["ada@example.com"])
    for code, said, options in (
        (
            4,
            "There is no table no-such-table in us-east-1",
            ("--ledger", "dynamodb://no-such-table"),
        ),
        (2, "is not a valid table", ("--ledger", "dynamodb://")),
        (2, "With this ledger the maximum is 2m", (*ledger, "--timeout", "10m")),
    ):
        ended = program("run", users, *at, *options, *REPORT)
        assert ended.code == code, ended.err
        assert said in ended.err
        assert "Traceback" not in ended.err
    unasked = {"BATCH_RESEND_CREATE_LEDGER": "0"}
    refused = program("run", users, *at, *ledger, *REPORT, env=unasked)
    assert refused.code == 4
    assert "allow a new one with --create-ledger" in refused.err
    for command in (["status"], ["ledger", "export"], ["ledger", "forget", "ada"]):
        ended = program(*command, *AT, *ledger)
        assert ended.code == 2
        assert f"There is no ledger in {ledger[1]}" in ended.err
    nobody = program("run", users, *at, *ledger, *REPORT, env={"AWS_ENDPOINT_URL_DYNAMODB": ""})
    assert nobody.code == 4
    assert "set AWS_ENDPOINT_URL_DYNAMODB to where it is" in nobody.err
    assert not cognito.deliveries


def test_a_simulation_has_a_table_of_its_own(program: Program, ledger: tuple[str, str]) -> None:
    users = program.users(["ada@example.com"])
    assert program("run", users, "--simulate", *AT, *ledger, *REPORT).code == 0
    real = program("run", users, "--client-id", "abc", *AT, *ledger, *AGAIN, "--yes",
                   "--endpoint-url", "http://127.0.0.1:9")  # fmt: skip
    assert real.code == 4
    assert "belongs to a simulation. Choose another table with --ledger." in real.err
