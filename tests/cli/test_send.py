"""One message per person, whatever becomes of it: real processes against the simulated Cognito."""

from __future__ import annotations

from batch_resend.simulator.pool import Kind
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.setup import Outage
from tests.support.program import (
    AGAIN,
    REPORT,
    SUMMARY,
    Program,
    became,
    numbered,
    once,
    rows,
    tallied,
)


def test_a_run_mails_each_user_exactly_once_and_never_again(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    names = numbered(12)
    users = program.users(names)

    first = program("run", users, *at, *REPORT, *SUMMARY, umask=0)
    assert (first.code, first.out) == (0, "")
    assert cognito.deliveries == once(names)
    report = program.report()
    assert became(report) == dict.fromkeys(names, "sent/accepted")
    assert rows(report) == list(range(1, 13))
    assert {row["delivery_medium"] for row in report} == {"EMAIL"}
    assert {row["destination"] for row in report} == {"u***@e***"}
    summary = program.summary()
    assert (summary["schema"], summary["exit_code"], summary["stopped_by"]) == (1, 0, None)
    assert summary["counts"] == {
        "sent": 12, "planned": 0, "skipped": 0, "failed": 0, "unknown": 0, "not-attempted": 0,
    }  # fmt: skip
    assert summary["reasons"] == {"sent/accepted": 12}
    assert summary["requests"] == 12

    # Whatever the umask, files with names are private.
    (ledger,) = program.state.rglob("*.sqlite3")
    for file in (program.folder / "report.csv", program.folder / "summary.json", ledger):
        assert file.stat().st_mode & 0o777 == 0o600

    again = program("run", users, *at, *AGAIN)
    assert again.code == 0
    assert tallied(program.report()) == {"skipped/cooling-down": 12}

    # The same people in another order, in other letters, with new ones among them, from elsewhere.
    late = numbered(2, first=13)
    mixed = program.users([*reversed(names[1:]), late[0], names[0].upper(), late[1], late[0]])
    (program.folder / "other").mkdir()
    third = program(
        "run", f"../{mixed}", *at, "--cooldown", "0s", *REPORT, cwd=program.folder / "other"
    )
    assert third.code == 0
    report = program.report("other/report.csv")
    assert tallied(report) == {
        "skipped/send-cap": 12, "sent/accepted": 2, "skipped/duplicate": 1,
    }  # fmt: skip
    assert cognito.deliveries == once([*names, *late])
    assert list(program.state.rglob("*.sqlite3")) == [ledger]


MIXED = {
    "ada@example.com": "sent/accepted",
    "bob+confirmed@example.com": "skipped/already-confirmed",
    "cy+missing@example.com": "failed/user-not-found",
    "dan+disabled@example.com": "failed/user-disabled",
    "eve+tired@example.com": "failed/attempt-limit",
    "fay+undeliverable@example.com": "failed/delivery-failed",
    "gus+trigger@example.com": "failed/rejected-by-trigger",
    "hal+lambda@example.com": "unknown/trigger-error",
    "two words": "failed/invalid-username",
    "ivy+error@example.com": "unknown/server-error",
    "joe+nodetails@example.com": "unknown/unreadable-answer",
    "kim+rst@example.com": "unknown/no-answer",
    "lea+sms@example.com": "sent/accepted",
    "max+busy@example.com": "sent/accepted",
    "ned+half@example.com": "unknown/unreadable-answer",
    "+15550100": "sent/accepted",
}
MAILED = [name for name, what in MIXED.items() if what == "sent/accepted"] + [
    "joe+nodetails@example.com", "kim+rst@example.com", "ned+half@example.com",
]  # fmt: skip


def test_run_with_failures_exits_1_and_keeps_rows_to_retry(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    """Each user's outcome is reported; the failed file has the rows to try again, verbatim."""
    # A CSV as people have them: a mark, blanks, quotes, line ends, columns of no concern.
    lines = {name: f'{n};"a ""note""; of {n}";{name}\r\n' for n, name in enumerate(MIXED, 1)}
    heading = "\ufeffNo;Note;User Name\r\n"
    (program.folder / "users.csv").write_text(
        heading + "\r\n" + "".join(lines.values()), encoding="utf-8", newline=""
    )
    column = ("--username-column", "user name")

    first = program("run", "users.csv", *column, *at, *REPORT, *SUMMARY, "--failed", "failed.csv")
    assert first.code == 1
    assert became(program.report()) == MIXED
    assert cognito.deliveries == once(MAILED)
    assert program.summary()["exit_code"] == 1
    assert program.summary()["unknown_in_ledger"] == 5

    left = (program.folder / "failed.csv").read_bytes().decode("utf-8")
    expected = [
        name for name, outcome in MIXED.items() if outcome.startswith(("failed", "unknown"))
    ]
    assert left.startswith(heading)
    assert sorted(left.removeprefix(heading).splitlines(keepends=True)) == sorted(
        lines[name] for name in expected
    )

    # What is left is an input again. Users who may have been sent a code are not requested again.
    again = program("run", "failed.csv", *column, *at, *AGAIN)
    assert again.code == 1
    assert became(program.report()) == {
        name: "skipped/outcome-unknown" if MIXED[name].startswith("unknown") else MIXED[name]
        for name in expected
    }
    assert cognito.deliveries == once(MAILED)


def test_failed_users_are_requested_again_by_the_next_run(
    program: Program, cognito: Cognito, at: tuple[str, ...]
) -> None:
    names = numbered(4)
    users = program.users(names)
    cognito.outages = [Outage(Kind.UNDELIVERABLE)]
    assert program("run", users, *at, *REPORT, "--failed", "failed.csv").code == 1
    assert tallied(program.report()) == {"failed/delivery-failed": 4}
    failed = program.folder / "failed.csv"
    assert sorted(failed.read_text().splitlines()) == sorted(["username", *names])
    assert failed.stat().st_mode & 0o777 == 0o600
    cognito.outages = []
    assert program("run", "failed.csv", *at, *AGAIN).code == 0
    assert cognito.deliveries == once(names)
