"""Members that are gone: who is given up, and what must be over before nobody waits for them.

The steps are those of docs/fleet.md, "Views", and every member takes them for each that it finds
fenced: whoever has begun may be gone, too. The first to be through says so in the view. Whose
process is known to have ended is fenced at once, and no lease of its is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol, final

from proxy.freshness.fleet import DRIFT, LEASE, Fleet
from proxy.freshness.quiet import Quiet
from proxy.observe.logs import Logger
from proxy.runtime.session_end import Sessions, is_over
from proxy.topology.group import Server
from proxy.topology.views import Row, Session, ViewStore
from proxy.topology.witness import FAILURES, describe
from proxy.types import Position

log = Logger("fleet")

POLL: Final = 0.005
"""Seconds between two looks at whether a server process is gone, or a replica has caught up."""

SLOWEST: Final = 0.2
"""Seconds between two looks at a session that does not end: doubling, as each attempt to end it is
a line in the log of a server that does not let us."""

LONG: Final = 1.0
"""Seconds after which it is worth a word that there still are sessions of somebody's."""

ABSENT_AFTER: Final = 1.5 * LEASE
"""Seconds of silence after which a member without a connection to the primary is given up."""

SILENT_AFTER: Final = 30.0
"""Seconds of silence after which one that has a connection is given up, too."""

LEASE_OVER: Final = LEASE * (1 + 2 * DRIFT)
"""Seconds after which a fenced member has read nothing fast any more, by anybody's clock."""


class Silence(NamedTuple):
    """Of a member.

    Attributes:
        seconds: For how long it has said nothing on the bus.
        asked_ago: For how long it has asked the primary nothing; None: it is not connected there.
    """

    seconds: float
    asked_ago: float | None

    @property
    def is_well(self) -> bool:
        """Whether it goes about its business: it is only not heard."""
        return self.asked_ago is not None and self.asked_ago < ABSENT_AFTER


class Neighbours(Protocol):
    """The servers around."""

    def replicas(self) -> Sequence[Server]:
        """List those that may be promoted, as far as is known."""

    def has_reached(self, replica: Server, position: Position, /) -> bool:
        """Tell whether a replica has replayed a position; have it looked at if not."""


class Primary(Sessions, Protocol):
    """A control connection to the primary."""

    async def position(self) -> Position:
        """Ask how far it is."""


@final
class Evictions:
    """See the module.

    Attributes:
        resisting: Of whom there are sessions that did not end for a while, and how many.
        silences: Of those who were silent for long when last looked for.

    Args:
        neighbours: What else there is of the server group.
        clock: Seconds.
        changed: Is told when the view may be another.
        is_bus_up: Tells whether the bus is there: who says nothing is not to blame otherwise.
    """

    def __init__(
        self,
        neighbours: Neighbours,
        clock: Callable[[], float],
        changed: Callable[[], None],
        is_bus_up: Callable[[], bool],
    ) -> None:
        self._neighbours = neighbours
        self._clock = clock
        self._is_bus_up = is_bus_up
        self._changed = changed
        self.silences: dict[str, Silence] = {}
        self._met_at: dict[str, float] = {}
        self._absent: set[str] = set()  # when last looked for
        self._dead: set[str] = set()
        self._fenced_at: dict[str, float] = {}
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self.resisting: dict[str, int] = {}

    def met(self, name: str) -> None:
        """Somebody is a member: it may be silent for a while yet."""
        self._met_at[name] = self._clock()

    def met_at(self, name: str) -> float:
        """Tell since when somebody is a member; now, if that is not known."""
        return self._met_at.get(name, self._clock())

    def is_gone(self, name: str) -> None:
        """It is one no more."""
        self._met_at.pop(name, None)
        self.silences.pop(name, None)
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
        has_changed = False
        self._dead.intersection_update(fleet.members)
        await self._find_silent(fleet, store)
        for name in [*self._dead, *self.silences]:
            if name in self._under_way:
                continue
            silence = self.silences.get(name)
            if silence is None:
                why = "its process has ended"
            elif self._is_over(name, silence, fleet):
                why = f"silent for {silence.seconds:.1f} s"
            else:
                continue
            log.warning("a member is given up", member=name, why=why)
            await store.fence(name)
            has_changed = True
        return has_changed

    async def _find_silent(self, fleet: Fleet, store: ViewStore) -> None:
        now = self._clock()
        silences: dict[str, Silence] = {}
        for name in fleet.members:
            seconds = now - max(fleet.heard_at(name), self._met_at.get(name, now))
            if seconds >= ABSENT_AFTER and name not in self._dead and name not in self._under_way:
                silences[name] = Silence(seconds, await store.silent_for(name))
        self._absent.intersection_update(silences)
        self.silences = silences

    def _is_over(self, name: str, silence: Silence, fleet: Fleet) -> bool:
        if silence.asked_ago is None:
            is_over = name in self._absent  # twice: it may be about to connect anew
            self._absent.add(name)
            return is_over
        self._absent.discard(name)
        if silence.seconds < SILENT_AFTER or not self._is_bus_up():
            return False
        return not silence.is_well or self._may_go_on_without(fleet)

    def _may_go_on_without(self, fleet: Fleet) -> bool:
        """Tell whether those who are well and not heard are to go, rather than we.

        Both sides ask that of each other: the larger one stays, and never a newcomer, whom nobody
        has answered yet: it has the wrong bus, most often.
        """
        lost = {name for name, silence in self.silences.items() if silence.is_well}
        heard = {fleet.name, *fleet.members} - set(self.silences) - self._dead
        return fleet.is_welcome and (len(heard), min(lost)) > (len(lost), min(heard))

    def see_to(self, row: Row, primary: Primary, store: ViewStore) -> None:
        """Wait for the end of a fenced member, and say so in the view."""
        name = row.name
        if name not in self._under_way:
            work = self._evict(row, primary, store)
            self._under_way[name] = asyncio.get_running_loop().create_task(work)

    async def _evict(self, row: Row, primary: Primary, store: ViewStore) -> None:
        name = row.name
        try:
            await self._outlast(row, primary, store)
        except FAILURES as error:
            log.warning("an eviction is begun again", member=name, error=describe(error))
        finally:
            self._under_way.pop(name, None)
            self.resisting.pop(name, None)
            self._changed()

    async def _outlast(self, row: Row, primary: Primary, store: ViewStore) -> None:
        name = row.name
        fenced_at = self._fenced_at.setdefault(name, self._clock())
        position = await primary.position()
        sends_until = fenced_at if name in self._dead else fenced_at + LEASE_OVER
        await self._end(await store.sessions(name), row, sends_until, primary)
        while True:
            if self._is_everywhere(position):
                break
            await asyncio.sleep(POLL)
        while True:
            if name in self._dead or self._clock() >= fenced_at + LEASE_OVER:
                break
            await asyncio.sleep(POLL)
        await store.expel(name)

    async def _end(
        self, sessions: Sequence[Session], row: Row, sends_until: float, primary: Primary
    ) -> None:
        """End a member's sessions, and see them gone; or nothing come of them, if it says so.

        Args:
            sessions: All of them.
            row: Its own.
            sends_until: When it has sent its last, if it fences itself.
            primary: Where they are.
        """
        settles = None if row.settles is None else row.settles * (1 + 2 * DRIFT)
        left = {it: None if settles is None else Quiet(sends_until, settles) for it in sessions}
        began, pause = self._clock(), POLL
        while True:
            for session, quiet in list(left.items()):
                if await is_over(primary, session.pid, session.start, quiet, self._clock):
                    del left[session]
            if not left:
                break
            if self._clock() >= began + LONG:
                self._resist(row, len(left))
            await asyncio.sleep(pause)
            pause = min(2 * pause, SLOWEST)
        self.resisting.pop(row.name, None)

    def _resist(self, row: Row, number: int) -> None:
        """There are sessions that can't be ended: for how long it is their member's to say."""
        if row.name not in self.resisting:
            until = "they end by themselves"
            if row.settles is not None:
                until = f"they have been at rest for {row.settles:g} s"
            log.warning(
                "server connections of a member that is given up do not end",
                member=row.name,
                connections=number,
                waits_until=until,
            )
        self.resisting[row.name] = number

    def _is_everywhere(self, position: Position) -> bool:
        """Tell whether who becomes primary knows what is in the log up to a position."""
        around = self._neighbours
        return all(around.has_reached(replica, position) for replica in around.replicas())

    async def close(self) -> None:
        """Leave the rest to the others."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
