"""What a start costs: modules that a command does not need are not imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import batch_resend

_CODE = """
import sys
from batch_resend.cli import program
program(sys.argv[1:])
print(*sorted(set(sys.modules) & {"pydantic", "rich", "aiohttp", "botocore", "pandas"}))
"""


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["config", "show"]])
def test_start_imports_nothing_slow(arguments: list[str], tmp_path: Path) -> None:
    root = str(Path(batch_resend.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", _CODE, *arguments],
        cwd=tmp_path, env={"PYTHONPATH": root}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == ""


def test_simulated_run_starts_without_the_sdk(tmp_path: Path) -> None:
    """Nor with what other options need: these are imported where they are used."""
    (tmp_path / "users.csv").write_text("username\nada\n")
    root = str(Path(batch_resend.__file__).parents[1])
    code = _CODE.replace('"pandas"', '"pandas", "regex", "jinja2"')
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "users.csv", "--simulate", "--report", "/dev/null"],
        cwd=tmp_path, env={"PYTHONPATH": root, "HOME": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "\n"
    assert "1 sent" in done.stderr
