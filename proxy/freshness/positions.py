"""Which commits still lack their position in the log, and the queries that will tell.

A position is a *need* only when it was read after the commit was acknowledged, so a
query covers exactly the commits acknowledged before it was sent. One query covers all
of them: under load, positions cost one round trip for many commits. Where a server says with its
acknowledgement which position the commit has, that covers this commit alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

from proxy.freshness.mark import COMMITTED, Mark
from proxy.freshness.tables import UNKNOWN, TableState
from proxy.types import Position


@final
class Ticket:
    """One position query under way.

    Attributes:
        covers: Commits up to this number were acknowledged when the query was sent.
        behind: The commit in front of the query on the same connection: the server runs
            the query after it, so it is covered too, though not acknowledged at sending.
    """

    __slots__ = ("behind", "covers")

    def __init__(self, covers: int, behind: Mark | None) -> None:
        self.covers = covers
        self.behind = behind


class Positions:
    """The needs of one epoch: where they come from and which are not known yet."""

    __slots__ = ("_asked", "_unknown", "acknowledged", "floor")

    def __init__(self) -> None:
        self.acknowledged = 0
        self.floor = UNKNOWN  # what a table not written in this epoch needs
        self._unknown: set[TableState] = set()
        self._asked: set[Ticket] = set()

    def restart(self, floor: Position, states: Iterable[TableState]) -> None:
        """Forget the positions and queries of the epoch that ended."""
        self.floor = floor
        self._asked.clear()
        self._unknown.clear()
        for state in states:
            self.begin(state)

    def begin(self, state: TableState) -> None:
        """Give a table that this epoch has not written what it needs."""
        state.need = self.floor
        if self.floor == UNKNOWN:
            self._unknown.add(state)

    def fold(self, state: TableState) -> bool:
        """Make a table's need everybody's, so that it may be forgotten; False: not known yet."""
        if state.need == UNKNOWN:
            return False
        self.floor = max(self.floor, state.need)
        return True

    def acknowledge(self, states: Iterable[TableState], position: Position | None = None) -> int:
        """Count a commit; what it wrote is out of every replica's reach until its position comes.

        One that came with the acknowledgement says nothing of earlier commits: numbers need not be
        given in order. So a table whose need is unknown keeps that, and none is lowered.
        """
        self.acknowledged += 1
        for state in states:
            state.number = self.acknowledged
            if position is None:
                state.need = UNKNOWN
                self._unknown.add(state)
            elif position > state.need:
                state.need = position
        return self.acknowledged

    def raise_all(self, states: Iterable[TableState], position: Position) -> None:
        """Make a position that has been read the least that any table needs."""
        if self.floor != UNKNOWN:
            self.floor = max(self.floor, position)
        for state in states:
            if state.need < position:
                state.need = position

    def wanted(self, states: Iterable[TableState] | None) -> bool:
        """Tell whether some need is unknown and no query under way will tell it."""
        unknown = self._unknown if states is None else self._unknown.intersection(states)
        if not unknown and (states is not None or self.floor != UNKNOWN):
            return False
        covered = max((ticket.covers for ticket in self._asked), default=-1)
        newest = max((state.number for state in unknown), default=0)
        return newest > covered

    def ask(self, behind: Mark | None) -> Ticket:
        """Note that a position query is being sent now."""
        ticket = Ticket(self.acknowledged, behind)
        self._asked.add(ticket)
        return ticket

    def forget(self, ticket: Ticket) -> None:
        """Note that a query will never be answered."""
        self._asked.discard(ticket)

    def arrived(self, ticket: Ticket, position: Position) -> bool:
        """Take a query's answer; False for one that an earlier epoch asked."""
        if ticket not in self._asked:
            return False
        self._asked.remove(ticket)
        for state in [s for s in self._unknown if _is_covered(s, ticket)]:
            state.need = position
            self._unknown.remove(state)
        if self.floor == UNKNOWN:
            self.floor = position
        return True


def _is_covered(state: TableState, ticket: Ticket) -> bool:
    if state.number <= ticket.covers:
        return True
    mark = ticket.behind
    # Only if no commit came after it: that one's position may be a later one.
    return mark is not None and mark.state is COMMITTED and mark.number == state.number
