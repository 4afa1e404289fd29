"""What other programs hear of a run while it goes on: pings and metrics.

Neither can harm the run: what is wrong with their addresses and paths is said before it
begins, and whatever goes wrong with them afterwards is a note to the operator. Sending
never waits for them, and the end of the program waits for seconds at the most.

A ping's address holds a secret: it is in no message, and it is not handed on by
redirects. What is told holds no person's name.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from batch_resend.aws.endpoints import LOOPBACK
from batch_resend.aws.tls import check_key_log
from batch_resend.errors import BatchResendError, UsageError
from batch_resend.job.engine import Job
from batch_resend.job.summary import RunEnd, Summary, error_as_json
from batch_resend.model import Outcome, Planned, Result
from batch_resend.observer import Observer
from batch_resend.preflight.preview import Preview
from batch_resend.version import __version__

ANSWER_WITHIN = 5.0  #: seconds for one ping
TRIES = 2
REST = 1.0  #: seconds between two tries
START_WITHIN = 2.0  #: seconds that the last ping waits for the first to be answered
EMF_EVERY = 60.0  #: seconds: CloudWatch's own resolution
TEXTFILE_EVERY = 30.0
WRITE_WITHIN = 5.0  #: seconds for the last metrics, where a disk hangs

#: What of the summary a ping tells: no names of files, for they may name a customer.
_TOLD = {
    *("schema", "counts", "reasons", "rows", "requests", "throttled", "seconds", "started_at"),
    *(
        "stopped_by",
        "detail",
        "unknown_in_ledger",
        "exit_code",
        "version",
        "user_pool_id",
        "client_id",
    ),
    *("region", "simulated", "dry_run"),
}

End = RunEnd | BatchResendError  #: how a run ended; all have an exit code
Warn = Callable[[str], None]


class Notice(Protocol):
    """Whoever is told of a run."""

    def began(self, job: Job) -> None:
        """Hear that sending begins."""
        ...

    async def begin(self) -> None:
        """Tell that the run begins, and then how it stands, until cancelled."""
        ...

    async def end(self, end: End) -> None:
        """Tell how the run ended; never raise, and take seconds at the most."""
        ...


class Observers(Observer):
    """Several observers as one: a person, who is also asked, and notices."""

    def __init__(self, person: Observer, notices: Sequence[Notice]) -> None:
        """Take them in."""
        self._person = person
        self._notices = notices

    def note(self, text: str) -> None:
        """Hand on to the person."""
        self._person.note(text)

    def planned(self, rows: Iterable[Planned], heading: str, encoding: str) -> None:
        """Hand on to the person."""
        self._person.planned(rows, heading, encoding)

    async def confirm(self, preview: Preview) -> bool:
        """Ask the person."""
        return await self._person.confirm(preview)

    def waiting(self, why: str, seconds: float) -> None:
        """Hand on to the person."""
        self._person.waiting(why, seconds)

    def settled(self, result: Result) -> None:
        """Hand on to the person."""
        self._person.settled(result)

    def began(self, job: Job) -> None:
        """Hand on to all."""
        self._person.began(job)
        for notice in self._notices:
            notice.began(job)


async def tell_end(notices: Sequence[Notice], end: End) -> None:
    """Tell all of them how the run ended, at the same time, even if this is being cancelled."""
    with anyio.CancelScope(shield=True):
        async with anyio.create_task_group() as tasks:
            for notice in notices:
                tasks.start_soon(notice.end, end)


# -- pings ---------------------------------------------------------------------------


class Ping:
    """Pings in the conventions of healthchecks.io (its documentation, "Pinging API").

    `/start` when the run begins. At its end the bare address for exit code 0, else
    `/<exit code>`, with the summary as the body; `/fail`, with the sentence, where
    the run ended before anybody could be written to.
    """

    def __init__(self, url: str, warn: Warn) -> None:
        """Check the address; raises `UsageError`, which does not show it."""
        try:
            self._url = urlsplit(url)
            _ = self._url.port
        except ValueError:
            raise UsageError("--ping-url is no address: give it as https://HOST/PATH.") from None
        host, scheme = self._url.hostname, self._url.scheme
        if scheme not in {"http", "https"} or not host or not url.isprintable() or " " in url:
            raise UsageError("--ping-url is no address: give it as https://HOST/PATH.")
        if scheme == "http" and host not in LOOPBACK:
            raise UsageError("--ping-url is plain http, which everybody can read: give https.")
        check_key_log()
        self._warn = warn
        self._beginning: anyio.CancelScope | None = None
        self._begun: anyio.Event | None = None

    def began(self, job: Job) -> None:
        """Nothing to tell: the run has begun long ago."""

    async def begin(self) -> None:
        """Tell that the run begins."""
        self._begun = begun = anyio.Event()
        with anyio.CancelScope() as self._beginning:
            await self._ping("/start", None)
        begun.set()

    async def end(self, end: End) -> None:
        """Tell how the run ended."""
        if self._begun is not None and self._beginning is not None:
            with anyio.move_on_after(START_WITHIN):
                await self._begun.wait()
            self._beginning.cancel()
        if isinstance(end, BatchResendError):
            await self._ping("/fail", _told(end))
        else:
            await self._ping(f"/{end.exit_code}" if end.exit_code else "", _told(end))

    async def _ping(self, signal: str, body: dict[str, Any] | None) -> None:
        why = ""
        for number in range(TRIES):
            if number:
                await anyio.sleep(REST)
            why = await self._try(signal, body)
            if not why:
                return
        host = self._url.hostname
        self._warn(f"A ping to {host} came to nothing ({why}). The run is not affected.")

    async def _try(self, signal: str, body: dict[str, Any] | None) -> str:
        """Ping once; return what went wrong, if anything did."""
        import aiohttp

        url = self._url._replace(path=self._url.path.rstrip("/") + signal).geturl()
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN),
                    trust_env=self._url.scheme == "https",  # proxies, but none for plain http
                    headers={"User-Agent": f"batch-resend/{__version__}"},
                ) as session,
                session.post(url, json=body, allow_redirects=False) as answer,
            ):
                return "" if answer.status < 300 else f"HTTP status {answer.status}"
        except TimeoutError:
            return f"no answer within {ANSWER_WITHIN:g} s"
        except Exception as error:  # whatever it is: never its text, which may show the address
            return type(error).__name__


def _told(end: End) -> dict[str, Any]:
    if isinstance(end, BatchResendError):
        return error_as_json(end)
    told = {name: fact for name, fact in end.as_json().items() if name in _TOLD}
    if end.parts:
        told["pools"] = {name: _told(of_pool) for name, of_pool in end.parts.items()}
    return told


# -- metrics -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a run stands or ended, in numbers; the same for every form of metrics."""

    counts: Mapping[Outcome, int] = field(default_factory=dict)
    requests: int = 0
    throttled: int = 0
    seconds: float = 0.0
    exit_code: int | None = None  #: None while it goes on
    labels: Mapping[str, str] = field(default_factory=dict)  #: Region and client, once known

    @classmethod
    def of(cls, run: Job | Summary | BatchResendError) -> Standing:
        """Take the numbers of a run that goes on, or has ended."""
        if isinstance(run, BatchResendError):
            return cls(exit_code=int(run.exit_code))
        labels = {"region": run.info.region, "client_id": run.info.client_id}
        if isinstance(run, Summary):
            return cls(
                counts=run.counts,
                requests=run.requests,
                throttled=run.throttled,
                seconds=run.seconds,
                exit_code=int(run.exit_code),
                labels=labels,
            )
        snapshot = run.snapshot()
        return cls(
            counts=snapshot.tally.outcomes,
            requests=snapshot.tally.requests,
            throttled=snapshot.throttled,
            seconds=snapshot.seconds,
            labels=labels,
        )


class Form(Protocol):
    """A form of metrics."""

    every: float  #: seconds

    def write(self, standing: Standing) -> None:
        """Write them; raises `OSError`."""
        ...


class Metrics:
    """Writes metrics every now and then, and at the end. The first failure is warned of."""

    def __init__(self, form: Form, warn: Warn) -> None:
        """Write nothing yet."""
        self._form = form
        self._warn = warn
        self._warned = False
        self._job: Job | None = None

    def began(self, job: Job) -> None:
        """Take note of the job."""
        self._job = job

    async def begin(self) -> None:
        """Write, while the run goes on."""
        while True:
            await anyio.sleep(self._form.every)
            if self._job is not None:
                await self._write(Standing.of(self._job))

    async def end(self, end: End) -> None:
        """Write the last numbers."""
        self._job = None
        if isinstance(end, Summary | BatchResendError):  # else each pool has metrics of its own
            await self._write(Standing.of(end))

    async def _write(self, standing: Standing) -> None:
        why: str | None = f"no end within {WRITE_WITHIN:g} s"
        with anyio.move_on_after(WRITE_WITHIN):
            try:  # in a thread: a disk may hang
                await anyio.to_thread.run_sync(self._form.write, standing, abandon_on_cancel=True)
            except OSError as error:
                why = error.strerror
            else:
                return
        if not self._warned:
            self._warned = True
            self._warn(f"--metrics cannot be written ({why}). The run is not affected.")


class Emf:
    """CloudWatch's embedded metric format: a line of JSON on standard output.

    CloudWatch adds up what the lines of a run say, so counts are those since the last
    line; `Seconds` and `ExitCode` come with the last. Each is there by Region and
    client, and over all: a run that ended before it knew either counts there only.
    (CloudWatch User Guide, "Specification: Embedded metric format".)
    """

    every = EMF_EVERY

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Say nothing yet."""
        self._clock = clock
        self._told: Counter[str] = Counter()

    def write(self, standing: Standing) -> None:
        """Write a line."""
        line = json.dumps(self.line(standing)) + "\n"
        os.write(sys.stdout.fileno(), line.encode())  # unbuffered: nothing is left to flush

    def line(self, standing: Standing) -> dict[str, Any]:
        """Say what is new since the last line."""
        counts = {
            "".join(map(str.title, outcome.split("-"))): standing.counts.get(outcome, 0)
            for outcome in Outcome
        }
        counts |= {"Requests": standing.requests, "Throttled": standing.throttled}
        new = {name: count - self._told[name] for name, count in counts.items()}
        self._told = Counter(counts)
        metrics = [{"Name": name, "Unit": "Count"} for name in new]
        values: dict[str, Any] = dict(new)
        if standing.exit_code is not None:
            metrics += [{"Name": "Seconds", "Unit": "Seconds"}, {"Name": "ExitCode"}]
            values |= {"Seconds": round(standing.seconds, 3), "ExitCode": standing.exit_code}
        dimensions = {
            name: standing.labels[label]
            for name, label in (("Region", "region"), ("ClientId", "client_id"))
            if label in standing.labels
        }
        described = {
            "Namespace": "BatchResend",
            "Dimensions": [list(dimensions), []] if dimensions else [[]],
            "Metrics": metrics,
        }
        stamp = {"Timestamp": int(self._clock() * 1000), "CloudWatchMetrics": [described]}
        return {"_aws": stamp, **dimensions, **values}


class Textfile:
    """A file for the textfile collector of Prometheus' node_exporter.

    It is replaced as a whole, so that nobody ever reads half of it, and everybody may
    read it: it holds numbers, Region and client, and the collector is another user. A
    write that hung and was given up changes nothing when it goes on: the last one stays.
    """

    every = TEXTFILE_EVERY

    def __init__(self, path: str, clock: Callable[[], float] = time.time) -> None:
        """Check the name; raises `UsageError`."""
        if not path.endswith(".prom"):
            raise UsageError(
                f"--metrics textfile:{path}: give a name that ends in .prom, for node_exporter"
                " reads no other."
            )
        self.path = Path(path)
        self._clock = clock
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._written = -1  # the number of the write that is there

    def write(self, standing: Standing) -> None:
        """Replace the file, unless a write that began later has done so."""
        number = next(self._numbers)
        descriptor, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(self.text(standing))
                os.fchmod(descriptor, 0o644)
            with self._lock:
                if number > self._written:
                    Path(name).replace(self.path)
                    self._written = number
        finally:
            with contextlib.suppress(OSError):
                Path(name).unlink()

    def text(self, standing: Standing) -> str:
        """Write the numbers as Prometheus reads them."""
        running = standing.exit_code is None
        lines = _gauge(
            "rows",
            "Rows settled in the latest run, by outcome.",
            {outcome: standing.counts.get(outcome, 0) for outcome in Outcome},
            standing.labels,
        )
        for name, meaning, value in (
            ("requests", "Requests made in the latest run.", standing.requests),
            ("throttled", "Requests that found the quota used up.", standing.throttled),
            ("seconds", "How long the latest run has taken.", round(standing.seconds, 3)),
            ("running", "Whether the latest run goes on.", int(running)),
            ("exit_code", "What the latest run exited with.", standing.exit_code),
            (
                "ended_timestamp_seconds",
                "When the latest run ended.",
                None if running else round(self._clock(), 3),
            ),
        ):
            if value is not None:
                lines += _gauge(name, meaning, {None: value}, standing.labels)
        return "".join(f"{line}\n" for line in lines)


def _gauge(
    name: str,
    meaning: str,
    values: Mapping[Outcome | None, float],
    labels: Mapping[str, str],
) -> list[str]:
    name = f"batch_resend_{name}"
    lines = [f"# HELP {name} {meaning}", f"# TYPE {name} gauge"]
    for outcome, value in values.items():
        told = dict(labels) | ({"outcome": str(outcome)} if outcome else {})
        inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in told.items())
        lines.append(f"{name}{{{inner}}} {value}" if inner else f"{name} {value}")
    return lines


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def read_metrics(text: str) -> Form:
    """Read --metrics; raises `UsageError`."""
    form, _, path = text.partition(":")
    if text == "emf":
        return Emf()
    if form == "textfile" and path:
        return Textfile(path)
    raise UsageError(f"--metrics {text!r}: give emf, or textfile: and the path of a file.")


def keep_apart(form: Form, files: Mapping[str, str | None]) -> None:
    """Refuse metrics that would be mixed up with another output, or replace a file.

    `files` has paths by what they are.
    """
    for what, path in files.items():
        if path is None:
            continue
        if isinstance(form, Emf) and path == "-":
            raise UsageError(
                f"--metrics emf writes to standard output, and so does {what} -: name a file"
                f" for {what}."
            )
        if isinstance(form, Textfile) and os.path.realpath(path) == os.path.realpath(form.path):
            raise UsageError(f"--metrics {path} is {what} too: give each a place of its own.")
