"""strace: to see the program's calls, to kill it at one of them, or to make one fail."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest

#: The calls that change what outlives the process, here or elsewhere.
LEAVING = (
    *("write", "writev", "pwrite64", "pwritev", "pwritev2", "sendto", "sendmsg", "sendmmsg"),
    *("fsync", "fdatasync", "sync_file_range", "ftruncate", "fallocate"),
    *("rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat"),
)

_ALWAYS = ("-qq", "-e", "signal=none")


@cache
def _strace() -> str:
    """Find a strace that works, or skip."""
    path = shutil.which("strace")
    if path is None:
        pytest.skip("strace is not installed (apt-get install strace)")
    options = ["-o", os.devnull, "-e", "trace=write", "-e", "inject=write:error=EIO:when=9999"]
    tried = subprocess.run(
        [path, "-f", "--seccomp-bpf", *_ALWAYS, *options, sys.executable, "-c", ""],
        capture_output=True,
        check=False,
        timeout=60,
    )
    if tried.returncode:
        lines = tried.stderr.decode("utf-8", "replace").strip().splitlines() or [""]
        pytest.skip(f"strace cannot trace here, as ptrace is forbidden or it is old: {lines[0]}")
    return path


def under_strace(
    output: str | Path, calls: Sequence[str], *more: str, threads: bool = True
) -> list[str]:
    """Start a command that is traced; calls unknown here are ignored.

    Without `threads` only the main thread is traced.
    """
    wanted = ",".join(f"?{call}" for call in calls)
    options = [*_ALWAYS, "-o", str(output)]
    if threads:
        options.append("-f")
        if not any("signal=" in option for option in more):
            options.append("--seccomp-bpf")  # faster; but strace loses the signals it should send
    return [_strace(), *options, "-e", f"trace={wanted}", *more]


@dataclass
class Call:
    """One call as strace saw it; `start` and `end` are places in the order of all that happened.

    A call that the process did not live to see the end of has no `end` and no `result`.
    """

    thread: int
    name: str
    arguments: str
    start: int
    end: int | None = None
    result: int | None = None
    at: float = 0.0  #: seconds since the epoch, if strace was asked for them
    injected: bool = False

    @cached_property
    def texts(self) -> list[bytes]:
        r"""The quoted arguments; those of a trace with `-xx`."""
        return [bytes.fromhex(text.replace("\\x", "")) for text in _QUOTED.findall(self.arguments)]

    @cached_property
    def numbers(self) -> list[int]:
        """The plain numbers among the arguments, in order."""
        parts = [part.strip() for part in _QUOTED.sub("", self.arguments).split(",")]
        return [int(part) for part in parts if _NUMBER.fullmatch(part)]


_QUOTED = re.compile(r'"([^"]*)"')
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)")
_LINE = re.compile(r"(?:(\d+) +)?(?:(\d+\.\d+) )?(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)", re.DOTALL)
_RESULT = re.compile(r"\) += (-?\d+|\?)([^=]*)$")
_CUT_SHORT = "<unfinished ...>"


def read_trace(path: Path) -> list[Call]:
    """Read what strace wrote, in the order of the calls' starts."""
    return list(_calls(path.read_text("ascii").splitlines()))


def _calls(lines: Sequence[str]) -> Iterator[Call]:
    calls: list[Call] = []
    running: dict[int, Call] = {}
    for place, line in enumerate(lines):
        match = _LINE.fullmatch(line)
        if match is None:
            continue  # an exit, a signal
        who, at, resumed, name, rest = match.groups()
        thread = int(who or 0)  # not said where only one is traced
        if resumed:
            call = running.pop(thread)
            rest = call.arguments + rest
        else:
            call = Call(thread, name, "", place, at=float(at or 0))
            calls.append(call)
        if rest.endswith(_CUT_SHORT):
            call.arguments = rest.removesuffix(_CUT_SHORT)
            running[call.thread] = call
            continue
        ended = _RESULT.search(rest)
        assert ended, f"a line of strace that cannot be read: {line[:200]}"
        call.arguments = rest[: ended.start()]
        if ended[1] != "?":
            call.end, call.result = place, int(ended[1])
        call.injected = "(INJECTED)" in ended[2]
    yield from calls
