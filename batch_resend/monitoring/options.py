"""The option --metrics: its form, and the options that it excludes."""

from __future__ import annotations

import os
from collections.abc import Mapping

from batch_resend.errors import UsageError
from batch_resend.monitoring.emf import Emf
from batch_resend.monitoring.metrics import Form
from batch_resend.monitoring.textfile import Textfile


def read_metrics(text: str) -> Form:
    """Read --metrics; raises `UsageError`."""
    form, _, path = text.partition(":")
    if text == "emf":
        return Emf()
    if form == "textfile" and path:
        return Textfile(path)
    raise UsageError(f"--metrics {text!r}: give emf, or textfile: and the path of a file.")


def keep_apart(form: Form, files: Mapping[str, str | None]) -> None:
    """Refuse metrics that would be mixed up with another output, or replace a file.

    `files` has paths by what they are.
    """
    for what, path in files.items():
        if path is None:
            continue
        if isinstance(form, Emf) and path == "-":
            raise UsageError(
                f"--metrics emf writes to standard output, and so does {what} -: name a file"
                f" for {what}."
            )
        if isinstance(form, Textfile) and os.path.realpath(path) == os.path.realpath(form.path):
            raise UsageError(f"--metrics {path} is {what} too: give each a place of its own.")
