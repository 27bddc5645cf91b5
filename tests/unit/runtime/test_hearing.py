"""Who is found to be in trouble, and since when."""

from __future__ import annotations

import pytest

from proxy.freshness.fleet import LEASE
from proxy.runtime.earshot import Trouble
from proxy.runtime.evictions import ABSENT_AFTER, Evictions
from proxy.runtime.hearing import find_troubles
from proxy.topology.views import Row, Standing, View
from proxy.types import Token
from tests.unit.freshness.two_members import EPOCH, Two
from tests.unit.runtime.groups import Group

VIEW = View(
    EPOCH, False, {name: Row(name, Standing.IN, Token(0), EPOCH) for name in ("a", "b")}, b""
)


@pytest.fixture
def two() -> Two:
    two = Two()
    two.settle()
    return two


def test_who_has_just_lost_the_bus_is_in_no_trouble_yet(two: Two) -> None:
    """What was promised counts no more, and was promised all the same."""
    evictions = Evictions(Group(), lambda: two.now - 100.0, lambda: None, lambda: True)
    evictions.met("b")
    two.a.fleet.broken()
    assert not two.a.is_fast(two.now)
    assert find_troubles(two.a.fleet, VIEW, evictions, two.now) == {}
    two.now += LEASE + ABSENT_AFTER
    case = find_troubles(two.a.fleet, VIEW, evictions, two.now)["b"]
    assert case.trouble is Trouble.DEAF
    assert ABSENT_AFTER <= case.seconds <= LEASE + ABSENT_AFTER
