"""No strong read of a fleet is stale, whatever goes wrong; and each rule is seen to be needed."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.leased import LEASED_FAULTS, Leased
from tests.simulation.member import StaleRead
from tests.simulation.mutations import MUTATIONS, Mutation
from tests.simulation.scene import ALL_FAULTS, PATIENCE, Scene

SECONDS = 5.0

SEARCHED = 100
"""Seeds, of which one must find a stale read. It is most often among the first ten."""


@pytest.mark.parametrize("members", [2, 3, 5, 7])
def test_no_strong_read_is_stale(members: int) -> None:
    served: Counter[str] = Counter()
    happened: Counter[str] = Counter()
    for seed in range(10):
        scene = Scene(seed, members, ALL_FAULTS, patience=PATIENCE if seed % 2 else 1.0)
        scene.run(SECONDS)
        served.update(scene.finished)
        happened.update(scene.happened)
        served["rode"] += scene.rides
    # A judge who never sees a fast read would be content with anything.
    assert served["hit"] > 50
    assert served["replica"] > 20
    assert served["shared"] > 20
    assert served["redone"] > 20
    assert served["rode"] > 20
    assert set(happened) == set(ALL_FAULTS)


def test_no_strong_read_is_stale_where_nobody_ends_sessions() -> None:
    served: Counter[str] = Counter()
    for seed in range(10):
        scene = Leased(seed, 3, LEASED_FAULTS, patience=PATIENCE if seed % 2 else 1.0)
        scene.run(SECONDS)
        served.update(scene.finished)
        served["late"] += scene.late
    assert served["late"] > 20  # they did come about behind the fence
    assert served["hit"] > 20
    assert served["replica"] > 10


def test_who_leaves_leaves_the_others_what_they_have_cached() -> None:
    legacies = 0
    for seed in range(4):
        scene = Scene(seed, 4, ("leave_member", "lose_words"), patience=PATIENCE)
        scene.run(SECONDS)
        legacies += scene.legacies
    assert legacies > 4


def test_a_fleet_that_is_well_reads_fast() -> None:
    scene = Scene(1, 3)
    scene.write_pause = 1.0  # type: ignore[misc]
    scene.run(SECONDS)
    assert scene.finished["hit"] + scene.finished["shared"] > 3 * scene.finished["primary"]


def test_members_that_are_well_agree_on_versions() -> None:
    """Whoever came and went, and whatever was lost: what one keeps, the others find."""
    for seed in range(12):
        faults = ("lose_words", "evict_member", "leave_member", "fail_over", "split")
        scene = Scene(seed, 3, faults, patience=PATIENCE)
        scene.run(SECONDS)
        scene.be_well()
        versions = {
            tuple(member.version(tables) for tables in scene.writes) for member in scene.members
        }
        assert len(versions) == 1, seed


@pytest.mark.parametrize("rule", MUTATIONS)
def test_without_a_rule_some_read_is_stale(rule: str) -> None:
    with pytest.raises(StaleRead):
        look_for_a_stale_read(MUTATIONS[rule])


def look_for_a_stale_read(it: Mutation) -> None:
    for seed in range(SEARCHED):
        it.scene(seed, it.members, it.faults, it.drift, it.patience).run(6.0)
