"""What a person sees of several pools: each line with its pool, and the total."""

import io
import json
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from batch_resend.console.console import Console
from batch_resend.errors import InputError
from batch_resend.job.engine import Snapshot
from batch_resend.job.outcome import Stop
from batch_resend.job.summary import Tally
from batch_resend.model import Outcome, Reason
from batch_resend.observer import Began, Ended, Noted, Waiting
from batch_resend.pools.console import PoolsConsole, pools_summary_lines, total
from batch_resend.pools.preview import PoolsPreview
from batch_resend.pools.summary import PoolsSummary
from tests.support.consoles import PREVIEW, snapshot, summary
from tests.support.infos import info
from tests.support.program import without_times

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def stands(eligible: int, done: int, **changes: Any) -> Snapshot:
    tally = Tally(reasons=Counter({Reason.ACCEPTED: done}), requests=done + 1)
    facts: dict[str, Any] = {"rate": 10.0, "ceiling": 20.0, "throttled": 1, "in_flight": 2}
    changed = facts | {"seconds": 3.0, "stopped_by": None} | changes
    return replace(snapshot(), eligible=eligible, done=done, tally=tally, **changed)


def test_total_adds_up_and_the_rate_is_that_of_running_pools() -> None:
    overall = total([stands(50, 10), stands(30, 20, rate=4.0, seconds=5.0), stands(5, 5, rate=9.0)])
    assert (overall.eligible, overall.done, overall.rate, overall.seconds) == (85, 35, 14.0, 5.0)
    assert (overall.throttled, overall.in_flight, overall.tally.requests) == (3, 6, 38)
    assert overall.tally.outcomes[Outcome.SENT] == 35
    assert overall.stopped_by is None


def test_all_are_stopping_only_where_each_that_goes_on_is() -> None:
    stopped = stands(50, 10, stopped_by=Stop.MAX_SENT)
    assert total([stopped, stands(30, 20)]).stopped_by is None
    assert total([stopped, stands(30, 30)]).stopped_by is Stop.MAX_SENT


def test_the_last_lines_name_the_worst_code_where_they_differ() -> None:
    sent = summary({Reason.ACCEPTED: 3})
    assert pools_summary_lines(PoolsSummary({"shop": sent, "blog": sent})) == [
        "2 pools: 6 rows: 6 sent."
    ]
    lost = summary({Reason.NO_ANSWER: 1})
    ends: dict[str, Any] = {"shop": sent, "blog": lost, "a\x1b": InputError("no such file")}
    assert pools_summary_lines(PoolsSummary(ends)) == [
        "3 pools: 4 rows: 3 sent, 1 unknown.",
        "Exit code 2, the highest of shop 0, blog 1, a\\x1b 2.",
    ]


def console(**changes: Any) -> tuple[PoolsConsole, io.StringIO]:
    stream = io.StringIO()
    return PoolsConsole(yes=True, stream=stream, **changes), stream


def test_plain_line_for_each_pool_without_a_terminal() -> None:
    pools, stream = console()
    for name, done in (("shop", 10), ("blog", 20)):
        standing = stands(40, done)
        pools.part(name).observe(Began(info(), 0.0, partial(replace, standing)))
    pools._tick()
    assert without_times(stream.getvalue()).splitlines() == [
        "shop: 10/40 25% | 10 sent | 10/s of 20/s | 1 throttled | 3 s left",
        "blog: 20/40 50% | 20 sent | 10/s of 20/s | 1 throttled | 2 s left",
    ]


async def test_for_programs_the_name_is_a_key_and_not_in_the_text() -> None:
    pools, stream = console(json_lines=True)
    shop, blog = pools.part("shop"), pools.part("blog")
    assert await pools.approve(PoolsPreview({"shop": PREVIEW, "blog": PREVIEW}))
    shop.observe(Noted("a note"))
    blog.observe(Waiting("no answer", 4.0))
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [each["pool"] for each in events if each["text"].startswith("Plan for")] == [
        "shop", "blog",
    ]  # fmt: skip
    assert [(each["event"], each["pool"], each["text"]) for each in events[-2:]] == [
        ("note", "shop", "a note"),
        ("waiting", "blog", "Waiting 4 s: no answer"),
    ]


@pytest.mark.parametrize(
    ("answers", "approved", "asked"),
    [
        (["240", "2400"], True, 2),
        (["y", "240", "24000", "2400"], False, 3),
        (["n", "2400"], False, 1),
        (["", "2400"], False, 1),
    ],
)
async def test_mistyped_number_is_prompted_for_again_a_few_times(
    monkeypatch: pytest.MonkeyPatch, answers: list[str], approved: bool, asked: int
) -> None:
    questions: list[str] = []

    async def answer(_: Console, question: str) -> str:
        questions.append(question)
        return answers[len(questions) - 1] + "\n"

    monkeypatch.setattr(Console, "_answer", answer)
    pools = PoolsConsole(yes=False, stream=io.StringIO())
    pools.part("shop")
    pools.part("blog")
    many = replace(PREVIEW, estimate=replace(PREVIEW.estimate, users=1200))
    assert await pools.approve(PoolsPreview({"shop": many, "blog": many})) is approved
    assert questions == ["Send 2,400 codes? Type 2400 to confirm: "] * asked


def test_quiet_leaves_the_summaries_of_each_and_of_all() -> None:
    pools, stream = console(quiet=True)
    pools.part("shop").observe(Noted("a note"))
    pools.part("blog")
    sent = summary({Reason.ACCEPTED: 3})
    pools.observe(Ended(PoolsSummary({"shop": sent, "blog": InputError("no such file")})))
    lines = without_times(stream.getvalue()).splitlines()
    assert lines[0].startswith("shop: 3 rows in ")
    assert "blog: Error: no such file" in lines
    assert lines[-2] == "2 pools: 3 rows: 3 sent."
