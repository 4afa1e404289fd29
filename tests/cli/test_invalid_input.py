"""Bad input gets one sentence, sends nothing and leaves nothing behind."""

from __future__ import annotations

import io
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from anyio.from_thread import BlockingPortal

from batch_resend import cli
from batch_resend.simulator.rules import Cognito
from tests.support.program import (
    CLIENT,
    SECRET,
    Ended,
    Program,
    serving,
    without_times,
)


@dataclass(frozen=True)
class Bad:
    """An invalid input: its preparation and options, and what the error must name."""

    sentence: str
    options: tuple[str, ...] = ()
    code: int = 2
    users: tuple[str, ...] = ("users.csv",)
    files: dict[str, str | bytes] = field(default_factory=dict)
    prepare: Callable[[Path], None] = lambda _: None
    env: dict[str, str] = field(default_factory=dict)


def newer_ledger(folder: Path) -> None:
    db = sqlite3.connect(folder / "ledger")
    db.execute("PRAGMA application_id = 0x42525344")
    db.execute("PRAGMA user_version = 99")
    db.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID")
    db.close()


def other_database(folder: Path) -> None:
    db = sqlite3.connect(folder / "ledger")
    db.execute("CREATE TABLE songs (name)")
    db.close()


def linked_ledger(folder: Path) -> None:
    (folder / "ledger").symlink_to(folder / "elsewhere")


def shut_folder(folder: Path) -> None:
    (folder / "shut").mkdir(mode=0o500)


def shut_secret(folder: Path) -> None:
    (folder / "secret").chmod(0o000)


def private_secret(folder: Path) -> None:
    (folder / "secret").chmod(0o600)


def public_secret(folder: Path) -> None:
    (folder / "secret").chmod(0o644)


MANY = "username,locale\n" + "".join(f"user{n}@example.com,de\n" for n in range(3000))
LEDGER = ("--ledger", "ledger")
SECRET_FILE = ("--client-secret-file", "secret")

BAD = {
    # The input.
    "a missing file": Bad("missing.csv", users=("missing.csv",)),
    "a folder": Bad("home", users=("home",)),
    "an empty file": Bad("users.csv is empty", files={"users.csv": ""}),
    "a header only": Bad("users.csv has a header but no rows", files={"users.csv": "username\n"}),
    "no username column": Bad(
        "users.csv has no username column", files={"users.csv": "name,age\nada,36\n"}
    ),
    "a heading that may be a user": Bad(
        "Use --no-header if it is a user", files={"users.csv": "eve\nbob\n"}
    ),
    "an age without dates": Bad("users.csv has no column UserCreateDate", ("--older-than", "7d")),
    "an address without a column": Bad(
        "--one-per-address needs",
        ("--one-per-address",),
        files={"users.csv": "username,UserCreateDate\nada,2026-01-01\n"},
    ),
    "a file cut off": Bad(
        "users.csv: row 2 (line 3) has 1 of 2 fields and no line end",
        files={"users.csv": "username,name\nada,Ada\nbo"},
    ),
    "an endless pattern": Bad(
        "Row 1: --match username=(a|aa)+$ takes longer than 5 s",
        ("--match", "username=(a|aa)+$"),
        files={"users.csv": f"username\n{'a' * 120}!\n"},
    ),
    "a broken last row": Bad("row 3001 (line 3002)", files={"users.csv": f"{MANY}ada,de,x\n"}),
    "no UTF-8 in the last row": Bad(
        "not utf-8 near line 3002", files={"users.csv": MANY.encode() + b"jos\xe9,es\n"}
    ),
    "a missing exclude list": Bad("missing.csv", ("--exclude", "missing.csv")),
    # Options.
    "an unknown option": Bad("--colour", ("--colour", "red")),
    "a bad variable": Bad("--limit", env={"BATCH_RESEND_LIMIT": "ten"}),
    "a pattern for no column": Bad("'locale'", ("--match", "locale=de")),
    "metadata of no column": Bad("'locale'", ("--metadata", "lang=@locale")),
    # Secrets.
    "a missing secret file": Bad("secret", SECRET_FILE),
    "an unreadable secret file": Bad(
        "secret", SECRET_FILE, files={"secret": SECRET}, prepare=shut_secret
    ),
    "an empty secret file": Bad(
        "--client-secret-file", SECRET_FILE, files={"secret": "\n"}, prepare=private_secret
    ),
    "a secret for all to read": Bad(
        "secret can be read by all users",
        SECRET_FILE,
        files={"secret": SECRET},
        prepare=public_secret,
    ),
    "an empty variable for a secret": Bad(
        "BATCH_RESEND_CLIENT_SECRET", env={"BATCH_RESEND_CLIENT_SECRET": ""}
    ),
    # Results.
    "a report in no folder": Bad("--report no/report.csv", ("--report", "no/report.csv")),
    "a report over the input": Bad(
        "--report ./users.csv is the input", ("--report", "./users.csv", "--overwrite")
    ),
    "a report that exists": Bad(
        "--report old.csv exists", ("--report", "old.csv"), files={"old.csv": "old\n"}
    ),
    # The ledger.
    "a ledger that is a link": Bad("ledger", LEDGER, 4, prepare=linked_ledger),
    "an empty ledger": Bad("ledger ledger is empty", LEDGER, 4, files={"ledger": ""}),
    "a text for a ledger": Bad("ledger ledger", LEDGER, 4, files={"ledger": "Dear diary,\n" * 99}),
    "another database for a ledger": Bad(
        "ledger ledger is not a ledger", LEDGER, 4, prepare=other_database
    ),
    "a newer ledger": Bad("schema 99", LEDGER, 4, prepare=newer_ledger),
    "a ledger in a shut folder": Bad(
        "shut/ledger", ("--ledger", "shut/ledger"), 4, prepare=shut_folder
    ),
    "a ledger that must be there": Bad(
        "--create-ledger", ("--ledger", "gone"), 4, env={"BATCH_RESEND_CREATE_LEDGER": "0"}
    ),
    # AWS.
    "a plain address far away": Bad(
        "http://cognito.example.com", ("--endpoint-url", "http://cognito.example.com"), 4
    ),
    "no Region": Bad("--region", ("--region", ""), 4),
    "an unknown profile": Bad("nosuchprofile", ("--profile", "nosuchprofile"), 4),
    "a listing without credentials": Bad(
        "credentials", ("--user-pool-id", "us-east-1_Simulated"), 4, users=()
    ),
}


@dataclass(frozen=True)
class Complaint:
    """The result: the end of the process, and the files in its folder."""

    ended: Ended
    before: dict[str, bytes | None]
    after: dict[str, bytes | None]


def complain(bad: Bad, program: Program, url: str) -> Complaint:
    files = {"users.csv": "username\nada@example.com\n"} | bad.files
    for file, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (program.folder / file).write_bytes(data)
    bad.prepare(program.folder)
    before = contents(program.folder)
    ended = program(
        *("run", *bad.users, "--client-id", CLIENT, "--region", "us-east-1"),
        *("--endpoint-url", url, "--yes", "-q", *bad.options),
        env=bad.env,
    )
    return Complaint(ended, before, contents(program.folder))


def contents(folder: Path) -> dict[str, bytes | None]:
    return {file.name: file.read_bytes() if file.is_file() else None for file in folder.iterdir()}


def wanted(request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield the cases that the chosen tests need."""
    for item in request.session.items:
        if "complaints" in getattr(item, "fixturenames", ()):
            name = getattr(item, "callspec").params["name"]  # noqa: B009 - pytest does not type it
            if possible(BAD[name]):
                yield name


def possible(bad: Bad) -> bool:
    """Whether it can be tried here: for root nothing is shut."""
    return bad.prepare not in {shut_folder, shut_secret} or os.geteuid() != 0


@pytest.fixture(scope="module")
def complaints(
    elsewhere: BlockingPortal,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[tuple[Cognito, dict[str, Future[Complaint]]]]:
    """Yield all of them, several at a time: they are independent."""
    cognito = Cognito()
    with serving(elsewhere, cognito) as url, ThreadPoolExecutor(3) as pool:
        yield (
            cognito,
            {
                name: pool.submit(complain, BAD[name], Program(tmp_path_factory.mktemp("bad")), url)
                for name in wanted(request)
            },
        )


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_done_is_said_in_one_sentence(
    name: str, complaints: tuple[Cognito, dict[str, Future[Complaint]]]
) -> None:
    bad = BAD[name]
    if not possible(bad):
        pytest.skip("for root nothing is shut")
    cognito, futures = complaints
    complaint = futures[name].result()
    assert (complaint.ended.code, complaint.ended.out) == (bad.code, "")
    (line,) = complaint.ended.err.splitlines()
    assert line.startswith("Error: ")
    assert line.endswith((".", "?"))
    assert bad.sentence in line
    assert "ada@example.com" not in line
    assert SECRET not in line
    assert (cognito.requests, cognito.deliveries) == (0, {})
    # Nothing is left behind but an empty ledger, and nothing was overwritten.
    left = {file for file in complaint.after if file not in complaint.before}
    assert left <= {"state", "ledger.lock", "gone.lock"}
    files = {file: complaint.after[file] for file in complaint.before}
    if bad.prepare in {newer_ledger, other_database}:
        del files["ledger"], complaint.before["ledger"]
    assert files == complaint.before


#: What is found wrong before the program does anything, so that no process is needed.
MISUSED = {
    "no users": ("--user-pool-id", []),
    "a second argument": ("more.csv", ["users.csv", "more.csv"]),
    "no client id": ("--client-id is missing", ["users.csv", "--client-id", ""]),
    "a malformed client id": ("--client-id 'a b'", ["users.csv", "--client-id", "a b"]),
    "a malformed pool id": ("--user-pool-id 'pool'", ["--user-pool-id", "pool"]),
    "a bad duration": ("--timeout '5 minutes'", ["users.csv", "--timeout", "5 minutes"]),
    "a duration of nothing": ("--cooldown '24'", ["users.csv", "--cooldown", "24"]),
    "a bad pattern": ("--match locale", ["users.csv", "--match", "locale=["]),
    "no pattern": ("--match 'locale'", ["users.csv", "--match", "locale"]),
    "metadata without a value": ("--metadata 'a'", ["users.csv", "--metadata", "a"]),
    "metadata twice": ("--metadata a", ["users.csv", "--metadata", "a=1", "--metadata", "a=2"]),
    "a bad rate": ("--rate 'fast'", ["users.csv", "--rate", "fast"]),
    "no rate": ("--rate '0'", ["users.csv", "--rate", "0"]),
    "a rate that is not a number": ("--rate 'nan'", ["users.csv", "--rate", "nan"]),
    "a share of nothing": ("--share 0 ", ["users.csv", "--share", "0"]),
    "a limit of no users": ("--limit 0", ["users.csv", "--limit", "0"]),
    "a limit of letters": ("--limit", ["users.csv", "--limit", "ten"]),
    "no workers": ("--concurrency 0", ["users.csv", "--concurrency", "0"]),
    "a limit and a sample": ("--limit and --sample", ["x.csv", "--limit", "1", "--sample", "1"]),
    "too many failures": ("--max-failures '101%'", ["users.csv", "--max-failures", "101%"]),
    "a form of log": ("--log-format 'xml'", ["users.csv", "--log-format", "xml"]),
    "a filter for a CSV": ("--filter", ["users.csv", "--filter", 'username = "ada"']),
    "an age for a name": ("--older-than", ["--user", "ada", "--older-than", "7d"]),
    "two secrets": (
        "cannot be combined",
        ["users.csv", "--client-secret-id", "web", "--client-secret-file", "secret"],
    ),
    "a secret of no pool": ("--user-pool-id", ["users.csv", "--fetch-client-secret"]),
    "two results in one place": (
        "--summary - is --report too",
        ["users.csv", "--report", "-", "--summary", "-"],
    ),
    "no question and no answer": ("--yes", ["users.csv", "--no-yes"]),
}


@pytest.mark.parametrize("name", MISUSED)
def test_what_makes_no_sense_is_said_in_one_sentence(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    sentence, arguments = MISUSED[name]
    yes = [] if "--no-yes" in arguments else ["--yes"]
    options = [argument for argument in arguments if argument != "--no-yes"]
    code = cli.program(["run", "--client-id", CLIENT, *yes, *options])
    out, err = capsys.readouterr()
    (line,) = without_times(err).splitlines()
    assert (code, out) == (2, "")
    assert line.startswith("Error: ")
    assert line.endswith(".")
    assert sentence in line
