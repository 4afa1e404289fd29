"""The file that `--summary` wrote, read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from batch_resend.errors import InputError
from batch_resend.job.summary import parse_summary
from batch_resend.masking import printable

_LARGEST = 1_000_000  #: bytes


def read_summary(path: str) -> dict[str, Any]:
    """Return the summary that `--summary` wrote; raises `InputError`."""
    name = f"--summary {printable(path)}"
    try:
        with Path(path).open("rb") as file:
            text = file.read(_LARGEST)
    except OSError as error:
        raise InputError(
            f"{name} cannot be read ({error.strerror}). Use a file that `batch-resend run` wrote"
            " with --summary, or leave it out."
        ) from error
    return parse_summary(text, name)
