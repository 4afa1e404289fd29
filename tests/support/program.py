"""The program as a real process, in a home of its own, and what it left behind."""

from __future__ import annotations

import base64
import contextlib
import csv
import hashlib
import hmac
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal

import batch_resend
from batch_resend.simulator.pool import Kind
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.server import running
from tests.support.forked import Forked, can_be_forked

CLIENT = "simulatedclient"
SECRET = "correct-horse-battery-staple"


def secret_hash(secret: str, username: str, client_id: str) -> str:
    digest = hmac.new(secret.encode(), (username + client_id).encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


AT_MOST = 600.0  #: seconds; a process that takes longer hangs, even on a busy machine


@dataclass(frozen=True)
class Ended:
    """A process that ended."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("Error:")]


class Program:
    """The program in a folder of its own, which is its home and its working folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        for name in ("home", "tmp"):
            (folder / name).mkdir()
        self.env = {
            "PATH": os.defpath,
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "XDG_STATE_HOME": str(self.state),
            "PYTHONPATH": str(Path(batch_resend.__file__).parents[1]),
            "AWS_EC2_METADATA_DISABLED": "true",
            "BATCH_RESEND_CREATE_LEDGER": "1",  # each test begins with a ledger of its own
        }
        self._running: list[Any] = []

    def start(self, *arguments: str, env: dict[str, str] | None = None, **more: Any) -> Any:
        options: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "cwd": self.folder,
        }
        environment, options = self.env | (env or {}), options | more
        process: Any
        if can_be_forked(environment, options):
            process = Forked(arguments, env=environment, **options)
        else:
            command = [sys.executable, "-m", "batch_resend", *arguments]
            process = subprocess.Popen(command, env=environment, **options)
        self._running.append(process)
        return process

    def __call__(
        self, *arguments: str, env: dict[str, str] | None = None, stdin: str = "", **more: Any
    ) -> Ended:
        if stdin:
            more["stdin"] = subprocess.PIPE
        return ended(self.start(*arguments, env=env, **more), stdin)

    def end(self) -> None:
        for process in self._running:
            process.kill()
            process.communicate()

    def users(self, names: Iterable[str], file: str = "users.csv") -> str:
        (self.folder / file).write_text("username\n" + "".join(f"{name}\n" for name in names))
        return file

    def report(self, file: str = "report.csv") -> list[dict[str, str]]:
        return read_report((self.folder / file).read_text(encoding="utf-8"))

    def summary(self, file: str = "summary.json") -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / file).read_text(encoding="utf-8"))
        return content


def ended(process: Any, stdin: str | None = None) -> Ended:
    out, err = process.communicate(stdin or None, timeout=AT_MOST)
    assert "Traceback" not in err
    assert "Internal error" not in err
    assert "An error in this program itself" not in err
    return Ended(process.returncode, out, without_times(err))


_UTC = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", re.MULTILINE)
_OF_A_LOG = re.compile(
    r"^(?:batch-resend \S+ started, .*|Ended with exit code \d+\."
    r"|(?:\S+: )?(?:Reading|Listing users of) .* \.\.\. .*"
    r"|(?:\S+: )?Checking the pool, .* \.\.\.)\n",
    re.MULTILINE,
)


def without_times(log: str) -> str:
    """Return a log without times, first and last line, and notes of a slow machine."""
    return _OF_A_LOG.sub("", _UTC.sub("", log))


def until(condition: Callable[[], bool], process: Any = None) -> None:
    """Wait for it; fail where too much time goes by, or the process ends, before."""
    end = time.monotonic() + AT_MOST
    while not condition():
        if process is not None:
            assert process.poll() is None, f"it ended too soon: {process.communicate()[1]}"
        assert time.monotonic() < end, "it never came so far"
        time.sleep(0.01)


def has_ended(process: Any, within: float) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(within)
    return process.poll() is not None


def read_report(text: str) -> list[dict[str, str]]:
    assert text.endswith("\n")
    return list(csv.DictReader(io.StringIO(text)))


def became(report: list[dict[str, str]]) -> dict[str, str]:
    """Return the outcome of each user; every user once."""
    result = {row["username"]: f"{row['outcome']}/{row['reason']}" for row in report}
    assert len(result) == len(report)
    return result


def rows(report: list[dict[str, str]]) -> list[int]:
    return sorted(int(row["row"]) for row in report)


def tallied(report: list[dict[str, str]]) -> dict[str, int]:
    return dict(Counter(f"{row['outcome']}/{row['reason']}" for row in report))


def numbered(count: int, kind: Kind | None = None, first: int = 1) -> list[str]:
    marker = f"+{kind}" if kind else ""
    return [f"user{n}{marker}@example.com" for n in range(first, first + count)]


def once(names: Iterable[str]) -> dict[str, int]:
    return dict.fromkeys(names, 1)


@contextlib.contextmanager
def serving(elsewhere: BlockingPortal, cognito: Cognito, latency: float = 0.0) -> Iterator[str]:
    with elsewhere.wrap_async_context_manager(running(cognito, latency=latency)) as url:
        yield url


REPORT = ("--report", "report.csv")


AGAIN = (*REPORT, "--overwrite")


SUMMARY = ("--summary", "summary.json")


PLAIN_TERMINAL = {"TERM": "xterm", "NO_COLOR": "1"}


def in_dialogue(program: Program, answers: Mapping[str, Sequence[str]], *arguments: str) -> Ended:
    """Run at a terminal and answer each question: by how it begins, with Enter for others.

    The answers of a question are given in turn, each when it is on the screen; after the last
    it is Ctrl-D (`\\x04`), so that no question is asked forever.
    """
    ours, theirs = pty.openpty()
    process = program.start(*arguments, stdin=theirs, stderr=theirs, env=PLAIN_TERMINAL)
    os.close(theirs)
    said, left, asked = b"", {start: list(its) for start, its in answers.items()}, 0
    with contextlib.suppress(OSError):  # the error of a terminal whose other end is closed
        while piece := os.read(ours, 65536):
            said += piece
            question = said[asked:].rpartition(b"\n")[2].decode()
            if question.endswith(": "):
                asked = len(said)
                its = next((left[start] for start in left if question.startswith(start)), [""])
                answer = its.pop(0) if its else "\x04"
                os.write(ours, (answer if answer == "\x04" else f"{answer}\n").encode())
    out, _ = process.communicate(timeout=AT_MOST)
    os.close(ours)
    return Ended(process.returncode, out, said.decode().replace("\r\n", "\n"))


def at_a_terminal(
    program: Program, answer: str | signal.Signals, *arguments: str, before: str = ""
) -> Ended:
    """Run with a person before it: what is said to them comes back as `err`.

    They give the same answer however often they are asked; a signal they give once. `before`
    is typed before the program starts.
    """
    ours, theirs = pty.openpty()
    os.write(ours, before.encode())
    process = program.start(*arguments, stdin=theirs, stderr=theirs, env=PLAIN_TERMINAL)
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # the error of a terminal whose other end is closed
        while piece := os.read(ours, 65536):
            said += piece
            if answer and said.endswith((b"[y/N] ", b" to confirm: ")):
                if isinstance(answer, str):
                    os.write(ours, f"{answer}\n".encode())
                else:
                    process.send_signal(answer)
                    answer = ""
    out, _ = process.communicate(timeout=AT_MOST)
    os.close(ours)
    return Ended(process.returncode, out, said.decode().replace("\r\n", "\n"))
