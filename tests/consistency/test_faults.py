"""The drawing of faults: repeatable, in order, and never two at a time where that would hang."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.consistency.faults import LONGEST, REPLICA_FAULTS, plan

NAMES = ("replica1", "replica2")
SEEDS = st.integers(0, 1000)


def test_same_seed_gives_the_same_plan() -> None:
    assert plan(7, 60.0, NAMES) == plan(7, 60.0, NAMES)
    assert plan(7, 60.0, NAMES) != plan(8, 60.0, NAMES)


@given(SEEDS, st.floats(0.0, 60.0), st.booleans())
def test_faults_of_a_server_follow_each_other_and_end_in_time(
    seed: int, seconds: float, one_at_a_time: bool
) -> None:
    for column in plan(seed, seconds, NAMES, one_at_a_time=one_at_a_time):
        assert all(a.at + a.lasts < b.at for a, b in pairwise(column))
        assert all(it.at + it.lasts < seconds for it in column)
        assert all(it.lasts <= LONGEST[it.fault] for it in column)


@given(SEEDS)
def test_one_at_a_time_is_one_column_for_all(seed: int) -> None:
    [column] = plan(seed, 60.0, NAMES, one_at_a_time=True)
    assert {it.server for it in column} == set(NAMES)
    apart = plan(seed, 60.0, NAMES)
    assert [{it.server for it in column} for column in apart] == [{name} for name in NAMES]


@given(SEEDS)
def test_long_plan_holds_every_fault(seed: int) -> None:
    [column] = plan(seed, 200.0, NAMES, one_at_a_time=True)
    assert {it.fault for it in column} == set(REPLICA_FAULTS)
