"""The real program, a simulated Cognito that keeps its own count, and a judge.

The simulator runs in a thread of the test's process, over HTTP, so that it outlives every
death of the program. A request counts once it has arrived, whether or not anybody is left
to read the answer. Judged is by that count, never by what the program says of itself.

The long versions, each with its own figures at the end of the output::

    BATCH_RESEND_KILLS=1000  python -m pytest tests/crash/test_kills.py -m long
    BATCH_RESEND_SWEEP=60    python -m pytest tests/crash/test_sweep.py -m long
    BATCH_RESEND_CUTS=200    python -m pytest tests/crash/test_power_cuts.py -m long
    BATCH_RESEND_ERRORS=12   python -m pytest tests/crash/test_injected_errors.py -m long
    BATCH_RESEND_MACHINES=4  python -m pytest tests/crash/test_machines.py -m long

Numbers of kills, of cuts and of machines; for the other two, users of the run whose every call
is hit.
`BATCH_RESEND_SEED` chooses other random moments, `BATCH_RESEND_JOBS` how many runs at once.
"""

from __future__ import annotations

import contextlib
import csv
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from anyio.from_thread import start_blocking_portal

import batch_resend
from batch_resend.reports.results_csv import COLUMNS
from batch_resend.simulator.cloudtrail import EventHistory, Recording
from batch_resend.simulator.pool import Kind
from batch_resend.simulator.quota import Quota
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.server import running
from tests.support.forked import Forked, can_be_forked

SEED = int(os.environ.get("BATCH_RESEND_SEED", "1"))
JOBS = int(os.environ.get("BATCH_RESEND_JOBS", "0")) or (os.cpu_count() or 1) + 1
PROGRAM = ("-m", "batch_resend")

PATIENCE = 600.0  #: seconds after which a run hangs, even on a busy machine

T = TypeVar("T")
U = TypeVar("U")


class Simulator:
    """A simulated Cognito over HTTP in a thread. Use as a context manager.

    `delivered` are the names that were sent a code before, `recording` how CloudTrail keeps
    its event history.
    """

    def __init__(
        self,
        *,
        latency: float = 0.0,
        quota: Quota | None = None,
        delivered: Sequence[str] = (),
        recording: Recording | None = None,
    ) -> None:
        history = EventHistory(recording, region="eu-west-1") if recording else None
        self.cognito = Cognito(quota=quota, keep_times=True, history=history)
        self.cognito.deliveries.update(delivered)
        self.latency = latency
        self.url = ""
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Simulator:
        with contextlib.ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal())
            server = running(self.cognito, latency=self.latency)
            self.url = stack.enter_context(portal.wrap_async_context_manager(server))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def deliveries(self) -> Counter[str]:
        """Who was sent how many codes, once all that arrived has been judged."""
        time.sleep(self.latency + 0.05)
        return self.cognito.deliveries


@dataclass(frozen=True)
class Report:
    """A report as it was found."""

    rows: list[dict[str, str]]
    whole: bool  #: it consists of whole lines, and names no row twice

    @property
    def reasons(self) -> dict[str, str]:
        """The reason of each name."""
        return {row["username"]: row["reason"] for row in self.rows}

    def tells_every(self, names: Sequence[str]) -> bool:
        """Whether every row of the input is in it exactly once."""
        pairs = sorted((int(row["row"]), row["username"]) for row in self.rows)
        return self.whole and pairs == list(enumerate(names, 1))


@dataclass(frozen=True)
class Ended:
    """A run that has ended, by itself or by force; a killed one has a negative code."""

    code: int
    said: str
    path: Path

    @property
    def report(self) -> Report:
        """Read the report: where there is none it is empty."""
        text = self.path.read_text("utf-8") if self.path.exists() else ""
        lines = list(csv.reader(text.splitlines()))
        rows = [dict(zip(COLUMNS, line, strict=False)) for line in lines[1:]]
        whole = (
            (not text or text.endswith("\n"))
            and all(len(line) == len(COLUMNS) for line in lines)
            and lines[:1] in ([], [list(COLUMNS)])
            and len({row.get("row") for row in rows}) == len(rows)
        )
        return Report(rows, whole)


@dataclass
class Place:
    """A folder for one story: the input, the state of the program, the reports of its runs."""

    folder: Path
    names: Sequence[str]
    shared: str = ""  #: a ledger other than a file
    environment: Mapping[str, str] = field(default_factory=dict)
    patience: float = PATIENCE
    runs: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        for path in (self.home, self.state, self.folder / "tmp"):
            path.mkdir(parents=True, exist_ok=True)
        self.write(self.names)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def ledger(self) -> Path:
        return self.state / "batch-resend" / "ledger.sqlite3"

    def write(self, names: Sequence[str]) -> None:
        """Make this the input."""
        self.names = names
        lines = "".join(f"{name}\n" for name in ("username", *names))
        (self.folder / "users.csv").write_text(lines, "utf-8")

    @contextlib.contextmanager
    def started(
        self,
        simulator: Simulator,
        *,
        before: Sequence[str] = (),
        program: Sequence[str] = PROGRAM,
        options: Sequence[str] = (),
    ) -> Iterator[Run]:
        """Start the program, under `before` if given; whatever happens, it ends with the block."""
        self.runs += 1
        report = self.folder / f"report-{self.runs}.csv"
        said = self.folder / f"said-{self.runs}.txt"
        arguments = [
            *("run", "users.csv", "--report", str(report)),
            *("--client-id", "simulatedclient", "--region", "eu-west-1", "--yes"),
            *("--endpoint-url", simulator.url, "--rate", "500"),
            *("--ledger", self.shared or str(self.ledger)),
            *options,
        ]
        with said.open("wb") as output:
            streams: dict[str, Any] = {
                "cwd": self.folder,
                "stdin": subprocess.DEVNULL,
                "stdout": output,
                "stderr": subprocess.STDOUT,
                "start_new_session": True,
            }
            environment = self._environment()
            process: Any
            if not before and program == PROGRAM and can_be_forked(environment, streams):
                process = Forked(arguments, env=environment, **streams)
            else:
                command = [*before, sys.executable, *program, *arguments]
                process = subprocess.Popen(command, env=environment, **streams)
            try:
                yield Run(process, report, said, self.patience)
            finally:
                # A tracer and what it traces are one group.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def run(
        self,
        simulator: Simulator,
        *,
        before: Sequence[str] = (),
        program: Sequence[str] = PROGRAM,
        options: Sequence[str] = (),
    ) -> Ended:
        """Run the program to its end."""
        with self.started(simulator, before=before, program=program, options=options) as run:
            return run.ended()

    def command(
        self, *arguments: str, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run another command of the program to its end."""
        return subprocess.run(
            [sys.executable, "-m", "batch_resend", *arguments],
            cwd=self.folder,
            env={**self._environment(), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=self.patience,
        )

    def ended(self, run: int) -> Ended:
        """A run that has ended before, by its number; how it ended is not known any more."""
        said = (self.folder / f"said-{run}.txt").read_text("utf-8", "replace")
        return Ended(0, said, self.folder / f"report-{run}.csv")

    def _environment(self) -> Mapping[str, str]:
        nowhere = str(self.folder / "nowhere")
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "XDG_STATE_HOME": str(self.state),
            "TMPDIR": str(self.folder / "tmp"),
            "PYTHONPATH": str(Path(batch_resend.__file__).parents[1]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LC_ALL": "C.UTF-8",
            "AWS_CONFIG_FILE": nowhere,
            "AWS_SHARED_CREDENTIALS_FILE": nowhere,
            "AWS_EC2_METADATA_DISABLED": "true",
            "BATCH_RESEND_CREATE_LEDGER": "1",
            **self.environment,
        }


@dataclass(frozen=True)
class Run:
    """A run under way."""

    process: Any
    report: Path
    said: Path
    patience: float = PATIENCE

    def ended(self) -> Ended:
        """Wait for its end."""
        code = self.process.wait(self.patience)
        return Ended(code, self.said.read_text("utf-8", "replace"), self.report)

    def killed_when(self, ready: Callable[[], bool], more: float) -> bool:
        """Kill it `more` seconds after `ready`; return whether it was still alive then."""
        end = time.monotonic() + self.patience
        while self.process.poll() is None and not ready():
            assert time.monotonic() < end, "the run hangs"
            time.sleep(0.001)
        time.sleep(more)
        self.process.kill()
        return bool(self.process.wait() == -signal.SIGKILL)


#: The reasons of a user who was sent nothing, without a loss: the row names them.
_NAMED = {
    *("interrupted", "outcome-unknown"),
    *("no-answer", "server-error", "trigger-error", "unreadable-answer"),
}
#: The reasons of a user who was sent a code.
_SENT = {"accepted", "cooling-down", "send-cap"}
#: What the simulator refuses, so that nothing goes out.
_REFUSED = {
    Kind.MISSING: {"user-not-found"},
    Kind.CONFIRMED: {"already-confirmed"},
}
#: Who is in doubt whatever dies: the code goes out, and the answer never comes.
_LOST = {Kind.FIN}


@dataclass(frozen=True)
class Verdict:
    """The end of a story."""

    users: int = 0
    twice: int = 0  #: users who were sent more than one code
    lost: int = 0  #: users who were neither sent a code nor named, or named wrongly
    in_doubt: int = 0  #: users that only a death left unknown
    arrived: int = 0  #: of these, how many were sent a code

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(
            self.users + other.users,
            self.twice + other.twice,
            self.lost + other.lost,
            self.in_doubt + other.in_doubt,
            self.arrived + other.arrived,
        )

    def __str__(self) -> str:
        return f"{self.users} users, sent twice {self.twice}, lost {self.lost}"

    def doubt(self, deaths: int, what: str) -> str:
        """Return how many users are unknown."""
        part = f", {self.arrived / self.in_doubt:.0%} of them had been sent" if self.arrived else ""
        return f"in doubt {self.in_doubt} ({self.in_doubt / max(1, deaths):.1f} per {what}{part})"


def judge(names: Sequence[str], deliveries: Mapping[str, int], last: Report) -> Verdict:
    """Compare the simulator's count with the report of the last run, which ended by itself."""
    reasons = last.reasons
    lost = in_doubt = arrived = 0
    for name in names:
        kind, reason, sent = Kind.of(name), reasons.get(name, ""), deliveries.get(name, 0)
        if kind in _REFUSED:
            lost += sent > 0 or reason not in _REFUSED[kind] | _NAMED
        else:
            lost += reason not in (_NAMED | _SENT if sent else _NAMED)
        if reason in _NAMED and kind not in _LOST:
            in_doubt += 1
            arrived += sent > 0
    return Verdict(
        users=len(names),
        twice=sum(count > 1 for count in deliveries.values()),
        lost=lost + len(deliveries.keys() - set(names)),
        in_doubt=in_doubt,
        arrived=arrived,
    )


def finish(place: Place, simulator: Simulator) -> Verdict:
    """Run the command once more, without any harm, and judge."""
    ended = place.run(simulator)
    assert ended.code in {0, 1}, ended.said
    assert ended.report.tells_every(place.names), (ended.said, ended.path.read_text("utf-8"))
    outcomes = {row["outcome"] for row in ended.report.rows}
    assert ended.code == bool(outcomes & {"failed", "unknown"}), outcomes
    return judge(place.names, simulator.deliveries, ended.report)


def users(count: int, prefix: str = "user") -> list[str]:
    return [f"{prefix}{number}@example.com" for number in range(count)]


def side_by_side(work: Callable[[T], U], items: Sequence[T]) -> list[U]:
    """Do it for each, several at once; after the first failure nothing new is started."""
    pool = ThreadPoolExecutor(JOBS)
    try:
        return list(pool.map(work, items))
    finally:
        pool.shutdown(cancel_futures=True)
