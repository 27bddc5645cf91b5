"""One member's part in a fleet, rule by rule; tests/simulation has what comes of them together."""

from __future__ import annotations

from math import inf

import pytest

from proxy.freshness.fleet import LEASE, PRIMARY, RENEWALS, Fleet
from proxy.freshness.ledger import Ledger
from proxy.freshness.peer import REPEAT
from proxy.types import Epoch, Position, Token
from tests.unit.freshness.two_members import EPOCH, ITEMS, ORDERS, Member, Two, tokens


@pytest.fixture
def two() -> Two:
    two = Two()
    two.settle()
    return two


def test_who_is_alone_needs_nobody() -> None:
    alone = Member("alone")
    assert alone.is_fast(0.0)
    assert not alone.fleet.mark([ORDERS], next(tokens), 0.0).waiting
    assert alone.fleet.flush(0.0) == (None, [])
    assert alone.fleet.due(0.0) == inf


def test_who_has_another_reads_fast_with_its_grant_only() -> None:
    two = Two()
    assert not two.a.is_fast(two.now)
    assert not two.a.fleet.is_welcome
    two.settle()
    assert two.a.fleet.is_welcome
    assert not two.a.is_fast(two.now + LEASE)


def test_a_commit_waits_for_who_may_read_fast(two: Two) -> None:
    mark = two.mark()
    assert mark.waiting == {"b"}
    two.carry(two.a)
    assert not two.b.is_fast(two.now)
    assert two.a.fleet.take_ready() == []
    two.carry(two.b)
    assert two.a.fleet.take_ready() == [mark]


@pytest.fixture
def fencing() -> Two:
    """Two of whom `a` fences itself, and was vouched for right now."""
    two = Two()
    two.a.fleet = Fleet("a", two.a.ledger, EPOCH, fences_itself=True)
    two.a.fleet.enter(["b"])
    two.a.fleet.vouched(two.now + 4 * LEASE / RENEWALS)
    two.settle()
    return two


def test_who_fences_himself_commits_only_while_the_primary_knows_him(fencing: Two) -> None:
    two, fleet = fencing, fencing.a.fleet
    two.now += 2 * LEASE
    held = fleet.mark([ORDERS], next(tokens), two.now)
    assert held.waiting == {PRIMARY}
    assert fleet.take_ready(two.now) == []
    fleet.vouched(two.now)
    assert fleet.take_ready(two.now) == [held]
    assert not held.waiting
    assert not fleet.mark([ORDERS], next(tokens), two.now).waiting


def test_that_the_others_have_heard_of_a_commit_is_not_enough_then(fencing: Two) -> None:
    two, fleet = fencing, fencing.a.fleet
    mark = fleet.mark([ORDERS], next(tokens), two.now)
    assert mark.waiting == {"b"}
    two.carry(two.a)
    two.carry(two.b)
    assert not mark.waiting
    assert fleet.take_ready(two.now + LEASE) == []
    assert fleet.take_ready() == []
    assert fleet.take_ready(two.now) == [mark]


def test_what_waits_for_the_primary_keeps_no_acknowledgement_back(fencing: Two) -> None:
    two, fleet = fencing, fencing.a.fleet
    two.now += 2 * LEASE
    two.b.fleet.mark([ITEMS], next(tokens), two.now)
    own = fleet.mark([ORDERS], next(tokens), two.now)
    fleet.withhold([own])
    two.carry(two.b)
    _, notes = two.says(two.a)
    assert own.waiting == {PRIMARY}
    assert notes[0].heard == two.b.fleet._number


def test_and_for_nobody_who_may_not(two: Two) -> None:
    two.now += 2 * LEASE
    assert not two.mark().waiting


def test_it_waits_no_longer_than_a_grant_lasts(two: Two) -> None:
    mark = two.mark()
    two.now += LEASE
    two.says(two.a)
    assert two.a.fleet.take_ready() == []
    assert not two.b.is_fast(two.now)
    two.now += LEASE
    two.says(two.a)
    assert two.a.fleet.take_ready() == [mark]


def test_who_is_waited_for_is_granted_nothing(two: Two) -> None:
    two.mark()
    two.now += LEASE / 2
    frame, _ = two.says(two.a)
    assert frame is not None
    assert frame.grants == {}


def test_versions_are_the_same_everywhere_whatever_came_first(two: Two) -> None:
    assert two.a.version == two.b.version
    before = two.a.version
    mine = two.mark()
    theirs = two.b.fleet.mark([ORDERS], next(tokens), two.now)
    two.a.ledger.commit(mine, position=Position(20))
    two.b.ledger.commit(theirs, position=Position(30))
    two.carry(two.a)
    two.carry(two.b)
    assert two.a.version == two.b.version != before
    assert two.a.ledger.need(two.a.read_set) == two.b.ledger.need(two.b.read_set) == 30


def test_what_was_undone_changes_nothing(two: Two) -> None:
    before = two.b.version
    mark = two.mark()
    two.carry(two.a)
    two.a.ledger.rollback(mark)
    two.carry(two.a)
    assert two.b.version == before
    assert two.b.is_fast(two.now)


def test_a_position_that_is_not_told_is_asked_for(two: Two) -> None:
    two.a.ledger.commit(two.mark())
    two.carry(two.a)
    assert two.b.ledger.need(two.b.read_set) is None
    assert two.b.ledger.position_wanted(two.b.read_set)


def test_a_gap_voids_grants_until_the_state_is_there(two: Two) -> None:
    mark = two.mark()
    two.carry(two.a, frames=False)
    two.mark(ITEMS)
    two.carry(two.a)
    assert not two.b.is_fast(two.now)
    assert not two.b.ledger.is_pending(ORDERS)
    two.carry(two.b)
    two.carry(two.a)
    assert two.b.ledger.is_pending(ORDERS)
    assert two.b.ledger.is_pending(ITEMS)
    two.a.ledger.commit(mark)
    two.carry(two.b)
    assert mark in two.a.fleet.take_ready()


def test_a_mark_that_gets_lost_is_said_again(two: Two) -> None:
    mark = two.mark()
    two.carry(two.a, frames=False)
    assert two.a.fleet.due(two.now) <= two.now + REPEAT
    two.now += REPEAT
    two.carry(two.a)
    two.carry(two.b)
    assert two.a.fleet.take_ready() == [mark]


def test_a_state_has_what_is_committed_and_what_was_settled(two: Two) -> None:
    done, undone, open_ = two.mark(), two.mark(), two.mark(ITEMS)
    two.carry(two.a)
    two.a.ledger.commit(done, position=Position(50))
    two.a.ledger.rollback(undone)
    two.carry(two.a, frames=False)
    two.b.fleet.broken()
    two.carry(two.b)
    two.carry(two.a)
    assert two.b.version == two.a.version
    assert not two.b.ledger.is_pending(ORDERS)
    assert two.b.ledger.need(two.b.read_set) is None
    assert two.b.ledger.marked(open_.token) is not None


def test_what_is_heard_twice_or_too_late_changes_nothing(two: Two) -> None:
    two.a.ledger.commit(two.mark())
    frame, _ = two.says(two.a)
    assert frame is not None
    two.b.fleet.hear(frame, two.now)
    version = two.b.version
    two.b.fleet.hear(frame, two.now)
    assert two.b.version == version
    assert two.b.is_fast(two.now) or two.b.ledger.need(two.b.read_set) is None


def test_a_grant_counts_from_when_its_holder_spoke(two: Two) -> None:
    """However long the answer took."""
    frame, _ = two.says(two.a)
    two.now += LEASE / RENEWALS
    spoken_at = two.now
    two.carry(two.b)
    frame, _ = two.says(two.a)
    assert frame is not None
    two.now += LEASE / 2
    two.b.fleet.hear(frame, two.now)
    assert two.b.ledger.granted_until == spoken_at + LEASE


def test_a_stranger_is_not_heard_but_noticed(two: Two) -> None:
    stranger = Fleet("c", Ledger(Token(1)), EPOCH)
    stranger.admit("a")
    frame, notes = stranger.flush(two.now)
    assert frame is not None
    two.a.fleet.hear(frame, two.now)
    for note in notes:
        two.a.fleet.hear_note(note, two.now)
    assert two.a.fleet.strangers == {"c"}
    assert two.a.is_fast(two.now)
    two.a.fleet.admit("c")
    assert two.a.fleet.strangers == set()
    assert not two.a.is_fast(two.now)


def test_nobody_reads_fast_who_has_not_heard_of_the_primary_lately() -> None:
    member = Member("a")
    member.fleet = Fleet("a", member.ledger, EPOCH)
    assert not member.is_fast(5.0)
    member.fleet.vouched(4.0)
    assert member.is_fast(5.0)
    assert not member.is_fast(4.0 + LEASE)


def test_nobody_waits_for_who_is_expelled(two: Two) -> None:
    theirs = two.b.fleet.mark([ORDERS], next(tokens), two.now)
    two.carry(two.b)
    waiting = two.mark(ITEMS)
    two.a.fleet.expel("b", Token(5), EPOCH, Position(70))
    assert two.a.fleet.take_ready() == [waiting]
    assert two.a.is_fast(two.now), "nobody else is left"
    assert two.a.ledger.marked(theirs.token) is None
    assert two.a.ledger.need(two.a.read_set) == 70
    assert not two.mark().waiting


def test_versions_are_the_same_behind_who_has_left_for_who_comes_too(two: Two) -> None:
    """What it had committed is told on, by its name, until its going has a step after all."""
    mark = two.b.fleet.mark((ORDERS,), next(tokens), two.now)
    two.carry(two.b)
    two.b.ledger.commit(mark)
    two.b.fleet.farewell()
    two.carry(two.b)
    assert not two.b.fleet.is_heard_out
    assert two.a.fleet.strangers == {"b"}
    two.carry(two.a)
    assert two.b.fleet.is_heard_out
    version = two.a.version
    assert version == two.b.version
    two.a.fleet.inherit("b")
    assert two.a.version == version
    assert two.a.is_fast(two.now)

    two.b = Member("c")
    two.b.fleet.enter(["a"])
    two.a.fleet.admit("c")
    assert two.b.version != version
    two.settle()
    assert two.a.version == two.b.version == version

    two.b.fleet.remember("b", Token(5), EPOCH)
    two.b.fleet.broken()  # and is told anew by who does not know of the step yet
    two.now += REPEAT
    two.settle()
    assert two.b.version not in (version, two.a.version)
    two.a.fleet.remember("b", Token(5), EPOCH)
    assert two.a.version == two.b.version


def test_nobody_waits_for_who_is_dead_but_its_commits_count(two: Two) -> None:
    """Its grants need not run out, and it gets none; nobody reads fast before it is expelled."""
    two.b.fleet.mark((ITEMS,), next(tokens), two.now)
    two.carry(two.b)
    mark = two.mark()
    assert mark.waiting == {"b"}
    two.a.fleet.bury("b")
    assert two.a.fleet.take_ready() == [mark]
    assert not two.mark().waiting
    two.now += LEASE / RENEWALS
    frame, _ = two.says(two.a)
    assert frame is not None
    assert not frame.grants
    two.carry(two.b)  # what it had said before
    assert not two.mark().waiting
    assert two.a.ledger.is_pending(ITEMS)
    two.now += LEASE
    assert not two.a.is_fast(two.now)
    two.a.fleet.expel("b", Token(5), EPOCH, Position(20))
    assert not two.a.ledger.is_pending(ITEMS)


def test_a_new_primary_stops_everybody_before_its_epoch_begins(two: Two) -> None:
    later = Epoch(2, Token(8))
    assert not two.a.fleet.turn(later, two.now)
    assert not two.a.is_fast(two.now)
    two.carry(two.a)
    assert not two.b.is_fast(two.now)
    assert not two.a.fleet.turn(later, two.now)
    two.carry(two.b)
    assert two.a.fleet.turn(later, two.now)
    old = two.b.version
    two.a.fleet.begin(later, Position(3))
    two.carry(two.a)
    assert two.b.fleet.epoch == later
    assert two.a.version == two.b.version != old
    assert two.b.fleet.turn(later, two.now), "it has begun there, too"


def test_a_turn_that_another_has_finished_holds_nobody_up(two: Two) -> None:
    later = Epoch(2, Token(8))
    two.a.fleet.turn(later, two.now)
    two.b.fleet.turn(later, two.now)
    two.b.fleet.begin(later)
    two.carry(two.b)
    assert two.a.fleet.epoch == later
    for who in (two.a, two.b):
        who.ledger.position_arrived(who.ledger.ask_position(), Position(4))
    two.settle()


def test_who_is_not_welcome_begins_no_epoch() -> None:
    two = Two()
    later = Epoch(2, Token(8))
    assert not two.a.fleet.turn(later, two.now)
    two.settle()
    two.now += 2 * LEASE
    assert two.a.fleet.turn(later, two.now)


def test_who_comes_takes_the_epoch_that_there_is(two: Two) -> None:
    newcomer = Member("c")
    newcomer.fleet = Fleet("c", newcomer.ledger)
    newcomer.fleet.enter(["a"])
    two.a.fleet.admit("c")
    _, notes = newcomer.fleet.flush(two.now)
    two.a.fleet.hear_note(notes[0], two.now)
    assert two.a.fleet.epoch == EPOCH
    _, notes = two.a.fleet.flush(two.now)
    for note in notes:
        newcomer.fleet.hear_note(note, two.now)
    assert newcomer.fleet.epoch == EPOCH
    assert newcomer.fleet.is_welcome


def test_what_is_of_an_older_epoch_is_not_heard(two: Two) -> None:
    mark = two.mark()
    frame, _ = two.says(two.a)
    assert frame is not None
    two.b.fleet.begin(Epoch(2, Token(8)), Position(3))
    two.b.fleet.hear(frame, two.now)
    assert not two.b.ledger.is_pending(ORDERS)
    two.carry(two.b)
    assert two.a.fleet.epoch.number == 2
    assert two.a.fleet.take_ready() == [mark], "it was acknowledged"
    two.a.ledger.commit(mark)
    two.carry(two.a)
    assert two.a.version == two.b.version


def test_what_is_on_its_way_for_longer_is_said_again_later(two: Two) -> None:
    for _ in range(8):
        mark = two.mark()
        frame, notes = two.says(two.a)
        assert frame is not None
        two.now += 0.2
        two.b.fleet.hear(frame, two.now)
        assert any(note.state for note in notes) is False
        two.carry(two.b)
        two.a.fleet.take_ready()
        two.a.ledger.rollback(mark)
        two.carry(two.a)
    two.mark()
    two.says(two.a)
    two.now += 0.2
    assert not two.says(two.a)[1]
    two.now += 0.2
    assert any(note.state for note in two.says(two.a)[1])
