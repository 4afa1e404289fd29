"""What ends a run in which nothing is accepted, in virtual time."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from batch_resend.job.attempt import Sender
from batch_resend.job.engine import Job
from batch_resend.job.outcome import Stop
from batch_resend.job.summary import Summary
from batch_resend.model import Outcome, Reason, Reply, Request, Wire
from batch_resend.simulator.sender import SimulatedSender
from tests.support.world import World, users, virtually


class Refusing:
    """A Cognito that answers nothing but this from one time to another."""

    def __init__(self, sender: Sender, reply: Reply, since: float, until: float) -> None:
        self.sender, self.reply, self.since, self.until = sender, reply, since, until

    async def send(self, request: Request) -> Reply:
        if self.since <= anyio.current_time() < self.until:
            await anyio.sleep(0.06)
            return self.reply
        return await self.sender.send(request)


def refused(world: World, reply: Reply, since: float, until: float, **limits: Any) -> Summary:
    async def work() -> Summary:
        async with SimulatedSender(world.cognito) as sender:
            return await world.run(
                users(1000), sender=Refusing(sender, reply, since, until), **limits
            )

    summary: Summary = virtually(work)
    return summary


THROTTLE = Reply(Wire.ANSWERED, 400, "TooManyRequestsException", "Rate exceeded")
BLOCK = Reply(Wire.ANSWERED, 400, "ForbiddenException", "Blocked")


@pytest.mark.parametrize("reply", [THROTTLE, BLOCK])
def test_a_run_without_an_accepted_request_is_given_up(reply: Reply) -> None:
    """Throttling is an answer, and fails no user: such a run never ended."""
    world = World()
    summary = refused(world, reply, 5, 1e9, give_up_after=60.0)
    assert (summary.stopped_by, summary.exit_code) == (Stop.GIVE_UP, 3)
    assert summary.detail == reply.message
    assert 64 <= summary.seconds <= 75
    assert summary.counts[Outcome.UNKNOWN] == 0
    assert world.ledger.unknown().messages == 0


def test_throttles_that_end_in_time_stop_nothing() -> None:
    world = World()
    assert refused(world, THROTTLE, 5, 50, give_up_after=60.0).exit_code == 0
    assert world.report.reasons == {Reason.ACCEPTED: 1000}


def test_while_nothing_is_accepted_the_time_left_is_unknown() -> None:
    seen: list[tuple[float, bool]] = []

    async def watch(job: Job) -> None:
        began = anyio.current_time()
        while True:
            seen.append((anyio.current_time() - began, job.snapshot().accepting))
            await anyio.sleep(1)

    refused(World(), THROTTLE, 5, 20, give_up_after=60.0, during=watch)
    assert {accepting for at, accepting in seen if at < 5} == {True}
    assert {accepting for at, accepting in seen if 11 < at < 20} == {False}
    assert seen[-1][1]


def test_a_lasting_hindrance_ends_the_run_at_once() -> None:
    """Waiting heals no certificate; what connects once is given its time."""
    lasting = Reply(Wire.NOT_SENT, message="the certificate has expired", lasting=True)
    world = World()
    summary = refused(world, lasting, 0, 1e9)
    assert (summary.stopped_by, summary.exit_code) == (Stop.UNREACHABLE, 4)
    assert (summary.detail, summary.requests) == (lasting.message, 1)
    assert summary.counts[Outcome.NOT_ATTEMPTED] == 1000
    world = World()
    assert refused(world, lasting, 5, 10).exit_code == 0
    assert world.report.reasons == {Reason.ACCEPTED: 1000}
