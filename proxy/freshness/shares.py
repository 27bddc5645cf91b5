"""Whose commits a table's version is the sum of.

A version is a base, which all members of a fleet begin an epoch with, plus a sum of hashed
tokens. Sums can be added to in any order, but two of them can't be united where each has what the
other lacks: so each member's commits have a sum of their own, of which that member alone tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

from proxy.freshness.tables import VERSION_MASK
from proxy.types import Table

US: Final = ""
"""The owner of what this member has committed, among the others' names."""


@final
class Shares:
    """The sums, by owner and table; tables that an owner has not written are not there.

    Attributes:
        are_told: Whether others are told of ours: then none may be forgotten.
    """

    __slots__ = ("_by_owner", "_totals", "are_told")

    def __init__(self) -> None:
        self.are_told = False
        self._by_owner: dict[str, dict[Table, int]] = {}
        self._totals: dict[Table, int] = {}

    def total(self, table: Table) -> int:
        """Sum up what everybody's commits have added to a table's version."""
        return self._totals.get(table, 0)

    def of(self, owner: str) -> Mapping[Table, int]:
        """List an owner's sums."""
        return self._by_owner.get(owner, {})

    def add(self, owner: str, table: Table, step: int) -> None:
        """Count a commit."""
        if not self.are_told:
            return
        sums = self._by_owner.setdefault(owner, {})
        sums[table] = (sums.get(table, 0) + step) & VERSION_MASK
        self._totals[table] = (self._totals.get(table, 0) + step) & VERSION_MASK

    def replace(self, owner: str, sums: Mapping[Table, int]) -> dict[Table, int]:
        """Take an owner's word for all of its sums; by how much each table's version changes."""
        old = self._by_owner.get(owner, {})
        steps: dict[Table, int] = {}
        for table in old.keys() | sums.keys():
            step = (sums.get(table, 0) - old.get(table, 0)) & VERSION_MASK
            if step:
                steps[table] = step
                self._totals[table] = (self._totals.get(table, 0) + step) & VERSION_MASK
        self._by_owner[owner] = dict(sums)
        return steps

    def clear(self) -> None:
        """Forget everybody's: another epoch begins with another base."""
        self._by_owner.clear()
        self._totals.clear()
