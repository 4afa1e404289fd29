"""The pace's goals: each a scenario of the lab, with what is measured and what is aimed at.

    python -m tests.benchmarks.goals [--punctual] [--held-out] [WORD]

prints them; `WORD` picks those whose name has it. Every goal is run on a machine that is late, as
all are, or on a punctual one. `TUNED` are the seeds that constants may be chosen on; `HELD_OUT`
are looked at only to report, and have latencies of their own.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from batch_resend.job.pace import Pace
from batch_resend.simulator.quota import Quota, Style
from tests.benchmarks.lab import LATE, METRIC, Burst, Lab, Late, Metric, Paced, drive

TUNED, HELD_OUT = range(20), range(100, 112)
UNTOLD = 1000.0  #: a ceiling that tells nothing of the quota


@dataclass(frozen=True, slots=True)
class World:
    """The settings that all scenarios of one evaluation share."""

    late: Late | None = LATE
    make: Callable[..., Paced] = Pace


@dataclass(frozen=True, slots=True)
class Score:
    """One run: what is compared, and the parts of our and of others' calls that were throttled."""

    value: float
    throttled: float
    others: float | None = None


@dataclass(frozen=True, slots=True)
class Goal:
    """`aim` is a median; whether more is `better` depends on what is measured."""

    name: str
    run: Callable[[World, int], Score]
    aim: str = ""
    more_is_better: bool = False
    seeds: int = 100


def away(seed: int) -> float:
    """The latency of a seed: those of held-out seeds are others."""
    return (0.05, 0.07, 0.09, 0.12)[seed % 4] if seed >= 100 else (0.04, 0.06, 0.1)[seed % 3]


def unknown(rate: float, users: int, latency: float | None, world: World, seed: int) -> Score:
    """Time / the time with the quota and its bucket of one second known."""
    latency = away(seed) if latency is None else latency
    quota = Quota(rate, burst=max(1.0, rate))
    concurrency = 64 if rate <= 120 else 256
    came = drive(
        world.make(UNTOLD), quota, users=users, latency=latency, late=world.late, seed=seed,
        concurrency=concurrency,
    )  # fmt: skip
    return Score(came.seconds / ((users - rate) / rate + latency), came.throttled_part)


def moving(rates: tuple[float, float, float], world: World, seed: int) -> Score:
    """A minute each, the first some time longer: the part of the quota that was used."""
    before = seed * 7.0 % 40
    first, second, third = rates

    def rate(now: float) -> float:
        return first if now < 60 + before else second if now < 120 + before else third

    came = drive(
        world.make(UNTOLD), Quota(rate), seconds=180 + before, latency=away(seed),
        late=world.late, seed=seed,
    )  # fmt: skip
    room = first * (60 + before) + (second + third) * 60
    return Score(came.accepted / room, came.throttled_part)


def live(
    style: Style,
    ceiling: float,
    quota: float | None,
    metric: Metric | None,
    world: World,
    seed: int,
    others: float = 35.0,
    seconds: float = 300.0,
) -> Score:
    """Beside live calls (Poisson) on a quota of 50: the part of the rest that was taken."""
    pace = world.make(ceiling, quota=quota)
    came = drive(
        pace, Quota(50, style=style), seconds=seconds, others=others, latency=away(seed),
        late=world.late, metric=metric, seed=seed,
    )  # fmt: skip
    part = came.accepted / ((50 - others) * seconds)
    return Score(part, came.throttled_part, came.others_throttled / came.others)


def bursts(
    every: float, quota: float | None, metric: Metric | None, world: World, seed: int
) -> Score:
    """100 calls of others within half a second: the part of what they left."""
    burst = Burst(calls=100, lasts=0.5, every=every)
    came = drive(
        world.make(UNTOLD, quota=quota), Quota(50), seconds=300, burst=burst, latency=away(seed),
        late=world.late, metric=metric, seed=seed,
    )  # fmt: skip
    left = 50 * 300 - (came.others - came.others_throttled)
    return Score(came.accepted / left, came.throttled_part, came.others_throttled / came.others)


def chance(part: float, ceiling: float, quota: float | None, world: World, seed: int) -> Score:
    """Throttles at random, alone on the quota: the part of the ceiling that was used."""
    came = drive(
        world.make(ceiling, quota=quota), Quota(50), seconds=300, chance=part, latency=away(seed),
        late=world.late, seed=seed,
    )  # fmt: skip
    return Score(came.accepted / (min(50, ceiling) * 300), came.throttled_part)


def squeeze(
    minutes: float, quota: float | None, metric: Metric | None, world: World, seed: int
) -> Score:
    """Others take 45 of 50 for `minutes`, then nothing: seconds until the pace is at 45."""
    end = minutes * 60
    came = drive(
        world.make(UNTOLD, quota=quota), Quota(50), seconds=end + 120, latency=away(seed),
        others=lambda now: 45.0 if now < end else 0.0, late=world.late, metric=metric, seed=seed,
    )  # fmt: skip
    back = next((at for at, rate in came.rates if at > end and rate >= 44.5), end + 120)
    return Score(back - end, came.throttled_part, came.others_throttled / came.others)


def shared(style: Style, apart: float, quota: float | None, world: World, seed: int) -> Score:
    """Three processes on a quota of 50, the next started `apart` later: Jain's index."""
    lab = Lab(Quota(50, style=style), latency=away(seed), late=world.late, seed=seed)
    paces = [world.make(UNTOLD, quota=quota) for _ in range(3)]
    came = lab.run(paces, seconds=300 + 2 * apart, apart=apart)
    all_are_there = 2 * apart
    taken = [sum(at > all_are_there for at in one.accepted_at) for one in came]
    throttled = sum(one.throttled for one in came)
    index = sum(taken) ** 2 / (len(taken) * sum(n * n for n in taken))
    accepted = sum(one.accepted for one in came)
    return Score(index, throttled / (throttled + accepted), 1 - sum(taken) / (50 * 300))


def fixed_rate(style: Style, world: World, seed: int) -> Score:
    """`--rate 50` on a quota of 50: time / ideal."""
    latency = away(seed)
    pace = world.make(50.0, quota=50.0)
    quota = Quota(50, style=style)
    came = drive(pace, quota, users=3000, latency=latency, late=world.late, seed=seed)
    return Score((came.seconds - latency) / (2999 / 50), came.throttled_part)


LYING = {
    "metric says 0": replace(METRIC, factor=0.0),
    "metric says twice as much": replace(METRIC, factor=2.0),
    "metric ends with the run": replace(METRIC, until=0.0),
    "metric began with the run": replace(METRIC, since=0.0),
}


def goals() -> Iterator[Goal]:
    """Yield all goals, in the order of the report."""
    yield Goal("unknown 30/s, 900 users", partial(unknown, 30, 900, None), "1.015 (1.04), 0.5 %")
    yield Goal("unknown 30/s, 900 users, 300 ms", partial(unknown, 30, 900, 0.3), "1.03, 1.4 %")
    for rate, aim in (
        (1, "1.67, 15 %"), (2, "1.21, 7.5 %"), (5, "1.05, 1.6 %"), (15, ""), (80, ""),
        (250, "1.06"), (500, "1.09"),
    ):  # fmt: skip
        name = f"unknown {rate}/s, two minutes"
        yield Goal(name, partial(unknown, rate, 120 * rate, None), aim)
    yield Goal("moving 40/15/60", partial(moving, (40, 15, 60)), "0.90 (0.84)", True)
    yield Goal("moving 50/20/75", partial(moving, (50, 20, 75)), "", True)
    for style, aims in (
        (Style.TOKEN_BUCKET, ("0.94, 1.0 %", "0.95, 0.4 %")),
        (Style.FIXED_SECOND, ("", "frontier")),
        (Style.SLIDING_SECOND, ("", "frontier")),
    ):
        name = f"live 35 of 50, {style.value}"
        yield Goal(
            f"{name}, nothing known", partial(live, style, UNTOLD, None, None), aims[0], True
        )
        yield Goal(f"{name}, quota known", partial(live, style, UNTOLD, 50.0, None), "", True)
        yield Goal(f"{name}, both known", partial(live, style, UNTOLD, 50.0, METRIC), aims[1], True)
    bucket = Style.TOKEN_BUCKET
    yield Goal("live 35 of 50, ceiling 25, nothing known", partial(live, bucket, 25, None, None),
               "", True)  # fmt: skip
    yield Goal("live 35 of 50, ceiling 25, quota known", partial(live, bucket, 25, 50.0, None),
               "", True)  # fmt: skip
    for name, metric in LYING.items():
        run = partial(live, bucket, UNTOLD, 50.0, metric)
        yield Goal(f"live 35 of 50, quota known, {name}", run, "", True)
    for every, aim in ((5, "0.5 (0.4)"), (10, "0.8 (0.4)"), (30, "0.83 (0.4)")):
        unknown_to_all = partial(bursts, every, None, None)
        yield Goal(f"bursts every {every} s, nothing known", unknown_to_all, aim, True)
    for every in (5, 10, 30):
        yield Goal(f"bursts every {every} s, quota known", partial(bursts, every, 50.0, None),
                   "0.85 (0.7)", True)  # fmt: skip
        yield Goal(f"bursts every {every} s, both known", partial(bursts, every, 50.0, METRIC), "",
                   True)  # fmt: skip
    for part, aim in ((0.003, "0.95"), (0.01, "0.9")):
        name = f"random {part:.1%}, ceiling 25"
        yield Goal(f"{name}, nothing known", partial(chance, part, 25, None), "", True)
        yield Goal(f"{name}, quota known", partial(chance, part, 25, 50.0), aim, True)
    yield Goal("squeeze of 10 min: seconds", partial(squeeze, 10, None, None), "30", seeds=4)
    yield Goal("squeeze of an hour: seconds", partial(squeeze, 60, None, None), "30", seeds=3)
    yield Goal("squeeze of 10 min, both known: seconds", partial(squeeze, 10, 50.0, METRIC), "",
               seeds=4)  # fmt: skip
    for style in Style:
        for quota in (None, 50.0):
            name = f"three share, {style.value}, quota {'quota' if quota else 'unknown'}"
            yield Goal(name, partial(shared, style, 0.0, quota), "0.95, 1 %", True)
    yield Goal(
        "three share, a minute apart", partial(shared, bucket, 60.0, None), "0.95, 1 %", True
    )
    for style in Style:
        yield Goal(f"rate 50, {style.value}", partial(fixed_rate, style))


def evaluate(
    chosen: Sequence[Goal], world: World, seeds: Sequence[int], processes: int | None = None
) -> Iterable[tuple[Goal, list[Score]]]:
    """Run each goal on its seeds, side by side on all cores."""
    with ProcessPoolExecutor(processes or os.cpu_count()) as pool:
        jobs = [
            (goal, [pool.submit(goal.run, world, seed) for seed in seeds[: goal.seeds]])
            for goal in chosen
        ]
        for goal, runs in jobs:
            yield goal, [run.result() for run in runs]


def row(goal: Goal, scores: Sequence[Score]) -> str:
    """One line of the table: medians, and the worst in brackets."""
    values, own = [s.value for s in scores], [s.throttled for s in scores]
    worst = (min if goal.more_is_better else max)(values)
    others = [s.others for s in scores if s.others is not None]
    line = f"| {goal.name} | {statistics.median(values):.3f} ({worst:.3f}) "
    line += f"| {statistics.median(own):.2%} ({max(own):.2%}) | "
    if others:
        line += f"{statistics.median(others):.2%} ({max(others):.2%})"
    return f"{line} | {goal.aim} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.goals")
    parser.add_argument("word", nargs="?", default="")
    parser.add_argument("--punctual", action="store_true", help="on a machine without lateness")
    parser.add_argument("--held-out", action="store_true", help="the seeds nothing was tuned on")
    arguments = parser.parse_args()
    world = World(late=None if arguments.punctual else LATE)
    print("| goal | reached | own throttled | others' throttled (shared: unused) | aim |")
    print("| --- | --- | --- | --- | --- |")
    chosen = [goal for goal in goals() if arguments.word in goal.name]
    for goal, scores in evaluate(chosen, world, HELD_OUT if arguments.held_out else TUNED):
        print(row(goal, scores), flush=True)


if __name__ == "__main__":
    main()
