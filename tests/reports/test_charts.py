"""The charts' geometry: places by hand, and nothing lost between the bins."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.reports.page.charts import (
    BASE,
    TOP,
    Chart,
    by_day,
    distribution,
    over_time,
    percentile,
)
from batch_resend.reports.page.samples import Sample, Samples


def drawn(chart: Chart | None) -> Chart:
    assert chart is not None
    return chart


def of_time(
    sent: dict[int, int] | None = None,
    other: dict[int, int] | None = None,
    again: dict[int, int] | None = None,
    samples: tuple[Sample, ...] = (),
    ceiling: float | None = None,
) -> Chart | None:
    return over_time(Counter(sent), Counter(other), Counter(again), samples, ceiling)


def test_no_requests_give_no_chart() -> None:
    assert of_time() is None
    assert distribution(Counter(), {}) is None


def test_columns_are_stacked_below_the_ceiling() -> None:
    chart = drawn(of_time({1000: 10, 1001: 5}, {1000: 5}, {1003: 5}, ceiling=20.0))
    assert chart.step == 1
    assert chart.peak == 15
    assert chart.kinds == {"sent", "other", "throttled", "ceiling"}
    assert [tick.label for tick in chart.upwards] == ["0", "5", "10", "15", "20"]
    first, second, fourth = chart.columns
    # 20 per second are 180 pixels, so 5 are 45.
    assert [(bar.kind, bar.y, bar.height) for bar in first.bars] == [
        ("sent", BASE - 90, 90.0),
        ("other", BASE - 135, 45.0),
    ]
    assert first.title == "00:16:40: 10/s sent, 5/s other"
    assert [(bar.kind, bar.height) for bar in second.bars] == [("sent", 45.0)]
    assert [(bar.kind, bar.height) for bar in fourth.bars] == [("throttled", 45.0)]
    # Ten bins at least, so that a short run is not a few broad blocks.
    assert (first.x, first.width, fourth.x) == (0.4, 9.2, 30.4)
    (line,) = chart.lines
    assert (line.kind, line.y1, line.y2, line.x2) == ("ceiling", TOP, TOP, 100.0)


def test_long_run_has_wider_columns_and_fewer_marks() -> None:
    chart = drawn(of_time(dict.fromkeys(range(3600), 25)))
    assert chart.step == 30
    assert len(chart.columns) == 120
    assert {bar.height for column in chart.columns for bar in column.bars} == {150.0}  # of 30
    assert [tick.label for tick in chart.across] == [
        "0", "10 min", "20 min", "30 min", "40 min", "50 min",
    ]  # fmt: skip


def test_ceiling_far_above_is_not_drawn() -> None:
    assert "ceiling" in drawn(of_time({5: 10}, ceiling=30.0)).kinds
    assert "ceiling" not in drawn(of_time({5: 10}, ceiling=31.0)).kinds


def test_throttled_requests_are_placed_by_samples() -> None:
    samples = tuple(
        Sample(100.5 + n, throttled, 10.0, 25.0) for n, throttled in enumerate([0, 0, 3, 3, 4])
    )
    chart = drawn(of_time({100: 5, 104: 5}, {}, {104: 99}, samples, 25.0))
    heights = {
        column.x: bar.height / (BASE - TOP) * float(chart.upwards[-1].label)
        for column in chart.columns
        for bar in column.bars
        if bar.kind == "throttled"
    }
    assert heights == {20.4: pytest.approx(3), 40.4: pytest.approx(1)}
    assert {line.kind for line in chart.lines} == {"pace"}
    assert len(chart.lines) == 4


@given(
    st.dictionaries(st.integers(0, 10**9), st.integers(1, 50), min_size=1, max_size=30),
    st.dictionaries(st.integers(0, 10**9), st.integers(1, 50), max_size=30),
)
def test_every_second_is_within_the_chart(sent: dict[int, int], other: dict[int, int]) -> None:
    chart = drawn(of_time(sent, other))
    top = float(chart.upwards[-1].label.replace(",", ""))
    area = sum(bar.height for column in chart.columns for bar in column.bars)
    total = area / (BASE - TOP) * top * chart.step
    rounding = 0.011 * len(chart.columns) * 2 * top * chart.step / (BASE - TOP) + 1e-3 * total
    assert abs(total - sum(sent.values()) - sum(other.values())) <= rounding
    for column in chart.columns:
        assert 0 <= column.x <= column.x + column.width <= 100
        assert all(TOP - 0.02 <= bar.y <= BASE for bar in column.bars)
    assert len(chart.columns) <= 120
    assert len(chart.across) <= 7


def test_days_are_stacked_by_kind() -> None:
    # 2027-01-01 is day 20,819.
    counts = {"confirmed": Counter({20819: 30}), "sent": Counter({20819: 10, 20828: 20})}
    chart = drawn(by_day(counts))
    assert (chart.step, chart.peak) == (1, 40)
    assert chart.kinds == {"confirmed", "sent"}
    assert [column.title for column in chart.columns] == [
        "1 Jan 2027: 30 confirmed, 10 sent", "10 Jan 2027: 20 sent",
    ]  # fmt: skip
    assert [bar.kind for bar in chart.columns[0].bars] == ["confirmed", "sent"]
    assert [tick.label for tick in chart.across] == ["1 Jan", "3 Jan", "5 Jan", "7 Jan", "9 Jan"]
    assert by_day({"sent": Counter()}) is None


@given(st.dictionaries(st.integers(0, 40_000), st.integers(1, 99), min_size=1, max_size=30))
def test_every_day_is_in_one_column(sent: dict[int, int]) -> None:
    chart = drawn(by_day({"sent": Counter(sent)}))
    counts = [column.title.rpartition(": ")[2].removesuffix(" sent") for column in chart.columns]
    assert sum(int(count.replace(",", "")) for count in counts) == sum(sent.values())
    assert len(chart.columns) <= 120
    assert all(column.x + column.width <= 100.001 for column in chart.columns)


def test_longest_latencies_share_the_last_column() -> None:
    latencies = Counter({60: 50, 61: 40, 63: 9, 5000: 1})
    chart = drawn(distribution(latencies, {"median": 60, "p99": 63}))
    assert [column.title for column in chart.columns] == [
        "60 ms: 50", "61 ms: 40", "63 ms: 9", "70 ms and more: 1",
    ]  # fmt: skip
    assert chart.across[-1].label == "longer"
    # Eleven columns; a mark stands in the middle of its own.
    assert [(line.kind, line.x1) for line in chart.lines] == [("median", 4.545), ("p99", 31.818)]


def test_timeouts_do_not_stretch_the_axis() -> None:
    chart = drawn(distribution(Counter({50: 900, 100: 80, 10_000: 20}), {"p99": 10_000}))
    # Three times the 90th percentile, which is 50.
    assert [column.title for column in chart.columns] == [
        "50 to 54 ms: 900", "100 to 104 ms: 80", "155 ms and more: 20",
    ]  # fmt: skip
    assert chart.kinds == {"sent"}
    assert [tick.label for tick in chart.upwards] == ["0", "500", "1,000"]


def test_large_numbers_are_written_in_full() -> None:
    chart = drawn(distribution(Counter({50: 3_000_000}), {}))
    assert [tick.label for tick in chart.upwards] == ["0", "1,000,000", "2,000,000", "3,000,000"]


@given(st.dictionaries(st.integers(0, 10**6), st.integers(1, 1000), min_size=1, max_size=50))
def test_every_latency_is_in_one_column(latencies: dict[int, int]) -> None:
    chart = drawn(distribution(Counter(latencies), {}))
    counted = [int(column.title.rpartition(": ")[2].replace(",", "")) for column in chart.columns]
    assert sum(counted) == sum(latencies.values())
    assert len(counted) <= 52
    assert all(column.x + column.width <= 100.001 for column in chart.columns)


@pytest.mark.parametrize(
    ("part", "expected"), [(0.5, 20), (0.51, 30), (0.9, 30), (0.95, 1000), (1.0, 1000)]
)
def test_percentiles_are_by_nearest_rank(part: float, expected: int) -> None:
    assert percentile(Counter({10: 2, 20: 3, 30: 4, 1000: 1}), part) == expected


def test_samples_stay_few_in_a_long_run() -> None:
    samples = Samples()
    at, taken = 0.0, 0
    while at < 7 * 86400:
        samples.add(Sample(at, taken, 1.0, 1.0))
        at, taken = at + samples.every, taken + 1
    assert 500 <= len(samples.taken) < 1000
    assert samples.taken[0].at == 0.0
    gaps = {b.at - a.at for a, b in zip(samples.taken, samples.taken[1:], strict=False)}
    assert samples.every == 1024.0
    assert max(gaps) <= 2 * samples.every
