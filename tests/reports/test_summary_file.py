"""The summary file is read back, or rejected in a sentence."""

import json
from pathlib import Path

import pytest

from batch_resend.errors import Exit, InputError
from batch_resend.job.outcome import Stop
from batch_resend.model import Reason
from batch_resend.reports.summary_file import read_summary
from tests.support.pages import summary


def test_summary_of_an_unreadable_ledger_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    content = summary({Reason.ACCEPTED: 1}, unknown_in_ledger=None)
    path.write_text(json.dumps(content), "utf-8")
    assert read_summary(str(path)) == content


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", "{", "[" * 100_000, '{"schema": 2}', '{"schema": 1}', "\x00\xff"],
)
def test_invalid_summary_is_rejected_in_a_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "summary.json"
    path.write_text(content, "latin-1")
    with pytest.raises(InputError, match=r"--summary .*(not a valid summary|another version)"):
        read_summary(str(path))
    with pytest.raises(InputError, match="cannot be read"):
        read_summary(str(tmp_path / "missing.json"))


def test_summary_is_read_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    content = summary({Reason.ACCEPTED: 1}, stopped_by=Stop.SIGINT)
    path.write_text(json.dumps(content))
    assert read_summary(str(path)) == content
    assert content["exit_code"] == Exit.INTERRUPT
    path.write_text(json.dumps(content | {"throttled": "many"}))
    with pytest.raises(InputError, match="another version"):
        read_summary(str(path))
