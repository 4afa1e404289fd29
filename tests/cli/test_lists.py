"""Lists as people have them, through the whole program: what is planned, and what is said."""

from __future__ import annotations

import csv
import io
import json

import boto3
import pytest

from batch_resend.simulator.rules import Cognito
from tests.support.program import REPORT, Program, once

D = ("--client-id", "1example23456789", "--region", "us-east-1", "--dry-run", "--report", "-")
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


def reasons(text: str) -> dict[str, str]:
    return {row["username"]: row["reason"] for row in csv.DictReader(io.StringIO(text))}


def said(err: str) -> str:
    return " ".join(err.split())


def test_exclude_list_matches_columns_and_counts_what_it_missed(program: Program) -> None:
    (program.folder / "u.csv").write_text("username,email\nok-a,mia@x.example\nok-b,b@x.example\n")
    (program.folder / "ex.csv").write_text("email\nMIA@x.example\neve@x.example\n")
    ended = program("run", "u.csv", *D, "--exclude", "ex.csv")
    assert reasons(ended.out) == {"ok-a": "excluded", "ok-b": "eligible"}
    assert "Note 1 of 2 names in the exclude list matches no user." in said(ended.err)


def test_plan_says_what_was_odd_about_the_rows(program: Program) -> None:
    (program.folder / "u.csv").write_text(
        "username,name,UserStatus\nada,Ada,UNCONFIRMED\nAda,Ada,UNCONFIRMED\nbob,Bob\n"
        "username,name,UserStatus\ncyd,Cyd,CONFIRMED\n='x',,\n"
    )
    ended = program("run", "u.csv", *D)
    assert reasons(ended.out) == {
        "ada": "eligible",
        "Ada": "duplicate",
        "bob": "eligible",
        "cyd": "not-unconfirmed",
        "'='x'": "eligible",
    }
    for note in (
        "Note Counts as in a listing: UserStatus.",
        "Note 1 row has fewer cells than the header; the missing cells count as empty (row 3).",
        "Note 1 line repeats the header and is skipped (line 5).",
        "Note 1 row counted as a duplicate because only the case of the name differs. If the"
        " pool tells such names apart, use --case-sensitive.",
    ):
        assert note in said(ended.err)
    ended = program("run", "u.csv", *D, "--case-sensitive")
    assert reasons(ended.out)["Ada"] == "eligible"
    assert "only the case" not in said(ended.err)


def test_listing_as_json_is_sent_to_and_its_rest_is_a_next_input(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    users = [
        {"Username": "ada@example.com", "UserStatus": "UNCONFIRMED", "Enabled": True},
        {"Username": "bob@example.com", "UserStatus": "CONFIRMED", "Enabled": True},
        {"Username": "Ada@example.com", "UserStatus": "UNCONFIRMED"},
    ]
    text = json.dumps({"Users": users}, indent=4)
    ended = program("run", "-", *at, *REPORT, "--max-sent", "1", "--failed", "failed", stdin=text)
    assert ended.code == 3
    assert cognito.deliveries == once(["ada@example.com"])
    assert json.loads((program.folder / "failed").read_text()) == users[2]
    ended = program("run", "failed", *at, "--report", "again.csv", "--case-sensitive")
    assert ended.code == 0
    assert cognito.deliveries == once(["ada@example.com", "Ada@example.com"])


NAMES = ["@x", "-x", "=1+1", "+x", "\uff1dx", "a;=b", "'+y"]


def test_own_report_is_read_back_as_it_was_meant(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    """What we write for spreadsheets we read back without the guard."""
    (program.folder / "u.csv").write_text("username\n" + "".join(f'"{n}"\n' for n in NAMES))
    assert program("run", "u.csv", *at, *REPORT, "--ledger", "k").code == 0
    assert cognito.deliveries == once(NAMES)
    assert program("run", "report.csv", *at, "--report", "2.csv", "--ledger", "k").code == 0
    assert set(reasons((program.folder / "2.csv").read_text()).values()) == {"cooling-down"}
    ended = program("run", "u.csv", *D, "--exclude", "report.csv")
    assert set(reasons(ended.out).values()) == {"excluded"}
    exported = ("--client-id", at[1], "--region", "us-east-1", "--ledger", "k")
    assert program("ledger", "export", *exported, "--output", "ledger.csv").code == 0
    ended = program("ledger", "forget", *exported, "--from", "ledger.csv", "--yes")
    assert ended.code == 0, ended.err
    assert "No record of" not in ended.err


@pytest.mark.parametrize("setting", [{"UsernameConfiguration": {"CaseSensitive": True}}, {}])
def test_case_is_as_the_pool_has_it(
    program: Program, moto_url: str, setting: dict[str, object]
) -> None:
    """Absent means sensitive; a CSV and the listing of one pool agree."""
    client = boto3.client("cognito-idp", region_name="us-east-1", endpoint_url=moto_url,
                          aws_access_key_id="testing", aws_secret_access_key="testing")  # fmt: skip
    pool = client.create_user_pool(PoolName="p", AutoVerifiedAttributes=["email"], **setting)
    pool_id = pool["UserPool"]["Id"]
    app = client.create_user_pool_client(UserPoolId=pool_id, ClientName="c")["UserPoolClient"]
    for name in ("john.doe", "John.Doe"):
        client.sign_up(ClientId=app["ClientId"], Username=name, Password="Passw0rd!")
    (program.folder / "u.csv").write_text("username\njohn.doe\nJohn.Doe\n")
    where = ("--client-id", app["ClientId"], "--user-pool-id", pool_id, "--dry-run",
             "--endpoint-url", moto_url, "--report", "-")  # fmt: skip
    for users in (("u.csv",), ()):
        ended = program("run", *users, *where, env=KEYS)
        assert reasons(ended.out) == {"john.doe": "eligible", "John.Doe": "eligible"}, ended.err
    ended = program("run", "u.csv", *where, "--no-case-sensitive", env=KEYS)
    assert reasons(ended.out) == {"john.doe": "eligible", "John.Doe": "duplicate"}
