"""What a member does about the view."""

from __future__ import annotations

from typing import cast

import pytest

from proxy.freshness.ledger import Ledger
from proxy.runtime.bus.seam import Bus
from proxy.runtime.continuity import Continuity
from proxy.runtime.fellowship import Fellowship
from proxy.runtime.label import Label
from proxy.runtime.member_link import MemberLink
from proxy.runtime.membership import Membership
from proxy.topology.group import Server
from proxy.topology.views import Row, Session, Standing, View, ViewStore
from proxy.topology.witness import Control
from proxy.types import NO_EPOCH, Epoch, Position, Token
from tests.unit.runtime.groups import Group

CONTROL = Control("", "", "", "", False, 1.0, 1.0)


async def no_store(control: Control, server: Server) -> ViewStore:
    raise ConnectionError


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger(Token(1))
    ledger.read_set("app", [])
    return ledger


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


async def test_who_is_not_welcome_follows_the_view_into_an_epoch(ledger: Ledger) -> None:
    """Else all wait for one that was killed before it had answered anybody, if a primary comes."""
    fellowship = Fellowship("f", Label("here:1", "f", "unix:///bus"), cast(Bus, None))
    member = Membership(
        Group(), ledger, CONTROL, no_store, fellowship, lambda: 0.0, tells_positions=True
    )
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
