"""Metrics as lines of CloudWatch's embedded metric format."""

import json

import pytest

from batch_resend.errors import InputError
from batch_resend.model import Outcome
from batch_resend.monitoring.emf import Emf
from batch_resend.monitoring.metrics import Standing
from tests.support.ends import LABELS


def test_emf_says_what_is_new_since_the_last_line() -> None:
    emf = Emf(clock=lambda: 1_700_000_000.5)
    first = emf.line(
        Standing(counts={Outcome.SENT: 10}, requests=12, throttled=2, seconds=60.0, labels=LABELS)
    )
    (described,) = first["_aws"]["CloudWatchMetrics"]
    assert first["_aws"]["Timestamp"] == 1_700_000_000_500
    assert described["Namespace"] == "BatchResend"
    assert described["Dimensions"] == [["Region", "ClientId"], []]
    names = [metric["Name"] for metric in described["Metrics"]]
    assert names == [
        "Sent", "Planned", "Skipped", "Failed", "Unknown", "NotAttempted", "Requests", "Throttled",
    ]  # fmt: skip
    assert {name for name in first if name != "_aws"} == {*names, "Region", "ClientId"}
    assert (first["Sent"], first["Requests"], first["Throttled"]) == (10, 12, 2)
    last = emf.line(
        Standing(
            counts={Outcome.SENT: 15, Outcome.NOT_ATTEMPTED: 1}, requests=17, throttled=2,
            seconds=75.25, exit_code=3, unknown_in_ledger=4, not_recorded_in_ledger=3,
            labels=LABELS,
        )
    )  # fmt: skip
    assert (last["Sent"], last["NotAttempted"], last["Requests"], last["Throttled"]) == (5, 1, 5, 0)
    assert (last["Seconds"], last["ExitCode"]) == (75.25, 3)
    (described,) = last["_aws"]["CloudWatchMetrics"]
    assert described["Metrics"][-4:] == [
        {"Name": "Seconds", "Unit": "Seconds"},
        {"Name": "ExitCode"},
        {"Name": "UnknownInLedger", "Unit": "Count"},
        {"Name": "NotRecordedInLedger", "Unit": "Count"},
    ]
    assert (last["UnknownInLedger"], last["NotRecordedInLedger"]) == (4, 3)


def test_emf_of_a_run_that_never_began_counts_over_all_only() -> None:
    line = Emf().line(Standing.at_the_end(InputError("no.")))
    (described,) = line["_aws"]["CloudWatchMetrics"]
    assert described["Dimensions"] == [[]]
    assert (line["ExitCode"], line["Sent"]) == (2, 0)


def test_emf_is_a_line_on_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    emf = Emf()
    emf.write(Standing(requests=1))
    emf.write(Standing(requests=3))
    lines = capfd.readouterr().out.splitlines()
    assert [json.loads(line)["Requests"] for line in lines] == [1, 2]
