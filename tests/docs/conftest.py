"""What the tests of the examples share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support.markdown import ROOT


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which `batch-resend` is this one, and AWS is out of reach."""
    program = tmp_path / "bin" / "batch-resend"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m batch_resend "$@"\n', "utf-8")
    program.chmod(0o700)
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("BATCH_RESEND_", "AWS_"))}
    return variables | {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "HOME": str(tmp_path),
        "BATCH_RESEND_SIMULATE": "1",
    }
