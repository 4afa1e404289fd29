"""Killed at random moments with SIGKILL, and resumed with the same command until done.

What the kills leave in doubt is then reconciled (`settling`).
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from batch_resend.simulator.quota import Quota
from batch_resend.simulator.rules import Cognito

from .harness import SEED, Place, Report, Simulator, Verdict, finish, judge, side_by_side
from .settling import GOOD, Settled, settle

KILLS = int(os.environ.get("BATCH_RESEND_KILLS", "1000"))
_A_STORY = 5  #: kills of one input, before it is let end
_USERS = 130
_LATENCY = 0.25  #: seconds; at 50 requests per second a dozen are in flight


@dataclass(frozen=True)
class Story:
    """One input, killed several times on its way."""

    kills: int
    runs: int
    verdict: Verdict
    settled: Settled


def tale(folder: Path, kills: int, number: int) -> Story:
    """Kill the runs over one input, then let it end."""
    rng = random.Random(f"{SEED} {number}")
    # Every third pool throttles, so that intents are taken back; some answers are lost anyway.
    quota = Quota(35.0, burst=5) if number % 3 == 2 else None
    names = [f"user{n}{_MARKS.get(n % 25, '')}@example.com" for n in range(_USERS)]
    place = Place(folder / str(number), names)
    died = runs = 0
    with Simulator(latency=_LATENCY, quota=quota, recording=GOOD) as simulator:
        cognito = simulator.cognito
        while died < kills and runs < 2 * kills:
            runs += 1
            # One kill in six falls somewhere in a start, the others while codes are sent.
            wanted = 0 if rng.random() < 1 / 6 else rng.randint(1, 30)
            more = rng.uniform(0, 0.03 if wanted else 1.0)
            enough = partial(arrived, cognito, cognito.requests + wanted)
            with place.started(simulator) as run:
                killed = run.killed_when(enough, more)
                died += killed
                report = run.ended().report
            assert report.whole, "a killed run leaves whole lines"
            assert {row["username"] for row in report.rows} <= set(names)
            reported = {name for name, reason in report.reasons.items() if reason == "accepted"}
            assert reported <= cognito.deliveries.keys(), "sent only with evidence"
            if not killed:
                break  # all users have been served
        verdict = finish(place, simulator)
        return Story(died, runs + 1, verdict, settle(place, simulator))


_MARKS = {7: "+fin", 13: "+missing", 19: "+confirmed"}


def arrived(cognito: Cognito, requests: int) -> bool:
    return cognito.requests >= requests


def kill(folder: Path, kills: int, tell: Callable[[str], None]) -> None:
    """Run stories up to a number of kills."""
    done: list[Story] = []
    while (left := kills - sum(story.kills for story in done)) > 0:
        sizes = [_A_STORY] * (left // _A_STORY) + ([left % _A_STORY] if left % _A_STORY else [])
        begun = len(done)
        done += side_by_side(
            lambda story: tale(folder, story[1], story[0]), list(enumerate(sizes, begun))
        )
    died = sum(story.kills for story in done)
    verdict = sum((story.verdict for story in done), Verdict())
    settled = sum((story.settled for story in done), Settled())
    tell(f"{died} kills, {verdict}, {verdict.doubt(died, 'kill')}; reconciled: {settled}")
    assert died == kills
    assert (verdict.twice, verdict.lost) == (0, 0)
    assert settled.wrong == 0
    assert settled.at_once > 0, "every +fin was sent a code"
    # On a very slow machine the answered requests around a kill may be too far away.
    assert settled.left.keys() <= {"no-controls"}
    assert verdict.in_doubt > 0, "no kill hit anybody in flight: nothing was tried"


def test_killed_runs_never_send_twice_or_lose_a_user(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    kill(tmp_path, 25, tell)


@pytest.mark.long
@pytest.mark.timeout(6 * 3600)
def test_thousand_kills_never_send_twice_or_lose_a_user(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    kill(tmp_path, KILLS, tell)


def test_the_judge_sees_who_was_sent_twice_and_who_was_lost() -> None:
    def report(**reasons: str) -> Report:
        return Report([{"username": n, "reason": r} for n, r in reasons.items()], whole=True)

    fine = report(a="accepted", b="interrupted", c="outcome-unknown", d="cooling-down")
    names = ["a", "b", "c", "d"]
    assert judge(names, {"a": 1, "b": 1, "d": 1}, fine) == Verdict(4, 0, 0, 2, 1)
    assert judge(names, {"a": 1, "b": 2, "d": 1}, fine).twice == 1
    assert judge(names, {"b": 1, "c": 1, "d": 1}, fine).lost == 1
    assert (
        judge(names, {"a": 1}, report(a="stopped", b="interrupted", c="outcome-unknown")).lost == 2
    )
    assert judge(["a+missing"], {}, report(**{"a+missing": "user-not-found"})).lost == 0
    assert judge(["a+missing"], {}, report(**{"a+missing": "accepted"})).lost == 1
