"""Several machines on one table of DynamoDB, killed at random, over a line that loses answers.

Each machine is a process of the real program with a folder of its own; moto's server is
another process. All have the same users, each in an order of its own, so they meet again
and again. Who was killed begins anew while the others go on.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from batch_resend.simulator.quota import Quota
from batch_resend.simulator.rules import Cognito
from tests.support.dynamodb import ENVIRONMENT, FATES, Line, create

from .harness import PATIENCE, SEED, Place, Simulator, Verdict, finish

MACHINES = int(os.environ.get("BATCH_RESEND_MACHINES", "4"))
_HARM = [fate for fate in FATES if fate != "pass"]
_PART = 0.04  #: of all requests to DynamoDB that meet with harm
_LATENCY = 0.25  #: seconds
_TABLE = "ledger"
_MARKS = {7: "+fin", 13: "+missing", 19: "+confirmed"}
_MOTO = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
server.start()
print("http://%s:%d" % server.get_host_and_port(), flush=True)
sys.stdin.read()
"""
#: The program, but for an intent that is written whatever others have written since.
_BLIND = """
from batch_resend.__main__ import main
from batch_resend.ledger.dynamodb import ledger
from batch_resend.ledger.dynamodb.table import Change

def unchanged(item, stamp, update, values, names):
    values = {":v": {"S": stamp}, **values}
    return Change(item.id, update, "attribute_not_exists(nothing)", values, names)

ledger.unchanged = unchanged
main()
"""


@contextlib.contextmanager
def moto() -> Iterator[str]:
    """Serve moto in a process of its own; yield its URL."""
    with subprocess.Popen(
        [sys.executable, "-c", _MOTO],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().decode().strip()
        finally:
            process.kill()


def machine(
    place: Place,
    simulator: Simulator,
    kills: int,
    apart: int,
    rng: random.Random,
    program: Sequence[str],
) -> tuple[int, Counter[str]]:
    """Run on one machine to the end, with kills; count kills and users reported as sent."""
    died, runs = 0, 0
    counts: Counter[str] = Counter()
    while True:
        runs += 1
        last = died >= kills or runs > 2 * kills
        with place.started(simulator, program=program) as run:
            if not last:
                # One kill in six falls somewhere in a start, the others while codes are sent.
                wanted = 0 if rng.random() < 1 / 6 else rng.randint(1, apart)
                enough = partial(arrived, simulator.cognito, simulator.cognito.requests + wanted)
                died += run.killed_when(enough, rng.uniform(0, 0.03 if wanted else 1.0))
            ended = run.ended()
        assert ended.report.whole, "a killed run leaves whole lines"
        counts.update(n for n, reason in ended.report.reasons.items() if reason == "accepted")
        # On a line so bad, or a machine so busy, the table may be out of reach for too long.
        if last and not (ended.code == 4 and "was unreachable" in ended.said):
            assert ended.code in {0, 1}, ended.said
            assert ended.report.tells_every(place.names), "every row exactly once"
            return died, counts


def arrived(cognito: Cognito, requests: int) -> bool:
    return cognito.requests >= requests


def share(
    folder: Path,
    users: int,
    machines: int,
    kills: int,
    tell: Callable[[str], None],
    program: Sequence[str] = ("-m", "batch_resend"),
) -> Verdict:
    """Run machines on one table, then look once more from a fresh one, and judge."""
    rng = random.Random(SEED)
    names = [f"user{n}{_MARKS.get(n % 25, '')}@example.com" for n in range(users)]
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(moto())
        create(url, _TABLE)
        portal = stack.enter_context(start_blocking_portal())
        line = stack.enter_context(portal.wrap_async_context_manager(Line(url).running()))
        line.fate = lambda _: rng.choice(_HARM) if rng.random() < _PART else "pass"
        simulator = stack.enter_context(Simulator(latency=_LATENCY, quota=Quota(60.0, burst=20)))
        environment = ENVIRONMENT | {
            "AWS_ENDPOINT_URL_DYNAMODB": line.url,
            "BATCH_RESEND_CONCURRENCY": "16",  # as many as moto can serve
            "BATCH_RESEND_MAX_FAILURES": "100%",  # in the end only these are left
        }

        def place(number: int) -> Place:
            mine = names[:]
            random.Random(f"{SEED} {number}").shuffle(mine)
            return Place(
                folder / str(number),
                mine,
                f"dynamodb://{_TABLE}",
                environment,
                PATIENCE + users / 5,
            )

        with ThreadPoolExecutor(machines) as pool:
            done = list(
                pool.map(
                    lambda number: machine(
                        place(number),
                        simulator,
                        kills,
                        max(5, users // (2 * machines * max(1, kills))),
                        random.Random(f"{SEED} {number}"),
                        program,
                    ),
                    range(machines),
                )
            )
        line.fate = lambda _: "pass"
        last = place(machines)
        verdict = finish(last, simulator)
        never = Counter(
            reason
            for name, reason in last.ended(1).report.reasons.items()
            if name not in simulator.deliveries
        )
        tell(f"never sent a code, and why: {dict(never)}")
        # Each is named in the last report, and the last lines say how many and how to see them.
        if verdict.in_doubt:
            assert "Unknown over all runs: " in last.ended(1).said
        died = sum(deaths for deaths, _ in done)
        counts: Counter[str] = sum((one for _, one in done), Counter())
        harmed = sum(n for (_, fate), n in line.met.items() if fate != "pass")
        tell(
            f"{machines} machines, {died} kills, {harmed} of {line.met.total()} answers of"
            f" DynamoDB harmed, {verdict}, {verdict.doubt(died, 'kill')}"
        )
        assert died > 0
        assert harmed > 0
        if not verdict.twice:
            assert max(counts.values()) == 1, "of all machines one says that it was its own"
        assert counts.keys() <= simulator.cognito.deliveries.keys(), "sent only with evidence"
        return verdict


@pytest.mark.timeout(3600)
def test_killed_machines_with_one_table_never_send_twice(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    verdict = share(tmp_path, 150, 3, 3, tell)
    assert (verdict.twice, verdict.lost) == (0, 0)


@pytest.mark.long
@pytest.mark.timeout(3 * 3600)
def test_machines_with_one_table_send_ten_thousand_once(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    verdict = share(tmp_path, 10_000, MACHINES, 10, tell)
    assert (verdict.twice, verdict.lost) == (0, 0)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_ledger_that_ignores_other_machines_would_be_caught(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    assert share(tmp_path, 300, 3, 3, tell, ("-c", _BLIND)).twice > 0
