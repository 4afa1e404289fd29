"""A ledger file: what it keeps, and that it is durable, private and held by one run."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from batch_resend.errors import LedgerError, LedgerHeld
from batch_resend.ledger import (
    Identity,
    Intend,
    Interrupted,
    Message,
    PastRun,
    Settle,
)
from batch_resend.ledger.policy import History
from batch_resend.ledger.sqlite.checksums import sums_of
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.model import Reason
from tests.support.ledgers import (
    NOW,
    apply,
    opened_file,
    remember,
)


def test_what_was_settled_is_known_to_the_next_run(path: Path) -> None:
    with opened_file(path) as opened:
        assert opened.is_new
        sent, lost, failed, back = apply(
            opened, [Intend(Identity(name), NOW) for name in ("sent", "lost", "failed", "back")]
        )
        apply(opened, [Intend(Identity("open"), NOW + 1)])
        assert opened.unknown().messages == 5
        apply(
            opened,
            [
                Settle(sent, Reason.ACCEPTED, NOW + 2),
                Settle(lost, Reason.NO_ANSWER, NOW + 3),
                Settle(failed, Reason.USER_NOT_FOUND, NOW + 4),
                Settle(back, None, NOW + 5),
            ],
        )
    with opened_file(path) as opened:
        assert not opened.is_new
        assert opened.history(Identity("sent")) == History([NOW + 2], [], False)
        assert opened.history(Identity("lost")) == History([], [NOW + 3], False)
        assert opened.history(Identity("open")) == History([], [NOW + 1], True)
        for name in ("failed", "back", "stranger"):
            assert opened.history(Identity(name)) == History()
        assert opened.unknown().messages == 2
        assert opened.latest() == NOW + 4
        apply(opened, [Interrupted(Identity("OPEN"), NOW + 9)])
        assert opened.history(Identity("open")) == History([], [NOW + 9], False)


def test_ledger_without_a_client_is_accepted(path: Path) -> None:
    with LedgerFile(path, client="client abc") as ledger:
        ledger.begin(NOW)
        ledger.finish("{}", NOW)
    sums_of(path).unlink()
    db = sqlite3.connect(path)
    db.execute("DELETE FROM meta WHERE key = 'client'")
    db.commit()
    db.close()
    with LedgerFile(path, client="client xyz") as ledger:
        assert ledger.client == "client xyz"


def test_throwaway_ledger_knows_only_its_own_run() -> None:
    for _ in range(2):
        with opened_file(None) as opened:
            assert opened.name == "throwaway ledger"
            assert opened.is_new
            assert opened.history(Identity("ada")) == History()
            (intent,) = apply(opened, [Intend(Identity("ada"), NOW)])
            apply(opened, [Settle(intent, Reason.ACCEPTED, NOW + 1)])
            assert opened.history(Identity("ada")) == History([NOW + 1], [], False)


@pytest.mark.parametrize("case_sensitive", [True, False])
def test_case_tells_users_apart_only_where_asked(path: Path, case_sensitive: bool) -> None:
    with opened_file(path, case_sensitive=case_sensitive) as opened:
        (intent,) = apply(opened, [Intend(Identity("Ada@Example.com"), NOW)])
        apply(opened, [Settle(intent, Reason.ACCEPTED, NOW)])
        assert opened.history(Identity("Ada@Example.com")).sent == [NOW]
        assert bool(opened.history(Identity("ada@example.com")).sent) is not case_sensitive


def test_a_listed_user_is_looked_up_under_each_of_their_names(path: Path) -> None:
    account = Identity("id-1", ("sub-1", "ada@example.com", "+15550100"), listed=True)
    twin = Identity("id-2", ("sub-2", "ada@example.com"), listed=True)
    with opened_file(path) as opened:
        # A CSV run wrote to the address: the account has had its message.
        (intent,) = apply(opened, [Intend(Identity("Ada@example.com"), NOW)])
        apply(opened, [Settle(intent, Reason.ACCEPTED, NOW)])
        assert opened.history(account).sent == [NOW]
        assert opened.history(twin).sent == [NOW]
    with opened_file(path.with_name("other")) as opened:
        # A listing wrote to the account: a lookup by only another name finds it, but
        # another account with the same address is another user.
        (intent,) = apply(opened, [Intend(account, NOW)])
        apply(opened, [Settle(intent, Reason.ACCEPTED, NOW)])
        for name in ("id-1", "sub-1", "ADA@example.com", "+15550100"):
            assert opened.history(Identity(name)).sent == [NOW], name
        assert opened.history(twin) == History()


def test_a_taken_back_intent_leaves_no_name_behind(path: Path) -> None:
    with opened_file(path) as opened:
        (intent,) = apply(opened, [Intend(Identity("id-1", ("ada@example.com",), True), NOW)])
        apply(opened, [Settle(intent, None, NOW)])
        for table in ("messages", "aliases"):
            assert opened._db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_steps_are_made_all_or_none(path: Path) -> None:
    with opened_file(path) as opened:
        with pytest.raises(LedgerError, match="UNIQUE"):
            apply(opened, [Intend(Identity("ada"), NOW), Intend(Identity("bob"), NOW)] * 2)
        assert opened.unknown().messages == 0


def test_one_user_never_has_two_open_intents(path: Path) -> None:
    with opened_file(path) as opened:
        apply(opened, [Intend(Identity("ada"), NOW)])
        with pytest.raises(LedgerError, match="UNIQUE"):
            apply(opened, [Intend(Identity("ada"), NOW)])
    with opened_file(path) as opened:
        apply(opened, [Intend(Identity("ada"), NOW + 1)])  # a later run gave the first one up
        assert opened.history(Identity("ada")) == History([], [NOW + 1, NOW + 1], True)


def test_the_file_is_durable_exclusive_and_private(path: Path) -> None:
    old = os.umask(0)
    try:
        with opened_file(path) as opened:
            pragmas = {
                name: opened._db.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("synchronous", "journal_mode", "locking_mode", "secure_delete")
            }
            assert pragmas == {
                "synchronous": 2,
                "journal_mode": "wal",
                "locking_mode": "exclusive",
                "secure_delete": 1,
            }
            apply(opened, [Intend(Identity("ada"), NOW)])
            for file in path.parent.iterdir():
                assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    finally:
        os.umask(old)
    path.chmod(0o644)
    with opened_file(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_pragma_that_does_not_hold_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(path, "ada")
    real = sqlite3.connect

    class Deaf(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            return super().execute(
                sql.replace("synchronous = FULL", "synchronous = NORMAL"), *arguments
            )

    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: real(*a, **k, factory=Deaf))
    with pytest.raises(LedgerError, match="synchronous is 1, and must be 2"), opened_file(path):
        pytest.fail("opened")


def test_the_second_run_learns_who_holds_the_ledger(path: Path) -> None:
    with opened_file(path), pytest.raises(LedgerHeld, match=f"process {os.getpid()}, since 20"):
        LedgerFile(path).__enter__()
    with opened_file(path) as opened:
        assert opened.unknown().messages == 0


def test_the_lock_is_freed_by_any_death_and_its_file_stays(path: Path) -> None:
    remember(path, "ada")
    lock = path.with_name(path.name + ".lock")
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys, time; f = open(sys.argv[1], 'r+');"
            "fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); time.sleep(60)",
            str(lock),
        ],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(LedgerHeld), opened_file(path):
        pytest.fail("opened")
    inode = lock.stat().st_ino
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with opened_file(path):
        assert lock.stat().st_ino == inode


def test_looking_only_creates_nothing(path: Path) -> None:
    with opened_file(path, read_only=True) as opened:
        assert opened.history(Identity("ada")) == History()
    assert not path.parent.exists()
    remember(path, "ada")
    with opened_file(path, read_only=True) as opened:
        assert opened.history(Identity("ada")).sent


def test_a_new_ledger_that_was_never_finished_is_begun_again(path: Path) -> None:
    path.parent.mkdir()
    path.with_name(path.name + ".new").write_bytes(b"half of a led")
    with opened_file(path) as opened:
        assert opened.is_new
    assert not path.with_name(path.name + ".new").exists()


@pytest.mark.parametrize("replaced", [True, False])
def test_ledger_removed_while_open_stops_the_run(path: Path, replaced: bool) -> None:
    with opened_file(path) as opened:
        apply(opened, [Intend(Identity("ada"), NOW)])
        path.rename(path.with_name("elsewhere"))
        if replaced:
            path.write_bytes(b"")
        with pytest.raises(LedgerError, match="removed or replaced"):
            apply(opened, [Intend(Identity("bob"), NOW)])
        assert opened.history(Identity("bob")) == History()


def test_how_a_run_ended_is_written_down(path: Path) -> None:
    with opened_file(path) as opened:
        opened.finish('{"rows": 1}', NOW + 5)
    with opened_file(path) as opened:
        rows = opened._db.execute("SELECT process, finished_at, summary FROM runs").fetchall()
    assert rows == [(os.getpid(), NOW + 5, '{"rows": 1}'), (os.getpid(), None, None)]


def test_the_lock_file_says_who_and_since_when(path: Path) -> None:
    with opened_file(path):
        lock = path.with_name(path.name + ".lock")
        assert lock.read_text().startswith(f"process {os.getpid()}, since 20")
        descriptor = os.open(lock, os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)


def test_message_is_read_as_it_was_written(path: Path) -> None:
    with opened_file(path) as opened:
        sent, lost = apply(
            opened,
            [Intend(Identity("Ada", ("ada@example.com",)), NOW), Intend(Identity("bob"), NOW + 1)],
        )
        apply(opened, [Settle(sent, Reason.ACCEPTED, NOW + 2)])
        apply(opened, [Settle(lost, Reason.NO_ANSWER, NOW + 3), Intend(Identity("ada"), NOW + 4)])
    with opened_file(path) as opened:
        rows = [
            (m.run, m.name, m.state, m.reason, m.intended_at, m.settled_at, m.at, m.is_unknown)
            for m in opened.records.messages()
        ]
        assert rows == [
            (1, "Ada", "sent", "accepted", NOW, NOW + 2, NOW + 2, False),
            (1, "bob", "unknown", "no-answer", NOW + 1, NOW + 3, NOW + 3, True),
            (1, "ada", "open", None, NOW + 4, None, NOW + 4, True),
        ]
        assert [m.name for m in opened.records.messages(unknown=True)] == ["bob", "ada"]
        users = [[m.name for m in messages] for messages in opened.records.users()]
        assert sorted(users) == [["Ada", "ada"], ["bob"]]
        assert "'A***'" in repr(next(opened.records.messages()))
        assert "name=None" in repr(Message(1, b"", None, "sent", None, NOW, None))
        with pytest.raises(LedgerError, match="cannot be read"):
            list(opened.records._messages("WHERE"))
    with opened_file(path, case_sensitive=True) as opened:
        assert sorted([m.name for m in messages] for messages in opened.records.users()) == [
            ["Ada"], ["ada"], ["bob"],
        ]  # fmt: skip


def test_runs_are_listed_including_those_that_died(path: Path) -> None:
    with LedgerFile(path) as opened:
        opened.begin(NOW)
        opened.finish('{"exit_code": 3}', NOW + 5)
        opened.begin(NOW + 9)
        assert opened.records.runs() == [
            PastRun(1, NOW, NOW + 5, {"exit_code": 3}),
            PastRun(2, NOW + 9),
        ]


def test_any_name_of_a_person_finds_all_their_messages(path: Path) -> None:
    with opened_file(path) as opened:
        listed = Identity("id-1", ("Ada@example.com",), listed=True)
        other = Identity("id-2", ("bob@example.com",), listed=True)
        for intent in apply(opened, [Intend(listed, NOW), Intend(other, NOW)]):
            apply(opened, [Settle(intent, Reason.ACCEPTED, NOW)])
        apply(opened, [Intend(Identity("ada@EXAMPLE.com"), NOW + 1)])
        for name in ("ID-1", "ada@example.com"):
            assert [m.name for m in opened.records.person(name)] == ["id-1", "ada@EXAMPLE.com"], (
                name
            )
        assert opened.records.person("stranger") == []
        # A listing finds what was sent to each name of the user, and to no other.
        (one,), (two,) = (
            {m.user for m in opened.records.person(n)} for n in ("id-2", "bob@example.com")
        )
        assert opened.records.find(other) == {one} == {two}
        assert len(opened.records.find(listed)) == 2
        assert opened.records.find(Identity("stranger", listed=True)) == set()
    with opened_file(path, case_sensitive=True) as opened:
        assert opened.records.person("ID-1") == []
        assert [m.name for m in opened.records.person("id-1")] == ["id-1"]
    with opened_file(None) as opened:
        assert opened.records.find(listed) == set()
