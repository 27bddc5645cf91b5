"""What a member does about definitions that others change."""

from __future__ import annotations

import pytest

from proxy.freshness.fleet import Fleet
from proxy.freshness.frames import Cleared
from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import Mark
from proxy.freshness.tables import EVERY_DATABASE, everything_in, schema_of
from proxy.observe.metrics import FleetCounts
from proxy.runtime.announcing import Announcing
from proxy.types import Table, Token
from tests.unit.runtime.groups import Group

SCHEMA = schema_of(EVERY_DATABASE)
ANYTHING = everything_in(EVERY_DATABASE)


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger(Token(1))
    ledger.read_set("app", [])
    return ledger


@pytest.fixture
def group() -> Group:
    return Group()


@pytest.fixture
def member(ledger: Ledger, group: Group) -> Announcing:
    fleet = Fleet("here", ledger)
    member = Announcing(fleet, ledger, group, FleetCounts(), lambda: 0.0, lambda: None)
    member.settled()
    return member


def test_commits_are_announced_anew_while_another_member_defines(
    member: Announcing, ledger: Ledger, group: Group
) -> None:
    """Once, however much is heard meanwhile; and read anew when it has."""
    member.heard()
    assert group.told == []
    assert not member.others_define()
    mark = ledger.mark([SCHEMA], Token(2), "other")
    member.heard()
    member.heard()
    assert group.told == ["change"]
    assert member.others_define()
    ledger.commit(mark)
    member.heard()
    member.heard()
    assert group.told == ["change", "changed"]
    assert not member.others_define()


def test_what_never_was_changes_nothing(member: Announcing, ledger: Ledger, group: Group) -> None:
    mark = ledger.mark([SCHEMA], Token(2), "other")
    member.heard()
    ledger.rollback(mark)
    member.heard()
    assert group.told == ["change"]
    assert not member.others_define()


def test_own_definitions_are_no_others(member: Announcing, ledger: Ledger, group: Group) -> None:
    mark = ledger.mark([SCHEMA], Token(2))
    member.heard()
    ledger.commit(mark)
    member.settled()
    member.heard()
    assert group.told == []


@pytest.mark.parametrize("is_cut_off", [True, False])
def test_a_commit_by_definitions_that_others_have_changed_may_have_changed_anything(
    member: Announcing, ledger: Ledger, is_cut_off: bool
) -> None:
    """Whoever makes a trigger waits for who is cut off for a lease, and goes on."""
    fleet = member.fleet
    fleet.enter(["other"])
    if not is_cut_off:
        fleet._peers["other"].granted_until = 9.0
        fleet.vouched(9.0)
        member.heard()
    ledger.commit(member.mark([Table("app", 5)], Token(3)))
    member.settled()
    ledger.commit(ledger.mark([SCHEMA], Token(2), "other"))  # as its state tells
    before = ledger.version_of(ANYTHING)
    member.heard()
    assert (ledger.version_of(ANYTHING) != before) == is_cut_off
    frame, _ = fleet.flush(0.0)
    assert frame is not None
    told = [item.changed for item in frame.items if isinstance(item, Cleared)]
    assert (frozenset({ANYTHING}) in told) == is_cut_off


def test_who_had_no_news_says_nothing_twice(member: Announcing, ledger: Ledger) -> None:
    """Once all others are heard, it knows what they have changed."""
    fleet = member.fleet
    fleet.enter(["other"])
    member.settled()
    fleet._peers["other"].granted_until = 9.0
    fleet.vouched(9.0)
    member.heard()
    before = ledger.version_of(ANYTHING)
    ledger.commit(ledger.mark([SCHEMA], Token(2), "other"))
    member.heard()
    assert ledger.version_of(ANYTHING) == before


def test_nothing_is_acknowledged_before_all_know_what_was_widened(
    member: Announcing, ledger: Ledger, group: Group
) -> None:
    """Who defines waits for us: what we had under way may set off what is defined."""
    fleet = member.fleet
    widened = Mark(Token(9), frozenset({Table("app", 5)}))
    widened.waiting.add("a third")
    group.widened = [widened]
    fleet.enter(["other"])
    peer = fleet._peers["other"]
    peer.is_deaf, peer.heard, peer.owes = False, 4, True
    ledger.mark([SCHEMA], Token(2), "other")
    member.heard()
    assert [note for note in fleet.flush(0.0)[1] if note.heard] == []
    widened.waiting.clear()
    (note,) = fleet.flush(0.0)[1]
    assert note.heard == 4
