"""Days of an hourly cron: no user twice within the cooldown, none over the cap, no growth.

What happens in these days is described in `soak`; here a few hours of a small town are held to it,
and by command three days of a larger one.
"""

from pathlib import Path

import pytest

from tests.soak.town import POLICY, Soak, Town, bytes_a_message, table


def _breaks_the_promise(town: Town) -> bool:
    return max(town.written) > POLICY.max_sends or town.shortest_by_clock < POLICY.cooldown


def test_hours_of_faulty_cron_never_exceed_the_cap(
    tmp_path: Path,
) -> None:
    """Hours of cron with everything that goes wrong send no user too many messages."""
    soak = Soak(tmp_path, sign_ups=50, seed=4)
    hours = list(soak.run(16))
    assert not _breaks_the_promise(soak.town)
    # It was no idle time: people were reminded, runs killed, clocks wrong, quotas too low.
    assert soak.town.written[3] > 50
    assert any(hour.killed for hour in hours)
    assert any(hour.off for hour in hours)
    assert soak.town.throttled > 0


def test_the_judge_notices_a_ledger_that_forgets(tmp_path: Path) -> None:
    soak = Soak(tmp_path, sign_ups=50, forgetful=True)
    list(soak.run(6))
    assert _breaks_the_promise(soak.town)


@pytest.mark.long
@pytest.mark.timeout(3 * 3600)
def test_three_days_of_cron_stay_within_cap_and_disk_space(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soak = Soak(tmp_path, sign_ups=500)
    hours = list(soak.run(72))
    town = soak.town
    with capsys.disabled():
        print("", *table(hours), sep="\n")
        print(f"People by messages: {dict(sorted(town.written.items()))}")
        print(f"Of those who never confirmed, by messages: {dict(sorted(town.reminded.items()))}")
        print(f"Requests throttled: {town.throttled} of {town.requests}")
        print(f"Bytes a message: {bytes_a_message(hours[24:48]):.0f} on the second day,")
        print(f"                 {bytes_a_message(hours[48:]):.0f} on the third")
        print(f"Shortest time between two messages: {town.shortest_by_clock / 60:.1f} min by the")
        print(f"machine's clock, {town.shortest / 60:.1f} min in truth")
    assert not _breaks_the_promise(town)
    assert town.throttled > 0
    # Most who never confirm come to the cap, in spite of it all.
    assert town.reminded[3] > 0.6 * town.reminded.total()
    # From the time on at which as many people leave as come, nothing grows any more.
    assert bytes_a_message(hours[48:]) < 1.05 * bytes_a_message(hours[24:48])
    assert max(hour.ledger for hour in hours[48:]) < 1.2 * max(hour.ledger for hour in hours[24:48])
    assert hours[-1].memory < 1.1 * hours[35].memory
