"""The tables a ledger knows and the read sets made of them, each one object.

Both are forgotten when nobody uses them, so applications that make tables all day don't
fill the memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, final
from weakref import WeakValueDictionary

from proxy.freshness.positions import Positions
from proxy.freshness.shares import Shares
from proxy.freshness.tables import (
    EVERY_DATABASE,
    VERSION_MASK,
    ReadSet,
    TableState,
    everything_in,
    hash_token,
    schema_of,
)
from proxy.types import Table, Token

SWEEP_AT: Final = 16_384
"""Tables after which those nobody reads are forgotten: some 8 MB of them."""


@final
class Tables:
    """Interns table states and read sets.

    Args:
        base: The version of a table that nobody has written.
        positions: Says what a table needs.
        shares: Says what has been added to the base.
        sweep_at: How many tables there are when those nobody reads are forgotten.
    """

    __slots__ = (
        "_base",
        "_positions",
        "_read_sets",
        "_shares",
        "_states",
        "_sweep_at",
        "_sweep_from",
    )

    def __init__(
        self, base: int, positions: Positions, shares: Shares, sweep_at: int = SWEEP_AT
    ) -> None:
        self._base = base
        self._positions = positions
        self._shares = shares
        self._states: dict[Table, TableState] = {}
        self._read_sets: WeakValueDictionary[tuple[str, frozenset[Table]], ReadSet]
        self._read_sets = WeakValueDictionary()
        self._sweep_from = self._sweep_at = sweep_at

    def __iter__(self) -> Iterator[TableState]:
        return iter(self._states.values())

    def __len__(self) -> int:
        return len(self._states)

    def find(self, table: Table) -> TableState | None:
        """Find a table's state, if anything is known of it."""
        return self._states.get(table)

    def states_of(self, tables: frozenset[Table]) -> list[TableState]:
        """Give each table its state. Use them at once: a later call may forget them."""
        if len(self._states) >= self._sweep_at:
            self._sweep()
        states = self._states
        for table in tables.difference(states):
            version = (self._base + self._shares.total(table)) & VERSION_MASK
            states[table] = TableState(table, version)
            self._positions.begin(states[table])
        return [states[table] for table in tables]

    def read_set(self, database: str, tables: frozenset[Table]) -> ReadSet:
        """Intern a set of tables, with the pseudo-tables that stand for them."""
        found = self._read_sets.get((database, tables))
        if found is None:
            databases = {EVERY_DATABASE, database, *(table.database for table in tables)}
            pseudo = {name(of) for of in databases for name in (schema_of, everything_in)}
            found = ReadSet(tables, self.states_of(tables | pseudo))
            self._read_sets[database, tables] = found
        return found

    def restart(self, base: int) -> None:
        """Begin every version anew, of tables yet unknown too, and drop what was pending."""
        self._base = base
        self._shares.clear()
        for state in self._states.values():
            state.version = base
            state.pending.clear()

    def step(self, step: int) -> None:
        """Change every version, of tables yet unknown too."""
        self._base = (self._base + step) & VERSION_MASK
        for state in self._states.values():
            state.version = (state.version + step) & VERSION_MASK

    def _sweep(self) -> None:
        # No result depends on the version of a table that is in no read set: whoever holds
        # a result holds its read set. What such tables need of a replica, every table new
        # here needs from now on; and should they come back, they have a new version, or the one
        # that everybody else has for them.
        kept = {state for read_set in self._read_sets.values() for state in read_set.states}
        for table, state in list(self._states.items()):
            if state in kept or state.pending or state.is_quarantined:
                continue
            if self._positions.fold(state):
                del self._states[table]
        if not self._shares.are_told:
            self._base = (self._base + hash_token(Token(self._base))) & VERSION_MASK
        self._sweep_at = max(self._sweep_from, 2 * len(self._states))
