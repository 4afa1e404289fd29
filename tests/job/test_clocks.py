"""A clock that was set forward once: ages go by this run's own, cooldowns are not shortened."""

from __future__ import annotations

from batch_resend.job.plan import Eligibility
from batch_resend.ledger import Identity, Intend, Settle
from batch_resend.ledger.policy import SendPolicy
from batch_resend.model import Candidate, Reason
from tests.support.ledgers import apply
from tests.support.world import EPOCH, World

YEARS = 14 * 365 * 86400.0
HOUR = 3600.0
DAY = 24 * HOUR
REMINDERS = SendPolicy(max_sends=2, cooldown=DAY)


def remembering(**sent_at: float) -> World:
    """A world whose ledger knows when users were sent a code."""
    world = World()
    world.ledger.begin(EPOCH)
    for name, at in sent_at.items():
        (intent,) = apply(world.ledger, [Intend(Identity(name), at)])
        apply(world.ledger, [Settle(intent, Reason.ACCEPTED, at)])
    return world


def test_ages_are_judged_by_the_clock_of_this_run() -> None:
    world = remembering(jumped=EPOCH + YEARS)
    young = Candidate(1, "young", created=EPOCH - 2 * DAY)
    old = Candidate(2, "old", created=EPOCH - 99 * DAY)
    world.go([young, old], eligibility=Eligibility(newer_than=14 * DAY))
    assert world.report.of("young").reason is Reason.ACCEPTED
    assert world.report.of("old").reason is Reason.TOO_OLD


def test_a_cooldown_is_judged_by_the_clock_that_makes_it_longer() -> None:
    world = remembering(recent=EPOCH - HOUR, early=EPOCH - 3 * DAY, jumped=EPOCH + YEARS)
    world.go(["recent", "early", "jumped"], policy=REMINDERS)
    assert world.report.of("recent").reason is Reason.COOLING_DOWN
    assert world.report.of("jumped").reason is Reason.COOLING_DOWN
    assert world.report.of("early").reason is Reason.ACCEPTED


def test_a_jump_of_the_clock_is_said_and_a_second_more_is_not() -> None:
    for ahead, said in ((YEARS, True), (1.0, False)):
        world = remembering(jumped=EPOCH + ahead)
        world.go(["ada"])
        assert any("one of them is wrong" in note for note in world.notes) is said
