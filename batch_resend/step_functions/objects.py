"""The objects of one execution of the state machine: everything lies below one address in S3.

  plan.json         what was planned: arguments, counts, the input's heading
  plan.csv          the report of the plan: a row for every row of the input
  batches.json      the batches, for the Distributed Map
  batches/00001.jsonl
                    the users of one
  tries/00001-*     for each attempt at it, a report and a summary
  report.csv, failed.csv, summary.json, report.html
                    the results

Every object is written whole or not at all, and no attempt replaces another's objects.
Raises what `s3.Store` raises.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from anyio import to_thread

from batch_resend.aws import s3
from batch_resend.model import Candidate
from batch_resend.reports import merge
from batch_resend.sources import planned_batch

_READ_AT_ONCE = 1 << 20


class Execution:
    """One execution, by the address of its objects."""

    def __init__(self, store: s3.Store, place: str) -> None:
        """`place` is `s3://bucket/folder`."""
        self.place = place
        self._store = store

    def at(self, name: str) -> str:
        """Return the address of one of the objects."""
        return f"{self.place}/{name}"

    def batch(self, number: int) -> str:
        """Return the address of a batch."""
        return self.at(f"batches/{number:05}.jsonl")

    async def users(self, number: int) -> list[Candidate]:
        """Read a batch."""
        return planned_batch.read(await self._get(self.batch(number)))

    async def tries(self, number: int) -> tuple[dict[int, merge.Row], list[Mapping[str, Any]]]:
        """Return the results of all attempts at a batch: each user's row, and the summaries."""
        reports, summaries = [], []
        for name in await self._store.names(self.at(f"tries/{number:05}-")):
            data = await self._get(name)
            if name.endswith(".json"):
                summaries.append(json.loads(data))
            else:
                reports.append(merge.read(io.StringIO(data.decode(), newline=""), name))
        return merge.merged(reports), summaries

    async def add_try(self, number: int, report: Path, summary: Mapping[str, Any] | None) -> None:
        """Store the result of one attempt; without a summary if it did not end."""
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        name = f"tries/{number:05}-{now}-{secrets.token_hex(4)}"
        await self.put_file(f"{name}.csv", report)
        if summary is not None:
            await self.put_json(f"{name}.json", summary)

    async def plan(self) -> Mapping[str, Any]:
        """Read what was planned."""
        plan: Mapping[str, Any] = json.loads(await self._get(self.at("plan.json")))
        return plan

    async def plan_report(self) -> TextIO:
        """Open the report of the plan, as text; the caller closes it."""
        with await self._store.fetch("the plan", self.at("plan.csv")) as file:
            return open(os.dup(file.fileno()), encoding="utf-8", newline="")  # noqa: ASYNC230, PTH123

    async def put(self, name: str, data: bytes) -> None:
        """Write an object."""
        await self._store.put("a result", self.at(name), iter([data]), overwrite=True)

    async def put_json(self, name: str, value: Any) -> None:
        """Write a value."""
        await self.put(name, json.dumps(value).encode())

    async def put_file(self, name: str, file: Path) -> None:
        """Write a file's content."""
        pieces = await to_thread.run_sync(file.open, "rb")
        with pieces:
            read = iter(lambda: pieces.read(_READ_AT_ONCE), b"")
            await self._store.put("a result", self.at(name), read, overwrite=True)

    async def _get(self, path: str) -> bytes:
        with await self._store.fetch("an object", path) as file:
            return file.read()
