"""What rules mirror is sent to other server groups from here; nobody waits for it.

What waits is bounded, and what is too much is dropped and counted. Statements of one session
take one lane, one after the other, so they stay in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, final

from proxy.runtime.lanes import Lane, Target
from proxy.session.copies import Copy
from proxy.types import Mirrored

LANES: Final = 4
"""Sessions for each database, and so connections to it at most."""

MOST_WAITING: Final = 10_000
MOST_BYTES: Final = 16 * 1024 * 1024
"""Of statements that wait for one other group; a second's worth of a busy application."""


@final
class Mirrors:
    """All that one server group mirrors.

    Args:
        clock: Seconds.

    Attributes:
        find: Finds another group by its name.
    """

    __slots__ = ("_clock", "_is_closed", "_mirrors", "find")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._mirrors: dict[str, Mirror] = {}
        self._is_closed = False
        self.find: Callable[[str], Target | None] = lambda _: None

    def take(self, copies: Sequence[Copy], database: str, owner: object) -> None:
        """Take statements, in their order; what is too much is dropped."""
        for copy in copies:
            mirror = self._mirror(copy.rule.mirror or "")
            if mirror is None or not mirror.take(copy, database, owner):
                copy.rule.mirrored.count(Mirrored.DROPPED)

    def close(self) -> None:
        """Stop."""
        self._is_closed = True
        for mirror in self._mirrors.values():
            mirror.close()

    def _mirror(self, name: str) -> Mirror | None:
        mirror = self._mirrors.get(name)
        if mirror is None and not self._is_closed:
            target = self.find(name)
            if target is not None:
                mirror = self._mirrors[name] = Mirror(target, self._clock)
        return mirror


@final
class Mirror:
    """What is sent to one other group.

    Attributes:
        target: The group.
        waiting: How many statements wait.
        bytes: How large they are, together.
    """

    __slots__ = ("_clock", "_is_closed", "_lanes", "bytes", "target", "waiting")

    def __init__(self, target: Target, clock: Callable[[], float]) -> None:
        self.target = target
        self._clock = clock
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._is_closed = False
        self.waiting = 0
        self.bytes = 0

    def take(self, copy: Copy, database: str, owner: object) -> bool:
        """Take a statement; False: there is no room for it."""
        size = len(copy.data)
        if self._is_closed or self.waiting >= MOST_WAITING or self.bytes + size > MOST_BYTES:
            return False
        key = (database, hash((id(owner),)) % LANES)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(self, database, self._clock)
        return lane.take(copy)

    def leave(self, lane: Lane) -> None:
        """A lane has nothing to do, and has had nothing for long."""
        self._lanes = {key: other for key, other in self._lanes.items() if other is not lane}

    def close(self) -> None:
        """Stop."""
        self._is_closed = True
        for lane in list(self._lanes.values()):
            lane.close_for_good()
