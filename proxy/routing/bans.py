"""Servers that failed and get no statements until they have been found well.

A ban lasts for its time, and is then lifted by a look that finds the server well, by nothing else:
not by time alone, and not because every other server is banned too. A replica that is down helps
nobody, and one that lags would be asked for what it does not have; when none is left, the primary
serves. Without its time, one that lets the control user in and nobody else would be tried with
clients' statements at every look.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar, final

Server = TypeVar("Server", bound=Hashable)


@final
class Bans(Generic[Server]):
    """The book of bans.

    Args:
        seconds: How long a ban lasts at least.
    """

    __slots__ = ("_seconds", "_since")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[Server, float] = {}

    def __contains__(self, server: Server) -> bool:
        return server in self._since

    def ban(self, server: Server, now: float) -> bool:
        """Ban a server at once; False: it is banned already.

        Failures of statements that were under way when the ban began don't lengthen it.
        """
        if server in self._since:
            return False
        self._since[server] = now
        return True

    def found_well(self, server: Server, now: float) -> bool:
        """Lift a ban; False: there is none, or it lasts on."""
        since = self._since.get(server)
        if since is None or now - since < self._seconds:
            return False
        del self._since[server]
        return True
