"""Whom a member has in its view, kept in step with what the primary has of it. Awaits nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, final

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

    def part(self, view: View) -> list[Row]:
        """Go on without those who have left and had told all.

        Before whoever came after them is answered anything: it is to be told of their sums.

        Returns:
            Who else is a member no more, and still is for us. Such a one is to be expelled.
        """
        fleet = self._fleet
        there = set(self._there(view))
        gone: list[Row] = []
        for name in fleet.members:
            row = view.rows.get(name, _LONG_GONE._replace(name=name))
            if name in there:
                continue
            if row.has_told and row.epoch == fleet.epoch:
                fleet.inherit(name)
                self._forget(name)
            else:
                gone.append(row)
        return gone

    def expel(self, rows: Iterable[Row], position: Position) -> None:
        """Go on without some.

        Args:
            rows: Theirs.
            position: Of the primary, read after their rows were.
        """
        for row in rows:
            self._fleet.expel(row.name, row.step, row.epoch, position)
            self._stepped.add(row.name)
            self._forget(row.name)

    def remember(self, view: View) -> None:
        """Take note of those who are gone, and whom we have not expelled."""
        for row in view.rows.values():
            is_gone = row.standing is Standing.GONE and not row.has_told
            if is_gone and row.name not in self._stepped:
                self._stepped.add(row.name)
                self._fleet.remember(row.name, row.step, row.epoch)

    def _forget(self, name: str) -> None:
        self._evictions.is_gone(name)
        log.info("a member is gone", member=name)

    def _there(self, view: View) -> list[str]:
        """List the others in a view."""
        return [
            row.name
            for row in view.rows.values()
            if row.standing is not Standing.GONE and row.name != self._fleet.name
        ]


_LONG_GONE: Final = Row("", Standing.GONE, Token(0), NO_EPOCH)
"""The row of somebody who went in an epoch before this one."""
