"""When a store is skipped: at its first failure, or when it is late twice in a row.

Nobody who waits for an answer is used to find out whether it is back: that is tried apart, after a
pause that doubles each time. It is as short as at first again only once the store has been good
for a while, so that one that comes and goes is not tried at every turn.
"""

from __future__ import annotations

from enum import Enum, unique
from typing import Final, final

SHORTEST: Final = 0.05
"""Seconds of the first pause: a moment's stall, of the store or of our own, costs no more."""

LONGEST: Final = 5.0
"""Seconds after which at the latest it is tried again."""

LATE: Final = 2
"""Answers in a row that are too late: one may be our own fault."""

GOOD: Final = 64
"""Answers in time, behind which the past is forgotten."""


@unique
class State(Enum):
    """Whether a store is asked."""

    CLOSED = "closed"  # it is
    OPEN = "open"  # it is skipped
    TRYING = "trying"  # it is skipped, and is being tried


CLOSED: Final = State.CLOSED
OPEN: Final = State.OPEN
TRYING: Final = State.TRYING


@final
class Breaker:
    """See the module. It begins open, with no pause: a store has to be tried first.

    Attributes:
        state: Whether the store is asked.
        opened: How often it was found to fail.
    """

    __slots__ = ("_good", "_late", "_pause", "_until", "opened", "state")

    def __init__(self) -> None:
        self.state = OPEN
        self.opened = 0
        self._until = 0.0
        self._pause = SHORTEST
        self._late = 0
        self._good = 0

    @property
    def allows(self) -> bool:
        """Whether the store may be asked."""
        return self.state is CLOSED

    def wait(self, now: float) -> float:
        """Tell how many seconds are left until it may be tried."""
        return max(0.0, self._until - now)

    def try_now(self) -> None:
        """It is being tried: `failed` or `tried` tells what came of it."""
        self.state = TRYING

    def tried(self) -> None:
        """It works."""
        self.state = CLOSED
        self._late = self._good = 0

    def answered(self) -> None:
        """It has answered in time."""
        self._late = 0
        self._good += 1
        if self._good >= GOOD:
            self._pause = SHORTEST

    def late(self, now: float) -> None:
        """It has not answered in time."""
        self._late += 1
        if self._late >= LATE:
            self.failed(now)

    def failed(self, now: float) -> None:
        """It is gone, or can't do what it is asked."""
        if self.state is OPEN:
            return  # by something that was asked at the same time
        if self.state is CLOSED:
            self.opened += 1
        self.state = OPEN
        self._until = now + self._pause
        self._pause = min(LONGEST, 2 * self._pause)
