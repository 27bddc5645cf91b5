"""What one client has seen and written, so that it never goes back in time (`session`).

It is counted in time, not in positions: what a client has seen had been acknowledged when it was
answered, so whatever is known to miss nothing up to that instant may answer the client's next read.
That would ask for a new proof after every read; but a replica does not go back by itself, so the
one that the last reads came from needs to satisfy only what was asked of it at the first of them.
"""

from __future__ import annotations

from typing import final


@final
class Floor:
    """See the module.

    Attributes:
        at: Nothing acknowledged before this may be missing from what the client is shown.
    """

    __slots__ = ("_base", "_life", "_server", "at")

    def __init__(self, now: float) -> None:
        self.at = now
        self._base = now  # of the replica that the last reads came from
        self._server: object = None
        self._life = -1

    def asks(self, server: object, life: int) -> float:
        """Since when nothing may be missing from a replica.

        Args:
            server: The replica.
            life: Its incarnation: one that has restarted may have gone back.
        """
        return self._base if server is self._server and life == self._life else self.at

    def rise(self, now: float) -> None:
        """The client has written, or was answered by the primary."""
        self.at = self._base = now
        self._server = None

    def read(self, server: object, life: int, answered_at: float) -> None:
        """The client was answered by a replica that it was right to ask."""
        if server is not self._server or life != self._life:
            self._base = self.at
            self._server = server
            self._life = life
        self.at = max(self.at, answered_at)

    def hit(self, filled_at: float) -> None:
        """The client was answered from the cache, with what was there when it was kept."""
        self.at = max(self.at, filled_at)
        self._base = max(self._base, filled_at)
