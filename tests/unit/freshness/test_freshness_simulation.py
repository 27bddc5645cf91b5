"""The promise holds over random histories, and each rule is seen to be needed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from proxy.freshness.rules import Rules
from tests.unit.freshness.simulation import Simulation, StaleRead

STEPS = 400
SEEDS = range(150)
SEEDS_TO_FIND = range(400)


@pytest.mark.parametrize("faults", [False, True])
def test_every_read_is_one_the_primary_would_have_answered(faults: bool) -> None:
    served: Counter[str] = Counter()
    for seed in SEEDS:
        simulation = Simulation(seed, faults=faults)
        simulation.run(STEPS)
        served.update(simulation.finished)
    # A checker that never sees a fast read would be content with anything.
    assert served["hit"] > 500
    assert served["replica"] > 500
    assert served["redone"] > 100


def look_for_a_stale_read(**mutation: Any) -> None:
    for seed in SEEDS_TO_FIND:
        Simulation(seed, **mutation).run(STEPS)


@pytest.mark.parametrize("rule", ["mark", "pending", "version", "need", "validation", "fill"])
def test_without_any_one_rule_some_read_is_stale(rule: str) -> None:
    with pytest.raises(StaleRead):
        look_for_a_stale_read(rules=Rules(**{rule: False}), faults=False)


def test_a_position_short_of_the_acknowledged_commit_lets_a_lagging_replica_answer() -> None:
    with pytest.raises(StaleRead):
        look_for_a_stale_read(written_positions=True, faults=False)


def test_a_connection_that_believes_an_older_reading_reads_from_a_replica_gone_back() -> None:
    with pytest.raises(StaleRead):
        look_for_a_stale_read(newborn_believes=True)


def test_without_a_new_epoch_after_a_failover_what_never_happened_is_served() -> None:
    with pytest.raises(StaleRead):
        look_for_a_stale_read(unnoticed_failover=True)
