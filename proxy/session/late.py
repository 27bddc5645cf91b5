"""A transaction that a client has begun, and that no server knows of yet.

In READ COMMITTED every statement has a snapshot of its own, so what is read in front of the first
write need not be read in the transaction: it is served *beside* it, like any other read. BEGIN is
answered and kept; the first statement that writes, locks, or is not proven to be a read opens the
transaction at the primary (docs/freshness.md, "Transactions").

In REPEATABLE READ all reads are of one snapshot. What was read is of the snapshot of now for as
long as nothing of it was written since, so reads are served beside it until then.
"""

from __future__ import annotations

from enum import Enum, unique
from typing import final

from proxy.freshness.tables import ReadSet
from proxy.sql.transaction_control import Begin
from proxy.wire.status import IDLE, IN_FAILED, IN_TRANSACTION


@unique
class Held(Enum):
    """What has become of a transaction that was held back."""

    OPENED = "opened"
    SPARED = "spared"
    REFUSED = "refused"


@final
class Late:
    """See the module.

    Attributes:
        begin: What the client said.
        reads_beside: Whether reads may be served beside it; else all but savepoints opens it.
        savepoints: The names of those it has set, the latest last.
        has_begun: Whether a server would say that it has: where it begins by itself, with the first
            table that is read, and not with a savepoint.
        has_read: Whether something was read beside it: some options can't be set behind a query.
        is_failed: Whether a statement in it has failed.
        seen: What was read beside it, each with its version then, where all of that must be of one
            snapshot; else None.
    """

    __slots__ = (
        "_fails_whole",
        "begin",
        "has_begun",
        "has_read",
        "is_failed",
        "reads_beside",
        "savepoints",
        "seen",
    )

    def __init__(
        self, begin: Begin, *, one_snapshot: bool, fails_whole: bool, begins_itself: bool = False
    ) -> None:
        self.begin = begin
        self.has_begun = not begins_itself
        self.seen: dict[ReadSet, int] | None = {} if one_snapshot else None
        self.savepoints: list[str] = []
        self.has_read = False
        self.is_failed = False
        self.reads_beside = True
        self._fails_whole = fails_whole

    @property
    def status(self) -> int:
        """What the client must be told of it, in the protocol's words."""
        return self.opened if self.has_begun else IDLE

    @property
    def opened(self) -> int:
        """The same of when it is open at a server."""
        return IN_FAILED if self.is_failed else IN_TRANSACTION

    @property
    def bears_ready_answers(self) -> bool:
        """Whether a read may be answered as it is received, without being looked at."""
        return self.seen is None and not self.is_failed and self.has_begun

    def chain(self) -> Late:
        """Make the next one, which begins as this did."""
        one_snapshot = self.seen is not None
        next_one = Late(self.begin, one_snapshot=one_snapshot, fails_whole=self._fails_whole)
        next_one.reads_beside = self.reads_beside
        return next_one

    def fail(self) -> None:
        """A statement in it has failed."""
        self.is_failed = self._fails_whole

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
