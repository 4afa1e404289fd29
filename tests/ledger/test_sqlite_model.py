"""A ledger file against a dict: any steps in any order, over any number of runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from batch_resend.ledger import (
    Identity,
    Intend,
    IntentRejected,
    Interrupted,
    Settle,
)
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.ledger.sqlite.ledger import SqliteLedger
from batch_resend.model import Outcome, Reason
from tests.support.ledgers import (
    NOW,
    apply,
)

names = st.sampled_from(["ada", "Ada", "bob", "cid", "b\u0130"])
addresses = st.sampled_from(["x@example.com", "Y@example.com"])
aliases = st.lists(st.sampled_from(["x@example.com", "y@example.com"]), max_size=2, unique=True)
settled = st.sampled_from([reason for reason in Reason if reason.outcome is not Outcome.PLANNED])


class LedgerAgainstADict(RuleBasedStateMachine):
    """A ledger that, after any steps over any number of runs, equals a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"ledger-{os.getpid()}-{id(self)}"
        self.path = self.folder / "ledger.sqlite3"
        self.messages: dict[int, dict[str, Any]] = {}
        self.run = 0
        self.time = NOW
        self.file: LedgerFile
        self.opened: SqliteLedger
        self.open()

    def open(self) -> None:
        self.run += 1
        self.file = LedgerFile(self.path)
        self.opened = self.file.__enter__()
        self.opened.begin(self.time)

    def tick(self) -> float:
        self.time += 1
        return self.time

    def mine(self, name: str) -> list[dict[str, Any]]:
        """The messages to the users of the name, under any of their names."""
        folded = name.casefold()
        messages = self.messages.values()
        owners = {folded} | {m["name"].casefold() for m in messages if folded in m["aliases"]}
        all_names = owners | {
            alias for m in messages if m["name"].casefold() in owners for alias in m["aliases"]
        }
        return [message for message in messages if message["name"].casefold() in all_names]

    @rule(name=st.one_of(names, addresses), other=aliases)
    def intend(self, name: str, other: list[str]) -> None:
        at = self.tick()
        intend = Intend(Identity(name, tuple(other)), at)
        if any(m["state"] == "open" and m["run"] == self.run for m in self.mine(name)):
            if any(m["aliases"] for m in self.messages.values()):
                with pytest.raises(IntentRejected, match="outcome-unknown"):
                    apply(self.opened, [intend])
            return  # else the plan sees to that
        (intent,) = apply(self.opened, [intend])
        for message in self.mine(name):
            if message["state"] == "open":
                message |= {"state": "unknown", "at": at}
        self.messages[intent] = {
            "name": name,
            "shown": name,
            "aliases": other,
            "state": "open",
            "at": at,
            "run": self.run,
        }

    @rule(reason=settled, pick=st.integers(0, 99))
    def settle(self, reason: Reason, pick: int) -> None:
        mine = [n for n, m in self.messages.items() if m["state"] == "open"]
        mine = [n for n in mine if self.messages[n]["run"] == self.run]
        if not mine:
            return
        at, intent = self.tick(), mine[pick % len(mine)]
        if reason.outcome is Outcome.NOT_ATTEMPTED:
            apply(self.opened, [Settle(intent, None, at)])
            del self.messages[intent]
        else:
            apply(self.opened, [Settle(intent, reason, at)])
            self.messages[intent] |= {"state": str(reason.outcome), "at": at}

    @rule(name=names)
    def give_up(self, name: str) -> None:
        at = self.tick()
        apply(self.opened, [Interrupted(Identity(name), at)])
        for message in self.mine(name):
            if message["state"] == "open" and message["run"] != self.run:
                message |= {"state": "unknown", "at": at}

    @rule(name=st.one_of(names, addresses))
    def forget(self, name: str) -> None:
        mine = self.mine(name)
        forgotten = self.opened.records.forget([name])
        assert forgotten.messages == sum(m["shown"] is not None for m in mine)
        assert forgotten.unknown == (() if mine else (name,))
        for message in mine:
            message["shown"] = None

    @rule(age=st.integers(0, 9), entirely=st.booleans())
    def purge(self, age: int, entirely: bool) -> None:
        before = self.time - age + 0.5
        old = {
            n: m for n, m in self.messages.items()
            if m["at"] < before and not (entirely and m["state"] == "open" and m["run"] == self.run)
        }  # fmt: skip
        if entirely and any(m["at"] < before for n, m in self.messages.items() if n not in old):
            return  # a run does not forget its own open intents
        extent = self.opened.records.older(before, entirely=entirely)
        counted = [m for m in old.values() if entirely or m["shown"] is not None]
        assert extent.messages == len(counted)
        assert extent.unknown == sum(m["state"] in {"open", "unknown"} for m in counted)
        self.opened.records.purge(before, entirely=entirely)
        for number, message in old.items():
            message["shown"] = None
            if entirely:
                del self.messages[number]

    @rule()
    def run_again(self) -> None:
        self.file.__exit__(None, None, None)
        self.open()

    @invariant()
    def knows_what_a_dict_knows(self) -> None:
        for name in ("ada", "Bob", "CID", "b\u0130", "x@example.com"):
            of_name = self.opened.history(Identity(name))
            expected = [(m["state"], m["at"]) for m in self.mine(name)]
            assert sorted(of_name.sent) == sorted(at for s, at in expected if s == "sent")
            unsure = sorted(at for s, at in expected if s in {"open", "unknown"})
            assert sorted([*of_name.unknown, *of_name.not_recorded]) == unsure
            assert of_name.interrupted == any(s == "open" for s, _ in expected)
        rows = [(m.name, m.state, m.run, m.at) for m in self.opened.records.messages()]
        expected_rows = self.messages.values()
        assert sorted(rows, key=str) == sorted(
            ((m["shown"], m["state"], m["run"], m["at"]) for m in expected_rows), key=str
        )
        assert sorted(m.at for user in self.opened.records.users() for m in user) == sorted(
            m["at"] for m in expected_rows
        )
        states = [m["state"] for m in self.messages.values()]
        assert self.opened.unknown().messages == states.count("open") + states.count("unknown")

    def teardown(self) -> None:
        self.file.__exit__(None, None, None)
        for file in self.folder.iterdir():
            file.unlink()
        self.folder.rmdir()


TestLedgerAgainstADict = LedgerAgainstADict.TestCase
TestLedgerAgainstADict.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
