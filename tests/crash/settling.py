"""What a reconciliation makes of the doubts that deaths left, judged by the simulator's count.

First the real command, right after: CloudTrail's records settle every request that arrived. Then
the same a day later, by the clock that it is handed: what has no record then is `not-recorded`
where enough of our answered requests around it have one. At last the real program sends again
to those users alone.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field

import anyio

from batch_resend.aws.cloudtrail import EventHistory
from batch_resend.model import Outcome
from batch_resend.reconcile.findings import DAY, HISTORY, Rules
from batch_resend.reconcile.ledger_books import LedgerBooks
from batch_resend.reconcile.settle import Looked, Reconciliation, reconcile
from batch_resend.run.open_ledger import ledger_of, reconciling
from batch_resend.settings import LedgerTarget
from batch_resend.simulator.cloudtrail import Recording
from batch_resend.simulator.sender import SimulatedEventHistory

from .harness import Place, Simulator

#: A history on its best day: what is lost and late is tried where time is virtual.
GOOD = Recording(delay=0.0, lookups_a_second=1e9)


@dataclass(frozen=True)
class Settled:
    """The fate of the unknown outcomes of a story, or of several."""

    doubts: int = 0
    at_once: int = 0  #: settled by the command, right after
    released: int = 0  #: without a record a day later, and sent to again
    left: Counter[str] = field(default_factory=Counter)  #: still unknown then, by cause
    wrong: int = 0  #: findings that the simulator's count belies, and users with two codes

    def __add__(self, other: Settled) -> Settled:
        return Settled(
            self.doubts + other.doubts,
            self.at_once + other.at_once,
            self.released + other.released,
            self.left + other.left,
            self.wrong + other.wrong,
        )

    def __str__(self) -> str:
        left = ", ".join(f"{why} {count}" for why, count in self.left.items()) or "0"
        return (
            f"{self.doubts} unknown outcomes, settled at once {self.at_once}, not recorded and"
            f" sent again {self.released}, left {left}, wrong {self.wrong}"
        )


def settle(place: Place, simulator: Simulator) -> Settled:
    """Reconcile a story that is over, and send to the released users."""
    deliveries = simulator.deliveries
    content = json.loads(_command(place, simulator))
    at_once, wrong = 0, 0
    for finding in content["findings"]:
        outcome, sent = finding["outcome"], deliveries[finding["username"]]
        if outcome == Outcome.SENT:
            wrong += sent != 1
        elif outcome != Outcome.UNKNOWN:
            wrong += sent != 0
        at_once += outcome != Outcome.UNKNOWN
    later = anyio.run(_a_day_later, place, simulator)
    left: Counter[str] = Counter()
    released = []
    for one in later.findings:
        name = str(one.doubt.name)
        if str(one.why) == "not-recorded":
            released.append(name)
            wrong += deliveries[name] != 0
        else:
            left[str(one.why or one.outcome)] += 1
    ended = place.run(simulator, options=("--resend-unknown", "not-recorded"))
    assert ended.code in {0, 1}, ended.said
    after = simulator.deliveries
    wrong += sum(count > 1 for count in after.values())
    wrong += sum(after[name] != 1 for name in released if "+" not in name)
    return Settled(len(content["findings"]), at_once, len(released), left, wrong)


def _command(place: Place, simulator: Simulator) -> str:
    ended = place.command(
        "reconcile", "--ledger", str(place.ledger), "--region", "eu-west-1",
        "--endpoint-url", simulator.url, "--json", "--no-mask",
        environment={
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_ENDPOINT_URL_CLOUDTRAIL": simulator.url,
        },
    )  # fmt: skip
    assert ended.returncode in {0, 1}, ended.stderr
    return ended.stdout


async def _a_day_later(place: Place, simulator: Simulator) -> Reconciliation:
    now = time.time() + DAY + 60
    history = simulator.cognito.history
    assert history is not None
    target = LedgerTarget(region="eu-west-1", ledger=str(place.ledger), endpoint_url=simulator.url)
    evidence = Looked(EventHistory(SimulatedEventHistory(history, lambda: now), rate=1e9), HISTORY)
    async with reconciling(target, await ledger_of(target)) as opened:
        return await reconcile(LedgerBooks(opened, now=now), evidence, Rules(now))
