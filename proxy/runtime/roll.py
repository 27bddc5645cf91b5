"""Whom a member has in its view, kept in step with what the primary has of it. Awaits nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

from proxy.freshness.fleet import Fleet
from proxy.observe.logs import Logger
from proxy.runtime.evictions import Evictions
from proxy.topology.views import Row, Standing, View
from proxy.types import NO_EPOCH, Position, Token

log = Logger("fleet")


@final
class Roll:
    """See the module.

    Args:
        fleet: The member's part. It is told who comes and goes,
        evictions: and so are these.
    """

    def __init__(self, fleet: Fleet, evictions: Evictions) -> None:
        self._fleet = fleet
        self._evictions = evictions
        self._stepped: set[str] = set()  # those gone by whose going our versions have changed

    def enter(self, view: View) -> None:
        """Begin, with a view in which we are: once, and first."""
        self._fleet.enter(self._there(view))
        for name in self._fleet.members:
            self._evictions.met(name)
        self.remember(view)

    def admit(self, view: View) -> None:
        """Take in who is new."""
        fleet = self._fleet
        for name in self._there(view):
            if name not in fleet.members:
                log.info("another member", member=name)
                self._evictions.met(name)
                fleet.admit(name)
        fleet.strangers.clear()

    def gone(self, view: View) -> list[Row]:
        """Who is a member no more, and still is for us. Such a one is to be expelled."""
        there = set(self._there(view))
        gone = [name for name in self._fleet.members if name not in there]
        return [view.rows.get(name, _long_gone(name)) for name in gone]

    def expel(self, rows: Iterable[Row], position: Position) -> None:
        """Go on without some.

        Args:
            rows: Theirs.
            position: Of the primary, read after their rows were.
        """
        for row in rows:
            self._fleet.expel(row.name, row.step, row.epoch, position)
            self._stepped.add(row.name)
            self._evictions.is_gone(row.name)
            log.info("a member is gone", member=row.name)

    def remember(self, view: View) -> None:
        """Take note of those who are gone and whom we have never met."""
        for row in view.rows.values():
            if row.standing is Standing.GONE and row.name not in self._stepped:
                self._stepped.add(row.name)
                self._fleet.remember(row.step, row.epoch)

    def _there(self, view: View) -> list[str]:
        """List the others in a view."""
        return [
            row.name
            for row in view.rows.values()
            if row.standing is not Standing.GONE and row.name != self._fleet.name
        ]


def _long_gone(name: str) -> Row:
    """Make a row of somebody who went in an epoch before this one."""
    return Row(name, Standing.GONE, Token(0), NO_EPOCH)
