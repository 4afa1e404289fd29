"""Plan: read the input as a dry run does, and write the batches to S3. Sends nothing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

from batch_resend.aws import s3
from batch_resend.model import Outcome, Planned
from batch_resend.run.prepare import prepare
from batch_resend.sources import planned_batch
from batch_resend.step_functions.arguments import HERE, read_settings, whole_number
from batch_resend.step_functions.objects import Execution

LARGEST_BATCH = 5000  #: users; their outcomes must fit into the 256 KiB of a state's output
MOST_WORKERS = 5


async def plan(event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
    """Plan, and write the batches. Sends nothing, so it may be tried again."""
    arguments = [str(one) for one in event.get("arguments") or ()]
    settings = read_settings(arguments)
    workers = whole_number("WORKERS", 4, MOST_WORKERS)
    tolerated = whole_number("TOLERATED_FAILURE_PERCENTAGE", 10, 100, least=0)
    size = whole_number("BATCH_SIZE", 500, LARGEST_BATCH)
    place = f"s3://{os.environ['BUCKET']}/runs/{event['name']}"
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "plan.csv")
        dry = replace(settings, dry_run=True, report=str(report))
        async with prepare(dry) as prepared:
            batches = [] if settings.dry_run else _divide(prepared.rows, size, Path(folder))
            summary = await prepared.report_plan()
        async with s3.open_store(HERE) as store:
            execution = Execution(store, place)
            for number, (file, _) in enumerate(batches, 1):
                await execution.put_file(f"batches/{number:05}.jsonl", file)
            await execution.put_file("plan.csv", report)
            listed = [
                {"batch": number, "users": users} for number, (_, users) in enumerate(batches, 1)
            ]
            await execution.put_json("batches.json", listed)
            await execution.put_json(
                "plan.json",
                {
                    "arguments": arguments,
                    "state_machine": event.get("state_machine"),
                    "dry_run": settings.dry_run,
                    "case_sensitive": prepared.job.case_sensitive,
                    "heading": prepared.heading,
                    "encoding": prepared.encoding,
                    "batches": len(batches),
                    "ceiling": summary.ceiling,
                    "started_at": summary.started_at,
                    "notes": list(summary.notes),
                    "region": summary.info.region,
                    "facts": asdict(summary.info),
                },
            )
    return {
        "place": place,
        "rows": summary.rows,
        "reasons": {str(reason): count for reason, count in summary.reasons.items()},
        "batches": len(batches),
        "workers": workers,
        "rate": (summary.ceiling or 0.0) / max(1, min(workers, len(batches))),
        "tolerated": tolerated,
    }


def _divide(rows: Iterable[Planned], size: int, folder: Path) -> list[tuple[Path, int]]:
    """Write the users who are not skipped into files; return these, with the users in each."""
    batches: list[tuple[Path, int]] = []
    wanted = (row for row in rows if row.reason.outcome is not Outcome.SKIPPED)
    for first in wanted:
        path = folder / f"{len(batches) + 1:05}.jsonl"
        users = [first, *islice(wanted, size - 1)]
        path.write_bytes(b"".join(map(planned_batch.line, users)))
        batches.append((path, len(users)))
    return batches
