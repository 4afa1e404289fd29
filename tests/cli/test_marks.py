"""Every request of a real run carries the mark of its intent, and the ledger can find it again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import anyio
import pytest

from batch_resend.ledger import Marked
from batch_resend.marks import find_mark
from batch_resend.run.open_ledger import ledger_of, reconciling
from batch_resend.settings import LedgerTarget
from batch_resend.simulator.rules import Answer, Cognito
from tests.support import dynamodb
from tests.support.dynamodb import ENVIRONMENT, made_table
from tests.support.program import CLIENT, REPORT, Program

NAMES = [
    "ada@example.com",
    "bob+busy@example.com",
    "cy+lost@example.com",
    "dan+error@example.com",
    "eve+waf@example.com",
    "gone+missing@example.com",
]
#: The requests for each user: throttled users, and those blocked before Cognito, get another.
REQUESTS = {"bob+busy@example.com": 2, "eve+waf@example.com": 3}


class Listening(Cognito):
    """A Cognito that keeps the User-Agents of each user's requests, and the response IDs."""

    def __init__(self) -> None:
        super().__init__()
        self.agents: defaultdict[str, list[str]] = defaultdict(list)
        self.ids: dict[str, str] = {}

    def answer(self, parameters: Mapping[str, Any], *, now: float, agent: str = "") -> Answer:
        answer = super().answer(parameters, now=now, agent=agent)
        self.agents[parameters["Username"]].append(agent)
        self.ids[parameters["Username"]] = answer.reply.request_id
        return answer


@pytest.fixture
def cognito() -> Listening:
    return Listening()


@pytest.fixture(params=["file", "table"])
def ledger(
    request: pytest.FixtureRequest, program: Program, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    if request.param == "file":
        yield str(program.folder / "ledger.sqlite3")
        return
    url = request.getfixturevalue("moto_url")
    program.env |= ENVIRONMENT | {"AWS_ENDPOINT_URL_DYNAMODB": url}
    dynamodb.use(url, monkeypatch)
    with made_table(url, "us-east-1") as name:
        yield f"dynamodb://{name}"


def marked(ledger: str) -> dict[str | None, Marked]:
    """The messages that a reconciliation would look for, by name."""

    async def read() -> dict[str | None, Marked]:
        target = LedgerTarget(client_id=CLIENT, region="us-east-1", ledger=ledger)
        async with reconciling(target, await ledger_of(target)) as opened:
            return {one.message.name: one async for one in opened.marked(4e9)}

    return anyio.run(read)


def test_requests_carry_the_marks_that_the_ledger_knows(
    program: Program, at: tuple[str, ...], cognito: Listening, ledger: str
) -> None:
    """Through retries too: each is an intent of its own, and the last one is kept."""
    users = program.users(NAMES)
    ended = program("run", users, *at, "--ledger", ledger, "--create-ledger", *REPORT,
                    "--timeout", "2s", "--max-attempts", "3")  # fmt: skip
    assert ended.code == 1, ended.err
    assert {name: len(agents) for name, agents in cognito.agents.items()} == {
        name: REQUESTS.get(name, 1) for name in NAMES
    }
    agents = [agent for agents in cognito.agents.values() for agent in agents]
    assert all(agent.startswith("batch-resend/") for agent in agents)
    marks = [find_mark(agent) for agent in agents]
    assert all(marks)
    assert len(set(marks)) == len(marks)
    # If it is certain that nothing was sent, as when WAF blocks, no intent is left.
    assert {name: one.mark for name, one in marked(ledger).items()} == {
        name: find_mark(agents[-1])
        for name, agents in cognito.agents.items()
        if name != "eve+waf@example.com"
    }


def test_ledger_keeps_the_request_id_of_an_unknown_message(
    program: Program, at: tuple[str, ...], cognito: Listening, ledger: str
) -> None:
    """Where a response came; it is in CloudTrail's record too."""
    users = program.users(NAMES)
    program("run", users, *at, "--ledger", ledger, "--create-ledger", *REPORT, "--timeout", "2s")
    assert cognito.ids["dan+error@example.com"]
    request_ids = {name: one.message.request_id or "" for name, one in marked(ledger).items()}
    assert request_ids["dan+error@example.com"] == cognito.ids["dan+error@example.com"]
    assert request_ids["cy+lost@example.com"] == ""
