"""Servers that failed and get no statements until a probe has found them well.

A ban is lifted by a probe's success and by nothing else: not by time, and not because
every other server is banned too. A replica that is down helps nobody, and one that lags
would be asked for what it does not have; when none is left, the primary serves.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final, Generic, TypeVar, final

Server = TypeVar("Server", bound=Hashable)

FIRST_WAIT: Final = 1.0
"""Seconds before the first probe; each failure in a row doubles the wait."""

LONGEST_WAIT: Final = 60.0
"""Seconds between probes at most; and how long a server must do well before its earlier
failures are forgotten, so that one that comes and goes is not tried every second."""


@unique
class BanReason(Enum):
    """What a server did. The values label metrics and the admin's listing."""

    REFUSED = "refused"  # no connection, or none for us
    TIMED_OUT = "timed_out"
    BROKE = "broke"  # a connection in use was lost
    OPERATOR = "operator"  # an operator's word, which no probe overrules


OPERATOR: Final = BanReason.OPERATOR


@dataclass(slots=True)
class Ban:
    """Why a server is banned, since when, and what is being done about it.

    Attributes:
        reason: The latest.
        since: When the ban began.
        probe_at: When the next probe is due; not heeded for an operator's ban.
        failures: In a row, with those of bans lately lifted.
    """

    reason: BanReason
    since: float
    probe_at: float
    failures: int


@final
class Bans(Generic[Server]):
    """The book of bans."""

    __slots__ = ("_bans", "_lifted")

    def __init__(self) -> None:
        self._bans: dict[Server, Ban] = {}
        self._lifted: dict[Server, tuple[float, int]] = {}  # when, after how many failures

    def __contains__(self, server: Server) -> bool:
        return server in self._bans

    def __iter__(self) -> Iterator[tuple[Server, Ban]]:
        return iter(self._bans.items())

    def ban(self, server: Server, now: float, reason: BanReason) -> bool:
        """Ban a server at once; False: it is banned already.

        Failures of statements that were under way when the ban began don't lengthen it.
        """
        known = self._bans.get(server)
        if known is not None:
            if reason is OPERATOR:
                known.reason = OPERATOR
            return False
        lifted_at, earlier = self._lifted.pop(server, (now, 0))
        failures = 1 if now - lifted_at > LONGEST_WAIT else earlier + 1
        self._bans[server] = Ban(reason, now, now + _wait(failures), failures)
        return True

    def due(self, now: float) -> list[Server]:
        """Name the servers to be probed now. Each is named once, until the next wait is over."""
        due = []
        for server, ban in self._bans.items():
            if ban.probe_at <= now and ban.reason is not OPERATOR:
                ban.probe_at = now + _wait(ban.failures)
                due.append(server)
        return due

    def probe_failed(self, server: Server, now: float, reason: BanReason) -> None:
        """Note that a probe found a server unwell: the next one comes later."""
        ban = self._bans.get(server)
        if ban is not None and ban.reason is not OPERATOR:
            ban.reason = reason
            ban.failures += 1
            ban.probe_at = now + _wait(ban.failures)

    def probe_succeeded(self, server: Server, now: float) -> bool:
        """Lift a ban; False: there is none, or it is an operator's."""
        ban = self._bans.get(server)
        if ban is None or ban.reason is OPERATOR:
            return False
        del self._bans[server]
        self._lifted[server] = now, ban.failures
        return True

    def unban(self, server: Server) -> bool:
        """Lift a ban on an operator's word, and forget the server's past; False: there is none."""
        self._lifted.pop(server, None)
        return self._bans.pop(server, None) is not None

    def forget(self, server: Server) -> None:
        """Drop a server that is no longer configured."""
        self.unban(server)


def _wait(failures: int) -> float:
    return float(min(FIRST_WAIT * 2 ** min(failures - 1, 16), LONGEST_WAIT))
