"""What follows from a fast read that was wrong: its tables go back to the primary at once. Pure.

Somebody may have written past the proxy, which is noticed late (`out_of_band = "watch"`): then the
read was as stale as that allows, and no rule was broken. So a suspicion is held for as long as such
a write may take to be noticed. If one is, the tables are believed again; else they stay where they
are until an operator says otherwise.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import final

from proxy.freshness.ledger import Ledger
from proxy.freshness.shares import US
from proxy.freshness.tables import ReadSet
from proxy.types import Table, Token


@final
class Suspicion:
    """One fast read that was wrong.

    Attributes:
        what: The statement, for whoever tells of it.
        read_set: What it depends on.
        until: When it is a fact, if nothing speaks for a write past the proxy before.
        foreign: How many of those were known when it was found.
    """

    __slots__ = ("foreign", "read_set", "until", "what")

    def __init__(self, what: Hashable, read_set: ReadSet, until: float, foreign: int) -> None:
        self.what = what
        self.read_set = read_set
        self.until = until
        self.foreign = foreign


@final
class Suspicions:
    """All of one server group.

    Args:
        ledger: Its tables are taken out of it, and put back.
        patience: Seconds that a write past the proxy may take to be noticed; 0.0: there is none.
    """

    __slots__ = ("_facts", "_ledger", "_open", "_patience")

    def __init__(self, ledger: Ledger, patience: float) -> None:
        self._ledger = ledger
        self._patience = patience
        self._open: list[Suspicion] = []
        self._facts: set[Table] = set()

    def suspect(self, what: Hashable, read_set: ReadSet, token: Token, now: float) -> None:
        """A fast read was wrong: nobody but the primary serves its tables from now on."""
        ledger = self._ledger
        ledger.quarantine(read_set.tables, token)
        foreign = ledger.foreign_commits(read_set)
        self._open.append(Suspicion(what, read_set, now + self._patience, foreign))

    def settle(self, now: float) -> tuple[list[Suspicion], list[Suspicion]]:
        """Find what has been decided: those that are facts, and those with an innocent reason."""
        if not self._open:
            return [], []
        facts: list[Suspicion] = []
        innocent: list[Suspicion] = []
        still: list[Suspicion] = []
        for one in self._open:
            if self._ledger.foreign_commits(one.read_set) != one.foreign:
                innocent.append(one)
            elif now >= one.until:
                facts.append(one)
                self._facts |= one.read_set.tables
            else:
                still.append(one)
        self._open = still
        held = self._facts.union(*[one.read_set.tables for one in still])
        for one in innocent:
            self._ledger.believe(one.read_set.tables - held)
        return facts, innocent

    def drop(self) -> frozenset[Table]:
        """Believe everything again, as an operator says; returns what was not believed.

        What other members have found stays, until they believe it.
        """
        tables = self._ledger.doubted_by(US)
        self._ledger.believe(tables)
        self._open = []
        self._facts = set()
        return tables
