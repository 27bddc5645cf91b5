"""The plain numbers of the hot path."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.observe.counters import BOUNDS, Counters, Histogram, Tally
from proxy.types import Reason


def test_only_reasons_that_occurred_are_told() -> None:
    reads = Counters(Reason)
    reads.count(Reason.HIT)
    reads.count(Reason.HIT)
    reads.count(Reason.WRITE)
    assert dict(reads.seen()) == {"hit": 2, "write": 1}


def test_names_past_the_limit_are_counted_together() -> None:
    tables = Tally(limit=2)
    for name in ("a", "b", "c", "d", "a"):
        tables.count(name)
    tables.count("e", 5)
    assert tables.counts == {"a": 2, "b": 1, Tally.OTHERS: 7}


@given(st.lists(st.floats(0, 100)))
def test_bucket_counts_what_took_no_longer_than_its_bound(durations: list[float]) -> None:
    histogram = Histogram()
    for seconds in durations:
        histogram.record(seconds)
    assert histogram.total == sum(durations)
    *buckets, (last, everything) = histogram.cumulated()
    assert (last, everything) == ("+Inf", len(durations))
    assert [float(bound) for bound, _ in buckets] == list(BOUNDS)
    for bound, count in buckets:
        assert count == sum(seconds <= float(bound) for seconds in durations)
