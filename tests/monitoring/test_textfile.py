"""Metrics in a file, as Prometheus reads them."""

import stat
from pathlib import Path

from batch_resend.monitoring.metrics import Standing
from batch_resend.monitoring.textfile import Textfile
from tests.support.ends import LABELS, summary

TEXT = """\
# HELP batch_resend_rows Rows settled in the latest run, by outcome.
# TYPE batch_resend_rows gauge
batch_resend_rows{region="eu-west-1",client_id="abc",outcome="sent"} 5
batch_resend_rows{region="eu-west-1",client_id="abc",outcome="planned"} 0
batch_resend_rows{region="eu-west-1",client_id="abc",outcome="skipped"} 0
batch_resend_rows{region="eu-west-1",client_id="abc",outcome="failed"} 0
batch_resend_rows{region="eu-west-1",client_id="abc",outcome="unknown"} 0
batch_resend_rows{region="eu-west-1",client_id="abc",outcome="not-attempted"} 0
# HELP batch_resend_requests Requests made in the latest run.
# TYPE batch_resend_requests gauge
batch_resend_requests{region="eu-west-1",client_id="abc"} 6
# HELP batch_resend_throttled Requests that were throttled.
# TYPE batch_resend_throttled gauge
batch_resend_throttled{region="eu-west-1",client_id="abc"} 1
# HELP batch_resend_seconds Duration of the latest run.
# TYPE batch_resend_seconds gauge
batch_resend_seconds{region="eu-west-1",client_id="abc"} 12.5
# HELP batch_resend_running Whether the latest run is active.
# TYPE batch_resend_running gauge
batch_resend_running{region="eu-west-1",client_id="abc"} 0
# HELP batch_resend_exit_code The exit code of the latest run.
# TYPE batch_resend_exit_code gauge
batch_resend_exit_code{region="eu-west-1",client_id="abc"} 0
# HELP batch_resend_unknown_in_ledger Unknown outcomes over all runs, which reconcile can settle.
# TYPE batch_resend_unknown_in_ledger gauge
batch_resend_unknown_in_ledger{region="eu-west-1",client_id="abc"} 0
# HELP batch_resend_not_recorded_in_ledger Unknown outcomes of which CloudTrail has no record.
# TYPE batch_resend_not_recorded_in_ledger gauge
batch_resend_not_recorded_in_ledger{region="eu-west-1",client_id="abc"} 0
# HELP batch_resend_ended_timestamp_seconds When the latest run ended.
# TYPE batch_resend_ended_timestamp_seconds gauge
batch_resend_ended_timestamp_seconds{region="eu-west-1",client_id="abc"} 1700000000.5
"""


def test_the_textfile_is_what_prometheus_reads(tmp_path: Path) -> None:
    path = tmp_path / "resend.prom"
    form = Textfile(str(path), clock=lambda: 1_700_000_000.5)
    form.write(Standing(labels=LABELS))
    assert 'batch_resend_running{region="eu-west-1",client_id="abc"} 1\n' in path.read_text()
    assert "exit_code" not in path.read_text()
    assert "ended" not in path.read_text()
    form.write(Standing.at_the_end(summary()))
    assert path.read_text() == TEXT
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_labels_cannot_break_out_of_their_quotes(tmp_path: Path) -> None:
    form = Textfile(str(tmp_path / "resend.prom"))
    text = form.text(Standing(labels={"region": 'a"b\\c\nd'}))
    assert 'batch_resend_running{region="a\\"b\\\\c\\nd"} 1\n' in text


def test_open_reader_reads_the_old_file_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "resend.prom"
    form = Textfile(str(path))
    form.write(Standing(requests=1))
    with path.open() as old:
        form.write(Standing(requests=2))
        assert "batch_resend_requests 1\n" in old.read()
    assert "batch_resend_requests 2\n" in path.read_text()
