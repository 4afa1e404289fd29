"""The public API as a caller writes it: type-checked, never run."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import assert_type
from uuid import UUID

import pandas as pd

import batch_resend as br


def settings() -> br.Settings:
    """Set every setting with each of its types."""
    options = br.Settings(
        client_id="1example23456789",
        users=Path("users.csv"),
        ledger=Path("ledger.sqlite3"),
        older_than=timedelta(days=1),
        newer_than=86400,
        since=datetime(2026, 11, 1, tzinfo=UTC),
        max_failures="50%",
        match={"email": r"@x$"},
        metadata={"locale": "@locale"},
        client_secret=lambda: "secret",
    )
    assert_type(options.users, str | None)
    assert_type(options.older_than, float | None)
    assert_type(options.timeout, float)
    assert_type(options.max_failures, br.MaxFailures)
    assert_type(options.match, tuple[tuple[str, re.Pattern[str]], ...])
    return options


async def fetched() -> str:
    """Return a secret, asynchronously."""
    return "secret"


def others() -> list[br.Settings]:
    """The other ways to give the same."""
    return [
        br.Settings(client_secret=fetched, since=date(2026, 11, 1), max_failures=5),
        br.Settings(client_secret="s", metadata=(("a", "b"),), match={"a": re.compile("b")}),
        br.Settings(report=None, failed=Path("failed.jsonl"), cooldown=timedelta(hours=1)),
    ]


async def listing() -> AsyncIterator[dict[str, str]]:
    """Yield mappings."""
    yield {"username": "ada"}


def names() -> Iterator[str]:
    """Yield names."""
    yield "ada"


def whole(frame: pd.DataFrame) -> None:
    """Run with all kinds of users, to the end."""
    assert_type(br.run(settings()), br.Summary)
    br.run(settings(), ["ada", "bob"])
    br.run(settings(), users=names())
    br.run(settings(), users=[UUID(int=0)])
    br.run(settings(), users=[{"username": "ada", "locale": None}])
    br.run(settings(), users=[br.Candidate(1, "ada")])
    br.run(settings(), users=frame, observe=print)


async def as_they_come(frame: pd.DataFrame) -> pd.DataFrame:
    """Iterate over results; read the plan and the summary of a run."""
    assert_type(await br.arun(settings(), users=listing()), br.Summary)
    results: list[br.Result] = []
    async with br.open_run(settings(), users=frame) as active:
        assert_type(active, br.ActiveRun)
        assert_type(active.preview, br.Preview)
        async for result in active:
            assert_type(result, br.Result)
            results.append(result)
    assert_type(active.summary.exit_code, br.Exit)
    return br.to_frame(results)


def observe(event: br.Event) -> None:
    """Receive the events of a run."""
    match event:
        case br.Noted(text):
            assert_type(text, str)
        case br.Settled(result):
            assert_type(result.outcome, br.Outcome)
            assert_type(result.reason, br.Reason)
        case br.Planned() | br.Began() | br.Waiting() | br.Ended():
            pass


watcher: br.Observe = observe
