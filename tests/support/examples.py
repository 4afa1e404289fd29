"""The files of `examples/`, and the programs that run or validate them."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support.markdown import ROOT

EXAMPLES = ROOT / "examples"
USERS = EXAMPLES / "users.csv"
POLICY = EXAMPLES / "reminders.toml"


def run(
    *arguments: str | Path, cwd: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, without a terminal."""
    return subprocess.run(
        arguments,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=600,
    )


def rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def reasons(path: Path) -> Counter[str]:
    """Return how often a report has each outcome and reason."""
    return Counter(f"{row['outcome']}/{row['reason']}" for row in rows(path))


def tool(name: str) -> str:
    """Return the path of a program beside this Python or on PATH; skip if there is none."""
    beside = os.fspath(Path(sys.executable).parent)
    path = f"{beside}{os.pathsep}{os.environ['PATH']}{os.pathsep}/usr/sbin"
    result = shutil.which(name, path=path)
    if result is None:
        pytest.skip(f"{name} is not installed: the example is not validated by it")
    return result


def printed(*command: str | Path) -> tuple[int, str]:
    """Return the exit code of a command, and all that it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    return done.returncode, done.stdout + done.stderr
