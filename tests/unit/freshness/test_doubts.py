"""What one member's audit has in quarantine, all of them have: for as long as that one does."""

from __future__ import annotations

import pytest

from proxy.freshness.frames import Doubted
from proxy.freshness.ledger import Ledger
from proxy.types import Epoch, Position, Token
from tests.unit.freshness.two_members import EPOCH, ITEMS, ORDERS, Member, Two, tokens


@pytest.fixture
def two() -> Two:
    two = Two()
    two.settle()
    return two


def find(two: Two) -> None:
    """The audit of A finds a table to be wrong."""
    two.a.ledger.quarantine([ORDERS], next(tokens))


def is_doubted(who: Member) -> bool:
    return who.ledger.is_quarantined(who.read_set)


def test_who_finds_it_tells_the_others(two: Two) -> None:
    kept_at = two.b.version
    find(two)
    two.carry(two.a)
    assert is_doubted(two.b)
    assert not two.b.is_fast(two.now)
    assert two.b.ledger.doubted_by("a") == {ORDERS}
    assert two.b.fleet.doubters == {"a"}
    two.a.ledger.believe([ORDERS, ITEMS])
    two.carry(two.a)
    assert not is_doubted(two.b)
    assert two.b.is_fast(two.now)
    assert two.b.version == two.a.version != kept_at, "what was kept means nothing"


def test_what_both_have_found_is_believed_when_both_believe_it(two: Two) -> None:
    find(two)
    two.b.ledger.quarantine([ORDERS, ITEMS], next(tokens))
    for who in (two.a, two.b):
        two.carry(who)
    two.a.ledger.believe([ORDERS])
    for who in (two.a, two.b):
        two.carry(who)
        assert is_doubted(two.a)
        assert is_doubted(two.b)
    two.b.ledger.believe([ORDERS])
    two.carry(two.b)
    assert not is_doubted(two.a)
    assert two.a.ledger.quarantined == {ITEMS}


def test_who_missed_it_hears_of_it_with_the_state(two: Two) -> None:
    find(two)
    two.carry(two.a, frames=False)
    assert not is_doubted(two.b)
    two.talk()
    assert is_doubted(two.b)
    two.a.ledger.believe([ORDERS])
    two.carry(two.a, frames=False)
    two.settle()
    assert not is_doubted(two.b)


def test_a_newcomer_hears_of_it_before_it_reads_fast(two: Two) -> None:
    find(two)
    two.b = Member("c")
    two.b.fleet.enter(["a"])
    two.a.fleet.admit("c")
    two.talk()
    assert is_doubted(two.b)


def test_epochs_do_not_end_it_and_do_not_keep_it_from_being_heard(two: Two) -> None:
    two.b.fleet.begin(Epoch(2, Token(9)), Position(50))
    find(two)
    two.carry(two.a)
    assert is_doubted(two.b), "told in the epoch before"
    two.carry(two.b)
    two.a.fleet.begin(Epoch(3, Token(10)), Position(60))
    two.carry(two.a)
    assert is_doubted(two.b)
    assert is_doubted(two.a)


@pytest.mark.parametrize("is_expelled", [False, True])
def test_who_is_gone_doubts_nothing(two: Two, is_expelled: bool) -> None:
    find(two)
    two.carry(two.a)
    two.b.fleet.doubters.clear()
    if is_expelled:
        two.b.fleet.expel("a", next(tokens), EPOCH, Position(20))
    else:
        two.b.fleet.inherit("a")
    assert not is_doubted(two.b)
    assert two.b.fleet.doubters == {"a"}


def test_who_begins_anew_holds_to_what_it_has_found_itself(two: Two) -> None:
    find(two)
    two.b.ledger.quarantine([ITEMS], next(tokens))
    for who in (two.a, two.b):
        two.carry(who)
    ledger: Ledger = two.b.ledger
    type(two.b.fleet)("d", ledger, EPOCH)
    assert ledger.quarantined == {ITEMS}


def test_nothing_is_told_where_nothing_changes(two: Two) -> None:
    two.a.ledger.believe([ORDERS])
    frame, _ = two.says(two.a)
    assert frame is None or not any(isinstance(it, Doubted) for it in frame.items)
