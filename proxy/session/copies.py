"""What a session has for another server group, until it is known to have succeeded. Pure.

What is run in a transaction is kept until that has committed; a savepoint that is gone back to
takes along what came behind it.
"""

from __future__ import annotations

from typing import Final, final

from proxy.routing.rules import Match
from proxy.sql.statement import Kind
from proxy.types import Mirrored
from proxy.wire.requests import Execution

MOST_KEPT: Final = 1000
MOST_BYTES: Final = 1024 * 1024
"""Of one transaction; what is beyond that is dropped, with all of its transaction that follows."""


@final
class Copy:
    """One statement, ready to be sent.

    Attributes:
        rule: Has it mirrored, and counts what becomes of it.
        data: A simple query, or a whole batch, with its parameters as they came.
        portal: What is run, where it may be read piece by piece: all pieces are one statement.
    """

    __slots__ = ("data", "portal", "rule")

    def __init__(self, rule: Match, data: bytes, portal: Execution | None = None) -> None:
        self.rule = rule
        self.data = data
        self.portal = portal


@final
class Copies:
    """See the module. One for each session that has ever had any."""

    __slots__ = ("_bytes", "_kept", "_portals", "_savepoints")

    def __init__(self) -> None:
        self._kept: list[Copy] = []
        self._bytes = 0
        self._savepoints: list[tuple[str, int]] = []  # and how much came in front of each
        self._portals: dict[int, Execution] = {}  # by their ids

    def keep(self, copy: Copy) -> None:
        """A statement has succeeded; whether that lasts is not known yet."""
        size = len(copy.data)
        portal = copy.portal
        if portal is not None and id(portal) in self._portals:
            return
        if len(self._kept) >= MOST_KEPT or self._bytes + size > MOST_BYTES:
            copy.rule.mirrored.count(Mirrored.DROPPED)
            self._bytes = MOST_BYTES
            return
        self._bytes += size
        self._kept.append(copy)
        if portal is not None:
            self._portals[id(portal)] = portal

    def take(self) -> list[Copy]:
        """Hand out what lasts now."""
        kept = self._kept
        self.forget()
        return kept

    def forget(self) -> None:
        """What was kept has come to nothing."""
        self._kept = []
        self._bytes = 0
        if self._savepoints:
            self._savepoints = []
        if self._portals:
            self._portals = {}

    def follow_savepoint(self, kind: Kind, name: str | None) -> None:
        """A savepoint was set, released or gone back to.

        One that is not known was set before anything was kept, or said in a way that is not
        understood: going back to it leaves nothing.
        """
        if kind is Kind.SAVEPOINT:
            self._savepoints.append((name or "", len(self._kept)))
            return
        place = len(self._savepoints) - 1
        while place >= 0 and self._savepoints[place][0] != name:
            place -= 1
        if kind is Kind.RELEASE:
            if place >= 0:
                del self._savepoints[place:]
            return
        length = self._savepoints[place][1] if place >= 0 else 0
        del self._savepoints[place + 1 :]
        del self._kept[length:]
        self._bytes = sum(len(copy.data) for copy in self._kept)
