"""The CronJob, the workflow and the policy that they share."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from batch_resend.cli import parse_run, program
from tests.support.examples import EXAMPLES, POLICY
from tests.support.markdown import ROOT

#: The oldest and the newest Kubernetes whose schemas are checked.
VERSIONS = ("1.30", "1.36")


def documents(name: str) -> dict[str, Any]:
    with (EXAMPLES / name).open(encoding="utf-8") as file:
        return {one["kind"]: one for one in yaml.safe_load_all(file)}


def pod() -> dict[str, Any]:
    job = documents("kubernetes/cronjob.yaml")["CronJob"]["spec"]["jobTemplate"]["spec"]
    spec: dict[str, Any] = job["template"]["spec"]
    return spec


def test_policy_is_that_of_the_examples_page() -> None:
    settings = parse_run(["--config", str(POLICY)])
    day = 86400.0
    assert (settings.older_than, settings.newer_than) == (day, 14 * day)
    assert (settings.cooldown, settings.max_sends) == (3 * day, 3)


@pytest.mark.parametrize("version", VERSIONS)
def test_manifest_has_the_schema_of_kubernetes(version: str) -> None:
    for manifest in documents("kubernetes/cronjob.yaml").values():
        kubernetes_validate.validate(manifest, version, strict=True)


def test_misspelled_field_breaks_the_schema() -> None:
    manifest = documents("kubernetes/cronjob.yaml")["CronJob"]
    manifest["spec"]["concurencyPolicy"] = manifest["spec"].pop("concurrencyPolicy")
    with pytest.raises(kubernetes_validate.ValidationError, match="concurencyPolicy"):
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)


def test_policy_runs_on_the_simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert program(["run", "--config", str(POLICY), "--simulate", "--dry-run", "-q"]) == 0


def test_jobs_never_overlap_and_are_not_retried() -> None:
    spec = documents("kubernetes/cronjob.yaml")["CronJob"]["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert pod()["restartPolicy"] == "Never"
    assert pod()["terminationGracePeriodSeconds"] >= 30
    settings = parse_run(["--config", str(POLICY)])
    assert settings.deadline is not None
    ended = settings.deadline + settings.timeout
    assert ended < spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 3600


def test_container_has_no_root_and_no_writable_root_file_system() -> None:
    (container,) = pod()["containers"]
    assert pod()["securityContext"]["runAsNonRoot"]
    assert f"USER {pod()['securityContext']['runAsUser']}:" in (
        EXAMPLES / "container" / "Containerfile"
    ).read_text("utf-8")
    context = container["securityContext"]
    assert context["readOnlyRootFilesystem"]
    assert not context["allowPrivilegeEscalation"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert "@sha256:" in container["image"]


def test_container_runs_the_policy_with_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    (container,) = pod()["containers"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert set(mounts.values()) == {volume["name"] for volume in pod()["volumes"]}
    command, option, path = container["args"]
    assert (command, option) == ("run", "--config")
    assert Path(path).name == POLICY.name
    assert str(Path(path).parent) in mounts
    for variable in container["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    assert parse_run(["--config", str(POLICY)]).ledger == "dynamodb://batch-resend"


def test_workflow_runs_the_policy_with_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    with (EXAMPLES / "github-actions.yml").open(encoding="utf-8") as file:
        workflow = yaml.safe_load(file)
    job = workflow["jobs"]["resend"]
    assert job["permissions"] == {"contents": "read", "id-token": "write"}
    assert workflow["concurrency"]["cancel-in-progress"] is False
    for name, value in job["env"].items():
        monkeypatch.setenv(name, value)
    name, run, *arguments = shlex.split(job["steps"][-1]["run"])
    assert (name, run) == ("batch-resend", "run")
    monkeypatch.chdir(ROOT)
    assert parse_run(arguments).ledger == "dynamodb://batch-resend"
    for step in job["steps"]:
        assert len(step.get("uses", "@" + "0" * 40).partition("@")[2]) == 40
