"""How many statements a rule lets through: so many a second, so many at a time. Pure.

The rate is even: after a pause a tenth of a second's worth may come at once, and no more. What is
under way is not counted by whoever ends it, since there are many ends: each is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final, final

BURST_SECONDS: Final = 0.1


@final
class Throttle:
    """See the module.

    Args:
        rate: Statements a second; None: any number.
        at_a_time: Statements under way; None: any number.
    """

    __slots__ = ("_at_a_time", "_interval", "_next_at", "_running", "_slack")

    def __init__(self, rate: int | None, at_a_time: int | None) -> None:
        self._interval = 0.0 if rate is None else 1.0 / rate
        self._slack = max(0.0, BURST_SECONDS - self._interval)
        self._at_a_time = inf if at_a_time is None else float(at_a_time)
        self._next_at = -inf  # when the next is due at an even rate
        self._running: list[Callable[[], bool]] = []

    @property
    def running(self) -> int:
        """How many are under way."""
        self._running = [is_running for is_running in self._running if is_running()]
        return len(self._running)

    def enter(self, now: float, is_running: Callable[[], bool]) -> bool:
        """Let a statement through; False: not now.

        Args:
            now: The present.
            is_running: Tells whether it is still under way.
        """
        if self.opens_at(now) > now:
            return False
        if self._at_a_time < inf:
            if self.running >= self._at_a_time:
                return False
            self._running.append(is_running)
        self._next_at = max(self._next_at, now - self._slack) + self._interval
        return True

    def opens_at(self, now: float) -> float:
        """Say when the rate lets the next one through."""
        return max(now, self._next_at)
