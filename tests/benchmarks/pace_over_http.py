"""The pace in real time: the program as a process, against the simulator over HTTP.

The server is a process of its own, so that neither client's work delays its clock.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.request import urlopen

import anyio

import batch_resend
from batch_resend.simulator.quota import Quota
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.server import running

CLIENT, REGION = "simulatedclient", "us-east-1"


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its seconds, and the part of all requests that the server throttled."""

    seconds: float
    throttled: float
    failed: int


def the_program(quota: Quota, users: int, latency: float, rate: float) -> Run:
    """Run `batch-resend run` with `--rate`; the seconds are the run's own."""
    with serving(quota, latency) as url, tempfile.TemporaryDirectory() as folder:
        names = Path(folder) / "users.csv"
        names.write_text("username\n" + "".join(f"user{n}@example.com\n" for n in range(users)))
        command = [sys.executable, "-m", "batch_resend", "run", str(names), "--yes", "--quiet"]
        command += ["--client-id", CLIENT, "--region", REGION, "--endpoint-url", url]
        command += [
            "--rate",
            f"{rate:g}",
            "--ledger",
            f"{folder}/ledger.sqlite3",
            "--create-ledger",
        ]
        command += ["--report", f"{folder}/report.csv", "--summary", f"{folder}/summary.json"]
        root = Path(batch_resend.__file__).parents[1]
        subprocess.run(
            command, check=True, capture_output=True, env=os.environ | {"PYTHONPATH": str(root)}
        )
        summary = json.loads((Path(folder) / "summary.json").read_text())
        failed = users - summary["counts"]["sent"]
        return Run(summary["seconds"], throttled_part(url), failed)


def the_sdk(quota: Quota, users: int, latency: float) -> Run:
    """Run boto3 in adaptive mode, 32 threads, ten attempts per user."""
    import boto3
    import botocore
    from botocore.config import Config

    with serving(quota, latency) as url:
        client = boto3.client(
            "cognito-idp",
            region_name=REGION,
            endpoint_url=url,
            config=Config(
                signature_version=botocore.UNSIGNED,
                max_pool_connections=32,
                retries={"mode": "adaptive", "total_max_attempts": 10},
            ),
        )

        def resend(n: int) -> bool:
            try:
                client.resend_confirmation_code(ClientId=CLIENT, Username=f"user{n}@example.com")
            except client.exceptions.TooManyRequestsException:
                return False
            return True

        began = time.monotonic()
        with ThreadPoolExecutor(32) as threads:
            failed = list(threads.map(resend, range(users))).count(False)
        return Run(time.monotonic() - began, throttled_part(url), failed)


@contextmanager
def serving(quota: Quota, latency: float) -> Iterator[str]:
    """Serve in another process; yields the URL."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=serve, args=(quota, latency, there), daemon=True)
    server.start()
    try:
        yield here.recv()
    finally:
        server.kill()
        server.join()


def serve(quota: Quota, latency: float, tell: Connection) -> None:
    async def until_killed() -> None:
        async with running(Cognito(quota=quota), latency=latency) as url:
            tell.send(url)
            await anyio.sleep_forever()

    anyio.run(until_killed)


def throttled_part(url: str) -> float:
    with urlopen(f"{url}/_simulator") as answer:
        record = json.load(answer)
    return float(record["throttled"] / record["requests"])
