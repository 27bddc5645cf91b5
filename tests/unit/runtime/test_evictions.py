"""Who is given up, by whom."""

from __future__ import annotations

from typing import cast

import pytest

from proxy.freshness.fleet import Fleet
from proxy.freshness.ledger import Ledger
from proxy.runtime.evictions import ABSENT_AFTER, SILENT_AFTER, Evictions
from proxy.topology.views import ViewStore
from proxy.types import Token
from tests.unit.runtime.groups import Group


class Store:
    """Says how long ago each member asked the primary anything."""

    def __init__(self) -> None:
        self.asked_ago: dict[str, float | None] = {}
        self.fenced: list[str] = []

    async def silent_for(self, name: str) -> float | None:
        return self.asked_ago.get(name, 0.0)

    async def fence(self, name: str) -> None:
        self.fenced.append(name)


class Side:
    """A member that has not heard some of the others for long.

    Args:
        name: Its own.
        heard: Whom it hears.
        unheard: Whom it does not.
        is_welcome: Whether all had answered it once.
    """

    def __init__(self, name: str, heard: str, unheard: str, *, is_welcome: bool = True) -> None:
        self.now = 0.0
        self.store = Store()
        self.fleet = Fleet(name, Ledger(Token(1)))
        self.fleet.enter([*heard, *unheard])
        for peer in self.fleet._peers.values():
            peer.is_deaf = not is_welcome
        assert self.fleet.is_welcome == is_welcome
        self.evictions = Evictions(Group(), lambda: self.now, lambda: None, lambda: True)
        for other in (*heard, *unheard):
            self.evictions.met(other)
        self._heard = heard

    async def look(self, at: float) -> list[str]:
        """Look for the absent; returns who is given up."""
        self.now = at
        for name in self._heard:
            self.fleet._peers[name].heard_at = at
        before = len(self.store.fenced)
        await self.evictions.look_for_absent(self.fleet, cast(ViewStore, self.store))
        return self.store.fenced[before:]


async def test_the_larger_side_stays() -> None:
    assert await Side("a", "b", "c").look(SILENT_AFTER) == ["c"]
    assert await Side("c", "", "ab").look(SILENT_AFTER) == []


async def test_of_two_sides_as_large_one_stays() -> None:
    assert await Side("a", "b", "cd").look(SILENT_AFTER) == ["c", "d"]
    assert await Side("c", "d", "ab").look(SILENT_AFTER) == []


async def test_a_newcomer_whom_nobody_has_answered_gives_up_nobody_who_is_well() -> None:
    """It is itself that has the wrong bus."""
    newcomer = Side("a", "", "b", is_welcome=False)
    assert await newcomer.look(SILENT_AFTER) == []
    newcomer.store.asked_ago["b"] = ABSENT_AFTER  # that one stands still
    assert await newcomer.look(SILENT_AFTER + 1) == ["b"]
    assert newcomer.evictions.silences["b"].is_well is False


@pytest.mark.parametrize("is_welcome", [True, False])
async def test_who_is_not_connected_is_given_up_soon(is_welcome: bool) -> None:
    side = Side("a", "", "b", is_welcome=is_welcome)
    side.store.asked_ago["b"] = None
    assert await side.look(ABSENT_AFTER) == []
    assert await side.look(ABSENT_AFTER + 1) == ["b"]


async def test_one_of_a_known_end_is_given_up_at_once() -> None:
    side = Side("a", "b", "")
    side.evictions.bury("b")
    assert await side.look(0.0) == ["b"]
