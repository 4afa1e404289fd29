"""The examples for schedulers: validated by the tools of their own worlds, and run where possible.

Tools that are not there skip their test and say so.
"""

import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.dynamodb import ACTIONS

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SERVICE = EXAMPLES / "systemd" / "batch-resend.service"
TIMER = EXAMPLES / "systemd" / "batch-resend.timer"
TEMPLATE = EXAMPLES / "fargate" / "template.yaml"
CONTAINERFILE = EXAMPLES / "container" / "Containerfile"
POLICY = ["--older-than=24h", "--newer-than=14d", "--cooldown=72h", "--max-sends=3"]


def _tool(name: str) -> str:
    """The path of a program that may be there, beside this Python or on PATH."""
    beside = os.fspath(Path(sys.executable).parent)
    found = shutil.which(name, path=f"{beside}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{name} is not installed: the example is not validated by it")
    return found


def _says(*command: str) -> tuple[int, str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    return done.returncode, done.stdout + done.stderr


def _unit(path: Path) -> dict[str, list[str]]:
    """The settings of a unit, each with its values; a line that ends in a backslash goes on."""
    found: dict[str, list[str]] = {}
    for line in path.read_text("utf-8").replace("\\\n", " ").splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+)(s|min|m|h)?", text)
    assert found is not None
    return int(found[1]) * {"s": 1, None: 1, "min": 60, "m": 60, "h": 3600}[found[2]]


def _run(arguments: list[str], folder: Path, **environment: str) -> dict[str, Any]:
    """Run a command line of an example against the simulator; return its summary."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BATCH_RESEND_", "AWS_"))}
    done = subprocess.run(
        [sys.executable, "-m", "batch_resend", *arguments],
        cwd=folder,
        env=kept
        | {"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder), "BATCH_RESEND_SIMULATE": "1"}
        | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text("utf-8"))
    return summary


# -- systemd ---------------------------------------------------------------------------------


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with a program that exists here: systemd looks whether it does."""
    text = SERVICE.read_text("utf-8")
    assert "ExecStart=/opt/batch-resend/bin/batch-resend " in text
    (tmp_path / SERVICE.name).write_text(
        text.replace("/opt/batch-resend/bin/batch-resend run", "/bin/true run"), "utf-8"
    )
    shutil.copy(TIMER, tmp_path)
    return tmp_path


def test_systemd_accepts_the_units(units: Path) -> None:
    files = [str(units / path.name) for path in (SERVICE, TIMER)]
    assert _says(_tool("systemd-analyze"), "verify", "--man=no", *files) == (0, "")


def test_systemd_finds_little_that_the_service_could_harm(units: Path) -> None:
    analyze = _tool("systemd-analyze")
    code, told = _says(
        *(analyze, "security", "--offline=yes", "--no-pager"), str(units / SERVICE.name)
    )
    if code and "offline" in told:
        pytest.skip("this systemd-analyze is older than 250: it cannot look at a file")
    score = re.search(r"Overall exposure level for batch-resend\.service: ([\d.]+)", told)
    assert score is not None, told
    assert float(score[1]) <= 1.5


def test_the_command_of_the_service_runs(tmp_path: Path) -> None:
    (line,) = _unit(SERVICE)["ExecStart"]
    secret = tmp_path / "client-secret"
    secret.write_text("of-the-simulated-client", "utf-8")
    secret.chmod(0o400)
    program, *arguments = shlex.split(line.replace("%d", str(tmp_path)))
    assert program == "/opt/batch-resend/bin/batch-resend"
    assert f"--client-secret-file {secret}" in " ".join(arguments)
    summary = _run([*arguments, "--summary", "summary.json"], tmp_path)
    assert summary["counts"]["sent"] > 0
    assert {"skipped/too-young", "skipped/too-old"} <= set(summary["reasons"])
    (report,) = tmp_path.glob("resend-report-*.csv")  # by the name that is deleted after a month
    assert "resend-report-*.csv" in _unit(SERVICE)["ExecStopPost"][0]
    assert report.stat().st_mode & 0o077 == 0


def test_the_service_has_the_time_that_it_needs() -> None:
    unit = _unit(SERVICE)
    options = shlex.split(unit["ExecStart"][0])
    timeout = _seconds(options[options.index("--timeout") + 1])
    deadline = _seconds(options[options.index("--deadline") + 1])
    assert _seconds(unit["TimeoutStopSec"][0]) >= timeout + 15
    assert deadline + timeout < _seconds(unit["TimeoutStartSec"][0]) < 3600
    # What goes on by itself is no failure; what needs a person is.
    assert unit["SuccessExitStatus"] == ["1 3 143"]
    assert "Restart" not in unit


# -- Fargate ---------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Reads CloudFormation's short functions as what they would be in full."""


def _function(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        raise TypeError(suffix)
    return {suffix: value}


_Loader.add_multi_constructor("!", _function)


@pytest.fixture
def resources() -> dict[str, Any]:
    template = yaml.load(TEMPLATE.read_text("utf-8"), _Loader)
    return {name: each.get("Properties", {}) for name, each in template["Resources"].items()}


def test_the_template_is_valid() -> None:
    code, told = _says(_tool("cfn-lint"), str(TEMPLATE))
    assert (code, told.strip()) == (0, "")


def test_a_start_that_failed_is_not_repeated(resources: dict[str, Any]) -> None:
    target = resources["Hourly"]["Target"]
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 0}
    assert target["EcsParameters"]["TaskCount"] == 1


def test_the_command_of_the_task_runs_and_stops_in_time(
    tmp_path: Path, resources: dict[str, Any]
) -> None:
    (container,) = resources["Task"]["ContainerDefinitions"]
    given = {
        "UserPoolId": "eu-west-1_AbCdEf123",
        "ClientId": "1example23456789",
        "dynamodb://${LedgerTable}": str(tmp_path / "ledger.sqlite3"),
        "s3://${Results}/report.csv.gz": "report.csv.gz",
        "s3://${Results}/summary.json": "summary.json",
    }
    command = [
        given[next(iter(part.values()))] if isinstance(part, dict) else part
        for part in container["Command"]
    ]
    assert [part for part in command if part in POLICY] == POLICY
    summary = _run(command, tmp_path)
    assert summary["counts"]["sent"] > 0
    timeout = next(_seconds(p.split("=")[1]) for p in command if p.startswith("--timeout="))
    assert timeout + 15 < container["StopTimeout"] == 30
    # What cannot be written to is the root: the plan, and results on their way, go to /tmp.
    assert container["ReadonlyRootFilesystem"] is True
    assert [mount["ContainerPath"] for mount in container["MountPoints"]] == ["/tmp"]


def test_no_role_may_do_anything_to_everything(resources: dict[str, Any]) -> None:
    text = json.dumps(resources)
    assert not re.search(r'"Action": "(\w+:)?\*"', text)
    anywhere = [
        statement["Action"]
        for role in ("TaskRole", "ExecutionRole", "SchedulerRole")
        for policy in resources[role]["Policies"]
        for statement in policy.get("PolicyDocument", {}).get("Statement", [])
        if statement["Resource"] == "*"
    ]
    # These know no narrower resource.
    assert anywhere == [
        [
            "cognito-idp:GetProvisionedLimit",
            "servicequotas:GetServiceQuota",
            "servicequotas:GetAWSDefaultServiceQuota",
            "cloudwatch:GetMetricData",
            "ses:GetAccount",
            "ses:ListSuppressedDestinations",
            "ses:GetConfigurationSet",
            "sns:ListPhoneNumbersOptedOut",
        ],
        "ecr:GetAuthorizationToken",
    ]


def test_manual_dry_run_is_the_task_command_plus_one_argument(
    resources: dict[str, Any],
) -> None:
    found = re.search(r'--query \\\n# +"(.+)"', TEMPLATE.read_text("utf-8"))
    assert found is not None
    (container,) = resources["Task"]["ContainerDefinitions"]
    described = {"name": container["Name"], "command": ["run", "--yes"]}
    told = importlib.import_module("jmespath").search(
        found[1], {"taskDefinition": {"containerDefinitions": [described]}}
    )
    assert told == {
        "containerOverrides": [{"name": "batch-resend", "command": ["run", "--yes", "--dry-run"]}]
    }


def test_the_task_may_do_with_its_table_what_a_run_needs(resources: dict[str, Any]) -> None:
    statements = resources["TaskRole"]["Policies"][0]["PolicyDocument"]["Statement"]
    (table,) = [each for each in statements if "dynamodb" in str(each["Action"])]
    assert set(table["Action"]) == ACTIONS
    assert table["Resource"]["Sub"].endswith(":table/${LedgerTable}")


# -- the container ---------------------------------------------------------------------------


def test_hadolint_finds_nothing_in_the_containerfile() -> None:
    assert _says(_tool("hadolint"), str(CONTAINERFILE)) == (0, "")


def test_the_image_needs_neither_root_nor_a_writable_root() -> None:
    text = CONTAINERFILE.read_text("utf-8")
    last = text[text.rindex("\nFROM ") :]
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", last, re.MULTILINE)
    assert re.search(r'^VOLUME \["/tmp", "/var/lib/batch-resend"\]$', last, re.MULTILINE)
    (base,) = re.findall(r"^ARG BASE=(\S+)$", text, re.MULTILINE)
    assert re.fullmatch(r"docker\.io/library/python:3\.\d+-slim-\w+", base)
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    for name in " ".join(copied).split():
        assert (ROOT / name).exists()
