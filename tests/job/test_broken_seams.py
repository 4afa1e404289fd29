"""Whatever breaks while users are served, every row gets its outcome and the report is whole.

Each part that the engine stands on raises, at one call or from one call on, an error that
nothing foresaw; judged by what the simulated Cognito delivered.
"""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from batch_resend.job import attempt
from batch_resend.job.outcome import Judge, Stop
from batch_resend.job.pace import Pace
from batch_resend.job.pacing import Gate, Health
from batch_resend.job.stopping import Refusals, Stopping
from batch_resend.ledger.journal import OwnJournal
from batch_resend.ledger.sqlite.ledger import SqliteLedger
from batch_resend.model import Outcome
from batch_resend.simulator.sender import SimulatedSender
from tests.support.world import Kept, World, users

SEAMS: dict[str, tuple[Any, str]] = {
    "the request is built": (attempt, "build"),
    "the pace gives a place": (Gate, "place"),
    "the pace takes a place back": (Gate, "free"),
    "the pace learns": (Pace, "answered"),
    "the health hears": (Health, "heard"),
    "the journal begins": (OwnJournal, "begin"),
    "a step is made": (OwnJournal, "make"),
    "a step is written": (SqliteLedger, "write"),
    "steps are committed": (SqliteLedger, "commit"),
    "the sender sends": (SimulatedSender, "send"),
    "a reply is judged": (attempt, "judge"),
    "the judge hears": (Judge, "heard"),
    "refusals are heard": (Refusals, "heard"),
    "a row is reported": (Kept, "write"),
    "the report has room": (Kept, "room"),
    "an event is observed": (World, "hear"),
    "time is watched": (Stopping, "watch_time"),
    "the unknown are counted": (OwnJournal, "unknown"),
    "the journal ends": (OwnJournal, "finish"),
}

#: Where nothing else could report a row.
ONCE_ONLY = {"a row is reported"}


def broken(original: Any, first: int, last: float, calls: list[int]) -> Any:
    """The same function, which raises from one call to another."""

    def counted() -> None:
        calls[0] += 1
        if first <= calls[0] <= last:
            raise ZeroDivisionError("nothing foresaw it: ada@example.com")

    if inspect.iscoroutinefunction(original):

        async def waiting(*arguments: Any, **named: Any) -> Any:
            counted()
            return await original(*arguments, **named)

        return waiting

    def plain(*arguments: Any, **named: Any) -> Any:
        counted()
        return original(*arguments, **named)

    return plain


@pytest.mark.parametrize("for_ever", [False, True])
@pytest.mark.parametrize("first", [1, 2, 40])
@pytest.mark.parametrize("seam", SEAMS)
def test_what_breaks_loses_no_row_and_sends_none_twice(
    seam: str, first: int, for_ever: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if for_ever and seam in ONCE_ONLY:
        pytest.skip("a report that takes no row cannot be whole")
    owner, name = SEAMS[seam]
    names = users(60)
    world, calls = World(), [0]
    with monkeypatch.context() as patch:
        last = float("inf") if for_ever else first
        patch.setattr(owner, name, broken(getattr(owner, name), first, last, calls))
        summary = world.go(names)  # which holds every row against the input
    if calls[0] >= first:
        assert summary.stopped_by in {Stop.INTERNAL, Stop.LEDGER}
        assert summary.exit_code == 4
        assert "ada@example.com" not in summary.detail
        if summary.stopped_by is Stop.INTERNAL:
            assert summary.detail.startswith("ZeroDivisionError at test_broken_seams.py:")
    else:
        assert summary.exit_code == 0
    for result in world.report.results:
        delivered = world.cognito.deliveries[result.username]
        if result.outcome is Outcome.SENT:
            assert delivered == 1
        if delivered:
            assert result.outcome in {Outcome.SENT, Outcome.UNKNOWN}
    if summary.stopped_by is Stop.LEDGER:
        return  # a connection whose commit failed is left alone; the next run opens its own
    again = world.go(names)
    assert again.exit_code in {0, 1}
    assert max(world.cognito.deliveries.values()) == 1, "no user was sent a second code"
    missed = set(names) - set(world.cognito.deliveries)
    unknown = world.ledger.unknown().messages
    assert len(missed) <= unknown, "who was sent none is known to be in doubt"
