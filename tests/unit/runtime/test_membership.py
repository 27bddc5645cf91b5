"""What a member does about definitions that others change, and about views."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import pytest

from proxy.freshness.frames import Cleared, Wrote
from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import Mark
from proxy.freshness.tables import EVERY_DATABASE, everything_in, schema_of
from proxy.runtime.bus.seam import Bus
from proxy.runtime.continuity import Continuity
from proxy.runtime.fellowship import Fellowship
from proxy.runtime.label import Label
from proxy.runtime.member_link import MemberLink
from proxy.runtime.membership import Membership
from proxy.topology.group import Server
from proxy.topology.views import Row, Session, Standing, View, ViewStore
from proxy.topology.witness import Control
from proxy.types import NO_EPOCH, Epoch, Position, Table, Token

SCHEMA = schema_of(EVERY_DATABASE)
ANYTHING = everything_in(EVERY_DATABASE)
CONTROL = Control("", "", "", "", False, 1.0, 1.0)


class Group:
    """Surroundings that take down what they are told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.widened: list[Mark] = []

    def replicas(self) -> Sequence[Server]:
        return ()

    def has_reached(self, replica: Server, position: Position) -> bool:
        return True

    def has_lost(self) -> bool:
        return False

    def epoch_begun(self, epoch: Epoch) -> None: ...

    def definitions_change(self) -> list[Mark]:
        self.told.append("change")
        return self.widened

    def definitions_changed(self) -> None:
        self.told.append("changed")

    def others_doubt(self, member: str, tables: frozenset[Table]) -> None: ...
    def others_wrote(self, written: Iterable[tuple[Mark | None, Wrote]]) -> None: ...

    def entered(self, salt: bytes) -> None: ...

    def expelled(self) -> None: ...


async def no_store(control: Control, server: Server) -> ViewStore:
    raise ConnectionError


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger(Token(1))
    ledger.read_set("app", [])
    return ledger


@pytest.fixture
def group() -> Group:
    return Group()


@pytest.fixture
def member(ledger: Ledger, group: Group) -> Membership:
    fellowship = Fellowship("f", Label("here:1", "f", "unix:///bus"), cast(Bus, None))
    member = Membership(ledger, CONTROL, no_store, fellowship, lambda: 0.0, tells_positions=True)
    member.live_in(group)
    member.settled()
    return member


def test_commits_are_announced_anew_while_another_member_defines(
    member: Membership, ledger: Ledger, group: Group
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


def test_what_never_was_changes_nothing(member: Membership, ledger: Ledger, group: Group) -> None:
    mark = ledger.mark([SCHEMA], Token(2), "other")
    member.heard()
    ledger.rollback(mark)
    member.heard()
    assert group.told == ["change"]
    assert not member.others_define()


def test_own_definitions_are_no_others(member: Membership, ledger: Ledger, group: Group) -> None:
    mark = ledger.mark([SCHEMA], Token(2))
    member.heard()
    ledger.commit(mark)
    member.settled()
    member.heard()
    assert group.told == []


@pytest.mark.parametrize("is_cut_off", [True, False])
def test_a_commit_by_definitions_that_others_have_changed_may_have_changed_anything(
    member: Membership, ledger: Ledger, is_cut_off: bool
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


def test_who_had_no_news_says_nothing_twice(member: Membership, ledger: Ledger) -> None:
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
    member: Membership, ledger: Ledger, group: Group
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


class Store:
    """Says what the view is."""

    is_closed = False

    def __init__(self, view: View) -> None:
        self.view = view

    async def read(self) -> View:
        return self.view

    async def sessions(self, name: str) -> list[Session]:
        return []

    def close(self) -> None:
        self.is_closed = True


class Link:
    """To a primary."""

    async def position(self) -> Position:
        return Position(5)


async def test_who_is_not_welcome_follows_the_view_into_an_epoch(
    member: Membership, ledger: Ledger
) -> None:
    """Else all wait for one that was killed before it had answered anybody, if a primary comes."""
    fleet = member.fleet
    before, now = Epoch(1, Token(3)), Epoch(2, Token(4))
    rows = {name: Row(name, Standing.IN, Token(0), NO_EPOCH) for name in (fleet.name, "killed")}
    store = Store(View(before, False, rows, b""))
    member._roll.enter(store.view)
    fleet.begin(before)
    member._is_in = True
    member._continuity = Continuity(fleet.name, store.view)
    member._line.store = cast(ViewStore, store)
    member._primary = (Server("here", 1), cast(MemberLink, Link()))
    gone = Row("killed", Standing.GONE, Token(9), before)
    store.view = View(now, False, {**rows, "killed": gone}, b"")
    assert not fleet.turn(now, 0.0)
    await member._look()
    assert fleet.members == []
    assert fleet.turn(now, 0.0)
