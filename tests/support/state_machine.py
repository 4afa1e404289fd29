"""The example's state machine and template, as they stand in `examples/step-functions/`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cfnlint.decode import cfn_yaml

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "step-functions"
DEFINITION = (EXAMPLE / "statemachine.asl.json").read_text("utf-8")
TEMPLATE: dict[str, Any] = cfn_yaml.load(str(EXAMPLE / "template.yaml"))
