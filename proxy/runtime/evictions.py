"""Members that are gone: who is given up, and what must be over before nobody waits for them.

The steps are those of docs/fleet.md, "Views", and every member takes them for each that it finds
fenced: whoever has begun may be gone, too. The first to be through says so in the view. Whose
process is known to have ended is fenced at once, and no lease of its is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol, final

from proxy.freshness.fleet import DRIFT, LEASE, Fleet
from proxy.observe.logs import Logger
from proxy.topology.group import Server
from proxy.topology.views import ViewStore
from proxy.topology.witness import FAILURES, describe
from proxy.types import Position

log = Logger("fleet")

POLL: Final = 0.005
"""Seconds between two looks at whether a server process is gone, or a replica has caught up."""

ABSENT_AFTER: Final = 1.5 * LEASE
"""Seconds of silence after which a member without a connection to the primary is given up."""

SILENT_AFTER: Final = 30.0
"""Seconds of silence after which one that has a connection is given up, too."""

LEASE_OVER: Final = LEASE * (1 + 2 * DRIFT)
"""Seconds after which a fenced member has read nothing fast any more, by anybody's clock."""


class Neighbours(Protocol):
    """The servers around."""

    def replicas(self) -> Sequence[Server]:
        """List those that may be promoted, as far as is known."""

    def has_reached(self, replica: Server, position: Position, /) -> bool:
        """Tell whether a replica has replayed a position; have it looked at if not."""


class Primary(Protocol):
    """A control connection to the primary."""

    async def position(self) -> Position:
        """Ask how far it is."""

    async def fence(self, pid: int, start: float) -> bool:
        """End a session: see `Witness.fence`."""


@final
class Evictions:
    """See the module.

    Attributes:
        neighbours: Set before anybody is met.

    Args:
        clock: Seconds.
        changed: Is told when the view may be another.
        is_bus_up: Tells whether the bus is there: who says nothing is not to blame otherwise.
    """

    neighbours: Neighbours

    def __init__(
        self,
        clock: Callable[[], float],
        changed: Callable[[], None],
        is_bus_up: Callable[[], bool],
    ) -> None:
        self._clock = clock
        self._is_bus_up = is_bus_up
        self._changed = changed
        self._met_at: dict[str, float] = {}
        self._absent: set[str] = set()  # when last looked for
        self._dead: set[str] = set()
        self._fenced_at: dict[str, float] = {}
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def met(self, name: str) -> None:
        """Somebody is a member: it may be silent for a while yet."""
        self._met_at[name] = self._clock()

    def is_gone(self, name: str) -> None:
        """It is one no more."""
        self._met_at.pop(name, None)
        self._absent.discard(name)
        self._fenced_at.pop(name, None)
        self._dead.discard(name)

    def bury(self, name: str) -> None:
        """The process of somebody who may be a member is known to have ended."""
        self._dead.add(name)

    async def look_for_absent(self, fleet: Fleet, store: ViewStore) -> bool:
        """Give up who says nothing, and is not there, or says nothing for long.

        Returns:
            Whether the view has changed.
        """
        now = self._clock()
        has_changed = False
        self._dead.intersection_update(fleet.members)
        for name in fleet.members:
            silent_for = now - max(fleet.heard_at(name), self._met_at.get(name, now))
            is_dead = name in self._dead
            if name in self._under_way or (silent_for < ABSENT_AFTER and not is_dead):
                self._absent.discard(name)
                continue
            if is_dead:
                is_over = True
            elif await store.is_seen(name):
                self._absent.discard(name)
                is_over = silent_for >= SILENT_AFTER and self._is_bus_up()
            else:
                is_over = name in self._absent  # twice: it may be about to connect anew
                self._absent.add(name)
            if is_over:
                why = "its process has ended" if is_dead else f"silent for {silent_for:.1f} s"
                log.warning("a member is given up", member=name, why=why)
                await store.fence(name)
                has_changed = True
        return has_changed

    def see_to(self, name: str, primary: Primary, store: ViewStore) -> None:
        """Wait for the end of a fenced member, and say so in the view."""
        if name not in self._under_way:
            work = self._evict(name, primary, store)
            self._under_way[name] = asyncio.get_running_loop().create_task(work)

    async def _evict(self, name: str, primary: Primary, store: ViewStore) -> None:
        try:
            await self._outlast(name, primary, store)
        except FAILURES as error:
            log.warning("an eviction is begun again", member=name, error=describe(error))
        finally:
            self._under_way.pop(name, None)
            self._changed()

    async def _outlast(self, name: str, primary: Primary, store: ViewStore) -> None:
        fenced_at = self._fenced_at.setdefault(name, self._clock())
        position = await primary.position()
        for session in await store.sessions(name):
            while True:
                if await primary.fence(session.pid, session.start):
                    break
                await asyncio.sleep(POLL)
        while True:
            if self._is_everywhere(position):
                break
            await asyncio.sleep(POLL)
        while True:
            if name in self._dead or self._clock() >= fenced_at + LEASE_OVER:
                break
            await asyncio.sleep(POLL)
        await store.expel(name)

    def _is_everywhere(self, position: Position) -> bool:
        """Tell whether who becomes primary knows what is in the log up to a position."""
        around = self.neighbours
        return all(around.has_reached(replica, position) for replica in around.replicas())

    async def close(self) -> None:
        """Leave the rest to the others."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
