"""The sums of reports: by hand, every row counted, and a sentence for an invalid report."""

import gzip
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_resend.errors import InputError
from batch_resend.model import Delivery, Outcome, Reason, Result
from batch_resend.reports.page import figures, reading
from batch_resend.reports.page.figures import SIMULATED_ID, Domain, read_reports
from batch_resend.reports.results_csv import COLUMNS
from batch_resend.simulator.pool import Pool
from batch_resend.simulator.quota import Quota
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.setup import Client, PoolSettings
from tests.support.pages import NOON, write


def result(row: int, reason: Reason, **changes: Any) -> Result:
    facts: dict[str, Any] = {"username": f"user{row}@example.com", "finished_at": NOON + row}
    return Result(row, reason=reason, **(facts | changes))


def test_sums_of_one_report_match_a_count_by_hand(tmp_path: Path) -> None:
    delivery = Delivery("EMAIL", "u***@e***", "email")
    path = write(
        tmp_path / "report.csv",
        [
            result(1, Reason.ACCEPTED, attempts=1, delivery=delivery, latency=0.06),
            result(2, Reason.ACCEPTED, attempts=3, delivery=delivery, latency=0.08,
                   username="bob@Example.org"),
            result(3, Reason.USER_NOT_FOUND, attempts=1, latency=0.06, finished_at=NOON + 2.9,
                   error_code="UserNotFoundException", error_message="no such user"),
            result(4, Reason.DUPLICATE, username="user1@example.com"),
            result(5, Reason.NO_ANSWER, attempts=1, latency=10.0, username="ada"),
            result(6, Reason.INVALID_USERNAME, username="jo ann@EXAMPLE.ORG"),
            result(7, Reason.OUTCOME_UNKNOWN),
        ],
    )  # fmt: skip
    figures = read_reports([path])
    (report,) = figures.reports
    assert (figures.rows, figures.users, report.rows, report.requests) == (7, 7, 7, 6)
    assert figures.outcomes == {
        Outcome.SENT: 2, Outcome.FAILED: 2, Outcome.SKIPPED: 2, Outcome.UNKNOWN: 1,
    }  # fmt: skip
    assert figures.reasons[Reason.INVALID_USERNAME] == 1
    noon = int(NOON)
    assert report.sent == {noon + 1: 1, noon + 2: 1}
    assert report.other == {noon + 2: 1, noon + 5: 1}
    assert report.again == {noon + 2: 2}
    assert figures.latencies == {60: 2, 80: 1, 10_000: 1}
    assert (report.first, report.last) == (NOON + 1, NOON + 7)
    assert not report.simulated
    assert figures.domains == [
        Domain("example.com", sent=1, failed=1, row=3),
        Domain("example.org", sent=1, failed=1, row=6),
    ]
    assert (figures.repeated, figures.confirmed) == (0, 0)
    assert figures.nameless == 1
    assert [row.row for row in figures.shown] == [3, 6, 5, 4, 7, 1, 2]
    first = figures.shown[0]
    assert (first.username, first.reason) == ("user3@example.com", Reason.USER_NOT_FOUND)
    assert (first.error_message, first.latency_ms) == ("no such user", 60)
    assert figures.shown[1].latency_ms is None
    assert figures.shown[-1].destination == "u***@e***"


def test_user_in_several_reports_counts_once(tmp_path: Path) -> None:
    rows = {
        "dry": [Reason.ELIGIBLE] * 6,
        "first": [
            Reason.ACCEPTED, Reason.NO_ANSWER, Reason.CONNECTION, Reason.STOPPED,
            Reason.USER_NOT_FOUND, Reason.NO_ANSWER,
        ],
        "second": [
            Reason.COOLING_DOWN, Reason.OUTCOME_UNKNOWN, Reason.ACCEPTED, Reason.ATTEMPT_LIMIT,
            Reason.STOPPED, Reason.ACCEPTED,
        ],
    }  # fmt: skip
    # Whatever the order they are given in.
    paths = [
        write(
            tmp_path / f"{name}.csv",
            [
                result(n, reason, finished_at=NOON + 100 * number + n)
                for n, reason in enumerate(reasons, 1)
            ],
        )
        for number, (name, reasons) in enumerate(rows.items())
    ]
    figures = read_reports(paths[::-1])
    assert (figures.rows, figures.users) == (18, 6)
    assert {row.row: row.reason for row in figures.shown} == {
        1: Reason.ACCEPTED,
        2: Reason.NO_ANSWER,
        3: Reason.ACCEPTED,
        4: Reason.ATTEMPT_LIMIT,
        5: Reason.STOPPED,
        6: Reason.ACCEPTED,
    }
    assert [report.outcomes[Outcome.SENT] for report in figures.reports] == [2, 1, 0]
    assert [report.name for report in figures.reports] == ["second.csv", "first.csv", "dry.csv"]
    assert (figures.repeated, figures.confirmed) == (0, 0)


def test_users_with_several_codes_are_counted(tmp_path: Path) -> None:
    """Over several reports only: who was sent more than one, and who confirmed after one."""
    reasons = {
        "first": [Reason.ACCEPTED, Reason.ACCEPTED, Reason.ACCEPTED, Reason.ALREADY_CONFIRMED],
        "second": [Reason.ACCEPTED, Reason.ALREADY_CONFIRMED, Reason.NO_ANSWER, Reason.ACCEPTED],
        "third": [Reason.ACCEPTED, Reason.ALREADY_CONFIRMED, Reason.ACCEPTED, Reason.SEND_CAP],
    }
    paths = [
        write(
            tmp_path / f"{name}.csv",
            [result(n, r, finished_at=NOON + 100 * number + n) for n, r in enumerate(these, 1)],
        )
        for number, (name, these) in enumerate(reasons.items())
    ]
    figures = read_reports(paths)
    # Three codes for user 1, two for user 3; user 2 confirmed after one, user 4 before.
    assert (figures.repeated, figures.confirmed) == (2, 1)
    assert read_reports(paths[:1]).repeated == 0


def test_last_attempt_limit_of_a_report_is_known(tmp_path: Path) -> None:
    rows = [
        result(1, Reason.ATTEMPT_LIMIT),
        result(2, Reason.ATTEMPT_LIMIT),
        result(3, Reason.ACCEPTED),
    ]
    (report,) = read_reports([write(tmp_path / "r.csv", rows)]).reports
    assert report.limited == NOON + 2


def test_duplicate_row_does_not_decide_for_its_user(tmp_path: Path) -> None:
    again = [
        result(1, Reason.CONNECTION),
        result(2, Reason.DUPLICATE, username="user1@example.com", finished_at=NOON + 9),
    ]
    paths = [write(tmp_path / "a.csv", again), write(tmp_path / "b.csv", [])]
    assert read_reports(paths).reasons == {Reason.CONNECTION: 1}
    assert read_reports(paths[:1]).reasons == {Reason.CONNECTION: 1, Reason.DUPLICATE: 1}


@settings(max_examples=25)  # each reads three files, up to one chunk a row
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"])),
            st.sampled_from(list(Reason)),
            st.integers(0, 9),
            st.one_of(st.none(), st.floats(0, 1000)),
            st.text(),
        ),
        max_size=12,
    ),
    st.integers(1, 5),
)
def test_every_row_is_counted_in_any_chunks(
    rows: list[tuple[str, Reason, int, float | None, str]], chunk: int
) -> None:
    results = [
        result(n, reason, username=name, attempts=attempts, latency=latency, error_message=text)
        for n, (name, reason, attempts, latency, text) in enumerate(rows, 1)
    ]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_CHUNK", chunk)
        path = write(Path(folder) / "report.csv", results)
        figures = read_reports([path])
        both = read_reports([path, write(Path(folder) / "again.csv", results)])
    reasons = Counter(reason for _, reason, *_ in rows)
    assert figures.reasons == reasons
    assert figures.rows == figures.users == len(figures.shown) == len(rows)
    assert sorted(row.row for row in figures.shown) == list(range(1, len(rows) + 1))
    (report,) = figures.reports
    assert report.requests == sum(attempts for _, _, attempts, *_ in rows)
    requested = [row for row in rows if row[2]]
    assert report.sent.total() + report.other.total() == len(requested)
    assert figures.latencies.total() == sum(latency is not None for *_, latency, _ in requested)
    not_sent = sum(n for r, n in reasons.items() if r.outcome in {Outcome.FAILED, Outcome.UNKNOWN})
    assert sum(domain.not_sent for domain in figures.domains) + figures.nameless == not_sent
    assert both.rows == 2 * len(rows)
    # No more users than rows, for a name that is printed alike is one.
    assert both.users == len({row.username for row in figures.shown})


def test_rows_to_act_on_are_kept_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "SHOWN", 6)
    monkeypatch.setattr(reading, "_CHUNK", 2)
    reasons = [Reason.ACCEPTED] * 6 + [Reason.NO_ANSWER] * 2 + [Reason.REJECTED] * 9
    path = write(tmp_path / "r.csv", [result(n, reason) for n, reason in enumerate(reasons, 1)])
    sums = read_reports([path])
    # One of each outcome is sure of its place; what is left goes to those that failed.
    assert [row.row for row in sums.shown] == [9, 10, 11, 12, 7, 1]
    assert (sums.users, sums.reasons[Reason.ACCEPTED]) == (17, 6)


def test_gzip_and_empty_reports_are_read(tmp_path: Path) -> None:
    plain = write(tmp_path / "r.csv", [result(1, Reason.ACCEPTED)])
    packed = tmp_path / "r.csv.gz"
    packed.write_bytes(gzip.compress(Path(plain).read_bytes()))
    assert read_reports([str(packed)]).reasons == {Reason.ACCEPTED: 1}
    nothing = read_reports([write(tmp_path / "nothing.csv", [])])
    assert (nothing.rows, nothing.users, nothing.shown, nothing.domains) == (0, 0, [], [])


def test_growing_report_is_read_up_to_its_first_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "r.csv", [result(n, Reason.ACCEPTED) for n in range(1, 4)])
    counting = figures._winners

    def grow(*arguments: Any) -> Any:
        with Path(path).open("a") as file:
            file.write(Path(path).read_text().splitlines()[-1] + "\n")
        return counting(*arguments)

    monkeypatch.setattr(figures, "_winners", grow)
    sums = read_reports([path])
    assert (sums.rows, sums.users, len(sums.shown)) == (3, 3, 3)


def test_simulated_report_is_known_by_request_ids(tmp_path: Path) -> None:
    cognito = Cognito(
        Pool(open_to_all=True),
        client=Client("c"),
        settings=PoolSettings("us-east-1_x"),
        quota=Quota(50),
    )
    request_id = cognito.answer({"ClientId": "c", "Username": "ada"}, now=0.0).reply.request_id
    assert request_id.startswith(SIMULATED_ID)
    path = write(tmp_path / "r.csv", [result(1, Reason.ACCEPTED, request_id=request_id)])
    assert read_reports([path]).reports[0].simulated


HEADER = ",".join(COLUMNS)
GOOD = "1,ada,sent,accepted,1,EMAIL,a***,email,,,r-1,2026-11-23T07:58:00.691Z,61,,"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"username\nada\n", "is not a report. Use one"),
        (b"\x1f\x8b\x08\x00\x00binary\n", "is not a report. Use one"),
        (HEADER.replace(",latency_ms", "").encode() + b"\n", "lacks the column latency_ms"),
        (f"{HEADER},wave\n".encode(), "has other columns. Use the version"),
        (f"{HEADER}\n{GOOD}\n{GOOD[:40]}".encode(), "ends in the middle of a line"),
        (f"{HEADER}\n{GOOD}\n{GOOD[:20]}\n".encode(), "line 3: '' is not a whole number"),
        (f"{HEADER}\n{GOOD},7\n".encode(), "more cells"),
        (f"{HEADER}\n{GOOD}\n{GOOD},7\n".encode(), "a line that is not a report's"),
        (f"{HEADER}\n{GOOD}\n{GOOD.replace('ada', chr(34))}\n".encode(), "not a report's"),
        (f"{HEADER}\n{GOOD}\n".encode().replace(b"ada", b"\xff"), "not a report's"),
        (
            f"{HEADER}\n{GOOD}\n".replace("accepted", "sneezed").encode(),
            "not a known reason",
        ),
        (f"{HEADER}\n{GOOD}\n".replace("sent", "failed").encode(), "not the outcome"),
        (f"{HEADER}\n{GOOD}\n".replace("1,ada", "one,ada").encode(), "not a whole number"),
        (f"{HEADER}\n{GOOD}\n".replace(",1,EMAIL", ",1e300,EMAIL").encode(), "not a whole number"),
        (f"{HEADER}\n{GOOD}\n".replace(",61", ",-61").encode(), "'-61' is not a whole number"),
        (f"{HEADER}\n{GOOD}\n".replace("2026-11", "yesterday").encode(), "is not a time"),
    ],
)
def test_invalid_report_is_rejected_by_name(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=sentence) as refused:
        read_reports([str(path)])
    assert str(refused.value).startswith(str(path))
    assert "ada" not in str(refused.value)


@pytest.mark.parametrize("what", ["missing", "folder", "torn", "not packed"])
def test_unreadable_report_is_rejected_by_name(tmp_path: Path, what: str) -> None:
    path = tmp_path / "bad.csv.gz"
    if what == "folder":
        path.mkdir()
    elif what == "torn":
        path.write_bytes(gzip.compress(f"{HEADER}\n{GOOD}\n".encode() * 100)[:-20])
    elif what == "not packed":
        path.write_text(f"{HEADER}\n{GOOD}\n")
    with pytest.raises(InputError, match=r"cannot be read|is not a complete \.gz file"):
        read_reports([str(path)])
