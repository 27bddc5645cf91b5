"""Places in the history of MySQL and MariaDB that mean the same to every member.

Such a place is what has been executed there: GTIDs of MySQL, numbers of MariaDB's domains, or
without either how far the primary's log was, which is told of that very log only. Where a primary
was replaced by one that has not all of it, its own word is all there is: see `Handed.since`.
"""

from __future__ import annotations

import re
from typing import Final, Protocol, final
from urllib.parse import quote, unquote

from proxy.freshness.handed import Place, seal, unseal
from proxy.topology.gtid import LARGEST, GtidSet
from proxy.types import Position

KIND: Final = "gtid1"

_OF_A_LOG: Final = "@"
_PART: Final = re.compile(r"([^,]*?)((?::[0-9]{1,19}-[0-9]{1,19})+)")


class History(Protocol):
    """What is known of the servers' commits."""

    @property
    def executed(self) -> GtidSet | None:
        """What the primary had executed when it was last seen; None: there is none."""

    def position_of(self, contents: GtidSet, /) -> Position | None:
        """The least position at which a server has all this, if the primary has it."""


@final
class GtidPlace:
    """What was executed."""

    __slots__ = ("_history", "contents")

    def __init__(self, history: History, contents: GtidSet) -> None:
        self._history = history
        self.contents = contents

    def find(self) -> Position | None:
        """See `Place`. Where commits get no numbers, nothing can be told by them."""
        return self._history.position_of(self.contents) if self.contents else None


@final
class MySQLPlaces:
    """See `Places`.

    Args:
        history: Of the servers' commits.
    """

    def __init__(self, history: History) -> None:
        self._history = history

    def here(self) -> str | None:
        """See `Places`."""
        executed = self._history.executed
        return None if executed is None else seal(KIND, write(executed))

    def read(self, text: str) -> Place:
        """See `Places`."""
        contents = parse(unseal(KIND, text))
        executed = self._history.executed
        if executed and contents and _is_foreign(executed, contents):
            raise ValueError("of another data set")
        return GtidPlace(self._history, contents)


def write(contents: GtidSet) -> str:
    """Write down what was executed."""
    parts = []
    for key, runs in sorted(contents.intervals.items()):
        numbers = [f"{first}-{last}" for first, last in runs]
        parts.append(":".join([quote(key, safe=":@"), *numbers]))
    return ",".join(parts)


def parse(text: str) -> GtidSet:
    """Read what `write` has written.

    Raises:
        ValueError: It is something else.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    for part in text.split(",") if text else ():
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError("not what was executed")
        runs = found.setdefault(unquote(match[1]), [])
        for run in match[2][1:].split(":"):
            first, last = map(int, run.split("-"))
            if not 0 < first <= last <= LARGEST:
                raise ValueError("no numbers of commits")
            runs.append((first, last))
    return GtidSet(found)


def _is_foreign(executed: GtidSet, contents: GtidSet) -> bool:
    """Tell whether two sets have nothing to do with each other.

    Of logs that is not known: each server has its own.
    """
    keys = executed.intervals.keys() | contents.intervals.keys()
    if any(_OF_A_LOG in key for key in keys):
        return False
    return executed.intervals.keys().isdisjoint(contents.intervals.keys())
