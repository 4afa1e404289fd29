"""The README is held against the code: what it names exists, and what exists it names."""

import ast
import csv
import json
import os
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from batch_resend import cli, errors
from batch_resend.job.outcome import Stop
from batch_resend.model import Outcome, Reason
from batch_resend.pools.summary import PoolsSummary
from batch_resend.preflight.check import check
from batch_resend.preflight.finding import Level
from batch_resend.preflight.preview import plan_lines
from batch_resend.preflight.render import as_json, lines
from batch_resend.reasons import ADVICE
from batch_resend.reports import ledger_csv
from batch_resend.reports.results_csv import COLUMNS
from batch_resend.simulator.pool import Kind
from tests.support.markdown import (
    ALL,
    PAGES,
    README,
    ROOT,
    block,
    code,
    headings,
    section,
    table,
    tables,
)
from tests.support.program import without_times


def test_the_two_commands_stand_at_the_top_each_on_one_line() -> None:
    for marker in ("main-job", "tests"):
        assert len(block(marker)) == 1
        assert README.splitlines().index(f"<!-- {marker} -->") < 40


def test_the_first_command_prints_what_the_readme_shows(tmp_path: Path) -> None:
    (line,) = block("main-job")
    *setup, job = line.split(" && ")
    assert setup == ["python3 -m venv .venv", ".venv/bin/pip install -q ."]
    program, *arguments = shlex.split(job)
    assert program == ".venv/bin/batch-resend"
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    done = subprocess.run(
        [sys.executable, "-m", "batch_resend", *arguments],
        cwd=tmp_path,
        env=_environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "exit code 1" in README.split("<!-- main-job-output -->")[0][-200:]
    assert list(map(_timeless, without_times(done.stderr).splitlines())) == list(
        map(_timeless, block("main-job-output"))
    )
    with (tmp_path / "resend-report.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert sorted(int(row["row"]) for row in rows) == list(range(1, 51))
    lines = README.splitlines()
    heading = lines.index(",".join(COLUMNS))
    shown = list(csv.DictReader(lines[heading : lines.index("```", heading)]))
    assert shown
    assert _stable(shown) <= _stable(rows)


def test_the_first_command_again_sends_nothing(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (again,) = block("again")
    assert block("main-job")[0].endswith(again)
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-m", "batch_resend", *shlex.split(again)[1:]],
            cwd=tmp_path,
            env=_environment(tmp_path),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    with (tmp_path / "resend-report.csv").open(encoding="utf-8") as file:
        outcomes = [row["outcome"] for row in csv.DictReader(file)]
    assert len(outcomes) == 50
    assert "sent" not in outcomes


def _stable(rows: list[dict[str, str]]) -> set[tuple[str, ...]]:
    """Return the parts of the report's rows that are the same in every run."""
    changing = {"request_id", "finished_at", "latency_ms"}
    return {tuple(text for name, text in row.items() if name not in changing) for row in rows}


def _timeless(line: str) -> str:
    """A line of output without what differs between two runs: lengths, and who came first."""
    line = re.sub(r"\b[0-9.]+ s\b", "# s", line)
    line = re.sub(r"\b\d{4}-\d\d-\d\d\b", "#-#-#", line)
    line = re.sub(r"\b\d\d:\d\d UTC\b", "#:# UTC", line)
    return re.sub(r"\(([^()]*)\)", lambda match: str(sorted(match[1].split(", "))), line)


def _environment(state: Path) -> dict[str, str]:
    """The environment without settings of ours, and with the state elsewhere."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("BATCH_RESEND_", "AWS_"))}
    return variables | {"XDG_STATE_HOME": str(state / "state"), "PYTHONPATH": str(ROOT)}


def test_the_gate_runs_the_two_commands_as_the_readme_has_them() -> None:
    gate = ROOT / ".ci" / "run"
    assert gate.stat().st_mode & stat.S_IXUSR
    script = gate.read_text("utf-8")
    assert "from_readme main-job" in script
    assert "from_readme tests" in script


def test_every_command_is_documented() -> None:
    group = typer.main.get_command(cli.app)
    assert isinstance(group, typer.core.TyperGroup)
    documented = {code(row[0])[0].split(" ")[1] for row in table("command")}
    assert documented == set(group.commands)


def test_every_key_of_the_status_is_in_its_table(tmp_path: Path) -> None:
    arguments = ["run", str(ROOT / "examples" / "users.csv"), "--simulate", "--limit", "1"]
    for command in (
        [*arguments, "--report", "/dev/null", "--ledger", "l.sqlite3"],
        ["status", "--ledger", "l.sqlite3", "--json"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "batch_resend", *command],
            cwd=tmp_path,
            env=_environment(tmp_path),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    assert [code(row[0])[0] for row in table("key")] == list(json.loads(done.stdout))


def test_every_column_of_the_export_is_in_its_table_in_order() -> None:
    documented = [code(row[0])[0] for row in table("column of the export")]
    assert documented == list(ledger_csv.COLUMNS)


def test_every_exit_code_is_in_its_table() -> None:
    documented = [int(row[0]) for row in table("code", section("Exit codes"))]
    assert documented == [int(code) for code in errors.Exit]


def test_every_reason_to_stop_is_in_its_table_with_its_exit_code() -> None:
    documented = [(code(row[0])[0], int(row[1])) for row in table("`stopped_by`")]
    assert documented == [(str(stop), int(stop.exit_code)) for stop in Stop]


def test_every_column_of_the_report_is_in_its_table_in_order() -> None:
    rows = tables(section("Report"))
    assert [code(row[0])[0] for row in rows[0][1:]] == list(COLUMNS)


def test_every_outcome_is_in_its_table() -> None:
    rows = tables(section("Outcomes and reasons"))
    assert [code(row[0])[0] for row in rows[0][1:]] == [str(outcome) for outcome in Outcome]


def test_every_reason_is_in_its_table_with_its_outcome() -> None:
    rows = tables(section("Outcomes and reasons"))
    documented = [(code(row[0])[0], code(row[1])[0]) for row in rows[1][1:]]
    assert documented == [(str(reason.outcome), str(reason)) for reason in Reason]


def test_every_reason_means_here_what_it_means_on_the_page() -> None:
    rows = tables(section("Outcomes and reasons"))[1][1:]
    documented = {code(row[1])[0]: [_unlinked(cell) for cell in row[2:]] for row in rows}
    assert documented == {
        str(reason): [advice.meaning, advice.action] for reason, advice in ADVICE.items()
    }


def _unlinked(text: str) -> str:
    """A text without its links: their words stay."""
    return re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)


def test_every_kind_of_simulated_user_is_in_its_table() -> None:
    documented = {code(row[0])[0] for row in table("marker")}
    assert documented == {f"+{kind}" for kind in Kind}


def test_every_field_of_the_summary_is_in_its_table(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "batch_resend", "run", str(ROOT / "examples" / "users.csv")),
            *("--simulate", "--dry-run", "--report", "/dev/null", "--summary", "-"),
        ],
        cwd=tmp_path,
        env=_environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    summary = json.loads(done.stdout)
    assert [code(row[0])[0] for row in table("field")] == list(summary)


def test_every_field_of_the_summary_of_all_pools_is_in_its_table() -> None:
    from tests.support.pools import ended

    documented = {name for row in table("field of all pools") for name in code(row[0])}
    assert documented == set(PoolsSummary({"shop": ended()}).as_json())


def test_check_of_the_readme_is_what_its_facts_lead_to() -> None:
    from tests.support.findings import WISH, own_sender

    assert block("check") == lines(check(own_sender(), WISH))
    assert [code(row[0])[0] for row in table("field of the check")] == list(
        as_json(check(own_sender(), WISH))
    )


def test_every_finding_is_in_its_table() -> None:
    from tests.support.findings import FINDINGS

    subjects = {finding.about for facts, wish, *_ in FINDINGS.values()
            for finding in check(facts, wish).findings}  # fmt: skip
    rows = {code(row[0])[0]: row for row in table("finding")}
    assert set(rows) == (subjects | {"credentials"})
    for _, _, about, level, _ in FINDINGS.values():
        if level is not Level.OK:
            assert rows[about][1 if level is Level.STOP else 2], (about, level)


def test_the_plan_that_the_readme_shows_is_that_of_the_test() -> None:
    from tests.support.previews import PREVIEW

    assert block("plan") == plan_lines(PREVIEW)


def test_the_policies_allow_what_is_asked_for_and_no_more() -> None:
    from tests.support import dynamodb

    asking = ("preflight/probe.py", "preflight/reach.py", "aws/reach.py", "aws/cloudtrail.py")
    source = "".join((ROOT / "batch_resend" / name).read_text("utf-8") for name in asking)
    services = "cognito-idp|servicequotas|cloudwatch|cloudtrail|ses|sns"
    asked = set(re.findall(rf'"((?:{services}):\w+)"', source))
    asked |= {"servicequotas:GetAWSDefaultServiceQuota"}
    assert _allowed("list") == {"cognito-idp:ListUsers"}
    assert _allowed("check") == asked
    assert _allowed("reconcile") == {
        "cloudtrail:LookupEvents", "ses:ListSuppressedDestinations", "cognito-idp:DescribeUserPool",
    }  # fmt: skip
    documented = {name for row in table("permission") for name in code(row[0])}
    # To erase for good is for a person, and not for what runs unattended.
    assert "dynamodb:DeleteItem" in documented
    # One origin of the secret is enough.
    for_a_run = documented - {"dynamodb:DeleteItem", "ssm:GetParameter"}
    assert _allowed("all") == for_a_run == asked | dynamodb.ACTIONS | {
        "cognito-idp:ListUsers", "secretsmanager:GetSecretValue",
        "s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListBucket",
    }  # fmt: skip


def _allowed(name: str) -> set[str]:
    """The actions that a policy of the examples allows."""
    actions: set[str] = set()
    text = (ROOT / "examples" / "iam" / f"{name}.json").read_text("utf-8")
    for statement in json.loads(text)["Statement"]:
        action = statement["Action"]
        actions |= {action} if isinstance(action, str) else set(action)
    return actions


def test_every_example_is_mentioned() -> None:
    names = sorted(path.name for path in (ROOT / "examples").iterdir())
    assert names == [
        "README.md", "batch-resend.toml", "clean-up.sh", "container", "crontab", "embed.py",
        "fargate", "github-actions.yml", "grafana", "iam", "kubernetes", "logrotate", "prometheus",
        "reminders.toml", "report.png", "requirements.txt", "step-functions", "systemd",
        "terminal.svg", "users.csv",
    ]  # fmt: skip
    links = re.findall(r"\]\((?:\.\./)*(?:examples/)?([\w.-]+)", PAGES["examples/README.md"] + ALL)
    assert [name for name in names if name not in {*links, "README.md"}] == []


def test_the_map_names_every_folder_and_module() -> None:
    package = ROOT / "batch_resend"
    there = {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").exists()}
    there |= {path.name for path in package.glob("*.py") if not path.name.startswith("__")}
    rows = table("folder or module", PAGES["batch_resend/README.md"])
    assert {name for row in rows for name in code(row[0])} == there


@pytest.mark.parametrize("page", sorted(PAGES))
def test_page_links_lead_somewhere(page: str) -> None:
    folder = (ROOT / page).parent
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        path, _, anchor = target.partition("#")
        if target.startswith("https://"):
            continue
        there = (folder / path).resolve() if path else ROOT / page
        assert there.exists(), target
        if anchor:
            assert anchor in headings(there.read_text("utf-8")), target
    for path in set(re.findall(r"(?<![\w/])(?:tests|examples)/[\w/-]+\.\w+", PAGES[page])):
        assert (ROOT / path).exists() or (folder / path).exists(), path


@pytest.mark.parametrize("page", sorted(PAGES))
def test_page_references_are_used_and_official(page: str) -> None:
    used = set(re.findall(r"\]\[(\w+)\]", PAGES[page]))
    references = re.findall(r"^\[(\w+)\]: (https://\S+)$", PAGES[page], re.MULTILINE)
    assert used == {name for name, _ in references}
    assert all(
        address.startswith(
            ("https://docs.aws.amazon.com/", "https://aws.amazon.com/", "https://github.com/")
        )
        for _, address in references
    )


def _sentences() -> Iterator[str]:
    """Yield every text in the code, with `...` for each inserted value."""
    for path in (ROOT / "batch_resend").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "..."
                    for part in node.values
                )


def test_messages_quoted_in_the_readme_are_those_of_the_code() -> None:
    said = [text for row in table("the program says") for text in re.findall(r'"([^"]+)"', row[0])]
    assert len(said) > 20
    sentences = "\n".join(_sentences())
    assert [text for text in said if text not in sentences] == []


def test_nothing_in_the_readme_is_of_one_machine_only() -> None:
    assert re.findall(r"(?<![\w.~$])/(?:home|Users|root|tmp|work|opt|var|usr)\b\S*", ALL) == []


def test_addresses_and_numbers_of_pages_are_reserved_ones() -> None:
    for path in (*(ROOT / page for page in PAGES), *(ROOT / "examples").rglob("*")):
        if path.is_dir() or path.suffix == ".png":
            continue
        text = path.read_text("utf-8")
        domains = re.findall(r"[\w.+-]+@([\w-]+(?:\.[\w-]+)+)", text)
        assert {name.lower() for name in domains} <= {
            "example.com",
            "example.org",
            "example.net",
        }, path.name
        assert set(re.findall(r"\+\d{5,}", text)) == set(re.findall(r"\+155501\d\d\b", text))
