"""What docs/fleet-sizing.md says a fleet costs is what the product's own fleets and codec cost."""

from __future__ import annotations

import pytest

from proxy.freshness.fleet import DRIFT, LEASE
from tests.simulation.costs import REGIONS, RENEWAL, Load, measure, paper, percentile
from tests.simulation.leaving import EARLIEST, LATEST, leave


@pytest.mark.parametrize("members", [2, 5, 9])
def test_messages_and_bytes_are_those_on_paper(members: int) -> None:
    for _, it in measure(members, 1.0, [Load(0), Load(40)], 6 * RENEWAL):
        for counted, written in zip(it.traffic, paper(members, it.load), strict=True):
            assert counted == pytest.approx(written, rel=0.1)
        assert it.fast == 1.0


@pytest.mark.parametrize("trip", [0.3, 50.0])
def test_a_commit_waits_for_one_round_trip(trip: float) -> None:
    ((_, it),) = measure(6, trip, [Load(40)], 3 * RENEWAL)
    assert percentile(it.delays, 0.5) * 1000 == pytest.approx(trip, rel=0.1)
    assert percentile(it.delays, 0.99) * 1000 < 1.25 * trip


def test_a_commit_in_a_far_region_waits_for_its_way_to_the_bus_and_the_longest_one() -> None:
    """Members of each Region but the first, in pairs."""
    near, middle, far = REGIONS
    ((_, it),) = measure(6, None, [Load(20)], 6 * RENEWAL)
    assert it.delays[0] * 1000 == pytest.approx(near + far, rel=0.1)
    assert percentile(it.delays, 0.5) * 1000 == pytest.approx(middle + far, rel=0.1)
    assert it.delays[-1] * 1000 == pytest.approx(far + far, rel=0.2)


def test_who_is_killed_is_waited_for_as_long_as_on_paper() -> None:
    for seed in range(3):
        for took in leave(seed, 3, 0.001):
            assert took.commit <= LEASE * (1 + DRIFT) + 0.05
            assert EARLIEST <= took.gone <= LATEST + 0.1
            assert took.fast == pytest.approx(took.gone, abs=0.1)
