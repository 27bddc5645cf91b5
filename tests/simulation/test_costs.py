"""What docs/fleet-sizing.md says a fleet costs is what the product's own fleets and codec cost."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from proxy.freshness.fleet import DRIFT, LEASE
from proxy.freshness.peer import REPEAT
from proxy.runtime.evictions import ABSENT_AFTER, LEASE_OVER, SILENT_AFTER
from tests.simulation.costs import (
    CLEARED,
    FRAME,
    GRANT,
    MARKED,
    MEMBERS,
    NOTE,
    REGIONS,
    RENEWAL,
    Load,
    measure,
    paper,
    percentile,
    row_on_paper,
)
from tests.simulation.leaving import EARLIEST, LATEST, leave

ROOT: Final = Path(__file__).parents[2]


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
            assert took.commit <= LEASE * (1 + DRIFT) + REPEAT + 0.05
            assert EARLIEST <= took.gone <= LATEST + 0.1
            assert took.fast == pytest.approx(took.gone, abs=0.1)


def test_the_guide_tells_what_is_on_paper() -> None:
    guide = (ROOT / "docs" / "fleet-sizing.md").read_text()
    others = 2 * FRAME + MARKED + CLEARED + NOTE
    for said in (
        *map(row_on_paper, MEMBERS),
        f"in {RENEWAL:.2f} s, of {FRAME} bytes and {GRANT} for each",
        f"They are {FRAME + MARKED}, {FRAME + CLEARED} and {NOTE} bytes",
        f"(n - 1) (1.5 n ({FRAME} + {GRANT} (n - 1)) + {others} w) bytes",
        f"waits for {LEASE * (1 + DRIFT) + REPEAT:.2f} s at most",
        f"nothing for {ABSENT_AFTER:g} s",
        f"it is gone {LEASE_OVER:.2f} s later",
        f"{EARLIEST:.1f} to {LATEST:.1f} s",
        f"after {SILENT_AFTER:g} s of silence",
        f"measured of late, and {REPEAT:g} s at least",
    ):
        assert said in guide, said
