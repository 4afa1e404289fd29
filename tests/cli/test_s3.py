"""Places as a person meets them: S3 and gzip, by real processes, against moto's server."""

from __future__ import annotations

import csv
import gzip
import io
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from batch_resend.simulator.pool import Kind
from batch_resend.simulator.rules import Cognito
from tests.support.program import (
    AT_MOST,
    Program,
    became,
    ended,
    numbered,
    once,
    read_report,
    tallied,
    until,
)

BUCKET = "s3://shop"


class Shop:
    """A bucket at moto, and the environment of a program that uses it."""

    def __init__(self, moto_url: str) -> None:
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        s3 = boto3.resource("s3", region_name="us-east-1", endpoint_url=moto_url, **keys)
        self.bucket: Any = s3.create_bucket(Bucket="shop")
        self.env = {
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_ENDPOINT_URL_S3": moto_url,
        }

    def put(self, key: str, data: bytes) -> str:
        self.bucket.put_object(Key=key, Body=data)
        return f"{BUCKET}/{key}"

    def get(self, key: str) -> bytes:
        data: bytes = self.bucket.Object(key).get()["Body"].read()
        return data

    @property
    def keys(self) -> list[str]:
        return sorted(entry.key for entry in self.bucket.objects.all())


@pytest.fixture
def shop(moto_url: str) -> Iterator[Shop]:
    instance = Shop(moto_url)
    yield instance
    instance.bucket.objects.delete()
    instance.bucket.delete()


def listed(names: list[str]) -> bytes:
    return "".join(f"{name}\n" for name in ["username", *names]).encode()


def files_left(program: Program, what: str = "") -> list[Path]:
    """The files that stand in for those that are to be delivered."""
    return sorted(
        path
        for folder in (program.state, program.folder / "tmp")
        for path in folder.rglob(f"{what}*")
        if path.suffix in {".csv", ".json"}
    )


def test_2000_users_come_from_s3_and_everything_goes_there(
    program: Program, cognito: Cognito, at: tuple[str, ...], shop: Shop
) -> None:
    names = numbered(1990) + numbered(10, Kind.TIRED, first=1991)
    users = shop.put("in/users.csv.gz", gzip.compress(listed(names)))
    never = shop.put("in/never.csv", listed(names[:5]))
    places = ("--report", f"{BUCKET}/out/report.csv.gz", "--failed", f"{BUCKET}/out/failed.csv",
              "--summary", f"{BUCKET}/out/summary.json", "--exclude", never)  # fmt: skip

    first = program("run", users, *at, *places, env=shop.env)
    assert first.code == 1, first.err
    assert cognito.deliveries == once(names[5:1990])
    report = read_report(gzip.decompress(shop.get("out/report.csv.gz")).decode())
    assert tallied(report) == {
        "sent/accepted": 1985, "skipped/excluded": 5, "failed/attempt-limit": 10,
    }  # fmt: skip
    assert shop.get("out/failed.csv").decode().splitlines()[0] == "username"
    assert sorted(shop.get("out/failed.csv").decode().splitlines()[1:]) == sorted(names[1990:])
    summary = json.loads(shop.get("out/summary.json"))
    assert summary["input"] == users
    assert summary["report"] == f"{BUCKET}/out/report.csv.gz"
    assert summary["not_delivered"] == []
    assert f"Report: {BUCKET}/out/report.csv.gz" in first.err
    assert files_left(program) == []
    assert list(shop.bucket.multipart_uploads.all()) == []

    # What is there is not replaced unasked, and no request is made before that is known.
    before = cognito.requests
    again = program("run", users, *at, *places, env=shop.env)
    assert again.code == 2
    assert again.errors == [
        f"Error: --report {BUCKET}/out/report.csv.gz exists already: name another object, or give"
        " --overwrite to replace it."
    ]
    assert cognito.requests == before
    assert files_left(program) == []

    # The failed file is an input of the next run.
    last = program(
        "run", f"{BUCKET}/out/failed.csv", *at, "--report", f"{BUCKET}/out/report.csv.gz",
        "--overwrite", env=shop.env,
    )  # fmt: skip
    assert last.code == 1
    report = read_report(gzip.decompress(shop.get("out/report.csv.gz")).decode())
    assert tallied(report) == {"failed/attempt-limit": 10}


def test_killed_run_leaves_its_partial_report_and_resumes(
    program: Program, cognito: Cognito, at: tuple[str, ...], shop: Shop
) -> None:
    names = numbered(2000)
    users = shop.put("users.csv", listed(names))
    slowly = (*at[:-1], "300")
    report = ("--report", f"{BUCKET}/report.csv")

    process = program.start("run", users, *slowly, *report, env=shop.env)
    until(lambda: sum(cognito.deliveries.values()) > 100, process)
    process.kill()
    errors = process.communicate(timeout=AT_MOST)[1]
    (left,) = files_left(program, "report")
    assert f"--report {BUCKET}/report.csv is kept at {left} until the end." in errors
    assert left.stat().st_mode & 0o777 == 0o600
    so_far = read_report(left.read_text())
    assert len(so_far) > 50
    assert shop.keys == ["users.csv"]

    again = program("run", users, *at, *report, env=shop.env)
    assert again.code in {0, 1}
    assert set(cognito.deliveries.values()) == {1}
    whole = became(read_report(shop.get("report.csv").decode()))
    assert set(whole) == set(names)
    assert {
        row["username"] for row in so_far if row["outcome"] == "sent"
    } <= {name for name, errors in whole.items() if errors == "skipped/cooling-down"}  # fmt: skip
    assert files_left(program) == [left]  # only the operator removes it


def test_a_signal_delivers_what_there_is(
    program: Program, cognito: Cognito, at: tuple[str, ...], shop: Shop
) -> None:
    names = numbered(2000)
    users = shop.put("users.csv", listed(names))
    places = ("--report", f"{BUCKET}/report.csv", "--summary", "summary.json.gz")
    process = program.start("run", users, *at[:-1], "300", *places, env=shop.env)
    until(lambda: sum(cognito.deliveries.values()) > 50, process)
    process.send_signal(signal.SIGTERM)
    stopped = ended(process)
    assert stopped.code == 143
    report = tallied(read_report(shop.get("report.csv").decode()))
    assert sum(report.values()) == 2000
    assert report["sent/accepted"] == sum(cognito.deliveries.values())
    summary = json.loads(gzip.decompress((program.folder / "summary.json.gz").read_bytes()))
    assert summary["stopped_by"] == "SIGTERM"
    assert files_left(program) == []


def test_undeliverable_result_stays_and_sets_the_exit_code(
    program: Program, cognito: Cognito, at: tuple[str, ...], shop: Shop
) -> None:
    names = numbered(300)
    users = shop.put("users.csv", listed(names))
    places = ("--report", f"{BUCKET}/report.csv", "--summary", "summary.json")
    process = program.start("run", users, *at[:-1], "200", *places, env=shop.env)
    until(lambda: sum(cognito.deliveries.values()) > 20, process)
    shop.put("report.csv", b"somebody else's")
    refused = ended(process)
    assert refused.code == 1
    (left,) = files_left(program, "report")
    assert tallied(read_report(left.read_text())) == {"sent/accepted": 300}
    why = (
        f"--report {BUCKET}/report.csv exists already: name another object, or give --overwrite to"
        " replace it."
    )
    assert f"Not delivered: {why} It is at {left}" in refused.err
    assert program.summary()["not_delivered"] == [
        {"to": f"{BUCKET}/report.csv", "file": str(left), "why": why}
    ]
    assert program.summary()["exit_code"] == 1
    assert shop.get("report.csv") == b"somebody else's"


def test_files_here_are_compressed_by_their_ending(program: Program, at: tuple[str, ...]) -> None:
    (program.folder / "users.csv.gz").write_bytes(
        gzip.compress(listed(numbered(20) + numbered(2, Kind.MISSING, first=21)))
    )
    places = ("--report", "report.csv.gz", "--failed", "failed.csv.gz")
    first = program("run", "users.csv.gz", *at, *places, umask=0)
    assert first.code == 1
    zipped = program.folder / "report.csv.gz"
    assert zipped.stat().st_mode & 0o777 == 0o600
    report = list(csv.DictReader(io.StringIO(gzip.decompress(zipped.read_bytes()).decode())))
    assert tallied(report) == {"sent/accepted": 20, "failed/user-not-found": 2}
    assert files_left(program) == []

    again = program("run", "failed.csv.gz", *at, "--report", "again.csv.gz")
    assert again.code == 1
    refused = program("run", "failed.csv.gz", *at, "--report", "again.csv.gz")
    assert refused.code == 2
    assert "again.csv.gz exists already" in refused.err
    assert files_left(program) == []


def test_a_dry_run_and_a_simulation_use_the_places_too(program: Program, shop: Shop) -> None:
    users = shop.put("users.csv", listed(numbered(5)))
    for n, arguments in enumerate((("--dry-run", "--client-id", "web"), ("--simulate",))):
        done = program(
            "run", users, *arguments, "--region", "us-east-1", "--report", f"{BUCKET}/{n}.csv",
            env=shop.env,
        )  # fmt: skip
        assert done.code == 0, done.err
    assert tallied(read_report(shop.get("0.csv").decode())) == {"planned/eligible": 5}
    assert tallied(read_report(shop.get("1.csv").decode())) == {"sent/accepted": 5}
    assert files_left(program) == []
    assert not program.state.exists()


WRONG = {
    "a folder": (("s3://shop/",), 2, "USERS 's3://shop/' is not a valid S3 address"),
    "no such object": (("s3://shop/none.csv",), 2, "there is no such object in the bucket"),
    "no such bucket": (("s3://no-shop/u.csv",), 2, "there is no bucket no-shop"),
    "no such list": (
        ("users.csv", "--exclude", "s3://shop/none"), 2, "s3://shop/none cannot be read",
    ),
    "not gzip": (("s3://shop/not.csv.gz",), 2, "s3://shop/not.csv.gz is cut off, damaged or not"),
    "no such bucket for the report": (
        ("users.csv", "--report", "s3://no-shop/r.csv"), 2,
        "--report s3://no-shop/r.csv cannot be written: there is no bucket no-shop",
    ),
    "one place for two": (
        ("s3://shop/u.csv", "--report", "S3://shop/u.csv"), 2, "is the input too",
    ),
    "a ledger": (("users.csv", "--ledger", "s3://shop/l"), 2, "cannot be in S3"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "code", "sentence"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_done_in_s3_is_said_in_one_sentence(
    program: Program, cognito: Cognito, at: tuple[str, ...], shop: Shop,
    arguments: tuple[str, ...], code: int, sentence: str,
) -> None:  # fmt: skip
    program.users(["ada"])
    shop.put("not.csv.gz", b"username\nada\n")
    refused = program("run", *arguments, *at, env=shop.env)
    assert (refused.code, len(refused.errors)) == (code, 1), refused.err
    assert sentence in refused.errors[0]
    assert cognito.requests == 0
    assert not list(program.folder.glob("resend-report-*"))
    assert files_left(program) == []


def test_s3_is_not_requested_without_credentials_or_endpoint(
    program: Program, cognito: Cognito, at: tuple[str, ...], shop: Shop
) -> None:
    users = shop.put("users.csv", listed(["ada"]))
    alone = {"AWS_ENDPOINT_URL_S3": shop.env["AWS_ENDPOINT_URL_S3"]}
    nobody = program("run", users, *at, env=alone)
    assert nobody.code == 4
    assert "The AWS credentials for s3://shop/users.csv are missing" in nobody.err
    foreign = program("run", users, *at, env=shop.env | {"AWS_ENDPOINT_URL_S3": ""})
    assert foreign.code == 4
    assert "set AWS_ENDPOINT_URL_S3 to where it is." in foreign.err
    assert cognito.requests == 0
