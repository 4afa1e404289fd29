"""`status` and `ledger` as an operator meets them: real processes, over ledgers of real runs."""

from __future__ import annotations

import csv
import io
import json
import signal
import sqlite3
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.cognitoidp.responses import CognitoIdpResponse
from moto.core.responses import ActionResult

from batch_resend.reports.ledger_csv import COLUMNS
from batch_resend.simulator.pool import Kind
from batch_resend.simulator.rules import Cognito
from tests.support.program import (
    AGAIN,
    CLIENT,
    REPORT,
    SUMMARY,
    Program,
    at_a_terminal,
    ended,
    numbered,
    once,
    tallied,
    until,
)

NAMES = [
    "ada@example.com",
    "bob+rst@example.com",
    "cid+missing@example.com",
    "dan+confirmed@example.com",
    "=eve()",
]
LEDGER = ("--ledger", "l.sqlite3")


@pytest.fixture
def used(program: Program, cognito: Cognito, at: tuple[str, ...]) -> Program:
    """A program whose ledger l.sqlite3 has one run behind it."""
    ended = program("run", program.users(NAMES), *at, *REPORT, *SUMMARY, *LEDGER)
    assert ended.code == 1
    assert "batch-resend status --ledger l.sqlite3\n" in ended.err
    return program


def export(program: Program, *options: str) -> list[dict[str, str]]:
    done = program("ledger", "export", *options)
    assert (done.code, done.err) == (0, "")
    return list(csv.DictReader(io.StringIO(done.out)))


def test_status_agrees_with_the_run_and_its_summary(used: Program) -> None:
    shown = used("status", *LEDGER)
    assert (shown.code, shown.err) == (0, "")
    assert "Users 5\n  sent               2\n  unknown            1 (no-answer 1)\n" in shown.out
    assert "Reached the limit of 1 message (--max-sends): 3 (1 with" in shown.out
    assert "  no-answer            b***@e***\n" in shown.out
    assert not any(name in shown.out for name in NAMES)
    assert "bob+rst@example.com" in used("status", *LEDGER, "--no-mask").out

    content = json.loads(used("status", *LEDGER, "--json", "--max-sends", "2").out)
    summary = used.summary()
    assert content["runs"][0]["counts"] == summary["counts"]
    assert content["messages"] == summary["reasons"]
    assert content["unknown"]["messages"] == summary["unknown_in_ledger"] == 1
    assert content["users"] == {"sent": 2, "unknown": 1, "failed": 1, "skipped": 1}
    assert content["at_cap"] == {"max_sends": 2, "users": 0, "in_doubt": 0}
    assert content["confirmations"] is None


def test_status_page_shows_the_runs_of_the_ledger(used: Program) -> None:
    shown = used("status", *LEDGER, "--html", "all.html")
    assert shown.code == 0
    assert shown.out.startswith("Ledger l.sqlite3\n")
    assert shown.err.startswith("Page: all.html (")
    page = (used.folder / "all.html").read_text("utf-8")
    assert "<h1>2 people were sent a code</h1>" in page
    assert "Settle 1 unknown outcome" in page
    assert used("status", *LEDGER, "--html", "-").out.startswith("<!DOCTYPE html>")
    refused = used("status", *LEDGER, "--html", "all.html")
    assert (refused.code, len(refused.errors)) == (2, 1)
    assert used("status", *LEDGER, "--html", "all.html", "--overwrite").code == 0
    named = used("status", "ada@example.com", *LEDGER, "--html", "one.html")
    assert (named.code, named.errors) == (
        2, ["Error: --html shows all runs. Leave out the username, or --html."]
    )  # fmt: skip


def test_history_of_one_user_is_shown_and_unknown_users_exit_1(used: Program) -> None:
    shown = used("status", "BOB+rst@example.com", *LEDGER)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.splitlines()[0] == "B***@e*** in the ledger l.sqlite3: unknown"
    assert "unknown  no-answer" in shown.out
    assert used("status", "BOB+rst@example.com", *LEDGER, "--case-sensitive").code == 1
    nobody = used("status", "zoe", *LEDGER, "--json")
    assert (nobody.code, json.loads(nobody.out)["messages"]) == (1, [])


def test_the_export_has_a_row_for_every_message_and_no_formula(used: Program) -> None:
    rows = export(used, *LEDGER)
    assert list(rows[0]) == list(COLUMNS)
    assert sorted(row["username"] for row in rows) == sorted([*NAMES[:-1], "'=eve()"])
    counts: dict[str, int] = json.loads(used("status", *LEDGER, "--json").out)["messages"]
    assert {key: counts[key] for key in counts} == {
        f"{row['state']}/{row['reason']}": sum(
            (r["state"], r["reason"]) == (row["state"], row["reason"]) for r in rows
        )
        for row in rows
    }
    assert [row["username"] for row in export(used, *LEDGER, "--unknown")] == [NAMES[1]]

    into = used("ledger", "export", *LEDGER, "--output", "all.csv", umask=0)
    assert (into.code, into.out, into.err) == (0, "", "5 messages written to all.csv.\n")
    file = used.folder / "all.csv"
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_text().splitlines()) == 6
    assert used("ledger", "export", *LEDGER, "--output", "all.csv").code == 2
    over = used("ledger", "export", *LEDGER, "--output", "./l.sqlite3", "--overwrite")
    assert over.code == 2
    assert "belongs to the ledger" in over.err
    assert used("status", *LEDGER).code == 0


def test_forgotten_users_are_in_no_file_and_get_no_message(
    used: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    whole = (used.folder / "l.sqlite3").read_bytes()
    for asked in (["--dry-run"], []):
        refused = used("ledger", "forget", "ADA@example.com", *LEDGER, *asked)
        assert refused.code == (0 if asked else 2)
        assert "1 message of 20" in refused.err
        assert (used.folder / "l.sqlite3").read_bytes() == whole
    done = used("ledger", "forget", "ADA@example.com", *LEDGER, "--yes")
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("Names erased in 1 message of the ledger l.sqlite3;")
    ledger = used.folder / "l.sqlite3"
    assert b"ada@example.com" not in ledger.read_bytes()
    assert not ledger.with_name("l.sqlite3-wal").exists()
    assert [row["username"] for row in export(used, *LEDGER)].count("") == 1

    (used.folder / "erase.csv").write_text("username\nbob+rst@example.com\nzoe@example.com\n")
    some = used("ledger", "forget", "--from", "erase.csv", *LEDGER, "--yes")
    assert some.code == 1
    assert "No record of z***@e***.\n" in some.err
    assert "(name erased)" in used("status", *LEDGER).out
    for arguments in (("-",), ("--from", "-")):
        again = used("ledger", "forget", *arguments, *LEDGER, stdin="ada@example.com\n")
        assert again.code == 0
        assert again.err.startswith("Names erased in 0 messages")

    before = dict(cognito.deliveries)
    assert used("run", "users.csv", *at, *AGAIN, *LEDGER, "--cooldown", "0s").code == 1
    assert tallied(used.report()) == {
        "skipped/send-cap": 2, "skipped/outcome-unknown": 1, "failed/user-not-found": 1,
        "skipped/already-confirmed": 1,
    }  # fmt: skip
    assert dict(cognito.deliveries) == before


@pytest.mark.parametrize("arguments", [(), ("ada", "--from", "erase.csv")])
def test_forget_requires_usernames(program: Program, arguments: tuple[str, ...]) -> None:
    done = program("ledger", "forget", *arguments, *LEDGER)
    assert done.code == 2
    assert "No usernames given" in done.err or "cannot be combined" in done.err


def test_purge_erases_names_and_only_entirely_allows_messages(
    used: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    of_names = used("ledger", "purge", "--older-than", "1d", *LEDGER)
    assert (of_names.code, of_names.err[:23]) == (0, "Names erased in 0 messa")
    # What was set for runs does not decide here.
    for_runs = {"BATCH_RESEND_OLDER_THAN": "0s", "BATCH_RESEND_YES": "1"}
    missing = used("ledger", "purge", *LEDGER, env=for_runs)
    assert (missing.code, "--older-than is missing" in missing.err) == (2, True)
    purge = ("ledger", "purge", "--older-than", "0s", *LEDGER)
    refused = used(*purge, "--entirely", env=for_runs)
    assert refused.code == 2
    assert "Delete 5 messages (1 of them unknown) of 20" in refused.err
    only = used(*purge, "--entirely", "--dry-run")
    assert (only.code, "It would delete 5 messages" in only.err) == (0, True)
    assert len(export(used, *LEDGER)) == 5
    assert used(*purge).code == 2
    done = used(*purge, "--yes")
    assert done.code == 0
    assert done.err.startswith("Names erased in 5 messages (1 of them unknown) of the ledger")
    assert "example.com" not in (used.folder / "l.sqlite3").read_bytes().decode("latin-1")
    used("run", "users.csv", *at, *AGAIN, *LEDGER)
    assert "sent/accepted" not in tallied(used.report())

    no = at_a_terminal(used, "n", *purge, "--entirely")
    assert no.code == 2
    assert "can be messaged again? [y/N] n\n" in no.err
    yes = at_a_terminal(used, "y", *purge, "--entirely")
    assert yes.code == 0
    assert "can be messaged again.\n" in yes.err
    assert export(used, *LEDGER) == []
    used("run", used.users(["ada@example.com"]), *at, *AGAIN, *LEDGER)
    assert cognito.deliveries["ada@example.com"] == 2
    assert used(*purge, "--entirely", "--yes").code == 0


def test_running_ledger_can_be_read_but_not_erased(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    names = numbered(2000)
    process = program.start("run", program.users(names), *at, *REPORT, *LEDGER, "--rate", "10")
    until(lambda: cognito.requests >= 4, process)
    shown = program("status", *LEDGER)
    assert shown.code == 0
    assert "  in progress\n" in shown.out
    assert json.loads(program("status", *LEDGER, "--json").out)["running"] is True
    assert 1 <= len(export(program, *LEDGER)) < 2000
    for erase in (("forget", "ada"), ("purge", "--older-than", "1d")):
        refused = program("ledger", *erase, *LEDGER)
        assert refused.code == 5
        assert f"process {process.pid}" in refused.err
    process.send_signal(signal.SIGINT)
    assert ended(process).code == 130
    usernames = [row["username"] for row in program.report() if row["outcome"] == "sent"]
    assert cognito.deliveries == once(usernames)
    assert json.loads(program("status", *LEDGER, "--json").out)["running"] is False


def test_of_a_run_that_was_killed_the_status_says_so(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    users = program.users(numbered(2000))
    process = program.start("run", users, *at, *REPORT, *LEDGER, "--rate", "10")
    until(lambda: cognito.requests >= 4, process)
    process.kill()
    ended(process)
    shown = program("status", *LEDGER)
    assert (
        "  cut off\n  The next run will list the users whose requests this run left open.\n"
        in shown.out
    )


def test_ledger_is_found_like_a_run_does_or_as_the_only_one(
    program: Program, at: tuple[str, ...], url: str
) -> None:
    none = program("status")
    assert (none.code, "There is no ledger in" in none.err) == (2, True)
    here = ("--region", "us-east-1", "--endpoint-url", url)
    absent = program("status", "--client-id", CLIENT, *here)
    assert (absent.code, "There is no ledger" in absent.err) == (2, True)
    assert not program.state.exists()

    program("run", program.users(["ada"]), *at, *REPORT)
    (ledger,) = program.state.rglob("*.sqlite3")
    for options in ((), ("--client-id", CLIENT, *here), ("--user-pool-id", "", *here)):
        shown = program("status", *options)
        assert (shown.code, shown.out.splitlines()[0]) == (0, f"Ledger {ledger}"), options
    by_variable = program(
        "status", env={"BATCH_RESEND_LEDGER": str(ledger), "BATCH_RESEND_MAX_SENT": "9"}
    )
    assert by_variable.code == 0

    program("run", "users.csv", *at, *AGAIN, "--region", "eu-west-1")
    several = program("status")
    assert several.code == 2
    assert len(several.errors) == 1
    assert "2 ledgers are in " in several.err
    table = [line.split() for line in several.err.splitlines()[1:3]]
    assert [(cells[0], cells[-1].endswith(".sqlite3")) for cells in table] == [("1", True)] * 2
    assert program("status", "--region", "eu-west-1").code == 0
    far = program("status", "--region", "ap-south-1")
    assert (far.code, "for the Region ap-south-1" in far.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("status", "--max-sends", "-1"), 2, "--max-sends -1"),
        (("status", "--ledger", "none"), 2, "There is no ledger none"),
        (("status", "--ledger", "users.csv"), 4, "ledger users.csv"),
        (("status", "--client-id", "abc"), 4, "No Region is known"),
        (("status", "--user-pool-id", "x"), 2, "not a valid user pool ID"),
        (("ledger", "forget", "ada", "--ledger", "none", "--yes"), 2, "There is no ledger none"),
        (("ledger", "purge", "--older-than", "old"), 2, "not a valid duration"),
        (("ledger", "export", "--ledger", "none", "--output", "x.csv"), 2, "There is no ledger"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_sentence(
    program: Program, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    program.users(["ada"])
    before = {file.name for file in program.folder.iterdir()}
    done = program(*arguments)
    assert (done.code, done.out, len(done.errors)) == (code, "", 1)
    assert sentence in done.err
    assert {file.name for file in program.folder.iterdir()} == before


def test_a_simulated_ledger_can_be_looked_at_too(program: Program) -> None:
    users = program.users(["ada", f"bob+{Kind.LOST}"])
    program("run", users, "--simulate", *LEDGER, *REPORT, "--timeout", "0.3s")
    shown = program("status", *LEDGER)
    assert "Simulation only: no real messages were sent.\n" in shown.out
    assert program("ledger", "forget", "ada", *LEDGER, "--yes").code == 0


def resend_confirmation_code(response: Any) -> ActionResult:
    """Replace the call that moto lacks."""
    del response
    details = {"AttributeName": "email", "DeliveryMedium": "EMAIL", "Destination": "u***@e***"}
    return ActionResult({"CodeDeliveryDetails": details})


def test_who_has_confirmed_since_is_counted_at_the_pool(
    program: Program, moto_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        CognitoIdpResponse, "resend_confirmation_code", resend_confirmation_code, raising=False
    )
    pool: Any = boto3.client(
        "cognito-idp",
        region_name="us-east-1",
        endpoint_url=moto_url,
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    pool_id = pool.create_user_pool(
        PoolName="status", UsernameAttributes=["email"], AutoVerifiedAttributes=["email"]
    )["UserPool"]["Id"]
    client = pool.create_user_pool_client(UserPoolId=pool_id, ClientName="web")["UserPoolClient"]
    for n in range(100):
        user = {"Username": f"user{n}@example.com", "Password": "Passw0rd!"}
        pool.sign_up(ClientId=client["ClientId"], **user)
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    options = ("--user-pool-id", pool_id, "--client-id", client["ClientId"],
               "--endpoint-url", moto_url)  # fmt: skip
    sent = program("run", *options, "--yes", "--rate", "1000", "--limit", "60", *REPORT, env=keys)
    assert sent.code == 0
    written_to = [row["username"] for row in program.report() if row["outcome"] == "sent"]
    assert len(written_to) == 60
    for name in written_to[:25]:
        pool.admin_confirm_sign_up(UserPoolId=pool_id, Username=name)
    for name in written_to[25:30]:
        pool.admin_delete_user(UserPoolId=pool_id, Username=name)
    _three_days_ago(program.state, written_to[:10])

    content = json.loads(program("status", *options, "--json", env=keys).out)
    nobody = {"written_to": 0, "confirmed": 0, "unconfirmed": 0, "other": 0, "not_listed": 0}
    assert content["confirmations"] == {
        "user_pool_id": pool_id,
        "written_to": 60, "confirmed": 25, "unconfirmed": 30, "other": 0, "not_listed": 5,
        "by_day": [
            {"days": 0} | nobody | {
                "written_to": 50, "confirmed": 15, "unconfirmed": 30, "not_listed": 5,
            },
            {"days": 3} | nobody | {"written_to": 10, "confirmed": 10},
        ],
        "unknown": nobody,
    }  # fmt: skip
    listed = program("status", *options, "--exhausted", "--output", "left.csv", env=keys)
    assert (listed.code, listed.out) == (0, "")
    left = (program.folder / "left.csv").read_text().splitlines()
    assert (left[0], sorted(left[1:])) == ("username", sorted(written_to[30:]))
    more = program("status", *options, "--exhausted", "--max-sends", "2", env=keys)
    assert (more.code, more.out) == (0, "username\n")
    alone = program("status", "--exhausted", "--client-id", client["ClientId"])
    assert (alone.code, "needs --user-pool-id" in alone.err) == (2, True)
    # Without a name they are counted all the same, by their hash.
    for name in written_to[:3]:
        assert program("ledger", "forget", name, *options, "--yes").code == 0
    shown = program("status", *options, env=keys)
    assert "Confirmed since: 25 of 60 users sent a code (42 %)" in shown.out
    of_report = ("--user-pool-id", pool_id, "--endpoint-url", moto_url, "--html", "since.html")
    paged = program("report", "report.csv", *of_report, env=keys)
    assert paged.code == 0, paged.err
    text = (program.folder / "since.html").read_text("utf-8")
    assert "25 of 60 users who were sent a code have confirmed since (42 %)." in text
    assert f"5 are not in the pool.</strong> According to user pool {pool_id}, " in text
    refused = program("status", *options)  # without credentials
    assert refused.code == 4
    assert "The AWS credentials to list" in refused.err


def _three_days_ago(state: Path, names: list[str]) -> None:
    (ledger,) = state.rglob("*.sqlite3")
    ledger.with_name(f"{ledger.name}.sums").unlink()  # else the change is taken for damage
    db = sqlite3.connect(ledger)
    with db:
        for name in names:
            db.execute(
                "UPDATE messages SET settled_at = settled_at - 3 * 86400 WHERE name = ?", (name,)
            )
    db.close()


def test_ledger_keeps_no_command_that_names_people(program: Program) -> None:
    """What `ledger forget` erases must not stand in the summary of a run."""
    name = "zoe+missing@example.com"
    done = program("run", "--user", name, "--simulate", *REPORT, *SUMMARY, *LEDGER)
    assert done.code == 1
    assert " --user <NAME> " in program.summary()["next_command"]
    assert "zoe" not in done.out + done.err
    assert program("ledger", "forget", name, *LEDGER, "--yes").code == 0
    for file in program.folder.glob("l.sqlite3*"):
        assert b"zoe" not in file.read_bytes()
