"""Reports: private, whole lines, the input's own words, and numbers that add up."""

import contextlib
import csv
import errno
import io
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.errors import ReportError
from batch_resend.job.outcome import Stop
from batch_resend.job.summary import MaxFailures, Summary, Tally
from batch_resend.model import Delivery, Evidence, Outcome, Reason, Result
from batch_resend.reports.private_file import PrivateFile, own_descriptor
from batch_resend.reports.results_csv import COLUMNS, CsvReport, FailedRows, columns
from tests.support.infos import info


def result(reason: Reason, **changes: Any) -> Result:
    facts: dict[str, Any] = {"row": 1, "username": "ada", "finished_at": 1_800_000_000.5}
    return Result(reason=reason, **(facts | changes))


def test_report_row_is_a_projection_of_a_result() -> None:
    sent = result(
        Reason.ACCEPTED,
        row=17,
        attempts=2,
        delivery=Delivery("EMAIL", "a***@e***", "email"),
        request_id="r-1",
        latency=0.0614,
    )
    assert dict(zip(COLUMNS, columns(sent), strict=True)) == {
        "row": "17",
        "username": "ada",
        "outcome": "sent",
        "reason": "accepted",
        "attempts": "2",
        "delivery_medium": "EMAIL",
        "destination": "a***@e***",
        "attribute_name": "email",
        "error_code": "",
        "error_message": "",
        "request_id": "r-1",
        "finished_at": "2027-01-15T08:00:00.500Z",
        "latency_ms": "61",
        "evidence": "",
        "reconciled_at": "",
    }


def test_report_row_names_the_evidence_of_an_earlier_message() -> None:
    event, none = Evidence("cloudtrail:event-1", 1_800_000_060.0), Evidence("", 1_800_000_060.0)
    sent = columns(result(Reason.COOLING_DOWN, evidence=event))
    assert sent[-2:] == ("cloudtrail:event-1", "2027-01-15T08:01:00.000Z")
    assert columns(result(Reason.OUTCOME_UNKNOWN, evidence=none))[-2] == "no-record"


@given(st.text(), st.text(), st.text())
def test_hostile_texts_make_one_line_and_one_row(name: str, code: str, message: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "report.csv")
        with PrivateFile(path, what="--report") as file:
            report = CsvReport(file)
            failed = result(Reason.REJECTED, username=name, error_code=code, error_message=message)
            report.write(failed)
            report.write(result(Reason.ACCEPTED))
        data = Path(path).read_bytes()
    assert data.count(b"\n") == 3
    assert b"\r" not in data
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""), strict=True))
    assert [row["outcome"] for row in rows] == ["failed", "sent"]
    if name.isprintable() and name.isascii() and name.strip()[:1] not in "=+-@":
        assert rows[0]["username"] == name


def test_file_is_private_and_replaced_only_with_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    old = os.umask(0)
    try:
        with PrivateFile(str(path), what="--report") as file:
            file.append(b"one\n")
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(ReportError, match="--overwrite"):
        PrivateFile(str(path), what="--report").__enter__()
    path.chmod(0o644)
    reader = path.open("rb")
    with PrivateFile(str(path), what="--report", overwrite=True) as file:
        file.append(b"two\n")
    assert path.read_bytes() == b"two\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert reader.read() == b"one\n", "who has the old one open does not read the new one"
    reader.close()


def replacing(path: Path) -> PrivateFile:
    return PrivateFile(str(path), what="--report", overwrite=True)


def test_replaced_file_stays_until_the_new_one_is_published(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    path.write_bytes(b"old\n")
    with replacing(path) as file:
        file.append(b"one\n")
        assert path.read_bytes() == b"old\n"
        (beside,) = set(tmp_path.iterdir()) - {path}
        assert beside.name.startswith("report.csv.new-")
        assert stat.S_IMODE(beside.stat().st_mode) == 0o600
        file.take_place()
        assert path.read_bytes() == b"one\n"
        file.append(b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"
    assert list(tmp_path.iterdir()) == [path]
    with replacing(path):
        pass
    assert path.read_bytes() == b"", "a run without lines has replaced it, too"


@pytest.mark.parametrize("end", ["discarded", "error"])
def test_file_is_not_replaced_by_an_empty_result(tmp_path: Path, end: str) -> None:
    path = tmp_path / "report.csv"
    path.write_bytes(b"old\n")
    with contextlib.suppress(ZeroDivisionError), replacing(path) as file:
        file.append(b"header\n")
        if end == "error":
            raise ZeroDivisionError
        file.discard()
    assert path.read_bytes() == b"old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_symbolic_link_is_replaced_and_never_followed(tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / "report.csv"
    target.write_bytes(b"precious")
    path.symlink_to(target)
    with replacing(path) as file:
        file.append(b"one\n")
    assert not path.is_symlink()
    assert (path.read_bytes(), target.read_bytes()) == (b"one\n", b"precious")


def test_file_being_written_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    with PrivateFile(str(path), what="--report") as first:
        first.append(b"one\n")
        with pytest.raises(ReportError, match="is being written by another run: name another"):
            replacing(path).__enter__()
        first.append(b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"
    assert list(tmp_path.iterdir()) == [path]


def test_second_run_does_not_replace_the_first_runs_file(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    path.write_bytes(b"old\n")
    with replacing(path) as first, contextlib.ExitStack() as stack:
        second = stack.enter_context(replacing(path))
        first.append(b"first\n")
        first.take_place()
        with pytest.raises(ReportError, match="is being written by another run"):
            second.take_place()
        second.discard()
        first.append(b"and whole\n")
    assert path.read_bytes() == b"first\nand whole\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["folder", "missing folder", "link", "dangling link"])
def test_unsuitable_place_for_a_report_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "report.csv"
    if kind == "folder":
        path.mkdir()
    elif kind == "missing folder":
        path = tmp_path / "missing" / "report.csv"
    else:
        path.symlink_to(tmp_path / "target")
        if kind == "link":
            (tmp_path / "target").write_text("precious")
    with pytest.raises(ReportError, match="--report"):
        PrivateFile(str(path), what="--report").__enter__()
    if kind == "link":
        assert (tmp_path / "target").read_text() == "precious"
    assert kind != "dangling link" or not (tmp_path / "target").exists()


def test_device_or_pipe_is_written_in_place(tmp_path: Path) -> None:
    with PrivateFile("/dev/null", what="--report") as file:
        file.append(b"gone\n")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_line_that_does_not_fit_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.csv"
    real = os.write
    room = 10

    def write(descriptor: int, data: Any) -> int:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = real(descriptor, bytes(data)[:room])
        room -= written
        return written

    with PrivateFile(str(path), what="--report") as file:
        monkeypatch.setattr(os, "write", write)
        file.append(b"one\n")
        with pytest.raises(ReportError, match="No space left"):
            file.append(b"two and more\n")
        assert path.read_bytes() == b"one\n"
        room = 100
        file.append(b"three\n")
    assert path.read_bytes() == b"one\nthree\n"


def test_discard_removes_only_a_file_made_here(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    with PrivateFile(str(path), what="--report") as file:
        file.append(b"one\n")
        file.discard()
    assert not path.exists()
    with PrivateFile("/dev/null", what="--report") as file:
        file.discard()
    assert Path("/dev/null").exists()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_failed_file_holds_the_input_rows_verbatim(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "failed.csv"
    rows = {
        Reason.ACCEPTED: '"ada";1\r\n',
        Reason.USER_NOT_FOUND: '"b""ö""b"; 2\r\n',
        Reason.NO_ANSWER: "cid;3\n",
        Reason.DUPLICATE: "ada;4\n",
        Reason.STOPPED: "dan;5\n",
        Reason.ALREADY_CONFIRMED: "eve;6\n",
    }
    with PrivateFile(str(path), what="--failed") as file:
        report = FailedRows(file, "username;n\r\n", encoding)
        for reason, raw in rows.items():
            report.write(result(reason, raw=raw))
    expected = 'username;n\r\n"b""ö""b"; 2\r\ncid;3\ndan;5\n'
    assert path.read_bytes() == expected.encode(encoding)


def test_failed_file_rejects_an_encoding_it_cannot_write(tmp_path: Path) -> None:
    with PrivateFile(str(tmp_path / "failed.csv"), what="--failed") as file:
        with pytest.raises(ReportError, match=r"cannot be written in the .* encoding idna\."):
            FailedRows(file, "username,name\n", "idna")
        rows = FailedRows(file, "username\n", "ascii")
        with pytest.raises(ReportError, match="convert the input to UTF-8"):
            rows.write(result(Reason.REJECTED, raw="é\n"))


def test_failed_file_without_failures_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "failed.csv"
    with PrivateFile(str(path), what="--failed") as file:
        FailedRows(file, "", "utf-8").write(result(Reason.ACCEPTED, raw="ada\n"))
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    ("limit", "failures", "requested", "exceeded"),
    [
        (MaxFailures(number=3), 3, 3, False),
        (MaxFailures(number=3), 4, 4, True),
        (MaxFailures(number=0), 0, 50, False),
        (MaxFailures(number=0), 1, 50, True),
        (MaxFailures(part=0.5), 99, 99, False),
        (MaxFailures(part=0.5), 50, 100, False),
        (MaxFailures(part=0.5), 51, 100, True),
        (MaxFailures(part=0.0), 1, 100, True),
        (MaxFailures(), 999, 999, False),
    ],
)
def test_too_many_failures_are_a_number_or_a_part(
    limit: MaxFailures, failures: int, requested: int, exceeded: bool
) -> None:
    tally = Tally(requested=requested, failures=failures)
    assert exceeded is limit.exceeded(tally)


def test_only_requested_users_count_as_failures() -> None:
    tally = Tally()
    tally.add(result(Reason.INVALID_USERNAME))
    tally.add(result(Reason.INTERRUPTED))
    tally.add(result(Reason.USER_NOT_FOUND, attempts=1))
    tally.add(result(Reason.NO_ANSWER, attempts=2))
    tally.add(result(Reason.STOPPED, attempts=3))
    assert (tally.requested, tally.failures, tally.requests) == (3, 2, 6)


def summary(reasons: dict[Reason, int], stop: Stop | None = None) -> Summary:
    return Summary(
        reasons=reasons,
        requests=3,
        throttled=1,
        seconds=1.23456,
        started_at=1_800_000_000.0,
        stopped_by=stop,
        info=info(),
    )


@pytest.mark.parametrize(
    ("reasons", "stop", "code"),
    [
        ({}, None, 0),
        ({Reason.ACCEPTED: 1, Reason.DUPLICATE: 1}, None, 0),
        ({Reason.ACCEPTED: 1, Reason.INVALID_USERNAME: 1}, None, 1),
        ({Reason.ACCEPTED: 1, Reason.NO_ANSWER: 1}, None, 1),
        ({Reason.NO_ANSWER: 1, Reason.STOPPED: 1}, Stop.DEADLINE, 3),
        ({Reason.STOPPED: 1}, Stop.UNKNOWN_CLIENT, 4),
        ({Reason.STOPPED: 1}, Stop.SIGTERM, 143),
    ],
)
def test_exit_code_follows_from_the_outcomes(
    reasons: dict[Reason, int], stop: Stop | None, code: int
) -> None:
    assert code == summary(reasons, stop).exit_code


def test_summary_json_names_every_outcome() -> None:
    totals = summary({Reason.ACCEPTED: 2, Reason.NO_ANSWER: 1, Reason.STOPPED: 4}, Stop.DEADLINE)
    expected = {
        "schema": 1,
        "counts": {
            "sent": 2,
            "planned": 0,
            "skipped": 0,
            "failed": 0,
            "unknown": 1,
            "not-attempted": 4,
        },
        "reasons": {"sent/accepted": 2, "unknown/no-answer": 1, "not-attempted/stopped": 4},
        "rows": 7,
        "requests": 3,
        "throttled": 1,
        "ceiling": None,
        "seconds": 1.235,
        "started_at": 1_800_000_000.0,
        "stopped_by": "deadline",
        "detail": None,
        "unknown_in_ledger": 0,
        "notes": [],
        "not_recorded_in_ledger": 0,
        "not_delivered": [],
        "exit_code": 3,
        "version": "0.1.0",
        "input": "users.csv",
        "username_column": None,
        "user_pool_id": None,
        "client_id": "abc",
        "account": None,
        "region": "eu-west-1",
        "endpoint": "https://cognito-idp.eu-west-1.amazonaws.com",
        "endpoint_is_aws": True,
        "quota": None,
        "existence_hidden": None,
        "simulated": False,
        "dry_run": False,
        "max_sends": 1,
        "ledger": None,
        "report": "report.csv",
        "failed": None,
        "html": None,
        "summary": None,
        "next_command": None,
    }
    assert totals.as_json() == expected
    assert list(totals.as_json()) == list(expected)  # the order is part of the output
    assert totals.counts[Outcome.SENT] == 2


@pytest.mark.parametrize(
    ("path", "descriptor"),
    [
        ("/dev/stdout", 1),
        ("/dev/stderr", 2),
        ("/dev/fd/7", 7),
        ("/proc/self/fd/8", 8),
        ("/proc/{pid}/fd/9", 9),
        ("/dev/../dev/fd/7", 7),
        ("/dev/null", None),
        ("/dev/fd/seven", None),
        ("/proc/1/fd/1", None),
        ("report.csv", None),
        ("missing/report.csv", None),
    ],
)
def test_open_descriptors_are_known_by_their_names(path: str, descriptor: int | None) -> None:
    assert own_descriptor(path.format(pid=os.getpid())) == descriptor


def test_links_to_open_descriptors_are_followed(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("/dev/fd/7")
    (tmp_path / "endless").symlink_to("endless")
    assert own_descriptor(str(tmp_path / "one")) == 7
    assert own_descriptor(str(tmp_path / "endless")) is None
