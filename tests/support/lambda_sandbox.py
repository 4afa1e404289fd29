"""Where the Lambda handler is run in tests: processes that stay warm, as Lambda's do.

`python -m tests.support.lambda_sandbox` is the inside: an event a line comes in, an answer a
line goes out. `Sandboxes` is the outside: it keeps processes and says what Lambda would say of
one that died. The time that the function sees and the time that it gets differ: a busy machine
may need minutes for what Lambda does in seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HANGS = 900.0  #: seconds after which a function hangs
ROOT = Path(__file__).resolve().parents[2]


class Died(Exception):
    """An error of the function, or the end of its process; `error` is the response of Lambda."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.error = {"errorType": kind, "errorMessage": message}


@dataclass
class Sandbox:
    """One process, which serves one event at a time."""

    process: subprocess.Popen[str]
    event: Mapping[str, Any] | None = None

    def serve(
        self, event: Mapping[str, Any], environment: Mapping[str, str], seconds: float
    ) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.event = event
        limit = threading.Timer(HANGS, self.process.kill)
        limit.start()
        began = time.monotonic()
        try:
            request = {"event": event, "environment": environment, "seconds": seconds}
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:  # it was killed while it waited for an event
            line = ""
        finally:
            limit.cancel()
            self.event = None
        if not line:
            self.process.wait()  # gone for good, so that it is never used as an idle one
            if time.monotonic() - began >= HANGS:
                raise Died("Sandbox.Timedout", f"Task timed out after {HANGS:.2f} seconds")
            raise Died("Runtime.ExitError", "RequestId: 1 Error: Runtime exited")
        response = json.loads(line)
        if "error" in response:
            raise Died(*response["error"])
        return response["answer"]


class Sandboxes:
    """The function: as many processes as are needed at a time."""

    def __init__(self) -> None:
        self.busy: list[Sandbox] = []
        self._idle: list[Sandbox] = []
        self._all: list[Sandbox] = []
        self._lock = threading.Lock()
        self.set_up({})

    def set_up(self, environment: Mapping[str, str], seconds: float = HANGS) -> None:
        """Remove the past calls; `seconds` is the time limit that the function sees."""
        self.environment = dict(environment)
        self.seconds = seconds
        self.events: list[Mapping[str, Any]] = []  #: what it was called with
        self.answers: list[str] = []  #: and what it returned
        self.most = 0  #: calls at a time

    def invoke(self, event: Mapping[str, Any]) -> Any:
        with self._lock:
            self.events.append(event)
            sandbox = self._idle.pop() if self._idle else self._new()
            self.busy.append(sandbox)
            self.most = max(self.most, len(self.busy))
        try:
            answer = sandbox.serve(event, self.environment, self.seconds)
        except Died:
            with self._lock:
                self.busy.remove(sandbox)
                if sandbox.process.poll() is None:
                    self._idle.append(sandbox)
            raise
        with self._lock:
            self.busy.remove(sandbox)
            self._idle.append(sandbox)
            self.answers.append(json.dumps(answer))
        return answer

    def called(self, action: str) -> list[Mapping[str, Any]]:
        """Return the events of one action."""
        return [event for event in self.events if event["action"] == action]

    def end(self) -> None:
        for sandbox in self._all:
            sandbox.process.kill()
            sandbox.process.wait()
            for pipe in (sandbox.process.stdin, sandbox.process.stdout):
                if pipe is not None:
                    pipe.close()

    def _new(self) -> Sandbox:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.lambda_sandbox"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._all.append(Sandbox(process))
        return self._all[-1]


class Context:
    """The context that Lambda passes beside the event."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(1000 * (self._end - time.monotonic()))


def _inside() -> None:
    from batch_resend.ledger.dynamodb import connection
    from batch_resend.step_functions import handler

    vars(connection)["ONE_TRY"] = HANGS  # of moto on a busy machine

    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        request = json.loads(line)
        os.environ.update(request["environment"])
        try:
            response: dict[str, Any] = {
                "answer": handler(request["event"], Context(request["seconds"]))
            }
        except Exception as error:
            response = {"error": [type(error).__name__, str(error)]}
        answers.write(json.dumps(response) + "\n")
        answers.flush()


if __name__ == "__main__":
    _inside()
