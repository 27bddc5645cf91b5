"""Which commits can be read at a primary of MySQL or MariaDB, of those that its log tells of. Pure.

A commit is in the log before it can be read. MySQL adds its GTID to `gtid_executed` when it can be.
MariaDB tells the place up to which the log is of what can be read (`binlog_snapshot_position`):
commits become visible there in the log's order.
"""

from __future__ import annotations

from typing import Final, final

from proxy.errors import RemoteProtocolError
from proxy.topology.gtid import GtidSet

_NUMBERS: Final = 63
_MASK: Final = (1 << _NUMBERS) - 1


@final
class Before:
    """What may have been committed before anybody was told of commits, and was not visible then."""

    __slots__ = ("is_over", "xids")

    def __init__(self) -> None:
        self.xids: set[int] = set()
        self.is_over = False

    def add(self, xid: int) -> None:
        """It is in front of the beginning, if that has not been yet."""
        if not self.is_over:
            self.xids.add(xid)


@final
class Numbers:
    """Gives GTIDs of MySQL numbers."""

    __slots__ = ("_keys", "_names")

    def __init__(self) -> None:
        self._names: list[str] = []
        self._keys: dict[str, int] = {}

    def number(self, gtid: str) -> int:
        """The number of a GTID, "uuid:7".

        Raises:
            RemoteProtocolError: It is none.
        """
        name, _, last = gtid.rpartition(":")
        if not name or not (last.isascii() and last.isdigit()):
            raise RemoteProtocolError(f"no GTID: {gtid[:100]!r}")
        key = self._keys.get(name)
        if key is None:
            key = self._keys[name] = len(self._names)
            self._names.append(name)
        return key << _NUMBERS | int(last) & _MASK

    def is_in(self, number: int, executed: GtidSet) -> bool:
        """Tell whether the GTID of a number is in a set."""
        sought = number & _MASK
        for first, last in executed.intervals.get(self._names[number >> _NUMBERS], ()):
            if first <= sought <= last:
                return True
        return False


@final
class ByGtid:
    """See `proxy.freshness.feed.Snapshot`: MySQL's. Commits are numbered by `Numbers`."""

    __slots__ = ("_before", "_executed", "_numbers")

    def __init__(self, numbers: Numbers, executed: GtidSet, before: Before) -> None:
        self._numbers = numbers
        self._executed = executed
        self._before = before

    @property
    def running(self) -> frozenset[int]:
        """Those of the beginning."""
        return frozenset([xid for xid in self._before.xids if not self.shows(xid)])

    def shows(self, xid: int) -> bool:
        """Tell whether a commit can be read."""
        return self._numbers.is_in(xid, self._executed)


@final
class ByPlace:
    """See `proxy.freshness.feed.Snapshot`: MariaDB's. A commit's number is where it ends."""

    __slots__ = ("_before", "_place")

    def __init__(self, place: int, before: Before) -> None:
        self._place = place
        self._before = before

    @property
    def running(self) -> frozenset[int]:
        """Those of the beginning."""
        return frozenset([xid for xid in self._before.xids if not self.shows(xid)])

    def shows(self, xid: int) -> bool:
        """Tell whether a commit can be read."""
        return xid <= self._place


def parse_owned(text: str) -> list[str]:
    """Read MySQL's `gtid_owned`, "uuid:7#12:8#13, uuid:tag:1#5": the GTIDs of commits under way.

    Raises:
        RemoteProtocolError: It isn't one.
    """
    found: list[str] = []
    for part in "".join(text.split()).lower().split(","):
        name = ""
        for item in part.split(":"):
            number, hash_, _ = item.partition("#")
            if hash_ and name and number.isascii() and number.isdigit():
                found.append(f"{name}:{number}")
            elif hash_:
                raise RemoteProtocolError(f"no GTIDs that are owned: {text[:100]!r}")
            else:
                name = f"{name}:{item}" if name else item
    return found
