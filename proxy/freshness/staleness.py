"""How old what a replica shows may be, proven by where the primary was seen and when.

A sample says: when the question was sent, the primary's log was no further than this position; so a
replica that has replayed the position misses nothing that had been acknowledged by then. No clock
but ours is read, and nothing is guessed: `pg_last_xact_replay_timestamp()` tells a replica that is
cut off, and one whose primary is idle, the same.
"""

from __future__ import annotations

from bisect import bisect_right
from math import inf
from typing import Final, final

from proxy.types import Position

KEPT: Final = 1024
"""Samples; when there are more the older half goes, which makes the oldest replicas look older."""


@final
class Samples:
    """Where the primary was in this epoch, the latest last."""

    __slots__ = ("_positions", "_times", "limit")

    def __init__(self, limit: int = KEPT) -> None:
        self.limit = limit
        self._times: list[float] = []
        self._positions: list[Position] = []

    @property
    def latest(self) -> float:
        """When the latest question was sent; minus infinity: there is none."""
        return self._times[-1] if self._times else -inf

    def restart(self) -> None:
        """A new epoch begins: positions of the old one mean nothing."""
        self._times.clear()
        self._positions.clear()

    def add(self, sent_at: float, position: Position) -> None:
        """Take a sample.

        Args:
            sent_at: When the question was sent.
            position: The answer.
        """
        positions, times = self._positions, self._times
        if positions and (position < positions[-1] or sent_at < times[-1]):
            return  # an answer out of its order
        if positions and position == positions[-1]:
            times[-1] = sent_at
            return
        positions.append(position)
        times.append(sent_at)
        if len(positions) > self.limit:
            del positions[: self.limit // 2]
            del times[: self.limit // 2]

    def proven(self, position: Position) -> tuple[float, Position]:
        """Say up to when nothing is missing from a replica, and the position that proves it.

        Args:
            position: What it has replayed, at least.

        Returns:
            Minus infinity where nothing is known.
        """
        place = bisect_right(self._positions, position) - 1
        if place < 0:
            return -inf, Position(0)
        return self._times[place], self._positions[place]
