"""A ledger that others write to during the run: how the job handles a barred intent."""

from __future__ import annotations

from collections.abc import Sequence

from batch_resend.job.engine import Job, Snapshot
from batch_resend.ledger import Identity, Intend, IntentRejected, Interrupted, Step, Unknowns
from batch_resend.ledger.journal import Journal
from batch_resend.ledger.policy import NO_HISTORY, History, SendPolicy
from batch_resend.model import Reason, Result
from batch_resend.simulator.quota import Quota
from batch_resend.simulator.rules import Cognito
from tests.support.world import World, users


class Shared:
    """A journal without users during planning, which bars some of them at the intent."""

    def __init__(self, barred: dict[str, Reason], after: int = 0) -> None:
        self.barred, self.after = barred, after
        self.steps: list[Step] = []
        self.ended = ""

    def distinguish_case(self) -> bool:
        return False

    def latest(self) -> float:
        return 0.0

    async def histories(self, users: Sequence[Identity], now: float) -> list[History]:
        return [NO_HISTORY for _ in users]

    async def begin(self, at: float) -> int:
        return 1

    def mark(self, intent: int, at: float) -> str:
        return f"mark-{intent}-{at}"

    async def make(self, step: Step) -> int:
        if isinstance(step, Intend):
            assert step.policy == SendPolicy()
            intents = [s for s in self.steps if isinstance(s, Intend) and s.user == step.user]
            if step.user.username in self.barred and len(intents) >= self.after:
                raise IntentRejected(self.barred[step.user.username])
        self.steps.append(step)
        return len(self.steps)

    async def commit_forever(self) -> None:
        pass

    async def unknown(self) -> Unknowns:
        return Unknowns(7, not_recorded=2)

    async def finish(self, summary: str, at: float) -> None:
        self.ended = summary


def test_user_sent_to_by_another_machine_is_skipped_unrequested() -> None:
    names = users(40)
    barred = {
        names[3]: Reason.COOLING_DOWN,
        names[5]: Reason.SEND_CAP,
        names[9]: Reason.OUTCOME_UNKNOWN,
    }
    world, journal = World(), Shared(barred)
    assert isinstance(journal, Journal)
    snapshots: list[Snapshot] = []

    async def look(job: Job) -> None:
        async def keep(_: Result) -> None:
            snapshots.append(job.snapshot())

        job._outlets.hand_over = keep

    summary = world.go(names, ledger=journal, during=look)
    assert {r.username: r.reason for r in world.report.results if r.username in barred} == barred
    assert world.cognito.deliveries.keys() == set(names) - barred.keys()
    assert all(r.attempts == 0 for r in world.report.results if r.username in barred)
    assert (summary.unknown_in_ledger, summary.not_recorded_in_ledger) == (7, 2)
    assert summary.exit_code == 0
    assert journal.ended
    assert snapshots[-1].done == snapshots[-1].eligible == 40
    assert snapshots[-1].in_flight == 0


def test_who_is_barred_does_not_count_against_the_budget() -> None:
    names = users(6)
    journal = Shared(dict.fromkeys(names[:3], Reason.COOLING_DOWN))
    world = World()
    world.go(names, ledger=journal, max_sent=3)
    assert world.report.reasons == {Reason.COOLING_DOWN: 3, Reason.ACCEPTED: 3}


def test_user_left_open_by_a_dead_machine_is_noted_as_unknown() -> None:
    names = users(3)
    world, journal = World(), Shared({names[1]: Reason.INTERRUPTED})
    summary = world.go(names, ledger=journal)
    assert world.report.of(names[1]).reason is Reason.INTERRUPTED
    noted = [step.user.username for step in journal.steps if isinstance(step, Interrupted)]
    assert noted == [names[1]]
    assert summary.exit_code == 1


def test_user_taken_over_during_a_pause_is_left_to_that_machine() -> None:
    # Throttled at first; at the next attempt, another machine has sent the code.
    names = users(60)
    world = World(Cognito(quota=Quota(20, burst=5)))
    journal = Shared(dict.fromkeys(names, Reason.COOLING_DOWN), after=1)
    world.go(names, ledger=journal, rate=200.0)
    throttled = world.report.reasons[Reason.COOLING_DOWN]
    assert throttled > 0
    assert world.report.reasons == {
        Reason.COOLING_DOWN: throttled,
        Reason.ACCEPTED: 60 - throttled,
    }
