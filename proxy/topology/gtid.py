"""Sets of global transaction ids: what a MySQL or MariaDB server has executed. Pure.

MySQL numbers the commits of each server, or of each tag on each server, and says which numbers
it has: `uuid:1-5:8, uuid:tag:1-3` (MySQL manual, 19.1.3.1 "GTID Format and Storage"). MariaDB
numbers the commits of each *domain* and says how far it is: `0-101-57` is number 57 of domain 0,
by server 101 (MariaDB knowledge base, "Global Transaction ID"). Within a domain commits are
replayed in order, so that is the set of 1 to 57, and one kind of set does for both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, final

from proxy.errors import RemoteProtocolError

LARGEST: Final = 2**63 - 1

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TAG: Final = re.compile(r"[a-z_][a-z0-9_]{0,31}")
_INTERVAL: Final = re.compile(r"([0-9]{1,19})(?:-([0-9]{1,19}))?")
_NUMBERS: Final = re.compile(r"(?:[:-][0-9]{1,19})*[:-]([0-9]{1,19})")
_POSITION: Final = re.compile(r"([0-9]{1,10})-([0-9]{1,10})-([0-9]{1,20})")

Interval = tuple[int, int]


@final
class GtidSet:
    """Numbers of commits, by who numbers them. Not changed once made.

    Attributes:
        intervals: First and last numbers of unbroken runs, ascending, no two of which touch; none
            is empty. The keys: "uuid" or "uuid:tag" for MySQL, "domain" for MariaDB, and
            "domain-server" for what a MariaDB server knows of each writer.
    """

    __slots__ = ("intervals",)

    def __init__(self, intervals: Mapping[str, Iterable[Interval]] | None = None) -> None:
        given = {key: _joined(runs) for key, runs in (intervals or {}).items()}
        self.intervals = {key: runs for key, runs in given.items() if runs}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GtidSet) and self.intervals == other.intervals

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        return bool(self.intervals)

    def __repr__(self) -> str:
        return f"<GtidSet {self}>"

    def __str__(self) -> str:
        """Write it as MySQL reads it."""
        parts = []
        for key, runs in sorted(self.intervals.items()):
            numbers = (f"{first}-{last}" if last > first else f"{first}" for first, last in runs)
            parts.append(":".join([key, *numbers]))
        return ",".join(parts)

    def covers(self, other: GtidSet) -> bool:
        """Tell whether everything in another set is in this one."""
        return all(
            _covers(self.intervals.get(key, ()), runs) for key, runs in other.intervals.items()
        )

    def without(self, key: str) -> GtidSet:
        """Return the set but for one numbering."""
        return GtidSet({k: runs for k, runs in self.intervals.items() if k != key})

    def minus(self, other: GtidSet) -> GtidSet:
        """Return what is in this set and not in another."""
        return GtidSet(
            {
                key: _minus(runs, other.intervals.get(key, ()))
                for key, runs in self.intervals.items()
            }
        )

    def plus(self, other: GtidSet) -> GtidSet:
        """Return what is in either."""
        keys = self.intervals.keys() | other.intervals.keys()
        return GtidSet(
            {key: (*self.intervals.get(key, ()), *other.intervals.get(key, ())) for key in keys}
        )

    def largest(self, key: str) -> int:
        """Return the largest number of a numbering; 0 when there is none."""
        runs = self.intervals.get(key)
        return runs[-1][1] if runs else 0

    def unbroken(self, key: str, start: int) -> int:
        """Return how far a numbering goes on without a gap behind a number that is in it.

        Args:
            key: The numbering.
            start: Where to begin; 0 is in every numbering.
        """
        for first, last in self.intervals.get(key, ()):
            if first <= start + 1 and last >= start:
                return last
        return start


def parse_executed(text: str) -> GtidSet:
    """Read MySQL's `gtid_executed`, in which a tag goes for the intervals behind it.

    Raises:
        RemoteProtocolError: It isn't one.
    """
    found: dict[str, list[Interval]] = {}
    for part in "".join(text.split()).lower().split(","):
        if not part:
            continue
        uuid, *items = part.split(":")
        if not _UUID.fullmatch(uuid) or not items:
            raise _unreadable(text)
        key = uuid
        for item in items:
            if match := _INTERVAL.fullmatch(item):
                first = int(match[1])
                found.setdefault(key, []).append(_checked(first, int(match[2] or first), text))
            elif _TAG.fullmatch(item):
                key = f"{uuid}:{item}"
            else:
                raise _unreadable(text)
    return GtidSet(found)


def parse_domains(text: str) -> GtidSet:
    """Read a MariaDB position, as `gtid_slave_pos`: how far each domain is.

    Raises:
        RemoteProtocolError: It isn't one.
    """
    return GtidSet({str(domain): [(1, number)] for domain, _, number in _positions(text) if number})


def parse_writers(text: str) -> GtidSet:
    """Read a MariaDB position or `gtid_binlog_state` by who wrote: how far each of them is.

    Raises:
        RemoteProtocolError: It isn't one.
    """
    found: dict[str, list[Interval]] = {}
    for domain, server, number in _positions(text):
        if number:
            found.setdefault(f"{domain}-{server}", []).append((1, number))
    return GtidSet(found)


def largest_by(writer: str, text: str) -> int | None:
    """Read the largest number in what was told of commits; None: not all are one writer's.

    Args:
        writer: In words of `Report.writer`: "uuid", or "domain-server".
        text: As MySQL tells of them, "uuid:5:7-9", or MariaDB of the last one, "0-101-57".
    """
    if not text.startswith(writer):
        return None
    match = _NUMBERS.fullmatch(text, len(writer))
    return int(match[1]) if match is not None else None


def _positions(text: str) -> Iterable[tuple[int, int, int]]:
    for part in "".join(text.split()).split(","):
        if not part:
            continue
        match = _POSITION.fullmatch(part)
        if match is None:
            raise _unreadable(text)
        domain, server, number = map(int, match.groups())
        if number > LARGEST:
            raise _unreadable(text)
        yield domain, server, number


def _checked(first: int, last: int, text: str) -> Interval:
    if not 0 < first <= last <= LARGEST:
        raise _unreadable(text)
    return first, last


def _unreadable(text: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"not a set of transaction ids: {text[:100]!r}")


def _joined(runs: Iterable[Interval]) -> tuple[Interval, ...]:
    joined: list[Interval] = []
    for first, last in sorted(runs):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return tuple(joined)


def _covers(runs: tuple[Interval, ...], others: tuple[Interval, ...]) -> bool:
    return all(
        any(first <= other[0] and other[1] <= last for first, last in runs) for other in others
    )


def _minus(runs: tuple[Interval, ...], others: tuple[Interval, ...]) -> list[Interval]:
    left: list[Interval] = []
    for first, last in runs:
        at = first
        for other_first, other_last in others:
            if other_last < at or other_first > last:
                continue
            if other_first > at:
                left.append((at, other_first - 1))
            at = other_last + 1
        if at <= last:
            left.append((at, last))
    return left
