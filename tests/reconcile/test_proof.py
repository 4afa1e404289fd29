"""Nothing wrong is ever concluded, judged by the simulator's own count.

A day of requests is drawn: answered ones, ones whose response was lost before or after Cognito
did its work, kills at either moment, users who press "resend" themselves in the same second,
another ledger's run at the same time. CloudTrail records them late, twice, without results,
with a rewritten agent, or not at all. Whatever is drawn:

  - `sent` is a message that went out; `failed`, `skipped` or taken back is one that did not
  - `not-recorded` is wrong at most as often as a record is missing
  - what was known before stays as it was, and a second reconciling changes nothing
"""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_resend.aws.cloudtrail import EventHistory
from batch_resend.marks import find_mark
from batch_resend.model import Outcome, Reason
from batch_resend.reconcile import settle
from batch_resend.reconcile.findings import DAY, HISTORY, Rules, Why
from batch_resend.reconcile.settle import Looked, Reconciliation, reconcile
from batch_resend.simulator import cloudtrail as simulated
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.sender import SimulatedEventHistory
from tests.support.books import FakeBooks, Kept, Killed, Program

NOON = 1_795_435_200.0
BROWSER = "Mozilla/5.0 (X11; Linux x86_64)"

#: What becomes of a request, by its user's name.
MARKERS = st.sampled_from(
    [
        *("email", "lost", "fin", "rst", "half", "gateway", "nodetails", "silent", "error"),
        *("unavailable", "html", "lambda", "waf", "confirmed", "missing", "tired"),
        *("undeliverable", "trigger"),
    ]
)
EVENTS = st.tuples(
    st.sampled_from(["run", "run", "run", "before", "after", "click", "other"]),
    MARKERS,
    st.sampled_from([0.0, 0.2, 1.0, 7.0, 400.0]),
)
SHARES = st.sampled_from([0.0, 0.0, 0.1, 0.5, 1.0])
RECORDINGS = st.builds(
    simulated.Recording,
    delay=st.sampled_from([0.0, 300.0]),
    lateness=st.sampled_from([0.0, 900.0, 3 * DAY]),
    loss=SHARES,
    duplicates=SHARES,
    without_results=st.booleans(),
    agent=st.sampled_from([None, None, "squid/6.1", "batch-resend/1.0"]),
    throttles=st.booleans(),
    lookups_a_second=st.just(1e9),
    seed=st.integers(0, 2**32),
)


class Day:
    """Requests of two programs and some users, and CloudTrail's records of them."""

    def __init__(self, recording: simulated.Recording) -> None:
        self.history = simulated.EventHistory(recording)
        self.cognito = Cognito(history=self.history)
        self.ours = Program(self.cognito)
        self.theirs = Program(self.cognito, FakeBooks(key=b"o" * 32))
        self.now = NOON

    def live(self, events: list[tuple[str, str, float]]) -> None:
        for number, (what, marker, pause) in enumerate(events):
            self.now += pause
            name = f"user{number}+{marker}"
            if what == "click":
                # The user of our latest request presses the button in the app.
                mine = list(self.ours.books.messages.values())
                self._click(mine[-1].name if mine else name)
            elif what == "other":
                self.theirs.request(name, self.now)
            else:
                self.ours.request(name, self.now, dies="" if what == "run" else what)

    def _click(self, name: str) -> None:
        asked = {"ClientId": "simulatedclient", "Username": name}
        self.cognito.answer(asked, now=self.now, agent=BROWSER)

    def reconcile(self, after: float, *, older_than: float = DAY) -> Reconciliation:
        """Reconcile `after` seconds after the last request."""
        now = self.now + after

        async def run() -> Reconciliation:
            client = SimulatedEventHistory(self.history, lambda: now)
            evidence = Looked(EventHistory(client, rate=1e9), HISTORY)
            rules = Rules(now, older_than=older_than, controls=3)
            return await reconcile(self.ours.books, evidence, rules)

        return anyio.run(run)

    def unrecorded(self, now: float, *, by_mark: bool = False) -> set[int]:
        """Return our messages that went out and have no visible record at this time.

        `by_mark`: or whose record had lost its mark.
        """
        records = [event.record for event in self.history._events if event.visible_at <= now]
        marks = {find_mark(record["userAgent"]) for record in records}
        requests = {record["requestID"] for record in records}
        books = self.ours.books
        return {
            one.number
            for one in (*books.messages.values(), *books.taken_back)
            if one.delivered
            and (books.mark(one) not in marks if by_mark else one.record_id not in requests)
        }


def judge(day: Day, before: dict[int, Kept], after: float, *, by_mark: bool = False) -> None:
    books = day.ours.books
    for message in books.taken_back:
        assert not message.delivered
    for number, message in books.messages.items():
        if not before[number].is_unknown:
            assert message == before[number]
        elif message.reason is not None:
            if message.reason.outcome is Outcome.SENT:
                assert message.delivered
            elif message.reason.outcome is not Outcome.UNKNOWN:
                assert not message.delivered
    wrong = {
        number
        for number, message in books.messages.items()
        if message.reason is Reason.NOT_RECORDED and message.delivered
    }
    assert wrong <= day.unrecorded(day.now + after, by_mark=by_mark)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(EVENTS, max_size=40),
    RECORDINGS,
    st.sampled_from([0.0, 3600.0, DAY, 2 * DAY, 30 * DAY, 100 * DAY]),
    st.sampled_from([0.0, DAY]),
)
def test_reconciling_concludes_nothing_wrong(
    events: list[tuple[str, str, float]],
    recording: simulated.Recording,
    after: float,
    older_than: float,
) -> None:
    day = Day(recording)
    day.live(events)
    before = dict(day.ours.books.messages)
    outcome = day.reconcile(after, older_than=older_than)
    judge(day, before, after)
    assert len(outcome.findings) == sum(one.is_unknown for one in before.values())
    result = dict(day.ours.books.messages)
    writes = day.ours.books.writes
    day.reconcile(after, older_than=older_than)
    assert day.ours.books.messages == result
    assert day.ours.books.writes == writes


@settings(max_examples=100, deadline=None)
@given(st.lists(EVENTS, max_size=40), st.integers(0, 2**32))
def test_good_history_settles_every_message_that_went_out(
    events: list[tuple[str, str, float]], seed: int
) -> None:
    """But for the answers that Cognito itself gave without a result."""
    day = Day(simulated.Recording(lookups_a_second=1e9, seed=seed))
    day.live(events)
    day.reconcile(DAY)
    for message in day.ours.books.messages.values():
        if message.delivered and "+nodetails" not in message.name:
            assert message.reason is Reason.ACCEPTED


@settings(max_examples=100, deadline=None)
@given(
    st.lists(EVENTS, min_size=5, max_size=40),
    RECORDINGS,
    st.integers(0, 5),
    st.sampled_from([3600.0, 2 * DAY]),
)
def test_kill_in_mid_reconcile_changes_nothing(
    events: list[tuple[str, str, float]],
    recording: simulated.Recording,
    dies_after: int,
    after: float,
) -> None:
    """Each finding is durable by itself; the next reconciling makes up the rest."""
    whole, killed = Day(recording), Day(recording)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settle, "PAGE", 1)
        for day in (whole, killed):
            day.live(events)
        before = dict(killed.ours.books.messages)
        whole.reconcile(after)
        killed.ours.books.dies_after = dies_after
        try:
            killed.reconcile(after)
        except Killed:
            judge(killed, before, after)
            killed.reconcile(after)
    assert killed.ours.books.messages == whole.ours.books.messages
    assert killed.ours.books.taken_back == whole.ours.books.taken_back


@settings(max_examples=100, deadline=None)
@given(st.lists(EVENTS, max_size=30), RECORDINGS, RECORDINGS)
def test_later_records_may_still_settle(
    events: list[tuple[str, str, float]],
    recording: simulated.Recording,
    other: simulated.Recording,
) -> None:
    """Reconciled again and again, under a history that gets better or worse between.

    A proxy that begins to take the marks away right after the last control is as good as a
    history that begins to lose records there.
    """
    day = Day(recording)
    day.live(events[: len(events) // 2])
    day.history.recording = other
    day.live(events[len(events) // 2 :])
    for after in (0.0, 3600.0, DAY, 4 * DAY, 80 * DAY):
        before = dict(day.ours.books.messages)
        day.reconcile(after, older_than=0.0)
        judge(day, before, after, by_mark=True)


def lost(count: int, answered: int, recording: simulated.Recording) -> Day:
    """Return a number of lost responses amid answered ones, within a minute."""
    day = Day(recording)
    day.live([("run", "lost" if n < count else "email", 0.1) for n in range(count + answered)])
    return day


def test_rewritten_agent_concludes_nothing() -> None:
    day = lost(5, 100, simulated.Recording(agent="squid/6.1", lookups_a_second=1e9))
    outcome = day.reconcile(DAY)
    assert {finding.why for finding in outcome.findings} == {Why.NO_CONTROLS}
    assert (outcome.controls, outcome.missing_controls) == (100, 100)


def test_history_of_another_account_concludes_nothing() -> None:
    day = lost(5, 100, simulated.Recording(lookups_a_second=1e9))
    day.history = simulated.EventHistory(day.history.recording)
    outcome = day.reconcile(DAY)
    assert {finding.why for finding in outcome.findings} == {Why.NO_CONTROLS}


def test_records_without_results_never_become_sent() -> None:
    """As an emulator writes them; they prove that the requests did arrive."""
    day = lost(5, 100, simulated.Recording(without_results=True, lookups_a_second=1e9))
    outcome = day.reconcile(DAY)
    assert {finding.why for finding in outcome.findings} == {Why.NO_RESULT}
    assert {finding.reason for finding in outcome.findings} == {Reason.NO_ANSWER}


def test_lost_records_are_not_recorded_only_amid_whole_controls() -> None:
    """One control that is missing, even minutes away, makes the others worthless."""
    day = lost(0, 100, simulated.Recording(lookups_a_second=1e9))
    usual = day.history.recording
    day.history.recording = simulated.Recording(loss=1.0, lookups_a_second=1e9)
    day.live([("run", "lost", 0.1)])
    day.history.recording = usual
    day.live([("run", "email", 0.1)] * 100)
    outcome = day.reconcile(DAY)
    assert [finding.why for finding in outcome.findings] == [Why.NOT_RECORDED]
    assert outcome.controls == 200
    again = lost(0, 100, simulated.Recording(lookups_a_second=1e9))
    again.history.recording = simulated.Recording(loss=1.0, lookups_a_second=1e9)
    again.live([("run", "lost", 0.1), ("run", "email", 0.1)])
    outcome = again.reconcile(DAY)
    assert [finding.why for finding in outcome.findings] == [Why.NO_CONTROLS]
    assert (outcome.controls, outcome.missing_controls) == (101, 1)


def test_dry_run_finds_the_same_and_writes_nothing() -> None:
    day = lost(5, 10, simulated.Recording(lookups_a_second=1e9))

    async def dry() -> Reconciliation:
        client = SimulatedEventHistory(day.history, lambda: day.now + DAY)
        evidence = Looked(EventHistory(client, rate=1e9), HISTORY)
        return await reconcile(day.ours.books, evidence, Rules(day.now + DAY), dry_run=True)

    outcome = anyio.run(dry)
    assert day.ours.books.writes == 0
    assert outcome.counts == {Outcome.SENT: 5}
    assert day.reconcile(DAY).counts == outcome.counts


def test_listing_ends_as_soon_as_all_are_found() -> None:
    """A lost response amid thousands of answered ones costs one page, not all."""
    day = lost(0, 3000, simulated.Recording(lookups_a_second=1e9))
    day.live([("run", "lost", 0.1)])
    outcome = day.reconcile(DAY)
    assert outcome.counts == {Outcome.SENT: 1}
    assert outcome.records == 50
    assert day.history.lookups == 1
