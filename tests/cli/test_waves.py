"""`--waves`, as a real process against the simulated Cognito."""

from __future__ import annotations

from batch_resend.simulator.pool import Kind
from batch_resend.simulator.rules import Cognito
from tests.support.program import AGAIN, REPORT, SUMMARY, Program, numbered, once, tallied


def test_the_next_wave_goes_out_only_if_the_last_one_went_well(
    program: Program,
    cognito: Cognito,
    at: tuple[str, ...],
) -> None:
    good, bad, late = numbered(5), numbered(4, Kind.MISSING), numbered(20, first=10)
    users = program.users([*good, *bad, *late])
    waves = ("--waves", "4,5,rest")
    first = program("run", users, *at, *waves, *REPORT, *SUMMARY)
    assert first.code == 3
    assert [line for line in first.err.splitlines() if line.startswith("Wave")] == [
        "Wave 1 of 3 (4 users): 4 sent. Continuing with 5 more.",
        "Wave 2 of 3 (5 users): 1 sent, 4 failed. That is more than --max-failures allows.",
    ]
    assert program.summary()["stopped_by"] == "max-failures"
    assert tallied(program.report()) == {
        "sent/accepted": 5, "failed/user-not-found": 4, "not-attempted/stopped": 20,
    }  # fmt: skip
    assert cognito.deliveries == once(good)
    # With the failures accepted the run resumes, and no user gets two codes.
    again = program("run", users, *at, *waves, *AGAIN, "--max-failures", "100%")
    assert again.code == 1
    assert "Wave 3 of 3 (15 users): 11 sent, 4 failed." in again.err
    assert cognito.deliveries == once([*good, *late])


def test_without_a_rest_the_others_are_left_for_the_next_run(
    program: Program,
    cognito: Cognito,
    at: tuple[str, ...],
) -> None:
    users = program.users(numbered(9))
    first = program("run", users, *at, "--waves", "2,3", *REPORT)
    assert first.code == 0
    assert tallied(program.report()) == {"sent/accepted": 5, "skipped/over-limit": 4}
    second = program("run", users, *at, "--waves", "2,3", *AGAIN)
    assert second.code == 0
    assert tallied(program.report()) == {"sent/accepted": 4, "skipped/cooling-down": 5}
    assert cognito.deliveries == once(numbered(9))


def test_waves_that_make_no_sense_are_refused(
    program: Program,
    cognito: Cognito,
    at: tuple[str, ...],
) -> None:
    users = program.users(numbered(3))
    for waves in ("rest,10", "10%"):
        refused = program("run", users, *at, "--waves", waves)
        assert refused.code == 2
        assert refused.err.startswith("Error: --waves")
        assert len(refused.err.splitlines()) == 1
    assert cognito.requests == 0
