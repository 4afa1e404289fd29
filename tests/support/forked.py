"""The program as a process that another, which has imported it already, is split into.

To start an interpreter and import an SDK takes longer than a small run. `Forked` stands for
`subprocess.Popen`: a process of its own with its own environment, folder and streams, which
ends as an interpreter ends and can be killed. How the program itself starts is tested
elsewhere, with real starts.

    a test  --argv, env, folder, streams-->  `python -m tests.support.forked`  --fork-->  program
    a test  <---------- exit code ---------------------------'  <------ its end -------------'
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import io
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]

_LONGEST = 1 << 17  #: bytes of a request
_CODE = 16  #: bytes of an answer, at most

#: What the program imports when it needs it.
_IMPORTS = (
    "batch_resend.cli",
    "batch_resend.__main__",
    "aioboto3",
    "aiobotocore.session",
    "aiohttp",
    "batch_resend.aws.transport",
    "batch_resend.console",
    "batch_resend.job.engine",
    "batch_resend.ledger.sqlite.ledger",
    "batch_resend.run.prepare",
    "batch_resend.simulator.server",
    "botocore.exceptions",
    "botocore.parsers",
)

#: What decides how an interpreter starts; a process that is split off cannot have it otherwise.
_DECIDES = ("PYTHON", "LC_", "LANG", "LD_")
_AS_HERE = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"}


def can_be_forked(env: Mapping[str, str], options: Mapping[str, Any]) -> bool:
    """Whether a start needs nothing that only a new interpreter has."""
    return options.keys() <= _OPTIONS and all(
        _AS_HERE.get(name) == value for name, value in env.items() if name.startswith(_DECIDES)
    )


_OPTIONS = {"stdin", "stdout", "stderr", "text", "cwd", "umask", "start_new_session"}


class Forked:
    """A process of the program, with the part of `subprocess.Popen` that the tests use."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        stdin: Any = subprocess.DEVNULL,
        stdout: Any = None,
        stderr: Any = None,
        text: bool = False,
        umask: int = -1,
        start_new_session: bool = False,
    ) -> None:
        self.args = list(arguments)
        self.returncode: int | None = None
        self._theirs: list[int] = []  # descriptors to close here
        self._text = text
        self._results: dict[str, Any] = {}
        self._threads: list[threading.Thread] = []
        self.stdin = self._stream("wb") if stdin == subprocess.PIPE else None
        streams = [self._theirs[-1] if self.stdin else self._descriptor(stdin, 0)]
        self.stdout = self._stream("rb") if stdout == subprocess.PIPE else None
        streams.append(self._theirs[-1] if self.stdout else self._descriptor(stdout, 1))
        self.stderr = self._stream("rb") if stderr == subprocess.PIPE else None
        if self.stderr:
            streams.append(self._theirs[-1])
        elif stderr == subprocess.STDOUT:
            streams.append(streams[1])
        else:
            streams.append(self._descriptor(stderr, 2))
        request = {
            "argv": self.args,
            "env": dict(env),
            "cwd": str(cwd),
            "umask": umask,
            "session": start_new_session,
        }
        self._channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            message = json.dumps(request).encode()
            socket.send_fds(_server(), [message], [*streams, other.fileno()])
        finally:
            other.close()
            for descriptor in self._theirs:
                os.close(descriptor)
        self.pid = int(self._channel.recv(_CODE))

    def _stream(self, mode: str) -> IO[Any]:
        reading, writing = os.pipe()
        ours, theirs = (writing, reading) if mode == "wb" else (reading, writing)
        self._theirs.append(theirs)
        raw: Any = os.fdopen(ours, mode)
        return io.TextIOWrapper(raw, "utf-8", write_through=True) if self._text else raw

    def _descriptor(self, stream: Any, usual: int) -> int:
        if stream is None:
            return usual
        if stream == subprocess.DEVNULL:
            self._theirs.append(os.open(os.devnull, os.O_RDWR))
            return self._theirs[-1]
        return stream if isinstance(stream, int) else int(stream.fileno())

    def poll(self) -> int | None:
        """Return the exit code if it has ended; that of a signal is negative."""
        if self.returncode is None and select.select([self._channel], [], [], 0)[0]:
            self._heard()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raises `subprocess.TimeoutExpired`."""
        if self.returncode is None:
            if not select.select([self._channel], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self._heard()
        assert self.returncode is not None
        return self.returncode

    def _heard(self) -> None:
        answer = self._channel.recv(_CODE)
        assert answer, "the process that the program is split off from has died"
        self.returncode = int(answer)
        self._channel.close()

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def communicate(self, input: Any = None, timeout: float | None = None) -> tuple[Any, Any]:  # noqa: A002
        """Write to it, read what it says to its end; raises `subprocess.TimeoutExpired`."""
        end = None if timeout is None else time.monotonic() + timeout
        if not self._threads:
            jobs: list[tuple[Callable[[str, Any], None], str, Any]] = []
            if self.stdin:
                jobs.append((self._write, "in", input))
            for name, stream in (("out", self.stdout), ("err", self.stderr)):
                if stream and not stream.closed:
                    jobs.append((self._read, name, stream))
            for job, name, argument in jobs:
                self._threads.append(
                    threading.Thread(target=job, args=(name, argument), daemon=True)
                )
                self._threads[-1].start()
        for thread in self._threads:
            thread.join(None if end is None else max(0.0, end - time.monotonic()))
            if thread.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        self.wait(None if end is None else max(0.0, end - time.monotonic()))
        return self._results.get("out"), self._results.get("err")

    def _write(self, _: str, text: Any) -> None:
        assert self.stdin is not None
        try:
            with self.stdin:
                if text:
                    self.stdin.write(text)
        except (BrokenPipeError, ValueError):  # it has ended, or the test closed the stream
            pass

    def _read(self, name: str, stream: IO[Any]) -> None:
        with stream:
            self._results[name] = stream.read()


@functools.cache
def _server() -> socket.socket:
    """Start the process that the others are split off from, once for this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno())],
            env={"PATH": os.defpath, **_AS_HERE},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


# What follows runs in that process.


def _serve(requests: socket.socket) -> dict[str, Any] | None:
    """Split off a process for each request; return in each of them, and at the end."""
    watched = selectors.DefaultSelector()
    watched.register(requests, selectors.EVENT_READ)
    while True:
        for key, _ in watched.select():
            if key.data is not None:
                _tell_end(watched, key)
                continue
            message, descriptors, _, _ = socket.recv_fds(requests, _LONGEST, 4)
            if not message:
                return None
            pid = os.fork()
            if pid == 0:
                for other in list(watched.get_map().values()):
                    if other.data is not None:
                        other.data[1].detach()
                watched.close()
                requests.detach()
                request: dict[str, Any] = json.loads(message)
                _become(request, descriptors[:3])
                return request
            for descriptor in descriptors[:3]:
                os.close(descriptor)
            channel = socket.socket(fileno=descriptors[3])
            channel.send(str(pid).encode())
            watched.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, channel))


def _tell_end(watched: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    pid, channel = key.data
    _, status = os.waitpid(pid, 0)
    watched.unregister(key.fileobj)
    os.close(key.fd)
    with channel, contextlib.suppress(OSError):  # the test has not waited for it
        channel.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(request: Mapping[str, Any], streams: Sequence[int]) -> None:
    """Set up the new process: its session, streams, folder, environment and arguments."""
    if request["session"]:
        os.setsid()
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    os.closerange(3, 1 << 12)
    if request["umask"] >= 0:
        os.umask(request["umask"])
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    tempfile.tempdir = None
    sys.argv = ["batch_resend", *request["argv"]]
    terminal = os.isatty(1)
    sys.stdin = open(0, errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout = open(  # noqa: SIM115
        1, "w", errors="surrogateescape", closefd=False, buffering=1 if terminal else -1
    )
    sys.stderr = open(2, "w", errors="backslashreplace", closefd=False, buffering=1)  # noqa: SIM115


def _main() -> None:
    requests = socket.socket(fileno=int(sys.argv[1]))
    for name in _IMPORTS:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    if _serve(requests) is not None:
        from batch_resend.__main__ import main

        main()


if __name__ == "__main__":
    _main()
