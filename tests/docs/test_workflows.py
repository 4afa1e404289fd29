"""The workflows, ours and the example's: read by the linters of their world."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.support.examples import EXAMPLES, printed, tool
from tests.support.markdown import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ALL = [*WORKFLOWS, EXAMPLES / "github-actions.yml"]


def test_zizmor_finds_nothing() -> None:
    """No injection, no loose permission, no action by a tag that moves."""
    files = [*ALL, ROOT / ".github" / "dependabot.yml"]
    code, output = printed(tool("zizmor"), "--offline", "--no-progress", *files)
    assert code == 0, output
    assert "No findings" in output


def test_zizmor_is_at_work(tmp_path: Path) -> None:
    """An input that a stranger chooses, inside a script, is found."""
    workflow = tmp_path / "bad.yml"
    workflow.write_text(
        "on: issues\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n"
        "      - run: echo ${{ github.event.issue.title }}\n",
        "utf-8",
    )
    code, output = printed(tool("zizmor"), "--offline", "--no-progress", workflow)
    assert code != 0
    assert "template-injection" in output


def test_actionlint_finds_nothing() -> None:
    assert printed(tool("actionlint"), "-no-color", *ALL) == (0, "")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_scripts_that_a_workflow_runs_exist(path: Path) -> None:
    for job in yaml.safe_load(path.read_text("utf-8"))["jobs"].values():
        for step in job["steps"]:
            for word in step.get("run", "").split():
                assert not word.startswith((".ci/", "tests/")) or (ROOT / word).is_file()
