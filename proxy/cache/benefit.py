"""Does it pay to ask the second level for results of this statement? Judged by what was measured.

To ask takes the time of a fetch, and saves that of a statement as often as something is found. So
it pays where the share of what is found times what a server takes is more than what a fetch takes.
Elsewhere it is asked now and then, as the workload may have changed: the more often, the less a
fetch is beside what a server takes.

To keep a result there pays where a fetch is quicker than a server: others may ask for it.

To wait for a result that another member is getting from a server pays where a server takes far
longer than a fetch, and where such results have come lately.
"""

from __future__ import annotations

from typing import Final, final

TRIAL: Final = 16
"""Questions before a statement is judged at all."""

SPENT: Final = 1 / 32
"""Of the time that servers take: how much may be spent on questions that don't pay."""

MOST: Final = 2.0
"""Times the usual that a fetch counts at most: a moment's stall must not outweigh a day."""

WORTH_A_WAIT: Final = 32.0
"""Times what a fetch takes that a server must take. Then to say who asks it costs a 32nd of that,
and the store is asked each time anyway (`SPENT`)."""

MOST_PASSED: Final = 63
"""Misses that nobody waits at, at most, before it is tried again."""

_SMOOTHING: Final = 0.125


@final
class Benefit:
    """The statistics of one statement in the second level.

    Attributes:
        seconds: What a fetch takes, lately, whether anything is found or not.
        share: Of the fetches that find something that still holds, lately.
    """

    __slots__ = ("_asked", "_passes", "_spare", "_vain", "seconds", "share")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.share = 0.0
        self._asked = 0
        self._spare = 0.0
        self._vain = 0
        self._passes = 0  # misses to come that nobody waits at

    def asks(self, saved: float) -> bool:
        """Decide whether to ask for the next result.

        Args:
            saved: Seconds that a server takes, lately; 0.0: it was not asked yet.
        """
        if self._asked < TRIAL or self.share * saved > self.seconds:
            return True
        self._spare += saved * SPENT
        if self._spare < self.seconds:
            return False
        self._spare = min(self._spare - self.seconds, self.seconds)
        return True

    def keeps(self, saved: float) -> bool:
        """Decide whether to keep a result there."""
        return self._asked < TRIAL or saved > self.seconds

    def waits(self, saved: float, seconds: float) -> bool:
        """Decide whether one member asks a server, and the others wait for what it keeps.

        Args:
            saved: Seconds that a server takes, lately.
            seconds: What the fetch has taken that found nothing.
        """
        if saved < WORTH_A_WAIT * max(self.seconds, seconds):
            return False
        if self._passes:
            self._passes -= 1
            return False
        return True

    def waited(self, *, is_hit: bool) -> None:
        """Learn from a wait: after each in vain, twice as many misses are passed."""
        self._vain = 0 if is_hit else min(2 * self._vain + 1, MOST_PASSED)
        self._passes = self._vain

    def answered(self, seconds: float, *, is_hit: bool) -> None:
        """Learn from a fetch; one that was given up has taken as long as it was waited for."""
        found = 1.0 if is_hit else 0.0
        if self._asked == 0:
            self.seconds = seconds
            self.share = found
        else:
            self.seconds += (min(seconds, MOST * self.seconds) - self.seconds) * _SMOOTHING
            self.share += (found - self.share) * _SMOOTHING
        if self._asked < TRIAL:
            self._asked += 1
