"""The spool: what goes in comes out, and what needs the whole input is right."""

import dataclasses
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_resend.job.spool import Spool
from batch_resend.model import Planned, Reason


def fill(spool: Spool, *reasons: Reason) -> None:
    spool.add(
        (Planned(row, f"user{row}", reason), "", None) for row, reason in enumerate(reasons, 1)
    )


def reasons(spool: Spool) -> list[str]:
    return [str(planned.reason) for planned in spool]


planned = st.builds(
    Planned,
    st.just(0),
    st.text(),
    st.sampled_from(Reason),
    st.dictionaries(st.text(), st.text(), max_size=3),
    st.text(),
    st.lists(st.text(), max_size=3).map(tuple),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(planned, max_size=600))
def test_spool_returns_rows_in_order(rows: list[Planned]) -> None:
    rows = [dataclasses.replace(plan, row=row) for row, plan in enumerate(rows, 1)]
    with Spool() as spool:
        spool.add((plan, "", None) for plan in rows)
        assert list(spool) == rows
        assert sum(spool.counts().values()) == len(rows)


@pytest.mark.parametrize(
    ("case_sensitive", "repeated"),
    [
        (False, [False, True, True, False, True, False, False]),
        (True, [False, False, True, False, False, False, False]),
    ],
)
def test_first_row_of_a_name_is_kept(case_sensitive: bool, repeated: list[bool]) -> None:
    with Spool() as spool:
        named(spool, "ada", "ADA", "ada", "Stra\xdfe", "STRASSE", "", "")
        assert spool.differing_in_case() == 2
        spool.mark_duplicates(case_sensitive=case_sensitive)
        assert repeated == [row.reason is Reason.DUPLICATE for row in spool]


def named(spool: Spool, *names: str, reason: Reason = Reason.ELIGIBLE) -> None:
    spool.add((Planned(row, name, reason), "", None) for row, name in enumerate(names, 1))


def test_no_names_differ_in_case_where_none_do() -> None:
    with Spool() as spool:
        assert spool.differing_in_case() == 0
        named(spool, "ada", "ada", "bob", "")
        assert spool.differing_in_case() == 0


def test_all_rows_of_an_excluded_name_are_excluded() -> None:
    """One row of a file may know the address by which another row's user is excluded."""
    with Spool() as spool:
        spool.exclude(["stranger"])
        named(spool, "ada", "bob")
        spool.add([(Planned(3, "ADA", Reason.EXCLUDED), "", None)])
        spool.exclude_all_rows_of_a_name(case_sensitive=True)
        assert reasons(spool) == ["eligible", "eligible", "excluded"]
        spool.exclude_all_rows_of_a_name(case_sensitive=False)
        spool.mark_duplicates(case_sensitive=False)
        assert reasons(spool) == ["excluded", "eligible", "duplicate"]


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ("Ada@example.com", "ada@EXAMPLE.com"),
        ("STRASSE", "stra\xdfe"),
        ("e\u0301ric", "\xc9ric"),
        ("\uff41da", "ada"),
        ("\ufb01n", "FIN"),
    ],
)
def test_exclude_list_matches_any_form_and_case(entry: str, name: str) -> None:
    with Spool() as spool:
        assert not spool.is_excluded([name])
        spool.exclude(["bob"])
        spool.exclude([entry, "other"])
        assert spool.excluded_without_match() == 2
        assert spool.is_excluded(["id-1", name])
        assert not spool.is_excluded(["id-1", "cid"])
        assert spool.excluded_without_match() == 1
        assert spool.is_excluded([name])
        assert spool.excluded_without_match() == 1
        spool.clear()
        assert spool.excluded_without_match() == 2


def test_same_name_twice_in_the_exclude_list_is_met_twice() -> None:
    with Spool() as spool:
        spool.exclude(["ada"])
        spool.exclude(["ADA"])
        assert spool.is_excluded(["ada"])
        assert spool.excluded_without_match() == 0


def test_reasons_can_be_replaced_while_rows_are_read() -> None:
    with Spool() as spool:
        fill(spool, *[Reason.SEND_CAP, Reason.ELIGIBLE] * 400)
        for rows in spool.decided([Reason.SEND_CAP, Reason.COOLING_DOWN]):
            for row in rows:
                spool.replace(dataclasses.replace(row, reason=Reason.ELIGIBLE))
        assert spool.counts() == {Reason.ELIGIBLE: 800}


def test_examples_are_spread_over_the_eligible() -> None:
    with Spool() as spool:
        fill(spool, Reason.EXCLUDED, *[Reason.ELIGIBLE] * 3, Reason.DUPLICATE, Reason.ELIGIBLE)
        spool.keep_first(2)
        assert reasons(spool) == [
            "excluded", "eligible", "eligible", "over-limit", "duplicate", "over-limit",
        ]  # fmt: skip
        assert spool.examples(5) == ["user2", "user3"]
    with Spool() as spool:
        assert spool.examples(3) == []
        fill(spool, *[Reason.ELIGIBLE] * 101)
        assert spool.examples(3) == ["user1", "user51", "user101"]
        assert spool.examples(1) == ["user1"]


def test_example_of_a_listed_user_is_their_address() -> None:
    with Spool() as spool:
        names = [("0b5d", "+15550100", "ada@example.com"), ("7c1e", "+15550101"), ("9f00",)]
        rows = [
            Planned(row=row, username=first, reason=Reason.ELIGIBLE, aliases=tuple(others))
            for row, (first, *others) in enumerate(names, 1)
        ]
        spool.add((row, "", None) for row in rows)
        assert spool.examples(3) == ["ada@example.com", "+15550101", "9f00"]


def test_sample_is_random_and_of_eligible_users() -> None:
    drawn = set()
    for seed in range(20):
        with Spool() as spool:
            fill(spool, *[Reason.ELIGIBLE] * 10, *[Reason.EXCLUDED] * 10)
            spool.keep_sample(3, random.Random(seed))
            numbers = tuple(row.row for row in spool if row.reason is Reason.ELIGIBLE)
            assert len(numbers) == 3
            assert max(numbers) <= 10
            assert spool.counts()[Reason.OVER_LIMIT] == 7
            drawn.add(numbers)
    assert len(drawn) > 10


def test_clear_keeps_the_excluded_names() -> None:
    with Spool() as spool:
        spool.exclude(["bob"])
        fill(spool, Reason.ELIGIBLE)
        spool.clear()
        assert list(spool) == []
        assert spool.is_excluded(["bob"])


def test_spool_leaves_no_visible_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    with Spool() as spool:
        spool.add(
            (Planned(row, "x" * 100, Reason.ELIGIBLE, raw="y" * 2000), "", None)
            for row in range(20_000)
        )
        assert list(tmp_path.iterdir()) == []


def test_users_with_a_phone_number_are_counted() -> None:
    users = [
        (Reason.ELIGIBLE, ("some-id", "ada@example.com", "+15550100")),
        (Reason.ELIGIBLE, ("some-id", "+tag@example.com")),
        (Reason.ELIGIBLE, ("some-id", "+1tag@example.com")),
        (Reason.ELIGIBLE, ()),
        (Reason.DISABLED, ("+15550101",)),
        (Reason.ELIGIBLE, ("+15550102",)),
    ]
    with Spool() as spool:
        spool.add(
            (Planned(row, f"user{row}", reason, aliases=aliases), "", None)
            for row, (reason, aliases) in enumerate(users, 1)
        )
        assert spool.telephones() == 2


def test_plan_without_room_on_disk_is_a_sentence() -> None:
    """The limit of a file's size stands for a full disk; SQLite keeps the first 16 MB."""
    script = """
import resource, signal
from batch_resend.errors import SettingsError
from batch_resend.job.spool import Spool
from batch_resend.model import Planned, Reason

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
with Spool() as spool:
    try:
        for first in range(0, 40_000, 1000):
            spool.add(
                (Planned(row, f"user{row}", Reason.ELIGIBLE, raw="x" * 1000), "", None)
                for row in range(first, first + 1000)
            )
    except SettingsError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=600
    )
    assert re.fullmatch(
        r"The plan does not fit into the directory for temporary files \(.*\)\."
        r" Set TMPDIR to one that has room\.\n",
        done.stdout,
    )
