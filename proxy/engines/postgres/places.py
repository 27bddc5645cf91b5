"""Places in PostgreSQL's log that mean the same to every member.

A log sequence number is enough to know what has survived: a timeline that branches off goes on from
the same numbers, so what it has of the one before is where it was, and in front of the place. The
timeline tells only if there has been a primary that this member has not seen. Two data sets have
different system identifiers.
"""

from __future__ import annotations

import re
from typing import Final, final

from proxy.errors import NoPrimary
from proxy.freshness.handed import Place, seal, unseal
from proxy.topology.group import Group
from proxy.types import Position

KIND: Final = "lsn1"

_BODY: Final = re.compile(r"(-?[0-9a-f]{1,16})\.([0-9a-f]{1,8})\.([0-9a-f]{1,16})")


@final
class LogPlace:
    """A place in the log of a system, as it was on one of its timelines."""

    __slots__ = ("_group", "position", "system", "timeline")

    def __init__(self, group: Group, system: int, timeline: int, position: Position) -> None:
        self._group = group
        self.system = system
        self.timeline = timeline
        self.position = position

    def find(self) -> Position | None:
        """See `Place`."""
        epoch, primary = self._group.epoch, self._group.primary
        if epoch is None or primary is None:
            return None
        if epoch.system != self.system or epoch.timeline < self.timeline:
            return None
        return self.position if self.position <= primary.position else None


@final
class PostgresPlaces:
    """See `Places`.

    Args:
        group: Whose log it is.
    """

    def __init__(self, group: Group) -> None:
        self._group = group

    def here(self) -> str | None:
        """See `Places`."""
        primary = self._group.primary
        if primary is None:
            return None
        return seal(KIND, f"{primary.system:x}.{primary.timeline:x}.{primary.position:x}")

    def read(self, text: str) -> Place:
        """See `Places`."""
        found = _BODY.fullmatch(unseal(KIND, text))
        if found is None:
            raise ValueError("no place in a log")
        system, timeline = int(found[1], 16), int(found[2], 16)
        position = int(found[3], 16)
        epoch = self._group.epoch
        if epoch is not None and system != epoch.system:
            raise ValueError("of another system")
        if epoch is not None and timeline > epoch.timeline:
            raise NoPrimary(
                f'no primary of timeline {timeline} was seen yet in server group "'
                f'{self._group.name}"',
                detail=f"The latest one is of timeline {epoch.timeline}.",
            )
        return LogPlace(self._group, system, timeline, Position(position))
