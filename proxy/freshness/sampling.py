"""Which fast reads are audited: every so-manieth, and never more than some in a second. Pure.

No dice are rolled: a hit is answered in microseconds, and a count is cheaper. Reads of many clients
are mixed, so that every n-th is as good a sample as any.
"""

from __future__ import annotations

from math import inf
from typing import Final, final

REST: Final = 9.0
"""After a read was repeated nothing is, for so many times as long: of one server connection the
audit has a tenth."""


@final
class Sampler:
    """See the module.

    Attributes:
        is_due: Whether the next fast read that can be is one to be audited.

    Args:
        share: Of all fast reads; 0: none.
        per_second: The most that are begun within a second.
        first: Which one is the first; else the last of a whole round is.
    """

    __slots__ = ("_began", "_begun", "_left", "_per_second", "_rests_until", "_step", "is_due")

    def __init__(self, share: float, per_second: int, first: int = 0) -> None:
        self.is_due = False
        self._began = -inf
        self._begun = 0
        self._rests_until = -inf
        self._step = 0
        self._left = 0
        self._per_second = 0
        self.follow(share, per_second)
        if first:
            self._left = first

    def follow(self, share: float, per_second: int) -> None:
        """Go on by another share and another limit."""
        self._step = self._left = round(1 / share) if share else 0
        self._per_second = per_second
        self.is_due = False

    def counts(self) -> bool:
        """Count a fast read; True: it is to be audited, which `takes` will tell who can do that."""
        if not self._step:
            return False
        self._left -= 1
        if self._left > 0:
            return False
        self._left = self._step
        self.is_due = True
        return True

    def takes(self) -> bool:
        """Count a fast read, unless it was, and tell whether it is the one to be audited."""
        if not self.is_due and not self.counts():
            return False
        self.is_due = False
        return True

    def admits(self, now: float) -> bool:
        """Tell whether the primary may be asked for another one now; it is counted as begun."""
        if now < self._rests_until:
            return False
        if now - self._began >= 1.0:
            self._began = now
            self._begun = 0
        if self._begun >= self._per_second:
            return False
        self._begun += 1
        return True

    def ended(self, seconds: float, now: float) -> None:
        """A read was repeated, and has taken the primary so long."""
        self._rests_until = now + seconds * REST
