"""What was seen of servers' places in binary logs, where nothing else tells what they have. Pure.

Without GTIDs a server that follows another from now on does not say what it had of the one before;
so every place is kept in mind that it was seen at, and concluded from that:

- Of a primary's log its successor has what it was last seen to have; who may have more, a replica
  or that primary itself, has commits that were lost, for all that is known.
- A log that was begun anew says nothing of who had followed it; nor does one that has lost its end
  in a crash, of who is past that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

from proxy.topology import binlog
from proxy.topology.group import Server
from proxy.topology.gtid import LARGEST, GtidSet

NOTHING: Final = GtidSet()


@final
class LogHistory:
    """See the module.

    Attributes:
        anonymous: What was committed without GTIDs before the primary gave them.
    """

    __slots__ = ("_led", "_outdated", "_places", "anonymous")

    def __init__(self) -> None:
        self.anonymous = NOTHING
        self._places: dict[Server, GtidSet] = {}
        self._led: set[str] = set()  # logs of primaries
        self._outdated: dict[Server, int] = {}  # places in a log that is no more

    def note(self, server: Server, places: GtidSet) -> None:
        """A server was seen to have so much of logs."""
        self._places[server] = self._seen(server).plus(places)

    def lost(self, server: Server, log: str) -> None:
        """A primary went out of sight: it may have committed more than was seen."""
        self.note(server, GtidSet({log: [(1, LARGEST)]}))

    def forget(self, server: Server) -> None:
        """Another server is there now."""
        self._places.pop(server, None)
        self._outdated.pop(server, None)

    def begin(
        self,
        server: Server,
        own: str,
        log: GtidSet,
        files: GtidSet,
        places: Mapping[Server, int],
        *,
        is_anew: bool,
    ) -> None:
        """A primary that is followed by its log begins an epoch.

        Args:
            server: The primary.
            own: What its log is called.
            log: How far that is.
            files: What there is of it, if that is known.
            places: Of all others in it, as they said last; 0: none.
            is_anew: Whether the log was begun anew.
        """
        for other, place in places.items():
            if place and (is_anew or binlog.is_missing(files, own, place)):
                self._outdated[other] = place
        self._led.add(own)
        self._places[server] = self._seen(server).without(own).plus(log)
        self.anonymous = NOTHING

    def check(self, server: Server, own: str, files: GtidSet, place: int) -> None:
        """See whether a replica is, or still is, where its primary's log is no more."""
        if binlog.is_missing(files, own, place):
            self._outdated.setdefault(server, place)
        elif 0 < place < self._outdated.get(server, 0):
            del self._outdated[server]

    def has_anonymous(self, server: Server) -> bool:
        """Tell whether a server has what was committed without GTIDs before there were any."""
        return self._seen(server).covers(self.anonymous)

    def objection(self, server: Server, primary: Server, own: str) -> str:
        """Say what a replica may have that its primary has not; empty: nothing that is known.

        Args:
            server: The replica.
            primary: Whom it follows by its log.
            own: What that log is called.
        """
        if server in self._outdated:
            return "has replayed what is no more in its primary's log"
        more = self._seen(server).minus(self._seen(primary)).without(own)
        for log, runs in more.intervals.items():
            if log in self._led:
                end = runs[-1][1]
                came_to = "nobody knows where" if end == LARGEST else binlog.shown(log, end)
                return f"may have commits that the primary has not: it had come to {came_to}"
        return ""

    def _seen(self, server: Server) -> GtidSet:
        return self._places.get(server, NOTHING)
