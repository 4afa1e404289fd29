"""The ledger: against a dict, against hostile files, and against a second run."""

import contextlib
import fcntl
import os
import random
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from batch_resend.errors import LedgerError, LedgerHeld
from batch_resend.ledger import (
    Forgotten,
    Identity,
    Intend,
    IntentRejected,
    Interrupted,
    Message,
    PastRun,
    Settle,
)
from batch_resend.ledger.policy import History
from batch_resend.ledger.sqlite.file import LedgerFile
from batch_resend.ledger.sqlite.ledger import SqliteLedger
from batch_resend.ledger.sqlite.lockfile import files_of
from batch_resend.model import Outcome, Reason
from tests.support.ledgers import apply

NOW = 1_800_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite3"


@contextlib.contextmanager
def ledger(path: Path | None, **given: Any) -> Iterator[SqliteLedger]:
    with LedgerFile(path, **given) as opened:
        if not given.get("read_only"):
            opened.begin(NOW)
        yield opened


def remember(path: Path, *names: str, at: float = NOW, reason: Reason = Reason.ACCEPTED) -> None:
    with ledger(path) as opened:
        for intent in apply(opened, [Intend(Identity(name), at) for name in names]):
            apply(opened, [Settle(intent, reason, at)])


def test_what_was_settled_is_known_to_the_next_run(path: Path) -> None:
    with ledger(path) as opened:
        assert opened.is_new
        sent, lost, failed, back = apply(
            opened, [Intend(Identity(name), NOW) for name in ("sent", "lost", "failed", "back")]
        )
        apply(opened, [Intend(Identity("open"), NOW + 1)])
        assert opened.unknown() == 5
        apply(
            opened,
            [
                Settle(sent, Reason.ACCEPTED, NOW + 2),
                Settle(lost, Reason.NO_ANSWER, NOW + 3),
                Settle(failed, Reason.USER_NOT_FOUND, NOW + 4),
                Settle(back, None, NOW + 5),
            ],
        )
    with ledger(path) as opened:
        assert not opened.is_new
        assert opened.history(Identity("sent")) == History([NOW + 2], [], False)
        assert opened.history(Identity("lost")) == History([], [NOW + 3], False)
        assert opened.history(Identity("open")) == History([], [NOW + 1], True)
        for name in ("failed", "back", "nobody"):
            assert opened.history(Identity(name)) == History()
        assert opened.unknown() == 2
        assert opened.latest() == NOW + 4
        apply(opened, [Interrupted(Identity("OPEN"), NOW + 9)])
        assert opened.history(Identity("open")) == History([], [NOW + 9], False)


def test_a_ledger_that_does_not_say_for_whom_it_was_begun_is_taken(path: Path) -> None:
    with LedgerFile(path, client="client abc"):
        pass
    db = sqlite3.connect(path)
    db.execute("DELETE FROM meta WHERE key = 'client'")
    db.commit()
    db.close()
    with LedgerFile(path, client="client xyz") as ledger:
        assert ledger.client == "client xyz"


def test_a_throwaway_ledger_knows_its_own_run_and_nothing_of_another() -> None:
    for _ in range(2):
        with ledger(None) as opened:
            assert opened.name == "throwaway ledger"
            assert opened.is_new
            assert opened.history(Identity("ada")) == History()
            (intent,) = apply(opened, [Intend(Identity("ada"), NOW)])
            apply(opened, [Settle(intent, Reason.ACCEPTED, NOW + 1)])
            assert opened.history(Identity("ada")) == History([NOW + 1], [], False)


@pytest.mark.parametrize("case_sensitive", [True, False])
def test_case_tells_users_apart_only_where_asked(path: Path, case_sensitive: bool) -> None:
    with ledger(path, case_sensitive=case_sensitive) as opened:
        (intent,) = apply(opened, [Intend(Identity("Ada@Example.com"), NOW)])
        apply(opened, [Settle(intent, Reason.ACCEPTED, NOW)])
        assert opened.history(Identity("Ada@Example.com")).sent == [NOW]
        assert bool(opened.history(Identity("ada@example.com")).sent) is not case_sensitive


def test_a_listed_user_is_looked_up_under_each_of_their_names(path: Path) -> None:
    account = Identity("id-1", ("sub-1", "ada@example.com", "+15550100"), listed=True)
    twin = Identity("id-2", ("sub-2", "ada@example.com"), listed=True)
    with ledger(path) as opened:
        # A CSV run wrote to the address: the account has had its message.
        (intent,) = apply(opened, [Intend(Identity("Ada@example.com"), NOW)])
        apply(opened, [Settle(intent, Reason.ACCEPTED, NOW)])
        assert opened.history(account).sent == [NOW]
        assert opened.history(twin).sent == [NOW]
    with ledger(path.with_name("other")) as opened:
        # A listing wrote to the account: whoever knows only another name finds it, but
        # another account with the same address is another user.
        (intent,) = apply(opened, [Intend(account, NOW)])
        apply(opened, [Settle(intent, Reason.ACCEPTED, NOW)])
        for name in ("id-1", "sub-1", "ADA@example.com", "+15550100"):
            assert opened.history(Identity(name)).sent == [NOW], name
        assert opened.history(twin) == History()


def test_a_taken_back_intent_leaves_no_name_behind(path: Path) -> None:
    with ledger(path) as opened:
        (intent,) = apply(opened, [Intend(Identity("id-1", ("ada@example.com",), True), NOW)])
        apply(opened, [Settle(intent, None, NOW)])
        for table in ("messages", "aliases"):
            assert opened._db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_steps_are_made_all_or_none(path: Path) -> None:
    with ledger(path) as opened:
        with pytest.raises(LedgerError, match="UNIQUE"):
            apply(opened, [Intend(Identity("ada"), NOW), Intend(Identity("bob"), NOW)] * 2)
        assert opened.unknown() == 0


def test_one_user_never_has_two_open_intents(path: Path) -> None:
    with ledger(path) as opened:
        apply(opened, [Intend(Identity("ada"), NOW)])
        with pytest.raises(LedgerError, match="UNIQUE"):
            apply(opened, [Intend(Identity("ada"), NOW)])
    with ledger(path) as opened:
        apply(opened, [Intend(Identity("ada"), NOW + 1)])  # a later run gave the first one up
        assert opened.history(Identity("ada")) == History([], [NOW + 1, NOW + 1], True)


def test_the_file_is_durable_exclusive_and_private(path: Path) -> None:
    old = os.umask(0)
    try:
        with ledger(path) as opened:
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
    with ledger(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_pragma_that_does_not_hold_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(path, "ada")
    real = sqlite3.connect

    class Deaf(sqlite3.Connection):
        def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
            return super().execute(
                sql.replace("synchronous = FULL", "synchronous = NORMAL"), *given
            )

    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: real(*a, **k, factory=Deaf))
    with pytest.raises(LedgerError, match="synchronous is 1, and must be 2"), ledger(path):
        pytest.fail("opened")


def test_the_second_run_learns_who_holds_the_ledger(path: Path) -> None:
    with ledger(path), pytest.raises(LedgerHeld, match=f"process {os.getpid()}, since 20"):
        LedgerFile(path).__enter__()
    with ledger(path) as opened:
        assert opened.unknown() == 0


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
    with pytest.raises(LedgerHeld), ledger(path):
        pytest.fail("opened")
    inode = lock.stat().st_ino
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with ledger(path):
        assert lock.stat().st_ino == inode


def test_looking_only_creates_nothing(path: Path) -> None:
    with ledger(path, read_only=True) as opened:
        assert opened.history(Identity("ada")) == History()
    assert not path.parent.exists()
    remember(path, "ada")
    with ledger(path, read_only=True) as opened:
        assert opened.history(Identity("ada")).sent


def test_a_new_ledger_can_be_forbidden(path: Path) -> None:
    with pytest.raises(LedgerError, match="--require-ledger"), ledger(path, must_exist=True):
        pytest.fail("opened")
    assert not path.parent.exists()
    with LedgerFile(path):
        pass  # begun, but no run ever
    with pytest.raises(LedgerError, match="--require-ledger"), ledger(path, must_exist=True):
        pytest.fail("opened")
    remember(path, "ada")
    with ledger(path, must_exist=True) as opened:
        assert opened.history(Identity("ada")).sent


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 * 2 + 100 : 4096 * 4] = b"\xff" * (4096 * 2 - 100)
    path.write_bytes(data)


def newer(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()


def another(path: Path) -> None:
    path.unlink()
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE t (x)")
    db.close()


def linked(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def foldered(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (damaged, "damaged"),
        (newer, "schema 99"),
        (another, "not a ledger"),
        (linked, "not a regular file"),
        (foldered, "not a regular file"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(b"username\nada\n" * 99), "file is not a database"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "damaged|malformed"),
    ],
)
def test_a_ledger_that_cannot_be_trusted_is_refused_and_left_as_it_is(
    path: Path, harm: Any, told: str
) -> None:
    remember(path, *(f"user{n}" for n in range(300)))
    harm(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(LedgerError, match=told), ledger(path):
        pytest.fail("opened")
    assert before == (path.read_bytes() if path.is_file() else b"")


def test_a_ledger_of_another_user_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remember(path, "ada")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(LedgerError, match="another user"), ledger(path):
        pytest.fail("opened")


def test_a_simulation_never_touches_a_real_ledger_nor_the_other_way_round(path: Path) -> None:
    remember(path, "ada")
    with pytest.raises(LedgerError, match="real runs"), ledger(path, simulated=True):
        pytest.fail("opened")
    other = path.with_name("simulated")
    with ledger(other, simulated=True):
        pass
    with pytest.raises(LedgerError, match="a simulation"), ledger(other):
        pytest.fail("opened")


@pytest.mark.parametrize("folder", ["home", "b\u00fccher", "two words"])
def test_a_network_file_system_is_refused(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = (
        b"22 1 0:21 / / rw - ext4 /dev/sda rw\n"
        b"23 22 0:22 / /mnt/\xff\\040 rw - ext4 /dev/sdb rw\n"  # no UTF-8, and a blank
        + f"24 22 0:22 / {tmp_path}/{folder} rw shared:1 - nfs4 server:/home rw\n".encode()
        .replace(b"two words", b"two\\040words")
    )  # fmt: skip
    path = tmp_path / folder / "deep" / "ledger"
    real = Path.read_bytes

    def read(self: Path) -> bytes:
        return mounts if str(self) == "/proc/self/mountinfo" else real(self)

    monkeypatch.setattr(Path, "read_bytes", read)
    with pytest.raises(LedgerError, match="network file system \\(nfs4\\)"), ledger(path):
        pytest.fail("opened")


def test_where_the_system_lists_no_mounts_the_ledger_opens_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.read_bytes

    def read(self: Path) -> bytes:
        if str(self) == "/proc/self/mountinfo":  # macOS has none
            raise FileNotFoundError(2, "No such file or directory", str(self))
        return real(self)

    monkeypatch.setattr(Path, "read_bytes", read)
    remember(path, "ada")
    with ledger(path) as opened:
        assert opened.history(Identity("ada")).sent == [NOW]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot be opened"), ledger(tmp_path / "file" / "l"):
        pytest.fail("opened")


def test_a_new_ledger_that_was_never_finished_is_begun_again(path: Path) -> None:
    path.parent.mkdir()
    path.with_name(path.name + ".new").write_bytes(b"half of a led")
    with ledger(path) as opened:
        assert opened.is_new
    assert not path.with_name(path.name + ".new").exists()


def test_a_ledger_of_which_only_the_newest_part_is_left_is_not_begun_anew(path: Path) -> None:
    path.parent.mkdir()
    path.with_name(path.name + "-wal").write_bytes(b"the newest part")
    with pytest.raises(LedgerError, match="only its newest part is left"), ledger(path):
        pytest.fail("opened")


@pytest.mark.parametrize("replaced", [True, False])
def test_a_ledger_that_is_taken_away_while_it_is_open_stops_the_run(
    path: Path, replaced: bool
) -> None:
    with ledger(path) as opened:
        apply(opened, [Intend(Identity("ada"), NOW)])
        path.rename(path.with_name("elsewhere"))
        if replaced:
            path.write_bytes(b"")
        with pytest.raises(LedgerError, match="removed or replaced"):
            apply(opened, [Intend(Identity("bob"), NOW)])
        assert opened.history(Identity("bob")) == History()


def test_a_lock_that_is_a_link_is_refused(path: Path) -> None:
    path.parent.mkdir()
    target = path.with_name("precious")
    target.write_text("precious")
    path.with_name(path.name + ".lock").symlink_to(target)
    with pytest.raises(LedgerError, match="cannot be opened"), ledger(path):
        pytest.fail("opened")
    assert target.read_text() == "precious"


def test_how_a_run_ended_is_written_down(path: Path) -> None:
    with ledger(path) as opened:
        opened.finish('{"rows": 1}', NOW + 5)
    with ledger(path) as opened:
        rows = opened._db.execute("SELECT process, finished_at, summary FROM runs").fetchall()
    assert rows == [(os.getpid(), NOW + 5, '{"rows": 1}'), (os.getpid(), None, None)]


def test_the_lock_file_says_who_and_since_when(path: Path) -> None:
    with ledger(path):
        lock = path.with_name(path.name + ".lock")
        assert lock.read_text().startswith(f"process {os.getpid()}, since 20")
        descriptor = os.open(lock, os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)


def everything(path: Path) -> bytes:
    """All bytes of all files that a ledger consists of."""
    return b"".join(file.read_bytes() for file in files_of(path) if file.exists())


def test_a_message_is_told_as_it_was_written_down(path: Path) -> None:
    with ledger(path) as opened:
        sent, lost = apply(
            opened,
            [Intend(Identity("Ada", ("ada@example.com",)), NOW), Intend(Identity("bob"), NOW + 1)],
        )
        apply(opened, [Settle(sent, Reason.ACCEPTED, NOW + 2)])
        apply(opened, [Settle(lost, Reason.NO_ANSWER, NOW + 3), Intend(Identity("ada"), NOW + 4)])
    with ledger(path) as opened:
        told = [
            (m.run, m.name, m.state, m.reason, m.intended_at, m.settled_at, m.at, m.is_unknown)
            for m in opened.records.messages()
        ]
        assert told == [
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
    with ledger(path, case_sensitive=True) as opened:
        assert sorted([m.name for m in messages] for messages in opened.records.users()) == [
            ["Ada"], ["ada"], ["bob"],
        ]  # fmt: skip


def test_runs_are_told_also_those_that_died(path: Path) -> None:
    with LedgerFile(path) as opened:
        opened.begin(NOW)
        opened.finish('{"exit_code": 3}', NOW + 5)
        opened.begin(NOW + 9)
        assert opened.records.runs() == [
            PastRun(1, NOW, NOW + 5, {"exit_code": 3}),
            PastRun(2, NOW + 9),
        ]


def test_a_person_is_found_by_any_of_their_names_with_all_their_messages(path: Path) -> None:
    with ledger(path) as opened:
        listed = Identity("id-1", ("Ada@example.com",), listed=True)
        other = Identity("id-2", ("bob@example.com",), listed=True)
        for intent in apply(opened, [Intend(listed, NOW), Intend(other, NOW)]):
            apply(opened, [Settle(intent, Reason.ACCEPTED, NOW)])
        apply(opened, [Intend(Identity("ada@EXAMPLE.com"), NOW + 1)])
        for name in ("ID-1", "ada@example.com"):
            assert [m.name for m in opened.records.person(name)] == ["id-1", "ada@EXAMPLE.com"], (
                name
            )
        assert opened.records.person("nobody") == []
        # A listing finds what was sent to each name of the user, and nobody else's.
        (one,), (two,) = (
            {m.user for m in opened.records.person(n)} for n in ("id-2", "bob@example.com")
        )
        assert opened.records.find(other) == {one} == {two}
        assert len(opened.records.find(listed)) == 2
        assert opened.records.find(Identity("nobody", listed=True)) == set()
    with ledger(path, case_sensitive=True) as opened:
        assert opened.records.person("ID-1") == []
        assert [m.name for m in opened.records.person("id-1")] == ["id-1"]
    with ledger(None) as opened:
        assert opened.records.find(listed) == set()


def test_a_forgotten_name_is_nowhere_in_the_files_and_still_counts_as_sent(path: Path) -> None:
    # As a busy run writes them: pages are split and cells moved, and SQLite leaves copies
    # of some names between its rows, which secure_delete does not reach.
    rng = random.Random(4)
    names = [f"person-{n}-{'x' * rng.randrange(60)}-{n}@example.com" for n in range(3000)]
    gone, kept = names[::2], names[1::2]
    ends = [Reason.ACCEPTED, Reason.UNREADABLE_ANSWER, Reason.REJECTED_BY_TRIGGER, None]
    accepted = set()
    with ledger(path) as opened:
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
        known = {m.name for m in opened.records.messages()}
        told = opened.records.forget([*(f"+{name}" for name in gone[:9]), *gone[9:]])
        assert told.messages == len(known & set(gone))
        assert len(told.unknown) == len(set(gone) - known)
        while_open = everything(path)
    for files in (while_open, everything(path)):
        left = [name for name in gone if f"{name[:14]}".encode() in files]
        assert left == []
        assert [name for name in gone if name[-18:].encode() in files] == []
        assert all(name.encode() in files for name in known & set(kept) if name)
    with ledger(path) as opened:
        for name in accepted:
            assert opened.history(Identity(name)).sent == [NOW + 1]
            assert opened.history(Identity(f"+{name.upper()}")).sent == [NOW + 1]
        # Once more is no error, and a name that was never there is told.
        sent = next(name for name in gone if name in accepted)
        assert opened.records.forget([sent, "nobody"]) == Forgotten(0, ("nobody",))


def test_an_open_intent_of_a_dead_run_can_be_forgotten_and_is_named_all_the_same(
    path: Path,
) -> None:
    with ledger(path) as opened:
        apply(opened, [Intend(Identity("ada"), NOW)])
    with ledger(path) as opened:
        opened.records.forget(["ada"])
        assert opened.history(Identity("ada")) == History([], [NOW], True)
        apply(opened, [Interrupted(Identity("ada"), NOW + 1)])
        assert opened.history(Identity("ada")) == History([], [NOW + 1], False)


def test_names_that_are_old_are_erased_and_still_count(path: Path) -> None:
    remember(path, "old@example.com", at=NOW)
    remember(path, "doubt@example.com", at=NOW + 1, reason=Reason.NO_ANSWER)
    remember(path, "new@example.com", at=NOW + 9)
    with ledger(path) as opened:
        assert opened.records.older(NOW + 9) == (2, 1)
        opened.records.purge(NOW + 9)
        assert opened.records.older(NOW + 9) == (0, 0)
        assert opened.records.older(NOW + 9, entirely=True) == (2, 1)
        assert [m.name for m in opened.records.messages()] == [None, None, "new@example.com"]
        assert opened.history(Identity("old@example.com")).sent == [NOW]
        assert opened.unknown() == 1
    assert b"old@example.com" not in everything(path)
    assert b"doubt@example.com" not in everything(path)


def test_what_is_purged_entirely_counts_no_more(path: Path) -> None:
    with ledger(path) as opened:
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
        def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
            return super().execute(
                "SELECT 1, 2, 3" if sql.startswith("PRAGMA wal_checkpoint") else sql, *given
            )

    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: real(*a, **k, factory=Busy))
    with ledger(path) as opened:
        with pytest.raises(LedgerError, match="may still hold the names"):
            opened.records.forget(["ada"])
        assert opened.records.person("ada")[0].name is None


def test_forgetting_in_a_file_that_was_replaced_is_refused(path: Path) -> None:
    with ledger(path) as opened:
        path.rename(path.with_name("elsewhere"))
        for erase in (lambda: opened.records.forget(["ada"]), lambda: opened.records.purge(NOW)):
            with pytest.raises(LedgerError, match="removed or replaced"):
                erase()


def test_either_kind_of_ledger_can_be_opened_to_look_and_to_erase(path: Path) -> None:
    with LedgerFile(path, simulated=True):
        pass
    with LedgerFile(path, simulated=None) as opened:
        assert opened.records.is_simulated


names = st.sampled_from(["ada", "Ada", "bob", "cid", "b\u0130"])
addresses = st.sampled_from(["x@example.com", "Y@example.com"])
aliases = st.lists(st.sampled_from(["x@example.com", "y@example.com"]), max_size=2, unique=True)
settled = st.sampled_from([reason for reason in Reason if reason.outcome is not Outcome.PLANNED])


class LedgerAgainstADict(RuleBasedStateMachine):
    """Any steps in any order, over any number of runs, know what a dict would know."""

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
        """The messages to whoever bears the name, under any of their names."""
        folded = name.casefold()
        messages = self.messages.values()
        owners = {folded} | {m["name"].casefold() for m in messages if folded in m["aliases"]}
        known = owners | {
            alias for m in messages if m["name"].casefold() in owners for alias in m["aliases"]
        }
        return [message for message in messages if message["name"].casefold() in known]

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
        told = self.opened.records.forget([name])
        assert told.messages == sum(m["shown"] is not None for m in mine)
        assert told.unknown == (() if mine else (name,))
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
        count, unknown = self.opened.records.older(before, entirely=entirely)
        counted = [m for m in old.values() if entirely or m["shown"] is not None]
        assert count == len(counted)
        assert unknown == sum(m["state"] in {"open", "unknown"} for m in counted)
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
            found = self.opened.history(Identity(name))
            expected = [(m["state"], m["at"]) for m in self.mine(name)]
            assert sorted(found.sent) == sorted(at for s, at in expected if s == "sent")
            unsure = sorted(at for s, at in expected if s in {"open", "unknown"})
            assert sorted(found.unknown) == unsure
            assert found.interrupted == any(s == "open" for s, _ in expected)
        told = [(m.name, m.state, m.run, m.at) for m in self.opened.records.messages()]
        kept = self.messages.values()
        assert sorted(told, key=str) == sorted(
            ((m["shown"], m["state"], m["run"], m["at"]) for m in kept), key=str
        )
        assert sorted(m.at for user in self.opened.records.users() for m in user) == sorted(
            m["at"] for m in kept
        )
        states = [m["state"] for m in self.messages.values()]
        assert self.opened.unknown() == states.count("open") + states.count("unknown")

    def teardown(self) -> None:
        self.file.__exit__(None, None, None)
        for file in self.folder.iterdir():
            file.unlink()
        self.folder.rmdir()


TestLedgerAgainstADict = LedgerAgainstADict.TestCase
TestLedgerAgainstADict.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
