"""Where a statement goes, decided once: nothing after it reads SQL again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from proxy.cache.key import Key
from proxy.freshness.tables import ReadSet
from proxy.types import Position, Reason

Server = TypeVar("Server")


@dataclass(slots=True)
class Route(Generic[Server]):
    """The decision on one statement.

    Attributes:
        reason: Why it fell so.
        server: The replica that was chosen; None: the primary, whichever that is when the
            statement is sent.
        read_set: What the answer depends on; None where nobody needs to know.
        version: The version of that when the decision fell; validation and fill need it.
        need: What the replica must have replayed; None at the primary.
        key: Under what the answer is to be kept; None where it is not.
    """

    reason: Reason
    server: Server | None = None
    read_set: ReadSet | None = None
    version: int = 0
    need: Position | None = None
    key: Key | None = None
