"""The template of `examples/step-functions/`: what it allows, keeps and hands on."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys

import pytest

from batch_resend.step_functions.arguments import read_settings
from tests.support.dynamodb import ACTIONS
from tests.support.program import CLIENT
from tests.support.state_machine import DEFINITION, EXAMPLE, TEMPLATE


def test_only_a_call_that_was_not_made_is_tried_again_by_itself() -> None:
    machine = json.loads(DEFINITION)
    send = machine["States"]["Batches"]["ItemProcessor"]["States"]["Send"]
    assert [retry["ErrorEquals"] for retry in send["Retry"]] == [
        ["Lambda.TooManyRequestsException"]
    ]
    assert DEFINITION.count('"Catch"') == 1
    assert "Retry" not in machine["States"]["Batches"]


def test_batches_are_merged_after_every_function_has_ended() -> None:
    states = json.loads(DEFINITION)["States"]
    (caught,) = states["Batches"]["Catch"]
    assert caught["ErrorEquals"] == ["States.ALL"]
    wait = states[caught["Next"]]
    function = TEMPLATE["Resources"]["Function"]["Properties"]
    assert (wait["Type"], wait["Next"]) == ("Wait", "Merge")
    assert wait["Seconds"] >= function["Timeout"]


def test_cfn_lint_finds_nothing_wrong_with_the_template() -> None:
    program = "import sys; from cfnlint.runner import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, "--regions", "us-east-1", "--", EXAMPLE / "template.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_template_provides_what_function_and_machine_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resources = TEMPLATE["Resources"]
    machine = resources["StateMachine"]["Properties"]
    assert set(re.findall(r"\$\{(\w+)\}", DEFINITION)) == set(machine["DefinitionSubstitutions"])
    function = resources["Function"]["Properties"]
    module, _, name = function["Handler"].rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))
    variables = function["Environment"]["Variables"]
    assert variables.keys() >= {"BUCKET", "WORKERS", "BATCH_SIZE", "TOLERATED_FAILURE_PERCENTAGE"}

    # The schedule's own input, with the function's own variables.
    values = {"SHARE": "0.5", "LEDGER": "dynamodb://resends", "CLIENT_ID": CLIENT,
              "USER_POOL_ID": "us-east-1_Simulated", "CLIENT_SECRET_ID": "secret"}  # fmt: skip
    assert {f"BATCH_RESEND_{name}" for name in values} == {
        name for name in variables if name.startswith("BATCH_RESEND_")
    }
    for name, value in values.items():
        monkeypatch.setenv(f"BATCH_RESEND_{name}", value)
    content = json.loads(resources["Schedule"]["Properties"]["Target"]["Input"])
    settings = read_settings(content["arguments"])
    assert (settings.cooldown, settings.max_sends) == (72 * 3600, 3)
    assert (settings.older_than, settings.newer_than) == (24 * 3600, 14 * 24 * 3600)
    states = json.loads(DEFINITION)["States"]
    calls = [states["Plan"], states["Merge"], states["Batches"]["ItemProcessor"]["States"]["Send"]]
    assert all(call["TimeoutSeconds"] > function["Timeout"] for call in calls)


def test_retained_resources_and_permissions_are_named() -> None:
    resources = TEMPLATE["Resources"]
    for name in ("Ledger", "Bucket"):
        assert resources[name]["DeletionPolicy"] == "Retain"
        assert resources[name]["UpdateReplacePolicy"] == "Retain"
    assert "TimeToLiveSpecification" not in resources["Ledger"]["Properties"]
    roles = [one["Properties"] for one in resources.values() if one["Type"] == "AWS::IAM::Role"]
    assert len(roles) == 3
    for role in roles:
        assert "ManagedPolicyArns" not in role
        for statement in role["Policies"][0]["PolicyDocument"]["Statement"]:
            allowed = statement.get("Fn::If", [None, statement])[1]
            assert "*" not in str(allowed["Action"])
            assert allowed["Resource"] != "*" or allowed["Sid"] == "Quotas"
            if "Sid" in allowed and allowed["Sid"] == "Ledger":
                assert set(allowed["Action"]) == ACTIONS


def test_every_file_and_parameter_of_the_example_is_explained() -> None:
    readme = (EXAMPLE / "README.md").read_text("utf-8")
    tracked = [path.name for path in EXAMPLE.iterdir() if path.name in {"template.yaml",
               "statemachine.asl.json"}]  # fmt: skip
    assert all(f"`{name}`" in readme for name in tracked)
    assert [name for name in TEMPLATE["Parameters"] if name not in readme] == []
    assert "BATCH_RESEND_MACHINE=1050" in readme
