"""Several pools in one command: real processes, and for each pool a Cognito of its own."""

from __future__ import annotations

import io
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from anyio.from_thread import BlockingPortal
from moto.cognitoidp.responses import CognitoIdpResponse
from moto.core.responses import ActionResult

from batch_resend import cli
from batch_resend.simulator.pool import Kind
from batch_resend.simulator.rules import Cognito
from tests.support.healthchecks import Check
from tests.support.program import (
    CLIENT,
    Program,
    at_a_terminal,
    became,
    ended,
    numbered,
    once,
    serving,
    tallied,
    until,
    without_times,
)
from tests.support.terminal import lines, seen

RUN = ("run", "--config", "pools.toml", "--all-pools")


class Two:
    """Two pools, each with users and a Cognito of its own, and the file that names them."""

    def __init__(self, program: Program, shop: str, blog: str, cognitos: list[Cognito]) -> None:
        self.program = program
        self.shop, self.blog = cognitos
        self.urls = {"shop": shop, "blog": blog}

    def have(self, shop: list[str], blog: list[str], top: str = "", **tables: str) -> None:
        """Write the users of each, and the file with more at its top and in its tables."""
        self.program.users(shop, "shop.csv")
        self.program.users(blog, "blog.csv")
        text = f'region = "us-east-1"\nusers = "{{pool}}.csv"\nclient-id = "{CLIENT}"\n{top}\n'
        for name, url in self.urls.items():
            more = tables.get(f"of_{name}", "rate = 1000")
            text += f'[pools.{name}]\nendpoint-url = "{url}"\n{more}\n'
        (self.program.folder / "pools.toml").write_text(text)


@pytest.fixture
def two(program: Program, elsewhere: BlockingPortal) -> Iterator[Two]:
    cognitos = [Cognito(), Cognito()]
    with (
        serving(elsewhere, cognitos[0], latency=0.02) as shop,
        serving(elsewhere, cognitos[1], latency=0.02) as blog,
    ):
        yield Two(program, shop, blog, cognitos)


def test_each_pool_has_its_report_and_ledger_and_sends_once(program: Program, two: Two) -> None:
    """Each pool has its own users, report and ledger, and no user is sent two codes."""
    shop, blog = numbered(12), [*numbered(5, first=8), "eve+missing@example.com"]
    two.have(shop, blog)
    first = program(*RUN, "--yes", "--summary", "summary.json")
    assert (first.code, first.out) == (1, ""), first.err
    assert two.shop.deliveries == once(shop)
    assert two.blog.deliveries == once(blog[:-1])
    reports = {path.stem.split("Z-")[1]: path for path in program.folder.glob("resend-report-*")}
    assert became(program.report(reports["shop"].name)) == dict.fromkeys(shop, "sent/accepted")
    assert tallied(program.report(reports["blog"].name)) == {
        "sent/accepted": 5, "failed/user-not-found": 1,
    }  # fmt: skip
    assert len(list(program.state.rglob("*.sqlite3"))) == 2
    summary = program.summary()
    assert {name: each["exit_code"] for name, each in summary["pools"].items()} == {
        "shop": 0, "blog": 1,
    }  # fmt: skip
    assert (summary["exit_code"], summary["rows"]) == (1, 18)
    assert "shop: 12 rows in " in first.err
    assert "2 pools: 18 rows: 17 sent, 1 failed.\n" in first.err
    assert "Exit code 1, the highest of shop 0, blog 1.\n" in first.err

    again = program(*RUN, "--yes", "--report", "again-{pool}.csv")
    assert again.code == 1
    assert tallied(program.report("again-shop.csv")) == {"skipped/cooling-down": 12}
    assert two.shop.deliveries == once(shop)
    # What one run of all remembers, a run of one knows.
    alone = program(
        *("run", "--config", "pools.toml", "--pool", "shop", "--yes", "--report", "{pool}.out")
    )
    assert alone.code == 0
    assert tallied(program.report("shop.out")) == {"skipped/cooling-down": 12}


def test_worst_pool_sets_the_exit_code_and_pools_can_be_chosen(program: Program, two: Two) -> None:
    two.have(numbered(9), ["eve+missing@example.com"], of_shop="max-sent = 2\nrate = 1000")
    chosen = ("run", "--config", "pools.toml", "--pool", "blog", "--pool", "shop", "--yes")
    done = program(*chosen, "--report", "{pool}-report.csv")
    assert done.code == 3
    assert "Exit code 3, the highest of blog 1, shop 3.\n" in done.err
    assert sum(two.shop.deliveries.values()) == 2


def test_at_a_terminal_a_person_is_asked_once_for_all(program: Program, two: Two) -> None:
    two.have(numbered(4), numbered(30), of_shop="", of_blog="rate = 15")
    no = at_a_terminal(program, "n", *RUN)
    assert no.code == 2
    assert "Pool shop\nPlan for shop.csv: client simulatedclient\n" in no.err
    assert "Pool blog\nPlan for blog.csv: client simulatedclient\n" in no.err
    assert "2 pools together\n  Will send       34 codes\n  Duration " in no.err
    assert no.err.count("[y/N]") == 1
    assert no.err.endswith("Cancelled; nothing was sent.\n")
    left = at_a_terminal(program, signal.SIGINT, *RUN)
    assert left.code == 130
    assert left.err.endswith("\nStopped by Ctrl-C. No messages were sent.\n")
    assert two.shop.requests + two.blog.requests == 0
    assert list(program.folder.glob("resend-report-*")) == []
    yes = at_a_terminal(program, "y", *RUN)
    assert yes.code == 0
    assert (len(two.shop.deliveries), len(two.blog.deliveries)) == (4, 30)


def test_display_has_a_total_and_a_line_per_pool_until_the_end(program: Program, two: Two) -> None:
    two.have(numbered(20), numbered(20), of_shop="rate = 10", of_blog="rate = 10")
    said, screen = seen(program, *RUN, "--yes")
    assert " of 40" in said
    assert "shop: " in said.split(" of 40", 1)[1]
    assert "10/s of 10" in said
    shown = lines(screen)
    assert not any(line.startswith(("sending", "done", "pace", "now")) for line in shown)
    assert shown[-1] == "2 pools: 40 rows: 40 sent."


def test_a_signal_stops_all_and_every_row_is_reported(program: Program, two: Two) -> None:
    two.have(numbered(300), numbered(300), of_shop="rate = 20", of_blog="rate = 20")
    process = program.start(*RUN, "--yes", "--report", "{pool}-report.csv")
    until(lambda: bool(two.shop.deliveries and two.blog.deliveries), process)
    process.send_signal(signal.SIGTERM)
    done = ended(process)
    assert done.code == 143
    for name, cognito in (("shop", two.shop), ("blog", two.blog)):
        report = program.report(f"{name}-report.csv")
        assert len(report) == 300
        assert tallied(report)["sent/accepted"] == len(cognito.deliveries)


def test_every_line_for_programs_names_its_pool(program: Program, two: Two) -> None:
    two.have(numbered(2), [f"user1+{Kind.DISABLED}@example.com"])
    done = program(*RUN, "--yes", "-v", "--log-format", "json")
    events = [json.loads(line) for line in done.err.splitlines()]
    (result,) = [each for each in events if each["event"] == "result"]
    assert result["pool"] == "blog"
    assert result["text"].startswith("row 1 u***@e***: failed, user-disabled")
    assert {each.get("pool") for each in events if each["event"] == "plan"} == {
        "shop",
        "blog",
        None,
    }
    assert events[-1]["event"] == "summary"
    assert list(events[-1]["pools"]) == ["shop", "blog"]


@pytest.fixture
def check(elsewhere: BlockingPortal) -> Iterator[Check]:
    instance = elsewhere.call(_new_check)
    with elsewhere.wrap_async_context_manager(instance.running()):
        yield instance


async def _new_check() -> Check:
    return Check()


def test_one_ping_covers_all_pools_and_each_has_its_metrics(
    program: Program, two: Two, check: Check
) -> None:
    two.have(numbered(3), ["eve+missing@example.com"], top=f'ping-url = "{check.url}"')
    done = program(*RUN, "--yes", "--metrics", "textfile:resend-{pool}.prom")
    assert done.code == 1, done.err
    assert check.signals == ["/start", "/1"]
    body = check.heard[1][2]
    assert (body["counts"]["sent"], body["counts"]["failed"]) == (3, 1)
    assert {name: each["exit_code"] for name, each in body["pools"].items()} == {
        "shop": 0, "blog": 1,
    }  # fmt: skip
    assert "report" not in body["pools"]["shop"]
    for name, code in (("shop", 0), ("blog", 1)):
        text = (program.folder / f"resend-{name}.prom").read_text()
        assert f'client_id="{CLIENT}"}} {code}\n' in text


def test_metrics_for_cloudwatch_have_a_last_line_for_each_pool(program: Program, two: Two) -> None:
    two.have(numbered(3), ["eve+missing@example.com"])
    done = program(*RUN, "--yes", "--metrics", "emf")
    metrics = [json.loads(line) for line in done.out.splitlines()]
    assert sorted((each["Sent"], each["ExitCode"]) for each in metrics) == [(0, 1), (3, 0)]


def test_pool_that_cannot_run_stops_all_before_any_message(
    program: Program, two: Two, check: Check
) -> None:
    two.have(numbered(3), [], top=f'ping-url = "{check.url}"')
    done = program(*RUN, "--yes")
    assert done.code == 2
    (error,) = done.errors
    assert error.startswith("Error: Pool blog: blog.csv ")
    assert two.shop.requests + two.blog.requests == 0
    assert list(program.folder.glob("resend-report-*")) == []
    assert check.signals == ["/start", "/fail"]


# -- what is refused -----------------------------------------------------------------------

FILE = """
share = 0.2
users = "users.csv"
{top}
[pools.shop]
client-id = "one"
region = "eu-west-1"
{shop}
[pools.blog]
client-id = "two"
region = "eu-west-1"
"""
ALL = ("--config", "my.toml", "--all-pools", "--simulate")
WRONG: dict[str, tuple[str, tuple[str, ...], str, str]] = {
    "no file": ("--all-pools needs --config", ("--all-pools",), "", ""),
    "both ways to choose": ("cannot be combined", (*ALL, "--pool", "shop"), "", ""),
    "an unknown pool": (
        "did you mean blog?",
        ("--config", "my.toml", "--pool", "shop", "--pool", "blob", "--simulate"), "", "",
    ),
    "the same client": (
        "Pools shop and blog have the same client and Region, so the same people: take one out.",
        (*ALL, "--client-id", "one"), "", "",
    ),
    "the same client with ledgers of their own": (
        "Pools shop and blog have the same client and Region, so the same people: take one out.",
        (*ALL, "--client-id", "one", "--ledger", "{pool}.sqlite3"), "", "",
    ),
    "one report for all": (
        "--report r.csv of pool blog is --report of pool shop too", (*ALL, "--report", "r.csv"),
        "", "",
    ),
    "one metrics file for all": (
        "write {pool} into its name", (*ALL, "--metrics", "textfile:r.prom"), "", "",
    ),
    "a number that is none": ("--limit is set in my.toml [pools.shop].", ALL, "", "limit = 'ten'"),
    "a setting that makes no sense": (
        "Pool shop: --share 7 is not a valid share. Use a number above 0, up to 1. --share is set"
        " in my.toml [pools.shop].", ALL, "", "share = 7",
    ),
    "a setting for all that makes no sense": (
        "--share 7 is not a valid share. Use a number above 0, up to 1. --share is set in my.toml.",
        ALL, "SHARE", "",
    ),
    "a dry run of one": (
        "Pool shop: dry-run is for all pools of a run, but my.toml [pools.shop] says otherwise:"
        " put it above the tables.", ALL, "", "dry-run = true",
    ),
    "a check of its own": ("ping-url is for all pools of a run", ALL, "",
                           "ping-url = 'https://hc.example/0'"),
    "a mistyped key": ("'clientid' is not an option: did you mean", ALL, "", "clientid = 'x'"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_reported_before_any_message(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sentence, arguments, top, shop = WRONG[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    text = FILE.format(top="", shop=shop)
    Path("my.toml").write_text(text.replace("0.2", "7") if top else text)
    Path("users.csv").write_text("username\nada\n")
    code = cli.program(["run", *arguments])
    out, err = capsys.readouterr()
    (line,) = without_times(err).splitlines()
    assert (code, out) == (2, "")
    assert sentence in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my.toml", "users.csv"]


def test_pools_send_nothing_without_yes_or_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    Path("my.toml").write_text(FILE.format(top="", shop=""))
    Path("users.csv").write_text("username\nada\n")
    assert cli.program(["run", "--config", "my.toml", "--all-pools"]) == 2
    assert "confirmation needs a terminal" in capsys.readouterr().err


def test_all_pools_of_a_file_with_one_table_are_a_run_of_one(program: Program) -> None:
    program.users(numbered(2))
    (program.folder / "my.toml").write_text("[pools.shop]\nclient-id = 'one'\n")
    done = program(
        *("run", "users.csv", "--config", "my.toml", "--all-pools", "--simulate"),
        *("--summary", "summary.json", "--report", "report.csv"),
    )
    assert done.code == 0, done.err
    assert program.summary()["client_id"] == "one"


def test_a_file_without_tables_has_no_pools_to_run_all_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.toml").write_text("share = 0.2\n")
    assert cli.program(["run", "u.csv", "--config", "my.toml", "--all-pools"]) == 2
    assert "finds no table [pools.NAME] in my.toml." in capsys.readouterr().err


def test_what_is_about_one_pool_refuses_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.toml").write_text(FILE.format(top="", shop=""))
    several = ["--config", "my.toml", "--pool", "shop", "--pool", "blog"]
    assert cli.program(["status", *several]) == 2
    assert "--pool is given 2 times, and this is about one pool." in capsys.readouterr().err
    assert cli.program(["config", "show", *several]) == 2
    assert "this shows one. Choose it with --pool." in capsys.readouterr().err


def test_the_place_holder_is_the_pools_name_for_every_command(program: Program) -> None:
    program.users(numbered(2))
    (program.folder / "my.toml").write_text(
        "ledger = '{pool}.sqlite3'\n[pools.'the shop']\nclient-id = 'one'\n"
    )
    chosen = ("--config", "my.toml", "--pool", "the shop")
    done = program("run", "users.csv", *chosen, "--simulate", "--report", "{pool}.csv")
    assert done.code == 0, done.err
    assert tallied(program.report("the-shop.csv")) == {"sent/accepted": 2}
    status = program("status", *chosen, "--json")
    assert status.code == 0, status.err
    assert json.loads(status.out)["ledger"].endswith("the-shop.sqlite3")


# -- accounts ------------------------------------------------------------------------------


class Asked:
    """The call that moto lacks: ResendConfirmationCode. It notes client and user of each."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}

    def answer(self, response: Any) -> ActionResult:
        client, name = (response._get_param(key) for key in ("ClientId", "Username"))
        self.names.setdefault(client, []).append(name)
        details = {"AttributeName": "email", "DeliveryMedium": "EMAIL", "Destination": "u***@e***"}
        return ActionResult({"CodeDeliveryDetails": details})


def a_pool(moto_url: str, account: str, users: int) -> tuple[str, str, set[str]]:
    """Make a pool in an account; give its id, its client and its unconfirmed users."""
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    where = {"region_name": "us-east-1", "endpoint_url": moto_url}
    role = boto3.client("sts", **where, **keys).assume_role(
        RoleArn=f"arn:aws:iam::{account}:role/resend", RoleSessionName="test"
    )["Credentials"]
    cognito = boto3.client(
        "cognito-idp", **where, aws_access_key_id=role["AccessKeyId"],
        aws_secret_access_key=role["SecretAccessKey"], aws_session_token=role["SessionToken"],
    )  # fmt: skip
    pool = cognito.create_user_pool(PoolName="p", AutoVerifiedAttributes=["email"])["UserPool"][
        "Id"
    ]
    client = cognito.create_user_pool_client(UserPoolId=pool, ClientName="web")["UserPoolClient"]
    names = numbered(users)
    for name in names:
        cognito.sign_up(ClientId=client["ClientId"], Username=name, Password="Passw0rd!")
    return pool, client["ClientId"], set(names)


def test_pools_of_other_accounts_use_roles_and_their_own_quota(
    program: Program, moto_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked()

    def resend_confirmation_code(response: Any) -> ActionResult:
        return asked.answer(response)

    monkeypatch.setattr(
        CognitoIdpResponse, "resend_confirmation_code", resend_confirmation_code, raising=False
    )
    profiles = "[profile base]\naws_access_key_id = x\naws_secret_access_key = x\n"
    settings = f'endpoint-url = "{moto_url}"\n'
    expected = {}
    for name, account, users in (
        ("shop", "111111111111", 6), ("blog", "222222222222", 4), ("news", "111111111111", 3),
    ):  # fmt: skip
        pool, client, names = a_pool(moto_url, account, users)
        expected[client] = names
        profiles += (
            f"[profile {name}]\nrole_arn = arn:aws:iam::{account}:role/resend\n"
            "source_profile = base\nregion = us-east-1\n"
        )
        settings += (
            f'[pools.{name}]\nprofile = "{name}"\nuser-pool-id = "{pool}"\nclient-id = "{client}"\n'
        )
    (program.folder / "aws").write_text(profiles)
    (program.folder / "pools.toml").write_text(settings)
    env = {"AWS_CONFIG_FILE": str(program.folder / "aws"), "AWS_ENDPOINT_URL_STS": moto_url}
    done = program(*RUN, "--yes", "--summary", "summary.json", env=env)
    assert done.code == 0, done.err
    assert {client: sorted(names) for client, names in asked.names.items()} == {
        client: sorted(names) for client, names in expected.items()
    }
    accounts = {name: each["account"] for name, each in program.summary()["pools"].items()}
    assert accounts == {"shop": "111111111111", "blog": "222222222222", "news": "111111111111"}
    rates = [line for line in done.err.splitlines() if line.endswith("together (one quota)")]
    assert rates == ["  Rate limit      25/s for shop and news together (one quota)"]
