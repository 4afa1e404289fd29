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
