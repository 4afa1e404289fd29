"""The cost of a message: users per second of CPU, beside what people would write by hand.

    python -m tests.benchmarks.engine [USERS] [ROUNDS]

Each client is a process of its own on one core, and an unlimited server is on the other. The
clients take turns in every round; a figure is the median over the rounds of users divided by
seconds of CPU, user and system:

  - boto3, defaults, 32 threads
  - aioboto3, defaults, 32 at once
  - batch-resend run: CSV in, ledger and report on, 32 at once, no ceiling that it reaches

"In all" is the whole process, from its start to its end. This program starts at 50 requests per
second, as an unknown quota demands, and needs some twelve seconds to detect that there is no
limit; slow seconds cost more CPU per request. "A further user" leaves that, and the imports of
all clients, out: the difference between a run over all users and one over half of them.
"""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

_BODY = (
    b'{"CodeDeliveryDetails":{"AttributeName":"email","DeliveryMedium":"EMAIL",'
    b'"Destination":"m***@e***"}}'
)
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\n"
    b"x-amzn-RequestId: 00000000-0000-4000-8000-000000000000\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)

_BOTO3 = """
import sys, boto3, threading, itertools
users, url = int(sys.argv[1]), sys.argv[2]
client = boto3.client("cognito-idp", region_name="us-east-1", endpoint_url=url,
                      config=boto3.session.Config(max_pool_connections=32))
rows = iter(range(users))
lock = threading.Lock()
def work():
    while True:
        with lock:
            row = next(rows, None)
        if row is None:
            return
        client.resend_confirmation_code(ClientId="simulated", Username=f"user{row}@example.com")
threads = [threading.Thread(target=work) for _ in range(32)]
[t.start() for t in threads]
[t.join() for t in threads]
"""

_AIOBOTO3 = """
import sys, asyncio, aioboto3
users, url = int(sys.argv[1]), sys.argv[2]
async def main():
    rows = iter(range(users))
    async with aioboto3.Session().client("cognito-idp", region_name="us-east-1",
                                         endpoint_url=url) as client:
        async def work():
            for row in rows:
                await client.resend_confirmation_code(ClientId="simulated",
                                                      Username=f"user{row}@example.com")
        await asyncio.gather(*(work() for _ in range(32)))
asyncio.run(main())
"""


class _Unlimited(asyncio.Protocol):
    """A server that accepts every request at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._came = b""

    def data_received(self, data: bytes) -> None:
        self._came += data
        while (end := self._came.find(b"\r\n\r\n")) >= 0:
            head = self._came[:end].lower()
            at = head.index(b"content-length:") + 15
            size = int(head[at:].split(b"\r\n", 1)[0])
            if len(self._came) < end + 4 + size:
                return
            self._came = self._came[end + 4 + size :]
            self._transport.write(_ANSWER)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Unlimited, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _cpu(arguments: list[str], environment: dict[str, str]) -> float:
    """Return the seconds of CPU of a process, from its start to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        arguments,
        check=True,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    users = int(sys.argv[1]) if len(sys.argv) > 1 else 40_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    cores = sorted(os.sched_getaffinity(0))
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.engine", "--serve"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    os.sched_setaffinity(server.pid, {cores[-1]})
    try:
        with tempfile.TemporaryDirectory(dir=".", prefix=".engine-") as name:
            folder = Path(name)
            for count in (users // 2, users):
                names = "".join(f"user{n}@example.com\n" for n in range(count))
                (folder / f"{count}.csv").write_text("username\n" + names)
            environment = {
                "PATH": os.environ["PATH"],
                "HOME": name,
                "AWS_ACCESS_KEY_ID": "x",
                "AWS_SECRET_ACCESS_KEY": "x",
                "AWS_EC2_METADATA_DISABLED": "true",
            }

            def ours(count: int) -> list[str]:
                for file in folder.glob("ledger*"):
                    file.unlink()
                return [
                    sys.executable, "-m", "batch_resend", "run", str(folder / f"{count}.csv"),
                    "--yes", "--client-id", "simulated", "--region", "us-east-1",
                    "--endpoint-url", url, "--rate", "50000", "--concurrency", "32",
                    "--report", str(folder / "report.csv"), "--overwrite",
                    "--ledger", str(folder / "ledger.sqlite3"), "--create-ledger",
                ]  # fmt: skip

            def by_hand(program: str) -> Callable[[int], list[str]]:
                return lambda count: [sys.executable, "-c", program, str(count), url]

            clients = {
                "boto3, defaults, 32 threads": by_hand(_BOTO3),
                "aioboto3, defaults, 32 at once": by_hand(_AIOBOTO3),
                "batch-resend run": ours,
            }
            in_all: dict[str, list[float]] = {client: [] for client in clients}
            further: dict[str, list[float]] = {client: [] for client in clients}
            for _ in range(rounds):
                for client, arguments in clients.items():
                    half = _cpu(arguments(users // 2), environment)
                    whole = _cpu(arguments(users), environment)
                    in_all[client].append(users / whole)
                    further[client].append((users - users // 2) / (whole - half))
    finally:
        server.kill()
    print(
        "| client | users per CPU second, in all | to the first | a further user | to the first |"
    )
    print("| --- | --- | --- | --- | --- |")
    first = next(iter(clients))
    for client in clients:
        cells = []
        for speeds in (in_all, further):
            speed = statistics.median(speeds[client])
            cells += [f"{speed:.0f}", f"{speed / statistics.median(speeds[first]):.2f}"]
        print(f"| {client} | {' | '.join(cells)} |")


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        asyncio.run(_serve())
    else:
        main()
