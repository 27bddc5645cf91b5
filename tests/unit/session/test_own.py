"""Settings of the proxy's own follow their transaction as any SET does."""

from __future__ import annotations

import pytest

from proxy.errors import InvalidSetting, NoPrimary, UnknownSetting
from proxy.freshness.handed import Handed
from proxy.routing.terms import NO_WISHES, Wishes
from proxy.session.own import Own, show
from proxy.types import Consistency, Position

NAME = "tidegate.consistency"
STALENESS = "tidegate.max_staleness"
POSITION = "tidegate.position"
STRONG = Consistency.STRONG


class Place:
    """Wherever it is."""

    def find(self) -> Position | None:
        return None


def hand(text: str) -> Handed:
    if text == "nowhere":
        raise ValueError(text)
    if text == "later":
        raise NoPrimary(text)
    return Handed(Place(), 1.0)


def value(own: Own) -> str:
    return show(own.now, NAME, STRONG, 1.0)


def outside(own: Own, wanted: str | None, name: str = NAME, *, is_local: bool = False) -> None:
    own.set(name, wanted, hand=hand, is_local=is_local, in_transaction=False)


def inside(own: Own, wanted: str | None, *, is_local: bool = False) -> None:
    own.set(NAME, wanted, hand=hand, is_local=is_local, in_transaction=True)


def test_what_is_set_counts_until_it_is_reset() -> None:
    own = Own()
    outside(own, "Bounded")
    outside(own, "500ms", STALENESS)
    assert (value(own), show(own.now, STALENESS, STRONG, 1.0)) == ("bounded", "500ms")
    outside(own, None)
    assert (value(own), show(own.now, STALENESS, STRONG, 1.0)) == ("strong", "500ms")
    outside(own, None, STALENESS)
    assert own.now is NO_WISHES


def test_reset_leads_back_to_the_startup_option() -> None:
    own = Own(Wishes(Consistency.EVENTUAL))
    outside(own, "bounded")
    outside(own, None)
    assert value(own) == "eventual"
    outside(own, "bounded")
    own.reset_all(in_transaction=False)
    assert value(own) == "eventual"


def test_local_means_nothing_outside_of_a_transaction() -> None:
    own = Own()
    outside(own, "bounded", is_local=True)
    assert value(own) == "strong"


@pytest.mark.parametrize(("committed", "after"), [(True, "bounded"), (False, "session")])
def test_a_rollback_takes_it_back(committed: bool, after: str) -> None:
    own = Own()
    outside(own, "session")
    inside(own, "eventual")
    inside(own, "bounded")
    own.end(committed=committed)
    assert value(own) == after
    own.end(committed=False)
    assert value(own) == after


@pytest.mark.parametrize("committed", [True, False])
def test_local_ends_with_the_transaction(committed: bool) -> None:
    own = Own()
    inside(own, "bounded", is_local=True)
    assert value(own) == "bounded"
    own.end(committed=committed)
    assert value(own) == "strong"


def test_local_on_top_of_what_stays() -> None:
    own = Own()
    inside(own, "session")
    inside(own, "bounded", is_local=True)
    own.end(committed=True)
    assert value(own) == "session"
    inside(own, "bounded", is_local=True)
    own.reset_all(in_transaction=True)
    assert value(own) == "strong"
    own.end(committed=False)
    assert value(own) == "session"


def test_savepoints() -> None:
    own = Own()
    inside(own, "session")
    own.mark("a")
    inside(own, "bounded")
    own.mark("b")
    inside(own, "eventual", is_local=True)
    own.go_back("b")
    assert value(own) == "bounded"
    own.go_back("a")
    assert value(own) == "session"
    own.go_back("nowhere")
    assert value(own) == "session"
    inside(own, "eventual")
    own.release("a")
    own.end(committed=True)
    assert value(own) == "eventual"


@pytest.mark.parametrize("name", ["tidegate.nothing", "tidegate.", "tidegate.consistency.x"])
def test_what_there_is_not_is_unknown(name: str) -> None:
    for wanted in ("1", None):
        with pytest.raises(UnknownSetting, match="unrecognized configuration parameter"):
            outside(Own(), wanted, name)
    with pytest.raises(UnknownSetting):
        show(NO_WISHES, name, STRONG, 1.0)


def test_a_position_counts_until_it_is_forgotten() -> None:
    own = Own()
    outside(own, "here", POSITION)
    outside(own, "bounded")
    first = own.now.position
    assert first is not None
    own.set(POSITION, "there", hand=hand, in_transaction=True)
    assert own.now.position not in (first, None)
    own.end(committed=False)
    assert own.now.position is first
    outside(own, None)
    assert own.now.position is first
    outside(own, None, POSITION)
    assert own.now is NO_WISHES


def test_reset_leads_back_to_the_position_that_it_came_with() -> None:
    handed = hand("here")
    own = Own(Wishes(position=handed))
    outside(own, "there", POSITION)
    outside(own, None, POSITION)
    assert own.now.position is handed


def test_a_position_that_is_yet_to_come_is_no_mistake() -> None:
    own = Own()
    with pytest.raises(NoPrimary):
        outside(own, "later", POSITION)
    assert own.now is NO_WISHES


@pytest.mark.parametrize(
    ("name", "wanted"), [(NAME, "weak"), (STALENESS, "0"), (STALENESS, "x"), (POSITION, "nowhere")]
)
def test_what_it_can_not_be_is_invalid_and_changes_nothing(name: str, wanted: str) -> None:
    own = Own()
    with pytest.raises(InvalidSetting, match="invalid value for parameter"):
        outside(own, wanted, name)
    assert own.now is NO_WISHES
