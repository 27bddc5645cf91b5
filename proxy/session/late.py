"""A transaction that a client has begun, and that no server knows of yet.

In READ COMMITTED every statement has a snapshot of its own, so what is read in front of the first
write need not be read in the transaction: it is served *beside* it, like any other read. BEGIN is
answered and kept; the first statement that writes, locks, or is not proven to be a read opens the
transaction at the primary (docs/freshness.md, "Transactions").
"""

from __future__ import annotations

from typing import final

from proxy.sql.transaction_control import Begin
from proxy.wire.postgres import tags


@final
class Late:
    """See the module.

    Attributes:
        begin: What the client said.
        savepoints: The names of those it has set, the latest last.
        has_read: Whether something was read beside it: some options can't be set behind a query.
        is_failed: Whether a statement in it has failed.
    """

    __slots__ = ("begin", "has_read", "is_failed", "savepoints")

    def __init__(self, begin: Begin) -> None:
        self.begin = begin
        self.savepoints: list[str] = []
        self.has_read = False
        self.is_failed = False

    @property
    def status(self) -> int:
        """What the client must be told of it, in the protocol's words."""
        return tags.FAILED if self.is_failed else tags.IN_TRANSACTION

    def release(self, name: str) -> bool:
        """RELEASE a savepoint and all behind it; False: there is none of this name."""
        place = self._find(name)
        if place < 0:
            return False
        del self.savepoints[place:]
        return True

    def go_back(self, name: str) -> bool:
        """ROLLBACK TO a savepoint, which stays; False: there is none of this name."""
        place = self._find(name)
        if place < 0:
            return False
        del self.savepoints[place + 1 :]
        self.is_failed = False
        return True

    def _find(self, name: str) -> int:
        """The latest of a name counts, as in the server; -1: there is none."""
        for place in range(len(self.savepoints) - 1, -1, -1):
            if self.savepoints[place] == name:
                return place
        return -1
