"""Erased names are nowhere in the files, and what was sent still counts."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from batch_resend.errors import LedgerError
from batch_resend.ledger import (
    Forgotten,
    Identity,
    Intend,
    Interrupted,
    Settle,
)
from batch_resend.ledger.policy import History
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.model import Reason
from tests.support.ledgers import (
    NOW,
    apply,
    everything,
    opened_file,
    remember,
)


def test_forgotten_name_is_in_no_file_but_counts_as_sent(path: Path) -> None:
    # As a busy run writes them: pages are split and cells moved, and SQLite leaves copies
    # of some names between its rows, which secure_delete does not reach.
    rng = random.Random(4)
    names = [f"person-{n}-{'x' * rng.randrange(60)}-{n}@example.com" for n in range(3000)]
    gone, rest = names[::2], names[1::2]
    ends = [Reason.ACCEPTED, Reason.UNREADABLE_ANSWER, Reason.REJECTED_BY_TRIGGER, None]
    accepted = set()
    with opened_file(path) as opened:
        waiting: list[tuple[int, str]] = []
        for start in range(0, len(names), 40):
            batch = names[start : start + 40]
            waiting += zip(
                apply(opened, [Intend(Identity(name, (f"+{name}",)), NOW) for name in batch]),
                batch,
                strict=True,
            )
            rng.shuffle(waiting)
            settled, waiting = waiting[20:], waiting[:20]
            reasons = [rng.choice(ends) for _ in settled]
            apply(
                opened,
                [
                    Settle(n, reason, NOW + 1)
                    for (n, _), reason in zip(settled, reasons, strict=True)
                ],
            )
            accepted |= {
                name
                for (_, name), reason in zip(settled, reasons, strict=True)
                if reason is Reason.ACCEPTED
            }
        before = everything(path)
        assert all(name.encode() in before for name in accepted)
        stored = {m.name for m in opened.records.messages()}
        forgotten = opened.records.forget([*(f"+{name}" for name in gone[:9]), *gone[9:]])
        assert forgotten.messages == len(stored & set(gone))
        assert len(forgotten.unknown) == len(set(gone) - stored)
        while_open = everything(path)
    for files in (while_open, everything(path)):
        left = [name for name in gone if f"{name[:14]}".encode() in files]
        assert left == []
        assert [name for name in gone if name[-18:].encode() in files] == []
        assert all(name.encode() in files for name in stored & set(rest) if name)
    with opened_file(path) as opened:
        for name in accepted:
            assert opened.history(Identity(name)).sent == [NOW + 1]
            assert opened.history(Identity(f"+{name.upper()}")).sent == [NOW + 1]
        # A repetition raises no error, and a missing name is reported.
        sent = next(name for name in gone if name in accepted)
        assert opened.records.forget([sent, "stranger"]) == Forgotten(0, ("stranger",))


def test_open_intent_of_a_dead_run_can_be_forgotten(
    path: Path,
) -> None:
    """It is reported as interrupted all the same."""
    with opened_file(path) as opened:
        apply(opened, [Intend(Identity("ada"), NOW)])
    with opened_file(path) as opened:
        opened.records.forget(["ada"])
        assert opened.history(Identity("ada")) == History([], [NOW], True)
        apply(opened, [Interrupted(Identity("ada"), NOW + 1)])
        assert opened.history(Identity("ada")) == History([], [NOW + 1], False)


def test_names_that_are_old_are_erased_and_still_count(path: Path) -> None:
    remember(path, "old@example.com", at=NOW)
    remember(path, "doubt@example.com", at=NOW + 1, reason=Reason.NO_ANSWER)
    remember(path, "new@example.com", at=NOW + 9)
    with opened_file(path) as opened:
        extent = opened.records.older(NOW + 9)
        assert (extent.messages, extent.unknown) == (2, 1)
        opened.records.purge(NOW + 9)
        extent = opened.records.older(NOW + 9)
        assert (extent.messages, extent.unknown) == (0, 0)
        extent = opened.records.older(NOW + 9, entirely=True)
        assert (extent.messages, extent.unknown) == (2, 1)
        assert [m.name for m in opened.records.messages()] == [None, None, "new@example.com"]
        assert opened.history(Identity("old@example.com")).sent == [NOW]
        assert opened.unknown().messages == 1
    assert b"old@example.com" not in everything(path)
    assert b"doubt@example.com" not in everything(path)


def test_what_is_purged_entirely_counts_no_more(path: Path) -> None:
    with opened_file(path) as opened:
        old = Identity("old@example.com", ("id-1",))
        (intent,) = apply(opened, [Intend(old, NOW)])
        apply(opened, [Settle(intent, Reason.ACCEPTED, NOW)])
        opened.records.purge(NOW + 1, entirely=True)
        assert opened.history(old) == opened.history(Identity("id-1")) == History()
        assert opened._db.execute("SELECT count(*) FROM aliases").fetchone() == (0,)
    assert b"old@example.com" not in everything(path)


def test_what_could_not_be_written_anew_is_said(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(path, "ada")
    real = sqlite3.connect

    class Busy(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            return super().execute(
                "SELECT 1, 2, 3" if sql.startswith("PRAGMA wal_checkpoint") else sql, *arguments
            )

    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: real(*a, **k, factory=Busy))
    with LedgerFile(path) as opened:
        with pytest.raises(LedgerError, match="may still hold them"):
            opened.records.forget(["ada"])
        assert opened.records.person("ada")[0].name is None


def test_forgetting_in_a_file_that_was_replaced_is_refused(path: Path) -> None:
    with opened_file(path) as opened:
        path.rename(path.with_name("elsewhere"))
        for erase in (lambda: opened.records.forget(["ada"]), lambda: opened.records.purge(NOW)):
            with pytest.raises(LedgerError, match="removed or replaced"):
                erase()


def test_real_and_simulated_ledgers_can_be_read_and_erased(path: Path) -> None:
    with LedgerFile(path, simulated=True) as opened:
        opened.begin(NOW)
    with LedgerFile(path, simulated=None) as opened:
        assert opened.records.is_simulated
