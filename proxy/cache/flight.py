"""Identical misses at the same time: one goes to a server, the others wait for its result.

The others are never given that result itself. They look in the cache again, so what they
are answered passed the same test as every hit, at an instant of their own.
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum, unique
from typing import Final, Generic, TypeVar, final

Follower = TypeVar("Follower")


@unique
class Landing(Enum):
    """What became of the leader's miss, and what its followers do now."""

    STORED = "stored"  # look in the cache again
    NOT_STORED = "not_stored"  # go to a server, each by itself: there is nothing to wait for
    FAILED = "failed"  # board again: it says nothing of the statement; one of them will lead


STORED: Final = Landing.STORED
NOT_STORED: Final = Landing.NOT_STORED
FAILED: Final = Landing.FAILED


@final
class Flights(Generic[Follower]):
    """The misses under way, by key.

    Whoever leads must land, whatever happens: when its result is stored or known not to
    be, when its server or its client is lost, and at once when its client stops reading,
    since a follower must not wait for somebody else's slow client.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[Hashable, dict[Follower, None]] = {}

    def board(self, key: Hashable, follower: Follower) -> bool:
        """Ask to lead; False: somebody does already, and `follower` waits.

        Args:
            key: Context and canonical key.
            follower: Who is told when the flight lands.
        """
        waiting = self._waiting.get(key)
        if waiting is None:
            self._waiting[key] = {}
            return True
        waiting[follower] = None
        return False

    def leave(self, key: Hashable, follower: Follower) -> None:
        """Wait no longer: the client is gone, or its time is up."""
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.pop(follower, None)

    def land(self, key: Hashable) -> list[Follower]:
        """End a flight, and name those who waited, first come first: they must be told."""
        return list(self._waiting.pop(key, ()))

    def __len__(self) -> int:
        return len(self._waiting)
