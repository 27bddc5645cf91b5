"""Places in PostgreSQL's log, as one member tells them and another reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.engines.postgres.places import KIND, PostgresPlaces
from proxy.errors import NoPrimary
from proxy.freshness.handed import seal
from proxy.topology.group import Group, Server, Sighting
from proxy.types import Position, Role

SYSTEM = 7_423_345_234_523_452_345
LARGEST = 2**64 - 1


class Member:
    """What one member knows of a primary."""

    def __init__(self, position: int = 100, timeline: int = 1, system: int = SYSTEM) -> None:
        self.primary = Server("p", 5432)
        self.group = Group("app", [self.primary])
        self.group.met(self.primary)
        self.places = PostgresPlaces(self.group)
        self.sees(position, timeline, system)

    def sees(self, position: int, timeline: int = 1, system: int = SYSTEM) -> None:
        sighting = Sighting(Role.PRIMARY, system, timeline, Position(position), 1.0, 1.0)
        self.group.saw(self.primary, sighting)

    def tell(self) -> str:
        text = self.places.here()
        assert text is not None
        return text


@given(st.integers(-(2**63), 2**63 - 1), st.integers(1, 2**32 - 1), st.integers(0, LARGEST))
def test_what_is_told_is_read_and_short(system: int, timeline: int, position: int) -> None:
    member = Member(position, timeline, system)
    text = member.tell()
    assert len(text) < 64
    assert member.places.read(text).find() == position


@given(st.text())
def test_what_nobody_has_told_is_refused(text: str) -> None:
    for said in (text, seal(KIND, text)):
        with pytest.raises(ValueError, match=r"."):
            Member().places.read(said)


def test_another_member_finds_it_once_the_primary_was_seen_there() -> None:
    other = Member(90)
    place = other.places.read(Member(100).tell())
    assert place.find() is None
    other.sees(99)
    assert place.find() is None
    other.sees(100)
    assert place.find() == 100


def test_what_another_data_set_holds_is_refused() -> None:
    with pytest.raises(ValueError, match="system"):
        Member(system=1).places.read(Member().tell())


def test_a_later_timeline_is_no_ancestor_of_this_one() -> None:
    later = Member(timeline=2).tell()
    with pytest.raises(NoPrimary, match="timeline 2"):
        Member(timeline=1).places.read(later)


def test_a_later_timeline_is_nowhere_before_its_primary_was_seen() -> None:
    other = PostgresPlaces(group := Group("app", [server := Server("p", 5432)]))
    assert other.here() is None
    place = other.read(Member(100, timeline=2).tell())
    assert place.find() is None
    group.met(server)
    for timeline, found in ((1, None), (2, 100)):
        group.saw(server, Sighting(Role.PRIMARY, SYSTEM, timeline, Position(200), 1.0, 1.0))
        assert place.find() == found


def test_what_survived_of_an_earlier_timeline_is_where_it_was() -> None:
    other = Member(50)
    place = other.places.read(Member(100).tell())
    other.sees(80, timeline=2)  # some of it was lost
    assert place.find() is None
    other.sees(100, timeline=2)
    assert place.find() == 100
    other.group.lost(other.primary, "gone")
    assert place.find() is None
