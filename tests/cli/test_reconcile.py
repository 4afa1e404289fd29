"""`reconcile` as an operator meets it: real processes, over ledgers of real runs."""

from __future__ import annotations

import gzip
import json
import signal

import boto3
import pytest

from batch_resend.simulator.cloudtrail import EventHistory, Recording
from batch_resend.simulator.rules import Cognito
from tests.support.program import Ended, Program, until

LEDGER = ("--ledger", "l.sqlite3")
NAMES = [*(f"user{n}@example.com" for n in range(30)), "ada+lost@example.com"]
LOST = "bob+rst@example.com"
NOWHERE = "cy+silent@example.com"
BROKEN = "dan+error@example.com"


@pytest.fixture
def recording() -> Recording:
    return Recording(delay=0.0, lookups_a_second=1e9)


@pytest.fixture
def cognito(recording: Recording) -> Cognito:
    return Cognito(history=EventHistory(recording))


@pytest.fixture
def used(program: Program, at: tuple[str, ...], url: str) -> Program:
    """A program whose ledger l.sqlite3 has one run behind it, with four lost responses."""
    program.env |= {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_ENDPOINT_URL_CLOUDTRAIL": url,
    }
    users = program.users([*NAMES, LOST, NOWHERE, BROKEN])
    done = program(
        "run", users, *at, *LEDGER, "--create-ledger", "--timeout", "2s", "--report", "report.csv"
    )
    assert done.code == 1
    assert "Unknown over all runs: 4" in done.err
    return program


def reconcile(program: Program, url: str, *options: str) -> Ended:
    return program("reconcile", *LEDGER, "--region", "us-east-1", "--endpoint-url", url, *options)


def test_lost_responses_are_settled_and_shown(used: Program, cognito: Cognito, url: str) -> None:
    dry = reconcile(used, url, "--dry-run")
    assert (dry.code, dry.err) == (1, "")
    assert "Would settle 2\n  sent                2\n" in dry.out
    done = reconcile(used, url)
    assert (done.code, done.err) == (1, "")
    assert done.out.startswith("Ledger l.sqlite3: 4 unknown outcomes\nCloudTrail, us-east-1: ")
    assert "Settled 2\n  sent                2\nStill unknown 2\n" in done.out
    assert "  too-early           1  no record yet. Run again after " in done.out
    assert "  no-result           1  the records do not decide it (server-error 1)\n" in done.out
    assert "@example.com" not in done.out
    assert cognito.requests == len(NAMES) + 3


def test_programs_get_one_object(used: Program, url: str) -> None:
    done = reconcile(used, url, "--json", "--no-mask")
    content = json.loads(done.out)
    assert (content["settled"], content["unknown"], content["exit_code"]) == (2, 2, done.code)
    sent = {one["username"] for one in content["findings"] if one["outcome"] == "sent"}
    assert sent == {"ada+lost@example.com", LOST}
    again = json.loads(reconcile(used, url, "--json").out)
    assert (again["unknown_before"], again["settled"]) == (2, 0)


def test_files_of_a_trail_settle_too(used: Program, cognito: Cognito, url: str) -> None:
    assert cognito.history is not None
    trail = json.dumps({"Records": list(cognito.history.records())})
    (used.folder / "trail.json.gz").write_bytes(gzip.compress(trail.encode()))
    done = used("reconcile", *LEDGER, "--region", "us-east-1", "--events", "trail.json.gz")
    assert (done.code, done.err) == (1, "")
    assert "1 file: 33 records of resends read" in done.out
    assert "Settled 2\n" in done.out
    assert cognito.history.lookups == 0


def test_files_in_s3_settle_too(used: Program, cognito: Cognito, moto_url: str) -> None:
    """What a trail has written, packed or not; several of them, beside one of this machine."""
    assert cognito.history is not None
    records = list(cognito.history.records())
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    s3 = boto3.client("s3", region_name="us-east-1", endpoint_url=moto_url, **keys)
    s3.create_bucket(Bucket="trail")
    half = len(records) // 2
    packed = gzip.compress(json.dumps({"Records": records[:half]}).encode())
    s3.put_object(Bucket="trail", Key="AWSLogs/1/eu/a.json.gz", Body=packed)
    s3.put_object(Bucket="trail", Key="b.json", Body=json.dumps(records[half:]).encode())
    used.env["AWS_ENDPOINT_URL_S3"] = moto_url
    asked = ("reconcile", *LEDGER, "--region", "us-east-1")
    torn = used(*asked, "--events", "s3://trail/b.json", "--events", "s3://trail/gone.json.gz")
    assert (torn.code, len(torn.errors)) == (2, 1)
    assert "gone.json.gz" in torn.errors[0]
    s3.put_object(Bucket="trail", Key="cut.json.gz", Body=packed[:-9])
    cut = used(*asked, "--events", "s3://trail/cut.json.gz")
    assert (cut.code, len(cut.errors)) == (2, 1)
    assert "s3://trail/cut.json.gz is cut off: its gzip data ends too early" in cut.errors[0]
    done = used(
        *asked, "--events", "s3://trail/AWSLogs/1/eu/a.json.gz", "--events", "s3://trail/b.json"
    )
    assert (done.code, done.err) == (1, "")
    assert f"2 files: {len(records)} records of resends read" in done.out
    assert "Settled 2\n" in done.out
    assert cognito.history.lookups == 0


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "Error: --events e.json cannot be read (No such file or directory)."),
        ("{", "Error: e.json is cut off, damaged or not a file of CloudTrail events"),
        ('{"Events": [], "NextToken": "t"}', "Error: e.json holds only the newest events"),
    ],
)
def test_wrong_file_is_refused_and_nothing_settled(
    used: Program, url: str, content: str | None, sentence: str
) -> None:
    if content is not None:
        (used.folder / "e.json").write_text(content)
    done = reconcile(used, url, "--events", "e.json")
    assert done.code == 2
    assert done.err.startswith(sentence)
    assert json.loads(reconcile(used, url, "--json").out)["unknown_before"] == 4


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--older-than", "59m"), "--older-than 59m is too short. The minimum is 1h."),
        (("--controls", "0"), "--controls 0 is too few. The minimum is 1."),
        (("--rate", "3"), "--rate 3 is not valid. Use a number above 0, up to 2."),
    ],
)
def test_wrong_option_is_refused(program: Program, options: tuple[str, ...], sentence: str) -> None:
    done = program("reconcile", *LEDGER, *options)
    assert (done.code, done.errors) == (2, [f"Error: {sentence}"])


@pytest.mark.parametrize("recording", [Recording(denied=True)])
def test_missing_permission_prints_policy_and_commands(used: Program, url: str) -> None:
    done = reconcile(used, url)
    assert (done.code, done.out) == (4, "")
    lines = done.err.splitlines()
    assert lines[0] == "The missing permission:"
    assert json.loads(lines[1])["Action"] == "cloudtrail:LookupEvents"
    assert lines[3].startswith("  aws cloudtrail lookup-events --lookup-attributes AttributeKey=")
    assert lines[4] == (
        "  batch-resend reconcile --ledger l.sqlite3 --region us-east-1 --events events.json"
    )
    assert lines[-1].startswith("Error: CloudTrail refused the lookup (AccessDeniedException)")


def test_ledger_of_a_run_that_goes_on_is_left_alone(
    program: Program, at: tuple[str, ...], url: str, cognito: Cognito
) -> None:
    users = program.users(f"user{n}+silent" for n in range(64))
    running = program.start("run", users, *at, *LEDGER, "--create-ledger", "--timeout", "60s")
    until(lambda: cognito.requests > 0, running)
    done = reconcile(program, url)
    assert done.code == 5
    running.send_signal(signal.SIGKILL)
    running.communicate()


def test_killed_run_is_reconciled(
    used: Program, at: tuple[str, ...], url: str, cognito: Cognito
) -> None:
    """Every open intent whose request arrived is settled as sent."""
    users = used.users((f"late{n}@example.com" for n in range(3000)), "late.csv")
    before = cognito.requests
    running = used.start(
        "run", users, *at, "--ledger", "k.sqlite3", "--create-ledger", "--report", "k.csv"
    )
    until(lambda: cognito.requests > before + 100, running)
    running.send_signal(signal.SIGKILL)
    ended_code = running.wait()
    assert ended_code == -signal.SIGKILL
    done = used(
        *("reconcile", "--ledger", "k.sqlite3", "--region", "us-east-1"),
        *("--endpoint-url", url, "--json", "--no-mask"),
    )
    content = json.loads(done.out)
    for finding in content["findings"]:
        delivered = cognito.deliveries[finding["username"]]
        assert (finding["outcome"] == "sent") == (delivered == 1)
        assert finding["cause"] in {None, "too-early"}
