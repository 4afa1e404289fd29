"""How fast, how many throttled: the pace against its goals, and beside others.

    python -m tests.benchmarks.pace
    python -m tests.benchmarks.pace --draw tests/benchmarks/pace.svg
    python -m tests.benchmarks.pace --real

The first works in virtual time, in seconds: the goals over many latencies, moments and
seeds, and the comparison over quotas, latencies, bursts and ways to enforce a quota. The
second draws the picture of README. The third takes real time, about five minutes: the
program as a process against the simulator over HTTP, beside boto3's adaptive mode.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from batch_resend.job.pace import Pace
from batch_resend.simulator.quota import Quota, Style
from tests.benchmarks.lab import Burst, Drive, Paced, drive
from tests.benchmarks.rivals import Aimd, Fixed, SdkAdaptive

UNTOLD = 1000.0  #: a ceiling that tells nothing of the quota


def untold() -> Pace:
    return Pace(UNTOLD)


CONTROLLERS: dict[str, Callable[[], Paced]] = {
    "fixed at 50": Fixed,
    "AIMD": Aimd,
    "SDK adaptive (CUBIC)": SdkAdaptive,
    "batch-resend": untold,
}

QUOTAS = (5, 15, 30, 50, 120)  #: requests per second
LATENCIES = (0.02, 0.06, 0.2)  #: seconds, there and back
BURSTS = (0.1, 0.5, 1.0, 5.0)  #: seconds' worth, of a token bucket
MINUTE = 60.0  #: seconds that the users of the comparison take at best


def ideal(quota: Quota, users: int, latency: float) -> float:
    """The minimum number of seconds, with the quota and its enforcement known."""
    rate = quota.rate_at(0.0)
    if quota.style is Style.TOKEN_BUCKET:
        return max(0.0, users - (rate if quota.burst is None else quota.burst)) / rate + latency
    return math.ceil(users / rate) - 1 + latency


@dataclass(frozen=True, slots=True)
class Score:
    """The measures: time over the ideal time, and the part of requests throttled."""

    ratio: float
    throttled: float


def unknown_quota(make: Callable[[], Paced], latency: float, seed: int = 0) -> Score:
    """900 users against an unknown quota of 30 per second and a burst of 30."""
    quota = Quota(30, burst=30)
    came = serve(make(), quota, 900, latency, seed)
    return Score(came.seconds / ideal(quota, 900, latency), came.throttled_part)


def moving_quota(make: Callable[[], Paced], latency: float, before: float) -> Score:
    """40, 15, 60 per second, a minute each; the run began `before` seconds earlier."""
    steps = ((60.0 + before, 40.0), (120.0 + before, 15.0), (180.0 + before, 60.0))

    def rate(now: float) -> float:
        return next((rate for until, rate in steps if now < until), 60.0)

    pace = make()
    came = drive(pace, Quota(rate), seconds=180 + before, latency=latency, concurrency=room(pace))
    return Score(came.accepted / (40 * (60 + before) + (15 + 60) * 60), came.throttled_part)


def beside_live_traffic(
    make: Callable[[], Paced], seed: int, style: Style = Style.TOKEN_BUCKET
) -> Score:
    """35 per second of others (Poisson) on a quota of 50: the part of what is left that was
    taken, and the part of the others' calls that was throttled."""
    came = drive(make(), Quota(50, style=style), seconds=300, others=35, seed=seed)
    return Score(came.accepted / (15 * 300), came.others_throttled / came.others)


def beside_bursts(make: Callable[[], Paced], every: float, seed: int) -> Score:
    """100 calls of others within half a second, every so many seconds, on a quota of 50:
    the part of what they left that was taken, and the part of our requests throttled."""
    burst = Burst(calls=100, lasts=0.5, every=every)
    came = drive(make(), Quota(50), seconds=300, burst=burst, seed=seed)
    left = 50 * 300 - (came.others - came.others_throttled)
    return Score(came.accepted / left, came.throttled_part)


def fixed_rate(style: Style, latency: float) -> Score:
    """`--rate 50` on a quota of 50."""
    came = drive(Pace(50), Quota(50, style=style), users=3000, latency=latency)
    return Score((came.seconds - latency) / (2999 / 50), came.throttled_part)


def room(pace: Paced) -> int:
    return getattr(pace, "concurrency", 64)


def serve(pace: Paced, quota: Quota, users: int, latency: float, seed: int = 0) -> Drive:
    return drive(pace, quota, users=users, latency=latency, concurrency=room(pace), seed=seed)


def quotas(style: Style) -> Iterable[tuple[Quota, float]]:
    for rate, latency in itertools.product(QUOTAS, LATENCIES):
        if style is Style.TOKEN_BUCKET:
            for burst in BURSTS:
                yield Quota(rate, burst=max(1.0, rate * burst), style=style), latency
        else:
            yield Quota(rate, style=style), latency


def compare(make: Callable[[], Paced], style: Style) -> list[tuple[Quota, float, Score]]:
    scores = []
    for quota, latency in quotas(style):
        users = int(quota.rate_at(0.0) * MINUTE)
        came = serve(make(), quota, users, latency)
        score = Score(came.seconds / ideal(quota, users, latency), came.throttled_part)
        scores.append((quota, latency, score))
    return scores


# -- telling -----------------------------------------------------------------------


def goals() -> None:
    """Print the result for each goal: the median, and the worst in brackets."""
    print("| goal | reached: median (worst) | throttled: median (worst) |\n| --- | --- | --- |")
    latencies = (0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3)
    row(
        "900 users, quota 30/s and burst 30, quota not known: time ÷ ideal",
        [unknown_quota(untold, latency, seed) for latency in latencies for seed in range(3)],
    )
    row(
        "the SDK's adaptive mode, the same",
        [unknown_quota(SdkAdaptive, latency, seed) for latency in latencies for seed in range(3)],
    )
    row(
        "quota 40, 15, 60/s, a minute each: part used",
        [
            moving_quota(untold, latency, before)
            for latency in (0.02, 0.06, 0.12, 0.2)
            for before in range(0, 40, 4)
        ],
        worst=min,
    )
    for ceiling, style in itertools.product((25, UNTOLD), Style):
        row(
            f"beside 35/s of live traffic, {name_of(style)} of 50/s, ceiling {ceiling:g}: "
            "part of what is left; live calls throttled",
            [beside_live_traffic(partial(Pace, ceiling), seed, style) for seed in range(15)],
            worst=min,
        )
    for every in (5, 10, 30):
        row(
            f"100 calls of others within 0.5 s, every {every} s, quota of 50/s: "
            "part of what is left",
            [beside_bursts(untold, every, seed) for seed in range(15)],
            worst=min,
        )
    for style in Style:
        row(
            f"`--rate 50`, {name_of(style)} of 50/s: time ÷ ideal",
            [fixed_rate(style, latency) for latency in latencies],
        )


def row(what: str, scores: list[Score], *, worst: Callable[[list[float]], float] = max) -> None:
    ratios, throttled = [s.ratio for s in scores], [s.throttled for s in scores]
    print(
        f"| {what} | {statistics.median(ratios):.3f} ({worst(ratios):.3f}) "
        f"| {statistics.median(throttled):.1%} ({max(throttled):.1%}) |"
    )


def name_of(style: Style) -> str:
    return style.value.replace("-", " ")


def comparison() -> None:
    """Print each controller over the same quotas: time over ideal, and throttled."""
    print("| controller | " + " | ".join(f"{name_of(style)}" for style in Style) + " |")
    print("| --- " * (1 + len(Style)) + "|")
    for name, make in CONTROLLERS.items():
        cells = []
        for style in Style:
            scores = compare(make, style)
            ratios = [score.ratio for *_, score in scores]
            throttled = [score.throttled for *_, score in scores]
            cells.append(
                f"{statistics.median(ratios):.2f} ({max(ratios):.2f}); "
                f"{statistics.median(throttled):.1%} ({max(throttled):.1%})"
            )
        print(f"| {name} | " + " | ".join(cells) + " |")


def draw(path: Path) -> None:
    """Draw the pace against a quota that moves; the same bytes each time."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "pace", "svg.fonttype": "none"})
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 1, sharex=True, figsize=(8, 5), layout="constrained")
    for axis, name in zip(axes, ("batch-resend", "SDK adaptive (CUBIC)"), strict=True):
        pace = CONTROLLERS[name]()
        came = drive(pace, Quota(stepping), seconds=180, concurrency=room(pace))
        seconds = range(180)
        sent = [0] * 180
        for at in came.left_at:
            sent[min(179, int(at))] += 1
        axis.step(seconds, [stepping(at) for at in seconds], "k--", where="post", label="quota")
        axis.step(seconds, sent, "C0", where="post", label="requests in each second")
        axis.set(
            title=f"{name}: {came.accepted / 6900:.0%} of the quota used, "
            f"{came.throttled_part:.1%} of requests throttled",
            ylabel="requests per second",
            ylim=(0, 120),
        )
    axes[0].legend(loc="upper left")
    axes[1].set_xlabel("seconds")
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    # matplotlib leaves blanks at the ends of lines.
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")


def stepping(now: float) -> float:
    return 40.0 if now < 60 else 15.0 if now < 120 else 60.0


def over_http() -> None:
    """Print the medians of three runs in real time, the two clients in turn."""
    from tests.benchmarks.pace_over_http import Run, the_program, the_sdk

    unknown, ample, latency = Quota(30, burst=30), Quota(50, burst=50), 0.06
    best = ideal(unknown, 900, latency)
    sides: dict[str, tuple[float, list[Run]]] = {
        "`--rate 1000`, 900 users, quota 30/s": (best, []),
        "boto3, adaptive mode, 32 threads, the same": (best, []),
        "`--rate 50`, 900 users, quota 50/s": (899 / 50 + latency, []),
    }
    first, second, third = (runs for _, runs in sides.values())
    for _ in range(3):
        first.append(the_program(unknown, 900, latency, UNTOLD))
        second.append(the_sdk(unknown, 900, latency))
        third.append(the_program(ample, 900, latency, 50))
    print("| over HTTP, 60 ms away | seconds | ÷ ideal | throttled | users failed |")
    print("| --- | --- | --- | --- | --- |")
    for name, (ideally, runs) in sides.items():
        seconds = statistics.median(run.seconds for run in runs)
        throttled = statistics.median(run.throttled for run in runs)
        failed = statistics.median(run.failed for run in runs)
        print(f"| {name} | {seconds:.1f} | {seconds / ideally:.3f} | {throttled:.1%} | {failed} |")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.pace")
    parser.add_argument("--draw", type=Path, metavar="PATH", help="draw the picture there (SVG)")
    parser.add_argument("--real", action="store_true", help="in real time, over HTTP")
    arguments = parser.parse_args()
    if arguments.real:
        over_http()
    elif arguments.draw:
        draw(arguments.draw)
    else:
        goals()
        print()
        comparison()


if __name__ == "__main__":
    main()
