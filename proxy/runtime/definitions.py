"""Definitions that other members of a fleet change: docs/fleet.md, "Definitions". Pure."""

from __future__ import annotations

from typing import Final, Protocol, final

from proxy.freshness.fleet import Fleet
from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import Mark
from proxy.freshness.tables import EVERY_DATABASE, schema_of

_SCHEMA: Final = schema_of(EVERY_DATABASE)


class Planning(Protocol):
    """Who plans by definitions."""

    def definitions_change(self) -> list[Mark]:
        """Another member is about to change definitions; returns what is announced anew."""

    def definitions_changed(self) -> None:
        """Another member has changed definitions."""


@final
class Definitions:
    """What others do to them, as far as the ledger knows.

    Attributes:
        are_changing: Whether another member may be changing them right now.

    Args:
        ledger: Of the server group.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.are_changing = False
        self._ledger = ledger
        self._version = 0
        self._has_committed_blindly = False

    def changed_here(self, *, is_told: bool) -> None:
        """A commit of ours was settled, which may have changed them.

        Args:
            is_told: Whether all others let us read fast: then none changes them without our
                knowing. Else it may have set off a trigger that we had not heard of.
        """
        if not is_told:
            self._has_committed_blindly = True
        self._version = self._ledger.version_of(_SCHEMA)

    def follow(self, fleet: Fleet, planning: Planning, *, is_told: bool) -> bool:
        """See whether another member changes them, or has: plans and triggers are others.

        Args:
            fleet: Of which we are a part.
            planning: Is told.
            is_told: See `changed_here`.

        Returns:
            Whether what we have committed may have changed any table, by definitions that we did
            not know.
        """
        is_blind = False
        are_changing = self._ledger.is_marked_by_others(_SCHEMA)
        if are_changing and not self.are_changing:
            fleet.withhold(planning.definitions_change())
        self.are_changing = are_changing
        version = self._ledger.version_of(_SCHEMA)
        if version != self._version:
            self._version = version
            is_blind = self._has_committed_blindly
            planning.definitions_changed()
        if is_told:
            self._has_committed_blindly = False
        return is_blind

    @property
    def is_unsure(self) -> bool:
        """Whether something was committed by definitions that others may have changed."""
        return self._has_committed_blindly
