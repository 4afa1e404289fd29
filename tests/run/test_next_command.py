"""The next command: complete, without secrets, and never over the files of the last run."""

import dataclasses
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer.main
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from batch_resend import cli
from batch_resend.aws import s3_address
from batch_resend.cli import options
from batch_resend.job.summary import MaxFailures
from batch_resend.run.next_command import arguments, following_name, next_command
from batch_resend.settings import Settings
from batch_resend.wording import to_fill_in


def understood(arguments: list[str]) -> Settings:
    """The settings that the command line makes of these arguments."""
    group = typer.main.get_command(cli.app)
    assert isinstance(group, typer.core.TyperGroup)
    command = group.commands["run"]
    typed = dict(command.make_context("run", list(arguments)).params)
    theirs = {field.name for field in dataclasses.fields(Settings)} | {"no_header", "no_mask"}
    return options.read_settings({name: typed[name] for name in typed if name in theirs})


EVERYTHING = Settings(
    users="users.csv",
    client_id="1example23456789",
    user_pool_id="eu-west-1_AbCdEf123",
    username_column="e mail",
    header=False,
    case_sensitive=True,
    delimiter=";",
    encoding="cp1252",
    match=(("locale", re.compile("^d[ea]=")), ("email", re.compile("@example"))),
    exclude="-never.csv",
    limit=10,
    waves=(10, 100, None),
    client_secret_file="it's secret",
    metadata=(("locale", "@locale"), ("note", "a b")),
    rate=12.5,
    share=0.25,
    concurrency=7,
    timeout=2.5,
    deadline=3600.0,
    max_sent=40,
    max_failures=MaxFailures(part=0.025),
    give_up_after=60.0,
    ledger="/somewhere/ledger.sqlite3",
    create_ledger=True,
    format="csv",
    max_sends=0,
    cooldown=86400.0 * 7,
    resend_unknown="all",
    report="report.csv",
    overwrite=True,
    failed="failed.csv",
    html="page.html",
    summary="-",
    mask=False,
    region="eu-west-1",
    simulate=True,
)


def test_the_command_line_makes_the_same_settings_of_the_command() -> None:
    assert understood(arguments(EVERYTHING)) == EVERYTHING
    named = Settings(user=("-ada", "bob"), simulate=True, case_sensitive=False)
    assert understood(arguments(named)) == named
    listing = Settings(
        user_pool_id="eu-west-1_AbC", client_id="abc", since=1793491200.5, newer_than=1209600.0
    )
    assert understood(arguments(listing)) == listing
    assert "--newer-than 14d --since 2026-11-01T00:00:00.500000+00:00" in next_command(listing)
    assert understood(arguments(Settings(simulate=True))) == Settings(simulate=True)
    number = Settings(simulate=True, max_failures=MaxFailures(number=3))
    assert understood(arguments(number)) == number


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_whatever_is_in_a_value_comes_back(text: str) -> None:
    assume(not s3_address.is_address(text))  # which has to name an object
    wanted = Settings(users=text, simulate=True, filter=None, metadata=(("key", text),), mask=False)
    expected = text if text == "-" or not text.startswith("-") else f"./{text}"
    words = shlex.split(next_command(wanted))
    assert words[:2] == ["batch-resend", "run"]
    assert understood(words[2:]) == dataclasses.replace(wanted, users=expected)


def test_every_setting_has_its_option() -> None:
    group = typer.main.get_command(cli.app)
    assert isinstance(group, typer.core.TyperGroup)
    options = {option for parameter in group.commands["run"].params for option in parameter.opts}
    other = {"users": "users", "header": "--no-header", "mask": "--no-mask"}
    for field in dataclasses.fields(Settings):
        if field.name == "client_secret":
            continue  # from Python only: never in the arguments
        assert other.get(field.name, "--" + field.name.replace("_", "-")) in options


def test_what_is_the_default_is_not_said() -> None:
    assert next_command(Settings(users="a b.csv", client_id="abc", dry_run=True)) == (
        "batch-resend run 'a b.csv' --client-id abc"
    )


def test_guards_come_first_in_durations_as_people_write_them() -> None:
    guarded = Settings(
        client_id="abc",
        user_pool_id="eu-west-1_AbCdEf123",
        report="r.csv",
        older_than=86400.0,
        newer_than=1209600.0,
        exclude="never.csv",
        ledger="l.sqlite3",
        max_sends=3,
        cooldown=259200.0,
    )
    assert next_command(guarded) == (
        "batch-resend run --ledger l.sqlite3 --exclude never.csv --older-than 24h"
        " --newer-than 14d --max-sends 3 --cooldown 3d --client-id abc"
        " --user-pool-id eu-west-1_AbCdEf123 --report r-2.csv"
    )


def test_next_command_never_replaces_the_last_files() -> None:
    settings = Settings(
        users="u.csv", client_id="abc", report="r-9.csv", failed="/dev/null", html="h.html",
        summary="-",
    )  # fmt: skip
    assert next_command(settings) == (
        "batch-resend run u.csv --client-id abc --report r-10.csv --failed /dev/null"
        " --html h-2.html --summary -"
    )
    replaced = dataclasses.replace(settings, overwrite=True)
    assert next_command(replaced) == next_command(settings)


@pytest.mark.parametrize(
    ("path", "following"),
    [
        ("report.csv", "report-2.csv"),
        ("report-2.csv", "report-3.csv"),
        ("out.d/report-99.csv.gz", "out.d/report-100.csv.gz"),
        ("report", "report-2"),
        ("report-2026-11-23.csv", "report-2026-11-23-2.csv"),
        (".hidden", ".hidden-2"),
        ("folder/.csv", "folder/.csv-2"),
        ("s3://bucket/report.csv", "s3://bucket/report-2.csv"),
        ("-", "-"),
        ("/dev/stdout", "/dev/stdout"),
    ],
)
def test_a_file_is_followed_by_the_next_number(path: str, following: str) -> None:
    assert following_name(path) == following


def test_command_holds_no_name_and_says_what_to_fill_in() -> None:
    """It stands in log, page and summary, which may be seen by more people than the report."""
    named = Settings(
        user=("ada@example.com", "-bob"),
        metadata=(("to", "ada@example.com"), ("campaign", "spring sale")),
        ip_address="198.51.100.7",
        simulate=True,
    )
    listing = Settings(
        match=(
            ("email", re.compile("^ada@")), ("email", re.compile(r"@example\.com$")),
            ("locale", re.compile("^de")), ("note", re.compile("ada@example.com")),
        ),
        filter='email = "ada@example.com"',
        metadata=(("for", "@email"),),
        simulate=True,
    )  # fmt: skip
    command = f"{next_command(named)} {next_command(listing)}"
    assert re.search(r"ada@|bob|198", command) is None
    for part in (
        "--user <NAME> --user=<NAME>", "--match email=<PATTERN>", r"--match 'email=@example\.com$'",
        "--match 'locale=^de'", "--match note=<PATTERN>", "--filter <FILTER>",
        "--metadata to=<VALUE>", "--metadata for=@email", "--metadata 'campaign=spring sale'",
        "--ip-address <VALUE>",
    ):  # fmt: skip
        assert part in command
    assert to_fill_in(next_command(named)) == (
        "Fill in <NAME> and <VALUE> first: names are left out here, unless --no-mask is used."
    )
    shown = next_command(dataclasses.replace(named, mask=False))
    assert "--user ada@example.com --user=-bob" in shown
    assert to_fill_in(shown) == ""


def test_filter_on_the_status_is_kept() -> None:
    status = 'cognito:user_status = "UNCONFIRMED"'
    settings = Settings(filter=status, client_id="abc")
    assert f"--filter '{status}'" in next_command(settings)


def test_shell_refuses_a_command_that_is_not_filled_in(tmp_path: Path) -> None:
    """A copy that is pasted as it stands must not ask Cognito for a user called NAME."""
    command = next_command(Settings(user=("ada",), ip_address="1.2.3.4", simulate=True))
    script = f"batch-resend() {{ touch ran; }}\n{command}"
    ended = subprocess.run(["bash", "-c", script], cwd=tmp_path, check=False, capture_output=True)
    assert ended.returncode != 0
    assert list(tmp_path.iterdir()) == []
