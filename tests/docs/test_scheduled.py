"""The examples for schedulers: validated by the tools of their own worlds, and run where possible.

Tools that are not there skip their test and say so.
"""

import importlib
import json
import os
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from batch_resend.cli import parse_run
from batch_resend.monitoring.emf import Emf
from batch_resend.monitoring.metrics import Standing
from tests.support.dynamodb import ACTIONS
from tests.support.examples import EXAMPLES, POLICY, printed, run, tool
from tests.support.markdown import ROOT

SERVICE = EXAMPLES / "systemd" / "batch-resend.service"
FAILED = EXAMPLES / "systemd" / "batch-resend-failed.service"
TIMER = EXAMPLES / "systemd" / "batch-resend.timer"
TEMPLATE = EXAMPLES / "fargate" / "template.yaml"
CONTAINERFILE = EXAMPLES / "container" / "Containerfile"


def _unit(path: Path) -> dict[str, list[str]]:
    """The settings of a unit, each with its values; a line that ends in a backslash goes on."""
    result: dict[str, list[str]] = {}
    for line in path.read_text("utf-8").replace("\\\n", " ").splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            result.setdefault(key, []).append(value)
    return result


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+)(s|min|m|h)?", text)
    assert match is not None
    return int(match[1]) * {"s": 1, None: 1, "min": 60, "m": 60, "h": 3600}[match[2]]


def _summary(arguments: list[str], folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Run a command line of an example against the simulator; return its summary."""
    done = run("batch-resend", *arguments, cwd=folder, environment=environment)
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text("utf-8"))
    assert summary["counts"]["sent"] > 0
    assert {"skipped/too-young", "skipped/too-old"} <= set(summary["reasons"])
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
    for path in (TIMER, FAILED):
        shutil.copy(path, tmp_path)
    return tmp_path


def test_systemd_accepts_the_units(units: Path) -> None:
    files = [str(units / path.name) for path in (SERVICE, FAILED, TIMER)]
    assert printed(tool("systemd-analyze"), "verify", "--man=no", *files) == (0, "")


def test_systemd_finds_little_that_the_service_could_harm(units: Path) -> None:
    analyze = tool("systemd-analyze")
    code, output = printed(
        *(analyze, "security", "--offline=yes", "--no-pager"), str(units / SERVICE.name)
    )
    if code and "offline" in output:
        pytest.skip("this systemd-analyze is older than 250: it cannot look at a file")
    score = re.search(r"Overall exposure level for batch-resend\.service: ([\d.]+)", output)
    assert score is not None, output
    assert float(score[1]) <= 1.5


def test_the_command_of_the_service_runs(tmp_path: Path, environment: dict[str, str]) -> None:
    """It finds its files where LoadCredential= puts them: in %d."""
    unit = _unit(SERVICE)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for loaded in unit["LoadCredential"]:
        name, _, source = loaded.partition(":")
        assert source == f"/etc/batch-resend/{name}"
        (credentials / name).write_text("of-the-simulated-client", "utf-8")
    (credentials / POLICY.name).write_bytes(POLICY.read_bytes())
    for path in credentials.iterdir():
        path.chmod(0o400)
    (line,) = unit["ExecStart"]
    program, *arguments = shlex.split(line.replace("%d", str(credentials)))
    assert program == "/opt/batch-resend/bin/batch-resend"
    for argument in arguments:
        assert not argument.startswith(str(credentials)) or Path(argument).is_file()
    _summary([*arguments, "--summary", "summary.json"], tmp_path, environment)
    assert '-name "resend-report-*.csv"' in unit["ExecStopPost"][0]
    assert len(list(tmp_path.glob("resend-report-*.csv"))) == 1


def test_the_service_has_the_time_that_it_needs() -> None:
    unit = _unit(SERVICE)
    settings = parse_run(["--config", str(POLICY)])
    assert settings.deadline is not None
    assert _seconds(unit["TimeoutStopSec"][0]) >= settings.timeout + 15
    assert settings.deadline + settings.timeout < _seconds(unit["TimeoutStartSec"][0]) < 3600
    # An exit that the next start resumes is not a failure; one that needs a person is.
    assert unit["SuccessExitStatus"] == ["1 3 143"]
    assert "Restart" not in unit


def test_a_failed_service_mails_its_last_lines(tmp_path: Path) -> None:
    """OnFailure= names a unit whose command hands the journal to `mail`."""
    assert _unit(SERVICE)["OnFailure"] == [FAILED.name]
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, does in (
        ("journalctl", 'echo "$@"'),
        ("mail", 'cat > "$MAILBOX"; echo "to $3: $2" >> "$MAILBOX"'),
    ):
        (programs / name).write_text(f"#!/bin/sh\n{does}\n", "utf-8")
        (programs / name).chmod(0o700)
    mailbox = tmp_path / "mailbox"
    environment = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "MAILBOX": str(mailbox)}
    (line,) = _unit(FAILED)["ExecStart"]
    done = run(*shlex.split(line), cwd=tmp_path, environment=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    asked, *sent = mailbox.read_text("utf-8").splitlines()
    assert asked.startswith(f"--unit={SERVICE.name} --lines=20 ")
    assert sent == ["to operations@example.com: batch-resend failed"]


# -- Fargate ---------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """A loader that expands CloudFormation's short functions."""


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
    code, output = printed(tool("cfn-lint"), str(TEMPLATE))
    assert (code, output.strip()) == (0, "")


def test_a_start_that_failed_is_not_repeated(resources: dict[str, Any]) -> None:
    target = resources["Hourly"]["Target"]
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 0}
    assert target["EcsParameters"]["TaskCount"] == 1


def test_the_command_of_the_task_runs_and_stops_in_time(
    tmp_path: Path, resources: dict[str, Any], environment: dict[str, str]
) -> None:
    (container,) = resources["Task"]["ContainerDefinitions"]
    parameters = {
        "UserPoolId": "eu-west-1_AbCdEf123",
        "ClientId": "1example23456789",
        "AWS::Region": "eu-west-1",
        "dynamodb://${LedgerTable}": str(tmp_path / "ledger.sqlite3"),
        "s3://${Results}/report.csv.gz": "report.csv.gz",
        "s3://${Results}/summary.json": "summary.json",
    }
    variables = {
        each["Name"]: parameters[next(iter(each["Value"].values()))]
        if isinstance(each["Value"], dict)
        else each["Value"]
        for each in container["Environment"]
    }
    command, option, path = container["Command"]
    assert (command, option) == ("run", "--config")
    containerfile = CONTAINERFILE.read_text("utf-8")
    assert f"COPY {POLICY.relative_to(ROOT)} {path}\n" in containerfile
    summary = _summary([command, option, str(POLICY)], tmp_path, environment | variables)
    assert (summary["client_id"], summary["user_pool_id"]) == (
        parameters["ClientId"],
        parameters["UserPoolId"],
    )
    timeout = parse_run(["--config", str(POLICY)]).timeout
    assert timeout + 15 < container["StopTimeout"] == 30
    # What cannot be written to is the root: the plan, and results on their way, go to /tmp.
    assert container["ReadonlyRootFilesystem"] is True
    assert [mount["ContainerPath"] for mount in container["MountPoints"]] == ["/tmp"]


def test_the_task_runs_on_the_processor_of_its_image(resources: dict[str, Any]) -> None:
    platform = resources["Task"]["RuntimePlatform"]
    assert platform == {
        "CpuArchitecture": {"Ref": "Architecture"},
        "OperatingSystemFamily": "LINUX",
    }
    assert "podman build --platform linux/amd64" in TEMPLATE.read_text("utf-8")


def test_an_alarm_goes_off_where_no_run_ended(resources: dict[str, Any]) -> None:
    """It counts the metric that only the last line of a run has, as that line names it."""
    alarm = resources["NothingRan"]
    labels = {"region": "eu-west-1", "client_id": "1example23456789"}
    ended = Emf().line(Standing(exit_code=0, labels=labels))
    going = Emf().line(Standing(labels=labels))
    (described,) = ended["_aws"]["CloudWatchMetrics"]
    assert alarm["Namespace"] == described["Namespace"]
    assert [each["Name"] for each in alarm["Dimensions"]] in described["Dimensions"]
    assert alarm["MetricName"] in ended
    assert alarm["MetricName"] not in going
    assert (alarm["Statistic"], alarm["Threshold"]) == ("SampleCount", 1)
    assert alarm["ComparisonOperator"] == "LessThanThreshold"
    assert alarm["TreatMissingData"] == "breaching"
    assert alarm["AlarmActions"] == [{"Ref": "Topic"}]
    publishers = {
        statement["Principal"]["Service"]: statement["Condition"]["ArnEquals"]["aws:SourceArn"]
        for statement in resources["TopicPolicy"]["PolicyDocument"]["Statement"]
    }
    assert publishers["cloudwatch.amazonaws.com"] == {"GetAtt": "NothingRan.Arn"}


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
    match = re.search(r'--query \\\n# +"(.+)"', TEMPLATE.read_text("utf-8"))
    assert match is not None
    (container,) = resources["Task"]["ContainerDefinitions"]
    described = {"name": container["Name"], "command": container["Command"]}
    overrides = importlib.import_module("jmespath").search(
        match[1], {"taskDefinition": {"containerDefinitions": [described]}}
    )
    command = [*container["Command"], "--dry-run"]
    assert overrides == {"containerOverrides": [{"name": "batch-resend", "command": command}]}


def test_the_task_may_do_with_its_table_what_a_run_needs(resources: dict[str, Any]) -> None:
    statements = resources["TaskRole"]["Policies"][0]["PolicyDocument"]["Statement"]
    (table,) = [each for each in statements if "dynamodb" in str(each["Action"])]
    assert set(table["Action"]) == ACTIONS
    assert table["Resource"]["Sub"].endswith(":table/${LedgerTable}")


# -- the container ---------------------------------------------------------------------------


def test_hadolint_finds_nothing_in_the_containerfile() -> None:
    assert printed(tool("hadolint"), str(CONTAINERFILE)) == (0, "")


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
