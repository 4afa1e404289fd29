"""The option --metrics."""

from pathlib import Path

import pytest

from batch_resend.errors import UsageError
from batch_resend.monitoring.emf import Emf
from batch_resend.monitoring.options import keep_apart, read_metrics
from batch_resend.monitoring.textfile import Textfile


@pytest.mark.parametrize(
    "text", ["", "EMF", "emf:", "textfile", "textfile:", "textfile:a.txt", "prometheus:a.prom"]
)
def test_another_form_of_metrics_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--metrics .*\.$"):
        read_metrics(text)


def test_metrics_are_kept_apart_from_other_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    keep_apart(Emf(), {"--report": "-report.csv", "--summary": None})
    keep_apart(Textfile("a.prom"), {"--report": "-", "the input": "b.prom"})
    with pytest.raises(UsageError, match="so does --summary -: name a file for --summary"):
        keep_apart(Emf(), {"--report": None, "--summary": "-"})
    with pytest.raises(UsageError, match=r"--metrics \./a.prom is --report too"):
        keep_apart(Textfile("a.prom"), {"--report": "./a.prom"})
